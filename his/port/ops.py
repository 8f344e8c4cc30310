"""The operations of a HIS: their names, their classes, and what a question, a command and a resolution are."""

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

R = TypeVar("R")
A_co = TypeVar("A_co", covariant=True)


class Op(StrEnum):
    """One operation; the value is its name in mappings, logs and capability lists."""

    HEALTH = "health"
    LIST_DEPARTMENTS = "list_departments"
    LIST_DOCTORS = "list_doctors"
    QUERY_PATIENT = "query_patient"
    CREATE_CARD = "create_card"
    LIST_SCHEDULES = "list_schedules"
    LIST_SLOTS = "list_slots"
    LOCK_SLOT = "lock_slot"
    UNLOCK_SLOT = "unlock_slot"
    REGISTER = "register"
    CANCEL_REGISTRATION = "cancel_registration"
    BOOK = "book"
    CANCEL_BOOKING = "cancel_booking"
    LIST_REGISTRATIONS = "list_registrations"
    LIST_APPOINTMENTS = "list_appointments"
    CHECK_IN = "check_in"
    QUEUE = "queue"
    BALANCE = "balance"
    TOP_UP = "top_up"
    REFUND = "refund"
    LIST_TOP_UPS = "list_top_ups"
    PENDING_CHARGES = "pending_charges"
    PRE_SETTLE = "pre_settle"
    SETTLE = "settle"
    LIST_VISITS = "list_visits"
    VISIT = "visit"
    LIST_REPORTS = "list_reports"
    REPORT = "report"
    QUERY_ADMISSION = "query_admission"
    LIST_ADMISSIONS = "list_admissions"
    DAILY_STATEMENT = "daily_statement"
    CHARGE_SUMMARY = "charge_summary"
    PAY_PREPAYMENT = "pay_prepayment"
    LIST_PREPAYMENTS = "list_prepayments"
    INVOICES = "invoices"
    CHECK_WRISTBAND = "check_wristband"
    RECONCILE_DAY = "reconcile_day"


class OpClass(StrEnum):
    """Operations that share a deadline (seconds in `his.guard`)."""

    HEALTH = "health"
    READ = "read"
    REPORT = "report"  # reads a HIS is slow at: documents, statements, the day's account
    WRITE = "write"


class Query(Generic[A_co]):
    """A question that changes nothing; `A_co` is the type of its answer."""

    __slots__ = ()
    op: ClassVar[Op]
    op_class: ClassVar[OpClass] = OpClass.READ
    fresh_s: ClassVar[float] = 0.0
    """Seconds an answer may be given again without asking; 0: ask each time."""
    stale_s: ClassVar[float] = 0.0
    """Seconds after which an old answer is not shown even when the HIS is silent; 0: never show an old one."""


class Command(Generic[A_co]):
    """A write. Every command has an `op_key` of ours, at most 32 characters, which the HIS keeps or can be asked by.

    `money`: somebody's money has been taken before it is sent, so it ends done or in a person's hands, never dropped.
    """

    __slots__ = ()
    op: ClassVar[Op]
    op_class: ClassVar[OpClass] = OpClass.WRITE
    money: ClassVar[bool] = False
    op_key: str


@dataclass(frozen=True, slots=True)
class Done(Generic[A_co]):
    """The write is in the HIS; `value` is what it would have answered."""

    value: A_co


@dataclass(frozen=True, slots=True)
class NotDone:
    """The HIS holds no trace of it now; a queued write may still land, so one such answer settles nothing."""


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """The HIS could not say."""

    reason: str = ""


Resolution = Done[R] | NotDone | StillUnknown


def answer_type(kind: type[Any]) -> Any:
    """The answer's type of a Query or Command class, such as `Patient` or `tuple[Slot, ...]`."""
    for base in _bases(kind):
        if typing.get_origin(base) in (Query, Command):
            return typing.get_args(base)[0]
    raise TypeError(f"{kind.__name__} is no Query and no Command")


def _bases(kind: type[Any]) -> Sequence[Any]:
    return getattr(kind, "__orig_bases__", ())


def personal(default: Any = ...) -> Any:
    """A field that names a person (ID number, phone): kept out of repr, masked wherever a body is written down."""
    if default is ...:
        return field(repr=False, metadata={"personal": True})
    return field(default=default, repr=False, metadata={"personal": True})
