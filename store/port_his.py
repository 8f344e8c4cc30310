"""What services ask of hospital.db about writes to the HIS: intents, and the log of calls.

Times are aware datetimes (Asia/Shanghai). Payloads, answers and refusals arrive and leave in the clear as canonical
JSON (`his.port.encode`); the store seals them. Errors: `NotStored` when the database failed, `OpKeyReused`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.errors import HospitalError


class NotStored(HospitalError):
    """The database did not take it (disk full, gone, locked for too long); nothing is known to be written."""


class OpKeyReused(HospitalError):
    """Another command was run under this op_key before."""

    def __init__(self, op_key: str) -> None:
        super().__init__("this op_key belongs to another command")
        self.op_key = op_key


class IntentState(StrEnum):
    """Where a write to the HIS stands; see docs/adr/0016."""

    SENDING = "sending"  # being sent, or its process died while it was
    UNSENT = "unsent"  # nothing left this machine; may be run again under the same op_key
    UNKNOWN = "unknown"  # sent, no answer: the HIS is being asked
    MANUAL = "manual"  # the HIS cannot tell, a person must find out
    DONE = "done"
    REJECTED = "rejected"
    NOT_DONE = "not_done"  # the HIS holds no trace of it and will not; may be started anew under another op_key
    DONE_BY_HAND = "done_by_hand"  # a person found it in the HIS


OPEN_STATES = frozenset({IntentState.SENDING, IntentState.UNKNOWN})
"""Nobody knows yet; the resolver asks."""
ASKED_STATES = OPEN_STATES | {IntentState.MANUAL}
"""What the resolver asks about; a person's list too, because a late landing ends it."""
FINAL_STATES = frozenset({IntentState.DONE, IntentState.REJECTED, IntentState.NOT_DONE, IntentState.DONE_BY_HAND})
"""Never left again."""


@dataclass(frozen=True, slots=True)
class NewIntent:
    """A write about to be sent. `next_try`: when its process must be dead if nothing was heard of it."""

    op_key: str
    op: str
    payload: str = field(repr=False)
    patient_id: str
    actor: str
    at: datetime
    next_try: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """A write as it is kept. `answer` and `refusal` are JSON, "" where there is none; `why` is a machine word."""

    op_key: str
    op: str
    payload: str = field(repr=False)
    patient_id: str
    actor: str
    state: IntentState
    created_at: datetime
    sent_at: datetime
    tries: int = 0
    next_try: datetime | None = None
    first_not_done: datetime | None = None
    silent_at: datetime | None = None
    """When the HIS last could not say: what it had been sent may have been waiting until then."""
    why: str = ""
    answer: str = field(default="", repr=False)
    refusal: str = field(default="", repr=False)
    settled_at: datetime | None = None
    decided_by: str = ""
    decided_why: str = field(default="", repr=False)
    his_txn_no: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """How an intent moves on; None leaves a field as it is."""

    state: IntentState
    at: datetime
    why: str | None = None
    answer: str | None = field(default=None, repr=False)
    refusal: str | None = field(default=None, repr=False)
    tries: int | None = None
    next_try: datetime | None = None
    first_not_done: datetime | None = None
    silent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person found out. `his_txn_no` is the HIS's number of it when it was done, "" when it was not."""

    done: bool
    his_txn_no: str
    by: str
    why: str = field(repr=False)
    at: datetime


class Intents(Protocol):
    """Writes to the HIS, each durable before and after it is sent."""

    def begin(self, new: NewIntent) -> Intent | None:
        """Keep it in state SENDING, in one durable commit; None: it is the caller's to send, and nobody else's.

        So it is when the op_key is new, and when it was UNSENT. Otherwise what is kept. Raises OpKeyReused, NotStored.
        """

    def move(self, op_key: str, sources: Collection[IntentState], change: Change) -> bool:
        """Change it, durably, if its state is among `sources`; whether it was. Raises NotStored."""

    def send_again(self, op_key: str, owner: str, at: datetime, next_try: datetime) -> bool:
        """UNKNOWN → SENDING, only for the one who holds the lease; its counts of asking start anew. Raises NotStored."""

    def decide(self, op_key: str, decision: Decision) -> Intent | None:
        """A person's word about an intent that is UNKNOWN or MANUAL, with its line in the call log.

        None when there is no such intent in such a state.
        """

    def get(self, op_key: str) -> Intent | None: ...

    def claim(self, owner: str, now: datetime, until: datetime) -> Intent | None:
        """Take the lease of the intent that has been due longest (`ASKED_STATES`, `next_try` past, no live lease)."""

    def release(self, op_key: str, owner: str, next_try: datetime) -> None:
        """Give the lease back untried."""

    def hurry(self, now: datetime) -> int:
        """The HIS was silent until now: every UNKNOWN intent is due, its schedule from the start; how many."""

    def listed(self, states: Collection[IntentState], limit: int) -> list[Intent]:
        """Those in these states, oldest first."""

    def counts(self) -> Mapping[IntentState, int]:
        """How many intents are in each state that is not final."""


@dataclass(frozen=True, slots=True)
class HisCall:
    """One call of the HIS as it may be written down: `asked` and `answered` are masked JSON."""

    at: datetime
    op: str
    op_key: str
    actor: str
    patient_id: str
    lane: str
    outcome: str
    code: str
    ms: float
    resolving: bool
    asked: str
    answered: str = ""
    body: str = field(default="", repr=False)
    """The unmasked request; kept only as a keyed hash, equal for equal requests."""


class HisCalls(Protocol):
    """The append-only log of calls."""

    def add(self, calls: Sequence[HisCall]) -> None:
        """Append. Raises NotStored."""

    def latest(self, limit: int, op_key: str = "") -> list[HisCall]:
        """Newest first; `body` holds the hash."""

    def prune(self, before: datetime) -> int:
        """Drop what is older; how many. Nothing younger than 30 days goes, whatever `before` says."""
