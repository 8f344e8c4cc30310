"""A scripted HIS, a real store and a clock that stands: for the rules of writes, second by second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from core.clock import SHANGHAI, SetClock
from core.privacy import Vault
from his.port import (
    BookingOrder,
    Command,
    Ctx,
    NotDone,
    Op,
    PayMethod,
    Resolution,
    TopUp,
    TopUpOrder,
    UnknownOutcome,
)
from services.his_resolver import HisResolver
from services.his_writes import (
    HisWrites,
    Step,
    WriteOptions,
)
from store.port_his import Intent
from store.store import Store

ORDER = TopUpOrder("k1", "P1", "60", 1000, PayMethod.WECHAT, "T1", datetime(2026, 11, 24, tzinfo=SHANGHAI))
BOOKING = BookingOrder("b1", "P1", "60", "S1", "7")
CREDITED = TopUp("H1", "P1", 1000)
CTX = Ctx(15.0, actor="portal")


class ScriptedHis:
    """The port as a script: what `do` and `resolve` give next; the last step is repeated."""

    capabilities = frozenset({Op.TOP_UP, Op.BOOK})

    def __init__(self) -> None:
        self.dedups: frozenset[Op] = frozenset()
        self.does: list[Any] = [CREDITED]
        self.says: list[Any] = [NotDone()]
        self.sent: list[tuple[Command[Any], Ctx]] = []
        self.asked: list[Command[Any]] = []

    def do(self, command: Command[Any], ctx: Ctx) -> Any:
        self.sent.append((command, ctx))
        return self._next(self.does, command)

    def resolve(self, command: Command[Any], _ctx: Ctx) -> Resolution[Any]:
        self.asked.append(command)
        found: Resolution[Any] = self._next(self.says, command)
        return found

    @staticmethod
    def _next(script: list[Any], command: Command[Any]) -> Any:
        step = script.pop(0) if len(script) > 1 else script[0]
        value = step(command) if callable(step) else step
        if isinstance(value, Exception):
            raise value
        return value


class Desk:
    """A scripted HIS, a real store, a clock that stands."""

    def __init__(self, folder: Path) -> None:
        self.his, self.clock, self.options = ScriptedHis(), SetClock(), WriteOptions()
        self.store = Store(f"sqlite:///{folder / 'h.db'}", Vault(b"k" * 32))
        self.told: list[object] = []
        self.writes = self.make_writes()
        self.resolver = self.make_resolver()

    def make_writes(self, step: Callable[[Step], None] = lambda _: None) -> HisWrites:
        return HisWrites(self.his, self.store.intents, self.clock, self.told.append, self.options, step)

    def make_resolver(self) -> HisResolver:
        return HisResolver(self.his, self.store.intents, self.clock, self.told.append, self.options)

    def intent(self, op_key: str = "k1") -> Intent:
        kept = self.store.intents.get(op_key)
        assert kept is not None
        return kept

    def unknown(self, command: Command[Any] = ORDER) -> None:
        """Send it and hear nothing."""
        self.his.does = [UnknownOutcome(command.op_key)]
        with pytest.raises(UnknownOutcome):
            self.writes.run(command, CTX)

    def pass_time(self, seconds: float) -> int:
        """Second by second, with a round each; how many writes came to an end."""
        ended = 0
        for _ in range(int(seconds)):
            self.clock.advance(1)
            ended += self.resolver.round()
        return ended


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()
