"""Any mixture of lost, late, refused and repeated writes, freezes of the HIS and crashes of ours: at most one row each.

The HIS is a model on a clock of its own: what reaches it while it stands still waits in its queue, and every write it
received lands within its longest processing time after it was received or went on, or never.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import SHANGHAI, SetClock
from core.privacy import Vault
from his.port import (
    BookingOrder,
    Command,
    Ctx,
    Done,
    HisError,
    NotDone,
    Op,
    PayMethod,
    Rejected,
    Resolution,
    StillUnknown,
    TopUpOrder,
    Unavailable,
    UnknownOutcome,
)
from services.his_resolver import HisResolver
from services.his_writes import HisWrites, NotBooked, Step, WriteOptions
from store.port_his import FINAL_STATES, IntentState
from store.store import Store
from tests.support.books import answer_of

LONGEST_S = 180
FATES = st.one_of(
    st.sampled_from(["answered", "refused", "rejected", "lost", "booked, no answer"]),
    st.integers(1, LONGEST_S - 1),  # lands so many seconds later, no answer
)


class Crash(Exception):
    """kill -9 of ours, as far as the model goes."""


@dataclass
class ModelHis:
    """See the module. `fates` are drawn for one sending after the other."""

    clock: SetClock
    dedup: bool
    fates: list[Any]
    freezes: list[tuple[datetime, datetime]]
    rows: list[str] = field(default_factory=list)
    queue: list[tuple[datetime, str]] = field(default_factory=list)
    capabilities = frozenset({Op.TOP_UP, Op.BOOK})

    @property
    def dedups(self) -> frozenset[Op]:
        return self.capabilities if self.dedup else frozenset()

    def thaw(self) -> datetime | None:
        """When it goes on; None when it does not stand still."""
        now = self.clock.now()
        return next((end for start, end in self.freezes if start <= now < end), None)

    def land(self) -> None:
        """Book what is due."""
        if self.thaw() is None:
            for due, key in [one for one in self.queue if one[0] <= self.clock.now()]:
                self.queue.remove((due, key))
                self.book(key)

    def book(self, key: str) -> None:
        if not (self.dedup and key in self.rows):
            self.rows.append(key)

    def do(self, command: Command[Any], _ctx: Ctx) -> Any:
        fate = self.fates.pop(0) if self.fates else "answered"
        if fate == "refused":
            raise Unavailable("refused")
        if (thaw := self.thaw()) is not None or isinstance(fate, int) or fate in ("lost", "booked, no answer"):
            if fate != "lost":
                wait = fate if isinstance(fate, int) else 0
                self.queue.append(((thaw or self.clock.now()) + timedelta(seconds=wait), command.op_key))
            raise UnknownOutcome(command.op_key)
        if fate == "rejected" and not (self.dedup and command.op_key in self.rows):
            raise Rejected("17")
        self.book(command.op_key)
        return answer_of(command)

    def resolve(self, command: Command[Any], _ctx: Ctx) -> Resolution[Any]:
        self.land()
        if self.thaw() is not None:
            return StillUnknown("timeout")
        return Done(answer_of(command)) if command.op_key in self.rows else NotDone()


@st.composite
def stories(draw: st.DrawFn) -> dict[str, Any]:
    """What happens in one run."""
    freezes, at = [], 0
    for _ in range(draw(st.integers(0, 3))):
        at += draw(st.integers(0, 400))
        length = draw(st.integers(10, 700))
        freezes.append((at, at + length))
        at += length
    return {
        "dedup": draw(st.booleans()), "money": draw(st.booleans()), "freezes": freezes,
        "fates": draw(st.lists(FATES, max_size=8)),
        "crashes": draw(st.lists(st.sampled_from([None, *Step]), min_size=3, max_size=3)),
    }  # fmt: skip


def command_of(story: dict[str, Any], patient: int, key: str) -> Command[Any]:
    if story["money"]:
        return TopUpOrder(key, f"P{patient}", "60", 1000, PayMethod.WECHAT, "T", datetime(2026, 1, 1, tzinfo=SHANGHAI))
    return BookingOrder(key, f"P{patient}", "60", "S1", "7")


def play(story: dict[str, Any], folder: Path, options: WriteOptions) -> tuple[ModelHis, dict[str, IntentState]]:
    """Three patients, each trying under one key until it is known, and anew under another only when told NotBooked."""
    clock = SetClock()
    freezes = [(clock.now() + timedelta(seconds=a), clock.now() + timedelta(seconds=b)) for a, b in story["freezes"]]
    his = ModelHis(clock, story["dedup"], list(story["fates"]), freezes)
    store = Store(f"sqlite:///{folder / 'h.db'}", Vault(b"k" * 32))
    with store.durable.read() as database:
        database.execute_sql("PRAGMA synchronous = OFF")  # nobody pulls this plug
    crashes = dict(enumerate(story["crashes"]))
    keys = {patient: f"p{patient}-1" for patient in range(3)}

    def run(patient: int) -> None:
        def crash(step: Step) -> None:
            if crashes.get(patient) is step:
                crashes[patient] = None
                raise Crash

        writes = HisWrites(his, store.intents, clock, lambda _: None, options, crash)
        try:
            writes.run(command_of(story, patient, keys[patient]), Ctx(10.0))
        except NotBooked:
            if keys[patient].endswith("-1"):
                keys[patient] = f"p{patient}-2"
        except (HisError, Crash):
            return

    resolver = HisResolver(his, store.intents, clock, lambda _: None, options)
    was_frozen = False
    for second in range(3000):
        clock.advance(1)
        his.land()
        if second % 100 == 0:
            for patient in range(3):
                run(patient)
        if second % 3 == 0:
            frozen = his.thaw() is not None
            if was_frozen and not frozen:
                resolver.hurry()
            was_frozen = frozen
        resolver.round()
    states = {one.op_key: one.state for one in store.intents.listed(set(IntentState), 100)}
    store.close()
    return his, states


def faults_of(his: ModelHis, states: dict[str, IntentState]) -> list[str]:
    """What must never be."""
    wrong = [f"{key} is doubled" for key in set(his.rows) if his.rows.count(key) > 1]
    wrong += [f"P{n} has two" for n in range(3) if len([key for key in his.rows if key.startswith(f"p{n}-")]) > 1]
    wrong += [f"{key} was booked but never kept" for key in his.rows if key not in states]
    wrong += [
        f"{key} is {state.value}, booked {his.rows.count(key)} times" for key, state in states.items()
        if (state is IntentState.DONE) != (key in his.rows) and state in FINAL_STATES
    ]  # fmt: skip
    return wrong


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(story=stories())
def test_whatever_happens_nobody_has_two_and_every_end_is_true(story: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        his, states = play(story, Path(folder), WriteOptions(longest_processing_s=LONGEST_S))
    assert faults_of(his, states) == []
    if story["money"] and not story["dedup"]:
        assert IntentState.NOT_DONE not in states.values(), "money is dropped by nobody but a person"


def test_the_same_rules_without_the_waiting_time_double_a_late_booking(tmp_path: Path) -> None:
    """Control: the model does find it."""
    story = {"dedup": False, "money": False, "freezes": [], "fates": [150], "crashes": [None] * 3}
    hasty = WriteOptions(longest_processing_s=0.0, confirm_s=5.0)
    assert "P0 has two" in faults_of(*play(story, tmp_path, hasty))


def test_a_his_that_stood_still_is_given_its_processing_time_from_when_it_went_on(tmp_path: Path) -> None:
    """With the control: without that time, what it had in its queue for ten minutes is booked beside the second try."""
    story = {"dedup": False, "money": False, "freezes": [(0, 650)], "fates": [170], "crashes": [None] * 3}
    his, states = play(story, tmp_path, WriteOptions(longest_processing_s=LONGEST_S))
    assert faults_of(his, states) == []
    (tmp_path / "again").mkdir()
    his, states = play(story, tmp_path / "again", WriteOptions(longest_processing_s=0.0))
    assert "P0 has two" in faults_of(his, states)
