"""The outpatient clinic: departments, doctors, schedules, slots, registrations, appointments, queues."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from his.port.money import PayMethod
from his.port.ops import Command, Op, Query


class DayPart(StrEnum):
    """Half of a clinic day (上下午)."""

    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"
    UNKNOWN = "unknown"


class ScheduleState(StrEnum):
    """Whether numbers are given; fullness is told by `left`."""

    OPEN = "open"
    STOPPED = "stopped"  # 停诊
    UNKNOWN = "unknown"


class RegistrationState(StrEnum):
    """Where a registration or an appointment stands."""

    VALID = "valid"
    CHECKED_IN = "checked_in"
    SEEN = "seen"
    CANCELLED = "cancelled"
    CLINIC_STOPPED = "clinic_stopped"
    NO_SHOW = "no_show"
    UNKNOWN = "unknown"


class QueueState(StrEnum):
    """Where somebody stands in a queue."""

    WAITING = "waiting"
    CALLED = "called"
    PASSED = "passed"  # 过号
    DONE = "done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Department:
    """A clinic one can register with."""

    code: str
    name: str
    campus_code: str = ""
    campus_name: str = ""
    place: str = ""
    intro: str = ""


@dataclass(frozen=True, slots=True)
class DepartmentsQuery(Query[tuple[Department, ...]]):
    """All departments, or those of one campus."""

    op: ClassVar = Op.LIST_DEPARTMENTS
    fresh_s: ClassVar = 600.0
    stale_s: ClassVar = 86_400.0
    campus_code: str = ""


@dataclass(frozen=True, slots=True)
class Doctor:
    """A doctor one can register with; `fee_fen` None where the fee hangs on the schedule."""

    code: str
    name: str
    title: str = ""
    department_code: str = ""
    department_name: str = ""
    skill: str = ""
    fee_fen: int | None = None


@dataclass(frozen=True, slots=True)
class DoctorsQuery(Query[tuple[Doctor, ...]]):
    """All doctors, or those of one department."""

    op: ClassVar = Op.LIST_DOCTORS
    fresh_s: ClassVar = 600.0
    stale_s: ClassVar = 86_400.0
    department_code: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A doctor's half day with one number type (号类); `left` numbers of `total`, None where the HIS cannot say."""

    schedule_id: str
    day: date
    day_part: DayPart
    doctor_code: str
    doctor_name: str
    department_code: str
    department_name: str = ""
    title: str = ""
    service_class: str = ""
    fee_fen: int = 0
    room: str = ""
    total: int | None = None
    left: int | None = None
    state: ScheduleState = ScheduleState.OPEN


@dataclass(frozen=True, slots=True)
class SchedulesQuery(Query[tuple[Schedule, ...]]):
    """Schedules of the days `from_day` to `to_day`, both included; for display: a hold or an order decides."""

    op: ClassVar = Op.LIST_SCHEDULES
    fresh_s: ClassVar = 30.0
    stale_s: ClassVar = 1800.0
    from_day: date
    to_day: date
    department_code: str = ""
    doctor_code: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """One bookable time (号源); `left` places in it."""

    slot_id: str
    schedule_id: str
    starts_at: datetime
    ends_at: datetime | None = None
    left: int = 1


@dataclass(frozen=True, slots=True)
class SlotsQuery(Query[tuple[Slot, ...]]):
    """The slots of one schedule, taken ones with `left` 0 where the HIS lists them."""

    op: ClassVar = Op.LIST_SLOTS
    fresh_s: ClassVar = 10.0
    stale_s: ClassVar = 600.0
    schedule_id: str


@dataclass(frozen=True, slots=True)
class SlotHold:
    """A slot kept for one patient until `expires_at` (锁号)."""

    hold_no: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SlotLock(Command[SlotHold]):
    """Keep a slot while the patient confirms; SLOT_GONE when somebody else has it."""

    op: ClassVar = Op.LOCK_SLOT
    op_key: str
    patient_id: str
    schedule_id: str
    slot_id: str


@dataclass(frozen=True, slots=True)
class Released:
    """The hold is off."""

    hold_no: str


