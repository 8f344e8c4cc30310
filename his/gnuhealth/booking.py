"""Appointments: the free ones are the slots, and one of them is taken by writing it as it was read.

GNU Health accepts two appointments for one doctor and time when they are created, and keeps no key of ours. So nothing
is created here: the hospital gives its numbers out as appointments in state `free`, and one is taken by a single write
that Tryton refuses (ConcurrencyException) when the record has changed since it was read. The op_key stands in
`comments` in a line of its own, written by that same write; so taking it and knowing who took it are one step.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from core.clock import SHANGHAI
from his.faults import Broken, Duplicate, NotSent
from his.gnuhealth.client import Changed, Domain, Record, Tryton, full_name, linked, text, time_of, wire_time
from his.gnuhealth.options import GnuHealthOptions
from his.gnuhealth.records import Records
from his.port import (
    Appointment,
    AppointmentsQuery,
    BookingCancel,
    BookingOrder,
    Cancellation,
    DayPart,
    Done,
    NotDone,
    NotFound,
    RegistrationState,
    Rejected,
    RejectReason,
    Resolution,
    Schedule,
    SchedulesQuery,
    Slot,
    SlotsQuery,
)

T = TypeVar("T")
MODEL = "gnuhealth.appointment"
STATES = {
    "confirmed": RegistrationState.VALID,
    "checked_in": RegistrationState.CHECKED_IN,
    "done": RegistrationState.SEEN,
    "user_cancelled": RegistrationState.CANCELLED,
    "center_cancelled": RegistrationState.CLINIC_STOPPED,
    "no_show": RegistrationState.NO_SHOW,
}
OVER = ("user_cancelled", "center_cancelled")
FIELDS = (
    "name", "state", "appointment_date", "comments", "healthprof", "healthprof.party.name", "healthprof.party.lastname",
    "speciality", "speciality.name", "patient.puid", "create_date", "_timestamp",
)  # fmt: skip
LETTERS = {DayPart.MORNING: "m", DayPart.AFTERNOON: "a", DayPart.EVENING: "e"}
KEY = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
BOOKED = re.compile(r"^palm book ([A-Za-z0-9-]+) (\S+)$", re.ASCII | re.MULTILINE)
CANCELLED = re.compile(r"^palm cancel ([A-Za-z0-9-]+) of ([A-Za-z0-9-]*) (.+)$", re.ASCII | re.MULTILINE)
TRIES = 3  # a free appointment touched meanwhile by somebody who did not take it


def no_step(_name: str) -> None:
    """What happens before the write leaves: nothing, unless a test stops the world there."""


@dataclass(frozen=True, slots=True)
class _Half:
    """A professional's half day."""

    doctor: int
    day: date
    part: DayPart

    @property
    def number(self) -> str:
        return f"{self.doctor}:{self.day:%Y%m%d}:{LETTERS[self.part]}"


