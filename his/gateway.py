"""`HisPort` over any adapter: capabilities, guard, checks, cache, and one record of each call for the log."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from core.clock import SHANGHAI
from his.adapter import Adapter, Call
from his.cache import Cache
from his.checks import check
from his.faults import Broken, Duplicate, NotSent
from his.guard import Guard, GuardOptions
from his.port import (
    Command,
    Ctx,
    Done,
    Fetched,
    HisError,
    NotFound,
    Op,
    OpClass,
    Query,
    Rejected,
    Resolution,
    StillUnknown,
    Unavailable,
    Unsupported,
)

R = TypeVar("R")


@dataclass(slots=True)  # made for every scan, and a frozen one costs four times as much to make
class CallRecord:
    """One call as it went; whoever writes it down masks `asked` and `answer` first (`his.masking`).

    `outcome`: ok, or the name of the HisError; `code`: the HIS's own word of a refusal, or the reason of a failure.
    """

    at: datetime
    op: Op
    outcome: str
    code: str
    ms: float
    ctx: Ctx
    asked: Query[Any] | Command[Any]
    answer: Any = None
    resolving: bool = False


def _now() -> datetime:
    return datetime.now(SHANGHAI)


class Gateway:
    """See `his.port.HisPort`; thread-safe."""

    def __init__(
        self, adapter: Adapter, options: GuardOptions | None = None, record: Callable[[CallRecord], None] | None = None
    ) -> None:
        self._adapter = adapter
        self.guard = Guard(options or GuardOptions())
        self._cache = Cache(_now)
        self._record = record
        self._capabilities = adapter.capabilities

    @property
    def capabilities(self) -> frozenset[Op]:
        """See `HisPort`."""
        return self._capabilities

    @property
    def dedups(self) -> frozenset[Op]:
        """See `Adapter`: writes that may be sent again with the same op_key."""
        return self._adapter.dedups

    def ask(self, query: Query[R], ctx: Ctx) -> Fetched[R]:
        """See `HisPort`."""
        self._must_know(query.op)
        if not query.fresh_s and not query.stale_s:
            return Fetched(self._noted(query, ctx, self._read), _now())
        return self._cache.fetch(query, ctx, lambda: self._noted(query, ctx, self._read))

    def do(self, command: Command[R], ctx: Ctx) -> R:
        """See `HisPort`."""
        self._must_know(command.op)
        try:
            answer: R = self._noted(command, ctx, self._write)
            return answer
        finally:
            self._cache.touch(command)

    def resolve(self, command: Command[R], ctx: Ctx) -> Resolution[R]:
        """See `HisPort`; whatever fails is StillUnknown."""
        self._must_know(command.op)
        if command.op not in self._adapter.resolvable:
            raise Unsupported(command.op)

        try:
            found: Resolution[R] = self._noted(command, ctx, self._fate, resolving=True)
        except Unavailable as failure:
            return StillUnknown(failure.reason)
        except (NotFound, Rejected) as answer:
            return StillUnknown(type(answer).__name__)
        self._cache.touch(command)
        return found

    def forget(self, *, patient_id: str = "", schedule_id: str = "") -> None:
        """Drop the cached copies of a patient or a schedule: the HIS said that something about it has changed."""
        self._cache.forget(patient_id=patient_id, schedule_id=schedule_id)

    def close(self) -> None:
        """See `HisPort`."""
        self._adapter.close()

    def _must_know(self, op: Op) -> None:
        if op not in self._capabilities:
            raise Unsupported(op)

    def _read(self, query: Any, ctx: Ctx) -> Any:
        return self.guard.read(query, query.op_class, ctx, self._answer)

    def _answer(self, query: Query[Any], call: Call) -> Any:
        value = self._adapter.ask(query, call)
        check(query, value)
        return value

    def _write(self, command: Any, ctx: Ctx) -> Any:
        return self.guard.write(command, ctx, self._done)

    def _done(self, command: Command[Any], call: Call) -> Any:
        try:
            value = self._adapter.do(command, call)
        except Duplicate:
            value = self._what_was_done(command, call)
        check(command, value)
        return value

    def _fate(self, command: Any, ctx: Ctx) -> Any:
        return self.guard.read(command, OpClass.READ, ctx, self._resolved)

    def _resolved(self, command: Command[Any], call: Call) -> Resolution[Any]:
        found = self._adapter.resolve(command, call)
        if isinstance(found, Done):
            check(command, found.value)
        return found

    def _what_was_done(self, command: Command[R], call: Call) -> R:
        """The answer the first sending of this op_key got, or would have got."""
        try:
            found = self._adapter.resolve(command, call)
        except (NotSent, NotFound, Rejected):
            raise Broken("duplicate") from None
        if not isinstance(found, Done):
            raise Broken("duplicate")
        value: R = found.value
        return value

    def _noted(
        self, asked: Query[Any] | Command[Any], ctx: Ctx, run: Callable[[Any, Ctx], Any], *, resolving: bool = False
    ) -> Any:
        """`run(asked, ctx)`, and one record of how it went."""
        if self._record is None:
            return run(asked, ctx)
        started, at = time.monotonic(), _now()
        outcome, code, answer = "ok", "", None
        try:
            answer = run(asked, ctx)
            return answer
        except HisError as failure:
            outcome = type(failure).__name__
            code = str(getattr(failure, "code", getattr(failure, "reason", "")))
            raise
        finally:
            ms = (time.monotonic() - started) * 1000
            self._record(CallRecord(at, asked.op, outcome, code, ms, ctx, asked, answer, resolving))
