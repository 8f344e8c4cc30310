"""The only way to write to the HIS: the intent is on the disk before anything is sent, and an op_key is sent once.

A crash, or a HIS that does not answer, leaves an intent that nobody knows the fate of; `services.his_resolver` asks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from core.clock import Clock
from core.errors import HospitalError
from his.port import (
    Command,
    Ctx,
    HisError,
    HisPort,
    NotFound,
    Rejected,
    RejectReason,
    Unavailable,
    UnknownOutcome,
    Unsupported,
    decode_answer,
    encode,
)
from store.port_his import FINAL_STATES, OPEN_STATES, Change, Intent, Intents, IntentState, NewIntent, NotStored

R = TypeVar("R")
log = logging.getLogger(__name__)

ANSWERED_FROM = OPEN_STATES | {IntentState.MANUAL, IntentState.NOT_DONE}
"""States that the HIS's own answer to the write ends; it beats what asking and people concluded meanwhile."""


class NotBooked(HospitalError):
    """The HIS was asked until it was sure: this write is not in its books. Start anew under another op_key."""

    def __init__(self, op_key: str) -> None:
        super().__init__("not booked")
        self.op_key = op_key


class SettledByHand(HospitalError):
    """A person found this write in the HIS; there is no answer to give, only its number there."""

    def __init__(self, op_key: str, his_txn_no: str) -> None:
        super().__init__("settled by hand")
        self.op_key, self.his_txn_no = op_key, his_txn_no


@dataclass(frozen=True, slots=True)
class WriteSettled:
    """A write came to its end; `state` is one of `FINAL_STATES`."""

    op_key: str
    op: str
    state: IntentState
    patient_id: str


