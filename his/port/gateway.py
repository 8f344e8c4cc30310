"""`HisPort`: how the house talks to a HIS, whatever it speaks."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from his.port.ops import Command, Op, Query, Resolution

T = TypeVar("T")
R = TypeVar("R")


class Lane(StrEnum):
    """Who waits. Each lane has its own number of calls at once, so that a hung HIS cannot take another lane's threads."""

    SCAN = "scan"
    PAGE = "page"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Ctx:
    """How one call is made.

    `deadline_s`: seconds for the whole call: connect, send and every read, repeats included; the guard caps it by the
    class of the operation. `stale_ok`: an old answer will do when the HIS is silent (for display, never for a decision
    about money).
    """

    deadline_s: float = 2.0
    actor: str = ""
    trace: str = ""
    lane: Lane = Lane.PAGE
    stale_ok: bool = False


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """A value and how fresh it is; `stale` means the HIS could not be asked and this is what it last said."""

    value: T
    fetched_at: datetime
    stale: bool = False


class HisPort(Protocol):
    """The HIS; every method is thread-safe and raises only `HisError`s."""

    @property
    def capabilities(self) -> frozenset[Op]:
        """What this HIS can do; anything else raises Unsupported."""

    @property
    def dedups(self) -> frozenset[Op]:
        """Writes the HIS keeps once per op_key: the same command may be sent again under the same op_key."""

    def ask(self, query: Query[R], ctx: Ctx) -> Fetched[R]:
        """The answer to a question; NotFound, Rejected, Unavailable, Unsupported."""

    def do(self, command: Command[R], ctx: Ctx) -> R:
        """Carry out a write whose intent has been persisted; NotFound, Rejected, Unavailable, UnknownOutcome, Unsupported."""

    def resolve(self, command: Command[R], ctx: Ctx) -> Resolution[R]:
        """Ask what became of a write by its `op_key`; never repeats it. Unsupported where the HIS cannot be asked."""

    def close(self) -> None:
        """Give back every connection; calls after it raise Unavailable."""