@dataclass(frozen=True, slots=True)
class SlotRelease(Command[Released]):
    """Give a held slot back (解锁)."""

    op: ClassVar = Op.UNLOCK_SLOT
    op_key: str
    patient_id: str
    hold_no: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A number for today (当日挂号). `queue_no` None until the HIS gives one."""

    registration_no: str
    patient_id: str
    schedule_id: str
    day: date
    day_part: DayPart
    state: RegistrationState
    slot_id: str = ""
    starts_at: datetime | None = None
    department_name: str = ""
    doctor_code: str = ""
    doctor_name: str = ""
    service_class: str = ""
    room: str = ""
    fee_fen: int = 0
    queue_no: int | None = None
    created_at: datetime | None = None
    his_txn_no: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationOrder(Command[Registration]):
    """Register for today (在线挂号). The card's balance pays, or `provider_trade_no` names the payment that was made."""

    op: ClassVar = Op.REGISTER
    op_key: str
    patient_id: str
    card_no: str
    schedule_id: str
    slot_id: str
    fee_fen: int
    hold_no: str = ""
    pay_method: PayMethod = PayMethod.BALANCE
    provider_trade_no: str = ""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What was cancelled and what comes back."""

    number: str
    refund_fen: int = 0
    his_txn_no: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationCancel(Command[Cancellation]):
    """Give a registration back (退号); TOO_LATE once seen."""

    op: ClassVar = Op.CANCEL_REGISTRATION
    op_key: str
    patient_id: str
    registration_no: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Appointment:
    """A booking for a coming day (预约), unpaid."""

    appointment_no: str
    patient_id: str
    schedule_id: str
    day: date
    day_part: DayPart
    state: RegistrationState
    slot_id: str = ""
    starts_at: datetime | None = None
    department_name: str = ""
    doctor_code: str = ""
    doctor_name: str = ""
    service_class: str = ""
    room: str = ""
    fee_fen: int = 0
    created_at: datetime | None = None
    his_txn_no: str = ""


@dataclass(frozen=True, slots=True)
class BookingOrder(Command[Appointment]):
    """Book a coming day (在线预约)."""

    op: ClassVar = Op.BOOK
    op_key: str
    patient_id: str
    card_no: str
    schedule_id: str
    slot_id: str
    hold_no: str = ""


@dataclass(frozen=True, slots=True)
class BookingCancel(Command[Cancellation]):
    """Give an appointment back."""

    op: ClassVar = Op.CANCEL_BOOKING
    op_key: str
    patient_id: str
    appointment_no: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationsQuery(Query[tuple[Registration, ...]]):
    """A patient's registrations, newest first; days None: as far as the HIS goes."""

    op: ClassVar = Op.LIST_REGISTRATIONS
    stale_s: ClassVar = 3600.0
    patient_id: str
    from_day: date | None = None
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class AppointmentsQuery(Query[tuple[Appointment, ...]]):
    """A patient's appointments, newest first; days None: as far as the HIS goes."""

    op: ClassVar = Op.LIST_APPOINTMENTS
    stale_s: ClassVar = 3600.0
    patient_id: str
    from_day: date | None = None
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """Arrived and in the queue."""

    registration_no: str
    queue_no: int | None = None
    ahead: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckInOrder(Command[CheckedIn]):
    """Say that the patient is here (签到); `station` is where."""

    op: ClassVar = Op.CHECK_IN
    op_key: str
    patient_id: str
    registration_no: str
    station: str = ""


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """One queue somebody stands in today: `serving_no` is called now, `ahead` people come before."""

    registration_no: str
    schedule_id: str
    state: QueueState
    queue_no: int | None = None
    serving_no: int | None = None
    ahead: int | None = None
    department_name: str = ""
    doctor_name: str = ""
    room: str = ""


@dataclass(frozen=True, slots=True)
class QueueQuery(Query[tuple[QueuePosition, ...]]):
    """Today's queues of a patient."""

    op: ClassVar = Op.QUEUE
    fresh_s: ClassVar = 5.0
    stale_s: ClassVar = 60.0
    patient_id: str
