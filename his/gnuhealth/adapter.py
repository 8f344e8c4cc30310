"""GNU Health 5 as a HIS: which operation is which model.

It has no card balance, no payments of ours and no queue. A booking's key stands in the appointment's comments; see
`his.gnuhealth.booking` for why a slot is sold once although GNU Health itself accepts double bookings.
"""

from collections.abc import Callable
from typing import Any

from his.adapter import Call
from his.faults import Broken, NotSent
from his.gnuhealth.booking import Booking, no_step
from his.gnuhealth.client import Changed, Tryton
from his.gnuhealth.options import GnuHealthOptions
from his.gnuhealth.records import Records
from his.port import BookingCancel, BookingOrder, Command, Health, HealthQuery, Op, Query, Resolution

PROBES: dict[Op, dict[str, Any]] = {
    Op.LIST_DEPARTMENTS: {}, Op.LIST_DOCTORS: {}, Op.LIST_SCHEDULES: {"from_day": "today", "to_day": "today+6"},
}  # fmt: skip


class GnuHealthAdapter:
    """See `his.adapter.Adapter`. `probes`: questions any such server can be asked, for `hospital his check`."""

    probes = PROBES

    capabilities: frozenset[Op] = frozenset({
        Op.HEALTH, Op.LIST_DEPARTMENTS, Op.LIST_DOCTORS, Op.QUERY_PATIENT, Op.LIST_SCHEDULES, Op.LIST_SLOTS, Op.BOOK,
        Op.CANCEL_BOOKING, Op.LIST_APPOINTMENTS, Op.LIST_REPORTS, Op.REPORT, Op.QUERY_ADMISSION, Op.LIST_ADMISSIONS,
        Op.INVOICES,
    })  # fmt: skip
    resolvable: frozenset[Op] = frozenset({Op.BOOK, Op.CANCEL_BOOKING})
    dedups: frozenset[Op] = frozenset({Op.BOOK, Op.CANCEL_BOOKING})
    """A second sending meets the key in the comments, or a record that has changed since it was read."""

    def __init__(self, options: GnuHealthOptions, step: Callable[[str], None] = no_step) -> None:
        """`step` is called before a write leaves: tests stop the world there."""
        self._tryton = Tryton(options)
        records = Records(self._tryton, options)
        self._booking = Booking(self._tryton, options, records, step)
        self._answers: dict[Op, Callable[[Any, float], Any]] = {
            Op.HEALTH: self._health,
            Op.LIST_DEPARTMENTS: records.departments,
            Op.LIST_DOCTORS: records.doctors,
            Op.QUERY_PATIENT: records.patient,
            Op.LIST_SCHEDULES: self._booking.schedules,
            Op.LIST_SLOTS: self._booking.slots,
            Op.LIST_APPOINTMENTS: self._booking.appointments,
            Op.LIST_REPORTS: records.reports,
            Op.REPORT: records.report,
            Op.QUERY_ADMISSION: records.admission,
            Op.LIST_ADMISSIONS: records.admissions,
            Op.INVOICES: records.invoices,
        }

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        try:
            return self._answers[query.op](query, call.deadline)
        except Changed:
            raise Broken("bad_reply") from None  # no answer to a question

    def do(self, command: Command[Any], call: Call) -> Any:
        """See `Adapter`."""
        match command:
            case BookingOrder():
                return self._booking.book(command, call.deadline)
            case BookingCancel():
                return self._booking.cancel(command, call.deadline)
        raise NotSent("unsupported")

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """See `Adapter`."""
        match command:
            case BookingOrder():
                return self._booking.resolve(command, call.deadline)
            case BookingCancel():
                return self._booking.resolve_cancel(command, call.deadline)
        raise NotSent("unsupported")

    def close(self) -> None:
        """See `HisPort`."""
        self._tryton.close()

    def _health(self, _query: HealthQuery, deadline: float) -> Health:
        """Whether we may log in and read."""
        self._tryton.call("model.res.user.get_preferences", [True, {}], deadline)
        return Health()
