"""Any FHIR R4 server as a HIS: which operation is which interaction.

FHIR R4 holds no balance of a card and a PaymentNotice only tells of a payment, it credits nothing; so there is no
balance, no top-up and no settlement here, and a registration with a fee is refused.
"""

from collections.abc import Callable
from typing import Any

from his.adapter import Call
from his.faults import Broken, NotSent
from his.fhir.appointments import Appointments
from his.fhir.booking import Booking, after_a_write, no_step
from his.fhir.charges import Charges
from his.fhir.client import Conflict, FhirClient
from his.fhir.clinic import Clinic
from his.fhir.options import FhirOptions
from his.fhir.people import People
from his.fhir.results import Results
from his.fhir.stays import Stays
from his.port import (
    BookingCancel,
    BookingOrder,
    CardApplication,
    Command,
    Done,
    Health,
    HealthQuery,
    NotDone,
    Op,
    Query,
    RegistrationCancel,
    RegistrationOrder,
    Resolution,
    SlotLock,
    SlotRelease,
)

READS = frozenset({
    Op.HEALTH, Op.LIST_DEPARTMENTS, Op.LIST_DOCTORS, Op.QUERY_PATIENT, Op.LIST_SCHEDULES, Op.LIST_SLOTS,
    Op.LIST_REGISTRATIONS, Op.LIST_APPOINTMENTS, Op.LIST_REPORTS, Op.REPORT, Op.QUERY_ADMISSION, Op.LIST_ADMISSIONS,
    Op.INVOICES,
})  # fmt: skip
WRITES = frozenset({Op.LOCK_SLOT, Op.UNLOCK_SLOT, Op.REGISTER, Op.CANCEL_REGISTRATION, Op.BOOK, Op.CANCEL_BOOKING})
PROBES: dict[Op, dict[str, Any]] = {
    Op.LIST_DEPARTMENTS: {}, Op.LIST_DOCTORS: {}, Op.LIST_SCHEDULES: {"from_day": "today", "to_day": "today+6"},
}  # fmt: skip


class FhirAdapter:
    """See `his.adapter.Adapter`. `probes`: questions any such server can be asked, for `hospital his check`."""

    probes = PROBES

    def __init__(self, options: FhirOptions, step: Callable[[str], None] = no_step) -> None:
        """`step` is called before each step of a booking, with its name: tests die there."""
        self._client = FhirClient(options)
        people, clinic = People(self._client, options), Clinic(self._client, options)
        stays = Stays(self._client, options, people, clinic)
        appointments = Appointments(self._client, people, clinic)
        results = Results(self._client, people, clinic, stays)
        charges = Charges(self._client, people, stays)
        self._open = options.auth == "none"
        self._people = people
        self._appointments = appointments
        self._booking = Booking(self._client, options, people, clinic, step)
        self._writes = WRITES | ({Op.CREATE_CARD} if options.issues_cards else frozenset())
        self._reads = READS | ({Op.PENDING_CHARGES} if options.charges == "charge_item" else frozenset())
        self._answers: dict[Op, Callable[[Any, float], Any]] = {
            Op.HEALTH: self._health,
            Op.LIST_DEPARTMENTS: clinic.departments,
            Op.LIST_DOCTORS: clinic.doctors,
            Op.QUERY_PATIENT: people.patient,
            Op.LIST_SCHEDULES: clinic.schedules,
            Op.LIST_SLOTS: clinic.slots,
            Op.LIST_REGISTRATIONS: appointments.registrations,
            Op.LIST_APPOINTMENTS: appointments.appointments,
            Op.LIST_REPORTS: results.reports,
            Op.REPORT: results.report,
            Op.QUERY_ADMISSION: stays.admission,
            Op.LIST_ADMISSIONS: stays.admissions,
            Op.INVOICES: charges.invoices,
            Op.PENDING_CHARGES: charges.pending,
        }

    @property
    def capabilities(self) -> frozenset[Op]:
        """See `Adapter`."""
        return self._reads | self._writes

    @property
    def resolvable(self) -> frozenset[Op]:
        """Every write: each leaves its op_key, or is told by the state it leaves."""
        return self._writes

    @property
    def dedups(self) -> frozenset[Op]:
        """Every write: a second sending meets the op_key on Slot, Appointment or Patient."""
        return self._writes

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        try:
            return self._answers[query.op](query, call.deadline)
        except Conflict:
            raise Broken("bad_reply") from None  # no answer to a question

    def do(self, command: Command[Any], call: Call) -> Any:
        """See `Adapter`."""
        match command:
            case CardApplication():
                return self._people.create_card(command, call.deadline)
            case SlotLock():
                return self._booking.hold(command, call.deadline)
            case SlotRelease():
                return self._booking.release(command, call.deadline)
            case RegistrationOrder() | BookingOrder():
                return self._told(command, self._booking.book(command, call.deadline), call.deadline)
            case RegistrationCancel() | BookingCancel():
                return self._booking.cancel(command, call.deadline)
        raise NotSent("unsupported")

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """See `Adapter`; a booking that stopped half way is finished here."""
        try:
            return self._resolve(command, call.deadline)
        except Conflict:
            raise Broken("conflict") from None

    def close(self) -> None:
        """See `HisPort`."""
        self._client.close()

    def _resolve(self, command: Command[Any], deadline: float) -> Resolution[Any]:
        match command:
            case CardApplication():
                return self._people.resolve_card(command, deadline)
            case SlotLock():
                return self._booking.resolve_hold(command, deadline)
            case SlotRelease():
                return self._booking.resolve_release(command, deadline)
            case RegistrationOrder() | BookingOrder():
                found = self._booking.resolve(command, deadline)
                return NotDone() if found is None else Done(self._told(command, found, deadline))
            case RegistrationCancel() | BookingCancel():
                return self._booking.resolve_cancel(command, deadline)
        raise NotSent("unsupported")

    def _told(self, order: RegistrationOrder | BookingOrder, found: dict[str, Any], deadline: float) -> Any:
        """The written Appointment as the order's answer; failing to read what belongs to it is an unclear answer."""

        def read() -> Any:
            if isinstance(order, RegistrationOrder):
                return self._appointments.registration(found, order.patient_id, deadline)
            return self._appointments.appointment(found, order.patient_id, deadline)

        return after_a_write(read)

    def _health(self, _query: HealthQuery, deadline: float) -> Health:
        """/metadata; where there is none, or where it is open to everybody and we log in, the cheapest search."""
        if self._open and self._client.has_metadata(deadline):
            return Health()
        self._client.probe("Organization", deadline)
        return Health()