class Booking:
    """Reads and takes appointments; thread-safe. `step` is called before a write leaves."""

    def __init__(
        self, tryton: Tryton, options: GnuHealthOptions, records: Records, step: Callable[[str], None]
    ) -> None:
        self._tryton = tryton
        self._records = records
        self._mine: Domain = [] if options.institution is None else [("institution", "=", options.institution)]
        self._step = step

    # ------------------------------------------------------------ reads

    def schedules(self, query: SchedulesQuery, deadline: float) -> tuple[Schedule, ...]:
        """The half days that have appointments, free or taken, in the order of time."""
        halves: dict[_Half, list[Record]] = {}
        clauses: Domain = [("state", "not in", list(OVER)), ("healthprof", "!=", None)]
        if query.doctor_code:
            clauses.append(("healthprof", "=", _number(query.doctor_code)))
        for row in self._between(query.from_day, query.to_day, clauses, deadline):
            halves.setdefault(_half(row), []).append(row)
        found = [_schedule(half, rows) for half, rows in halves.items()]
        kept = [it for it in found if query.department_code in ("", it.department_code)]
        return tuple(sorted(kept, key=lambda it: (it.day, list(LETTERS).index(it.day_part), it.doctor_name)))

    def slots(self, query: SlotsQuery, deadline: float) -> tuple[Slot, ...]:
        """Every appointment of one half day; a taken one has `left` 0."""
        half = _parsed(query.schedule_id)
        clauses: Domain = [("state", "not in", list(OVER)), ("healthprof", "=", half.doctor)]
        rows = [row for row in self._between(half.day, half.day, clauses, deadline) if _half(row) == half]
        if not rows:
            raise NotFound
        return tuple(Slot(str(row["id"]), query.schedule_id, _at(row), None, int(_free(row))) for row in rows)

    def appointments(self, query: AppointmentsQuery, deadline: float) -> tuple[Appointment, ...]:
        """The patient's appointments, newest first. One that was given back is free again and stands here no more."""
        clauses: Domain = [("patient.puid", "=", query.patient_id), ("state", "!=", "free")]
        if query.from_day is not None:
            clauses.append(("appointment_date", ">=", wire_time(_midnight(query.from_day))))
        if query.to_day is not None:
            clauses.append(("appointment_date", "<", wire_time(_midnight(query.to_day + timedelta(days=1)))))
        rows = self._tryton.search(MODEL, [*self._mine, *clauses], FIELDS, deadline, "appointment_date DESC")
        return tuple(_appointment(row, query.patient_id) for row in rows)

    # ------------------------------------------------------------ writes

    def book(self, order: BookingOrder, deadline: float) -> Appointment:
        """A free appointment confirmed for the patient; SLOT_GONE when it is taken, Duplicate when the key stands there."""
        half, row_id = _parsed(order.schedule_id), _number(order.slot_id)
        if before_any_write(lambda: self._bearing(order.op_key, deadline)) is not None:
            raise Duplicate
        patient = before_any_write(lambda: self._records.row(order.patient_id, deadline))
        for _ in range(TRIES):
            row = before_any_write(lambda: self._row([("id", "=", row_id)], deadline))
            if _half(row) != half:
                raise NotFound
            if order.op_key in _keys(row):
                raise Duplicate  # by the same order, sent twice at once
            if not _free(row):
                raise Rejected(text(row, "state"), "", RejectReason.SLOT_GONE)
            line = f"palm book {order.op_key} {order.patient_id}"
            values = {"patient": patient["id"], "state": "confirmed", "comments": _added(row, line)}
            self._step("write")
            try:
                self._tryton.write(MODEL, row, values, deadline)
            except Changed:
                continue
            return after_a_write(lambda: self._told(order, deadline))
        raise Rejected("ConcurrencyException", "", RejectReason.SLOT_GONE)

    def resolve(self, order: BookingOrder, deadline: float) -> Resolution[Appointment]:
        """Whether an appointment bears the key, and what became of it since."""
        row = self._bearing(order.op_key, deadline)
        if row is None:
            return NotDone()
        lines = BOOKED.findall(text(row, "comments"))
        if lines[-1] == (order.op_key, order.patient_id) and text(linked(row, "patient"), "puid") == order.patient_id:
            return Done(_appointment(row, order.patient_id))
        number = next((name for _, of, name in CANCELLED.findall(text(row, "comments")) if of == order.op_key), "")
        return Done(_appointment({**row, "name": number, "state": "user_cancelled"}, order.patient_id))

    def cancel(self, order: BookingCancel, deadline: float) -> Cancellation:
        """The appointment free again, with a line of who had it; TOO_LATE once the patient has come."""
        if before_any_write(lambda: self._cancelled_by(order.op_key, deadline)):
            raise Duplicate
        clauses = [
            ("name", "=", order.appointment_no),
            ("patient.puid", "=", order.patient_id),
            ("state", "!=", "free"),
        ]
        row = before_any_write(lambda: self._row(clauses, deadline))
        state = text(row, "state")
        if state != "confirmed":
            raise Rejected(state, "", RejectReason.DUPLICATE if state in OVER else RejectReason.TOO_LATE)
        booked = BOOKED.findall(text(row, "comments"))
        line = f"palm cancel {order.op_key} of {booked[-1][0] if booked else ''} {order.appointment_no}"
        self._step("write")
        try:
            values = {"patient": None, "state": "free", "comments": _added(row, line)}
            self._tryton.write(MODEL, row, values, deadline)
        except Changed:
            raise NotSent("conflict") from None  # somebody changed it meanwhile, and it was not us
        return Cancellation(order.appointment_no)

    def resolve_cancel(self, order: BookingCancel, deadline: float) -> Resolution[Cancellation]:
        """Whether a line says that this order gave it back."""
        return Done(Cancellation(order.appointment_no)) if self._cancelled_by(order.op_key, deadline) else NotDone()

    # ------------------------------------------------------------ steps

    def _told(self, order: BookingOrder, deadline: float) -> Appointment:
        found = self.resolve(order, deadline)
        if not isinstance(found, Done):
            raise Broken("wrong_record")
        return found.value

    def _row(self, clauses: Domain, deadline: float) -> Record:
        found = self._tryton.search(MODEL, [*self._mine, *clauses], FIELDS, deadline)
        if not found:
            raise NotFound
        if len(found) > 1:
            raise Broken("wrong_record")
        return found[0]

    def _bearing(self, op_key: str, deadline: float) -> Record | None:
        """The appointment whose comments have a booking's line with this key."""
        found = [row for row in self._mentioning(op_key, deadline) if op_key in _keys(row)]
        if len(found) > 1:
            raise Broken("wrong_record")
        return found[0] if found else None

    def _cancelled_by(self, op_key: str, deadline: float) -> bool:
        rows = self._mentioning(op_key, deadline)
        return any(key == op_key for row in rows for key, _, _ in CANCELLED.findall(text(row, "comments")))

    def _mentioning(self, op_key: str, deadline: float) -> list[Record]:
        if not KEY.fullmatch(op_key):
            raise NotSent("unsupported_text")  # it could not be found again
        return self._tryton.search(MODEL, [("comments", "like", f"%{op_key}%")], FIELDS, deadline)

    def _between(self, first: date, last: date, clauses: Domain, deadline: float) -> list[Record]:
        span: Domain = [
            ("appointment_date", ">=", wire_time(_midnight(first))),
            ("appointment_date", "<", wire_time(_midnight(last + timedelta(days=1)))),
        ]
        return self._tryton.search(MODEL, [*self._mine, *span, *clauses], FIELDS, deadline, "appointment_date ASC")