@dataclass(frozen=True, slots=True)
class WriteNeedsPerson:
    """A write whose fate only a person can find out; `why` is a machine word."""

    op_key: str
    op: str
    patient_id: str
    why: str


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Seconds. `deadline_s` and `longest_processing_s` come from `his.guard`."""

    deadline_s: float = 15.0
    longest_processing_s: float = 180.0
    asks_after_s: tuple[float, ...] = (2.0, 5.0, 15.0, 60.0)
    """When the HIS is asked, counted from the failure."""
    then_every_s: float = 300.0
    confirm_s: float = 60.0
    """Two answers "not done" must be this far apart to count."""
    ask_s: float = 5.0
    margin_s: float = 10.0
    """A write this long past its deadline has no process any more."""

    def next_ask(self, tries: int, now: datetime) -> datetime:
        """When to ask after `tries` asks."""
        steps = (0.0, *self.asks_after_s)
        wait = steps[tries + 1] - steps[tries] if tries + 1 < len(steps) else self.then_every_s
        return now + timedelta(seconds=wait)


class Step(StrEnum):
    """Where a test may kill the process."""

    BEGINNING = "beginning"
    KEPT = "kept"
    ANSWERED = "answered"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Attempt(Generic[R]):
    """One sending: how the intent moves on, and the answer or the error for the caller."""

    change: Change
    answer: R | None = field(default=None, repr=False)
    error: HisError | None = None


class HisWrites:
    """See the module; thread-safe. `step` is for tests."""

    def __init__(
        self,
        his: HisPort,
        intents: Intents,
        clock: Clock,
        publish: Callable[[object], None],
        options: WriteOptions,
        step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._his, self._intents, self._clock = his, intents, clock
        self._publish, self._options, self._step = publish, options, step

    def run(self, command: Command[R], ctx: Ctx) -> R:
        """Carry it out, or say what came of it when it was run before under this op_key.

        NotFound and Rejected are final. Unavailable: nothing was sent, the same op_key may be run again.
        UnknownOutcome: never repeat, say 处理中; `WriteSettled` follows. Also Unsupported, NotBooked, SettledByHand,
        OpKeyReused, and ValueError for an op_key that is empty or longer than 32 characters.
        """
        if not 0 < len(command.op_key) <= 32:
            raise ValueError("an op_key has 1 to 32 characters")
        if command.op not in self._his.capabilities:
            raise Unsupported(command.op)
        limit, started = min(ctx.deadline_s, self._options.deadline_s), self._clock.monotonic()
        self._step(Step.BEGINNING)
        kept = self._begin(command, ctx, limit)
        if kept is not None:
            return self._as_kept(command, kept)
        self._step(Step.KEPT)
        # what the commit took is taken off: past its deadline others may take this process for dead
        left = limit - (self._clock.monotonic() - started)
        if left > 0:
            tried = attempt(self._his, command, replace(ctx, deadline_s=left), self._clock.now, self._options)
        else:
            tried = Attempt(Change(IntentState.UNSENT, self._clock.now(), why="late"), error=Unavailable("late"))
        self._step(Step.ANSWERED)
        return self._settle(command, tried)

    def _begin(self, command: Command[R], ctx: Ctx, limit: float) -> Intent | None:
        now = self._clock.now()
        dead = now + timedelta(seconds=limit + self._options.margin_s)
        new = NewIntent(
            command.op_key, command.op.value, encode(command), patient_of(command), ctx.actor, now, next_try=dead
        )
        try:
            return self._intents.begin(new)
        except NotStored:
            log.error("his write op=%s not begun: the database failed", command.op.value)
            raise Unavailable("database") from None

    def _settle(self, command: Command[R], tried: Attempt[R]) -> R:
        change = tried.change
        answered = change.state in FINAL_STATES
        try:
            moved = self._intents.move(
                command.op_key, ANSWERED_FROM if answered else frozenset({IntentState.SENDING}), change
            )
        except NotStored:
            log.error("his write op=%s op_key=%s ended %s but could not be kept: it will be asked for",
                      command.op.value, command.op_key, change.state.value)  # fmt: skip
            raise UnknownOutcome(command.op_key) from None
        self._step(Step.SETTLED)
        if not moved and (kept := self._intents.get(command.op_key)) is not None:
            return self._as_kept(command, kept)
        if answered:
            self._publish(WriteSettled(command.op_key, command.op.value, change.state, patient_of(command)))
        if tried.error is not None:
            raise tried.error
        answer: R = tried.answer  # type: ignore[assignment]  # no error, so there is one
        return answer

    def _as_kept(self, command: Command[R], kept: Intent) -> R:
        """What an op_key that was run before gives, without sending."""
        if kept.state is IntentState.DONE:
            answer: R = decode_answer(type(command), kept.answer)
            return answer
        if kept.state is IntentState.REJECTED:
            raise read_refusal(kept.refusal)
        if kept.state is IntentState.NOT_DONE:
            raise NotBooked(kept.op_key)
        if kept.state is IntentState.DONE_BY_HAND:
            raise SettledByHand(kept.op_key, kept.his_txn_no)
        if kept.state is IntentState.UNSENT:  # another thread tried just now
            raise Unavailable(kept.why)
        raise UnknownOutcome(kept.op_key)


def attempt(
    his: HisPort, command: Command[R], ctx: Ctx, now: Callable[[], datetime], options: WriteOptions
) -> Attempt[R]:
    """Send it, once."""
    try:
        answer = his.do(command, ctx)
    except (NotFound, Rejected) as refusal:
        word = refusal.code if isinstance(refusal, Rejected) else "not_found"
        return Attempt(Change(IntentState.REJECTED, now(), word, refusal=write_refusal(refusal)), error=refusal)
    except (Unavailable, Unsupported) as failure:
        return Attempt(Change(IntentState.UNSENT, now(), str(failure)), error=failure)
    except UnknownOutcome as failure:
        at = now()
        change = Change(
            IntentState.UNKNOWN, at, failure.reason or "no_answer", next_try=options.next_ask(0, at), silent_at=at
        )
        return Attempt(change, error=failure)
    return Attempt(Change(IntentState.DONE, now(), "", answer=encode(answer)), answer)


def patient_of(command: Command[Any]) -> str:
    """Whose write it is; "" for somebody who is no patient yet."""
    return str(getattr(command, "patient_id", ""))


def write_refusal(refusal: NotFound | Rejected) -> str:
    """A final refusal as JSON."""
    if isinstance(refusal, NotFound):
        return json.dumps({"kind": "not_found"})
    return json.dumps({
        "kind": "rejected", "code": refusal.code, "message": refusal.message, "reason": refusal.reason.value,
        "shortfall_fen": refusal.shortfall_fen,
    })  # fmt: skip


def read_refusal(text: str) -> HisError:
    """The refusal again."""
    kept = json.loads(text)
    if kept["kind"] == "not_found":
        return NotFound()
    return Rejected(kept["code"], kept["message"], RejectReason(kept["reason"]), kept["shortfall_fen"])
