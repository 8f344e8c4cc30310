"""What the suite needs to know of one adapter and its peer.

To bring an adapter under the suite, add `tests/contracts/subject_NAME.py` with one function:

    def start(folder: Path) -> Subject:
        "Start the peer as a process of its own (pytest.skip(reason) when it cannot be had) and describe it."

It is called once for all tests; `Subject.close` ends everything. Tests of operations the gateway does not claim are
skipped by name, and so are tests whose facts or controls are None: leave out what the peer cannot show. What is
claimed in `capabilities` must pass. Slots are found through the gateway's own lists unless `find_slot` is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from core.clock import SHANGHAI
from core.ids import new_id
from his.gateway import Gateway
from his.port import (
    BookingOrder,
    Ctx,
    Op,
    PayMethod,
    RegistrationOrder,
    SchedulesQuery,
    ScheduleState,
    SlotsQuery,
)


@dataclass(frozen=True)
class Person:
    """Somebody the peer knows; `card_no` "" where it has no cards."""

    patient_id: str
    card_no: str = ""


@dataclass(frozen=True)
class Place:
    """A free slot and what it costs."""

    schedule_id: str
    slot_id: str
    fee_fen: int = 0


@dataclass(frozen=True)
class Stay:
    """A current stay."""

    patient_id: str
    admission_no: str
    admission_seq: int = 1
    wristband_no: str | None = None


@dataclass(frozen=True)
class Facts:
    """What is true at the peer; None: it has no such thing."""

    patient: Person
    """The main person: may register, has visits, reports and charges where the peer has any."""
    name: str
    id_no: str | None = None
    absent_patient_id: str = "P9999999"
    absent_card_no: str | None = "600000000018"
    rare: tuple[Person, str] | None = None
    """Somebody whose name has four-byte characters, and that name."""
    other: Person | None = None
    """Somebody else, to whom the main person's documents must not be shown."""
    report_no: str | None = None
    """A report of the main person."""
    odd_report_no: str | None = None
    """A report of the main person with a flag in no list."""
    visit_no: str | None = None
    stay: Stay | None = None
    crowd: tuple[Person, ...] = ()
    """Twenty or more people who may each register and book; used one after the other."""


@dataclass
class Subject:
    """An adapter behind its gateway, the peer's facts, and what a test may do to the peer."""

    name: str
    his: Gateway
    facts: Facts
    close: Callable[[], None]
    freeze: Callable[[], None] | None = None
    """Stop the peer without a word (SIGSTOP); `thaw` lets it go on."""
    thaw: Callable[[], None] | None = None
    freeze_at_write: Callable[[], None] | None = None
    """As `freeze`, but only when the next write is about to leave: for an adapter that reads before it writes."""
    calls: Callable[[], int] | None = None
    """How many requests the peer has seen."""
    rows: Callable[[Op], int] | None = None
    """How many rows the peer has booked for an operation, whoever asked; a test compares before and after."""
    find_slot: Callable[[Op], Place] | None = None
    """A free slot never given out before, for REGISTER (today) or BOOK (a coming day)."""
    deadline_s: float = 10.0
    """Of the suite's calls; a slow peer may need more."""
    _taken: set[tuple[str, str]] = field(default_factory=set)
    _crowd: Iterator[Person] | None = None

    @property
    def ctx(self) -> Ctx:
        """How the suite calls."""
        return Ctx(deadline_s=self.deadline_s, actor="contract")

    def need(self, *ops: Op) -> None:
        """Skip unless the adapter claims all of these."""
        if missing := [op.value for op in ops if op not in self.his.capabilities]:
            pytest.skip(f"{self.name} does not claim {', '.join(missing)}")

    def has(self, what: str) -> None:
        """Skip unless the peer has this fact, or the test this control."""
        if getattr(self.facts, what, None) is None and getattr(self, what, None) is None:
            pytest.skip(f"the peer of {self.name} has no {what}")

    def somebody(self) -> Person:
        """The next of the crowd."""
        self._crowd = self._crowd or itertools.cycle(self.facts.crowd)
        if not self.facts.crowd:
            pytest.skip(f"the peer of {self.name} has no crowd")
        return next(self._crowd)

    def slot(self, op: Op) -> Place:
        """A free slot never given out before."""
        if self.find_slot is not None:
            return self.find_slot(op)
        self.need(Op.LIST_SCHEDULES, Op.LIST_SLOTS)
        today = datetime.now(SHANGHAI).date()
        first, last = (today, today) if op is Op.REGISTER else (today + timedelta(1), today + timedelta(13))
        for schedule in self.his.ask(SchedulesQuery(first, last), self.ctx).value:
            if schedule.state is not ScheduleState.OPEN or schedule.left == 0:
                continue
            for slot in self.his.ask(SlotsQuery(schedule.schedule_id), self.ctx).value:
                key = (schedule.schedule_id, slot.slot_id)
                if slot.left > 0 and key not in self._taken:
                    self._taken.add(key)
                    return Place(schedule.schedule_id, slot.slot_id, schedule.fee_fen)
        pytest.skip(f"the peer of {self.name} has no free slot left for {op.value}")

    def order(self, op: Op, who: Person, where: Place, op_key: str = "") -> RegistrationOrder | BookingOrder:
        """An order for that slot; a registration names a payment, so that no balance is needed."""
        key = op_key or new_id()
        if op is Op.BOOK:
            return BookingOrder(key, who.patient_id, who.card_no, where.schedule_id, where.slot_id)
        return RegistrationOrder(
            key, who.patient_id, who.card_no, where.schedule_id, where.slot_id, where.fee_fen,
            pay_method=PayMethod.WECHAT, provider_trade_no=f"T{key[-20:]}",
        )  # fmt: skip