def _at(row: Record) -> datetime:
    found = time_of(row, "appointment_date")
    if found is None:
        raise Broken("bad_reply")
    return found


def _half(row: Record) -> _Half:
    at, doctor = _at(row), row.get("healthprof")
    if type(doctor) is not int:
        raise NotFound  # nobody's: it stands in no half day of ours
    return _Half(doctor, at.date(), _part(at))


def _part(at: datetime) -> DayPart:
    """上午 before 12:00, 下午 before 18:00, then 晚上; by Shanghai's clock."""
    return DayPart.MORNING if at.hour < 12 else DayPart.AFTERNOON if at.hour < 18 else DayPart.EVENING


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI)


def _free(row: Record) -> bool:
    return text(row, "state") == "free" and not linked(row, "patient")


def _keys(row: Record) -> list[str]:
    return [key for key, _ in BOOKED.findall(text(row, "comments"))]


def _added(row: Record, line: str) -> str:
    return f"{text(row, 'comments')}\n{line}".strip()


def _number(code: str) -> int:
    if not code.isascii() or not code.isdecimal() or len(code) > 18:
        raise NotFound
    return int(code)


def _parsed(schedule_id: str) -> _Half:
    doctor, _, rest = schedule_id.partition(":")
    day, _, letter = rest.partition(":")
    part = next((part for part, it in LETTERS.items() if it == letter), None)
    if part is None or len(day) != 8 or not day.isdecimal():
        raise NotFound
    try:
        return _Half(_number(doctor), date.fromisoformat(day), part)
    except ValueError:
        raise NotFound from None


def _schedule(half: _Half, rows: Iterable[Record]) -> Schedule:
    listed = list(rows)
    place = linked(listed[0], "speciality")
    return Schedule(
        schedule_id=half.number, day=half.day, day_part=half.part, doctor_code=str(half.doctor),
        doctor_name=full_name(linked(linked(listed[0], "healthprof"), "party")),
        department_code=str(listed[0].get("speciality") or ""), department_name=text(place, "name"),
        total=len(listed), left=sum(map(_free, listed)),
    )  # fmt: skip


def _appointment(row: Record, patient_id: str) -> Appointment:
    at, number = _at(row), text(row, "name")
    if not number:
        raise Broken("bad_reply")
    whose = row.get("healthprof") is not None
    half = _half(row) if whose else None
    return Appointment(
        appointment_no=number, patient_id=patient_id, schedule_id=half.number if half else "", day=at.date(),
        day_part=_part(at), state=STATES.get(text(row, "state"), RegistrationState.UNKNOWN), slot_id=str(row["id"]),
        starts_at=at, department_name=text(linked(row, "speciality"), "name"),
        doctor_code=str(half.doctor) if half else "",
        doctor_name=full_name(linked(linked(row, "healthprof"), "party")) if half else "",
    )  # fmt: skip


def before_any_write(read: Callable[[], T]) -> T:
    """A read on the way to a write: when it fails, nothing has been changed."""
    try:
        return read()
    except Broken as broken:
        raise NotSent(broken.reason) from None
    except Changed:
        raise NotSent("conflict") from None


def after_a_write(read: Callable[[], T]) -> T:
    """What is read after a write: however it fails, something has been changed."""
    try:
        return read()
    except (NotSent, NotFound, Rejected, Changed):
        raise Broken("his_exception") from None
