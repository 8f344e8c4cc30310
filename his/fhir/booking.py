"""Slots held and taken, Appointments written and cancelled: every write twice safe.

Taking a number is two resources. The Slot comes first, with If-Match, and from that moment it bears the op_key; the
Appointment follows with If-None-Exist on the same op_key. So after a death between the two the op_key still leads to
the Slot, and `resolve` finishes what was begun: the Slot is either booked or, when the Appointment is refused, free
again. The other way round a late Appointment could land on a Slot that somebody else took meanwhile.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from core.clock import SHANGHAI
from his.faults import Broken, Duplicate, NotSent
from his.fhir.client import Conflict, FhirClient, Resource
from his.fhir.clinic import Clinic, Place, schedule_id
from his.fhir.elements import identifiers, instant, objects, one, ref_id, required, text
from his.fhir.options import FhirOptions
from his.fhir.people import People
from his.port import (
    BookingCancel,
    BookingOrder,
    Cancellation,
    Done,
    NotDone,
    NotFound,
    RegistrationCancel,
    RegistrationOrder,
    Rejected,
    RejectReason,
    Released,
    Resolution,
    SlotHold,
    SlotLock,
    SlotRelease,
)

T = TypeVar("T")
Order = RegistrationOrder | BookingOrder
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0276"
WALK_IN, ROUTINE = "WALKIN", "ROUTINE"
ENDED = frozenset({"cancelled", "entered-in-error"})
TRIES = 3  # a Slot touched meanwhile by somebody who did not take it


def no_step(_name: str) -> None:
    """What happens between two steps: nothing, unless a test dies there."""


class Booking:
    """The writes around a Slot; thread-safe. `step` is called with a step's name before it is taken."""

    def __init__(
        self, client: FhirClient, options: FhirOptions, people: People, clinic: Clinic, step: Callable[[str], None]
    ) -> None:
        self._client = client
        self._options = options
        self._people = people
        self._clinic = clinic
        self._step = step

    # ------------------------------------------------------------ holds

    def hold(self, order: SlotLock, deadline: float) -> SlotHold:
        """The Slot as busy-tentative under this op_key."""
        slot = self._slot(order.slot_id, order.schedule_id, deadline)
        return self._held(self._take(slot, "busy-tentative", order.op_key, "", deadline), order)

    def resolve_hold(self, order: SlotLock, deadline: float) -> Resolution[SlotHold]:
        """Whether a Slot bears the op_key as a hold."""
        slot = self._slot_of(order.op_key, deadline)
        if slot is None or text(slot, "status") != "busy-tentative":
            return NotDone()
        return Done(self._held(slot, order))

    def release(self, order: SlotRelease, deadline: float) -> Released:
        """The held Slot free again; HOLD_EXPIRED when it is no longer held so."""
        slot_id, _, key = order.hold_no.partition(":")
        slot = before_any_write(lambda: self._client.read("Slot", slot_id, deadline))
        if text(slot, "status") == "free" and not self._keys(slot):
            return Released(order.hold_no)
        if text(slot, "status") != "busy-tentative" or key not in self._keys(slot):
            raise Rejected("hold", "", RejectReason.HOLD_EXPIRED)
        try:
            self._client.update(self._freed(slot), deadline)
        except Conflict:
            raise Rejected("hold", "", RejectReason.HOLD_EXPIRED) from None
        return Released(order.hold_no)

    def resolve_release(self, order: SlotRelease, deadline: float) -> Resolution[Released]:
        """Whether the hold is off."""
        slot_id, _, key = order.hold_no.partition(":")
        slot = self._client.read("Slot", slot_id, deadline)
        held = text(slot, "status") == "busy-tentative" and key in self._keys(slot)
        return NotDone() if held else Done(Released(order.hold_no))

    # ------------------------------------------------------------ numbers

    def book(self, order: Order, deadline: float) -> Resource:
        """The Appointment of this order; SLOT_GONE when somebody else has the Slot, Duplicate when it is written already."""
        if isinstance(order, RegistrationOrder) and order.fee_fen:
            raise Rejected("fee", "", RejectReason.AMOUNT_CHANGED)  # FHIR prices no Slot: nothing was shown to pay
        if before_any_write(lambda: self._appointment_of(order.op_key, deadline)) is not None:
            raise Duplicate
        slot = self._slot(order.slot_id, order.schedule_id, deadline)
        appointment = before_any_write(lambda: self._prepared(order, slot, deadline))
        self._step("slot")
        _, _, held_by = order.hold_no.partition(":")
        taken = self._take(slot, "busy", order.op_key, held_by, deadline)
        return after_a_write(lambda: self._appoint(order, taken, appointment, deadline), refusable=True)

    def resolve(self, order: Order, deadline: float) -> Resource | None:
        """The Appointment of this op_key, finishing one that stopped half way; None when there is no trace of it."""
        appointment = self._appointment_of(order.op_key, deadline)
        if appointment is not None:
            return appointment
        slot = self._slot_of(order.op_key, deadline)
        if slot is None or text(slot, "status") != "busy":
            return None
        try:
            return self._appoint(order, slot, self._prepared(order, slot, deadline), deadline)
        except Rejected:
            return None  # and the Slot is free again

    def cancel(self, order: RegistrationCancel | BookingCancel, deadline: float) -> Cancellation:
        """The Appointment cancelled, then its Slot free; TOO_LATE when the visit has begun, DUPLICATE when it was given back."""
        number = order.registration_no if isinstance(order, RegistrationCancel) else order.appointment_no
        found = before_any_write(lambda: self._of_patient(number, order.patient_id, deadline))
        keys, status = self._keys(found), text(found, "status")
        if order.op_key not in keys:
            if status in ENDED:
                raise Rejected(status, "", RejectReason.DUPLICATE)
            if status not in ("proposed", "pending", "booked", "waitlist"):
                raise Rejected(status, "", RejectReason.TOO_LATE)
            changed = {
                **found,
                "status": "cancelled",
                "identifier": [*objects(found, "identifier"), self._key(order.op_key)],
            }
            if order.reason:
                changed["cancelationReason"] = {"text": order.reason}
            try:
                found = self._client.update(changed, deadline)
            except Conflict:
                raise NotSent("conflict") from None  # somebody changed it meanwhile, and it was not us
        after_a_write(lambda: self._give_back(found, keys, deadline))
        return Cancellation(number)

    def resolve_cancel(self, order: RegistrationCancel | BookingCancel, deadline: float) -> Resolution[Cancellation]:
        """Whether it was cancelled by this order; its Slot is given back if that was left undone."""
        number = order.registration_no if isinstance(order, RegistrationCancel) else order.appointment_no
        found = self._of_patient(number, order.patient_id, deadline)
        if text(found, "status") not in ENDED or order.op_key not in self._keys(found):
            return NotDone()
        self._give_back(found, self._keys(found), deadline)
        return Done(Cancellation(number))

    # ------------------------------------------------------------ steps

    def _take(self, slot: Resource, status: str, op_key: str, held_by: str, deadline: float) -> Resource:
        """The Slot under our op_key; SLOT_GONE when it is somebody else's."""
        for attempt in range(TRIES):
            keys = self._keys(slot)
            if text(slot, "status") == status and op_key in keys:
                return slot  # taken by the same order, sent twice or begun before
            ours = bool(held_by) and held_by in keys and text(slot, "status") == "busy-tentative"
            if not (ours or self._clinic.free(slot)):
                raise Rejected(text(slot, "status"), "", RejectReason.SLOT_GONE)
            changed = {**slot, "status": status, "identifier": [*self._foreign(slot), self._key(op_key)]}
            try:
                return self._client.update(changed, deadline)
            except Conflict:
                slot_id = required(slot, "id")
            if attempt < TRIES - 1:
                slot = before_any_write(partial(self._client.read, "Slot", slot_id, deadline))
        raise Rejected("conflict", "", RejectReason.SLOT_GONE)

    def _appoint(self, order: Order, slot: Resource, appointment: Resource, deadline: float) -> Resource:
        """The Appointment for a Slot that is ours; the Slot is free again when it is refused."""
        self._step("appointment")
        key = {"identifier": f"{self._options.op_key_system}|{order.op_key}"}
        try:
            return self._client.create(appointment, key, deadline)
        except (Rejected, NotFound):
            self._client.update(self._freed(slot), deadline)
            raise
        except Conflict:
            raise Broken("conflict") from None

    def _prepared(self, order: Order, slot: Resource, deadline: float) -> Resource:
        """The Appointment we shall send; everything it needs is read before anything is written."""
        patient_id = self._people.resource_id(order.patient_id, deadline)
        place = self._clinic.place(ref_id(one(slot, "schedule"), "Schedule"), deadline)
        return written(order, slot, patient_id, place, self._key(order.op_key))

    def _give_back(self, appointment: Resource, keys: set[str], deadline: float) -> None:
        """Free the Slots of a cancelled Appointment that still bear its op_key."""
        for ref in objects(appointment, "slot"):
            try:
                slot = self._client.read("Slot", ref_id(ref, "Slot"), deadline)
            except NotFound:
                continue
            if text(slot, "status") == "busy" and keys & self._keys(slot):
                self._client.update(self._freed(slot), deadline)

    def _slot(self, slot_id: str, wanted: str, deadline: float) -> Resource:
        """The Slot, if it belongs to the half day that was shown."""
        slot = before_any_write(lambda: self._client.read("Slot", slot_id, deadline))
        if schedule_id(slot) != wanted:
            raise NotFound
        return slot

    def _of_patient(self, number: str, patient_id: str, deadline: float) -> Resource:
        found = self._client.read("Appointment", number, deadline)
        mine = self._people.resource_id(patient_id, deadline)
        if all(ref_id(one(part, "actor"), "Patient") != mine for part in objects(found, "participant")):
            raise NotFound
        return found

    def _appointment_of(self, op_key: str, deadline: float) -> Resource | None:
        return self._bearing("Appointment", op_key, deadline)

    def _slot_of(self, op_key: str, deadline: float) -> Resource | None:
        return self._bearing("Slot", op_key, deadline)

    def _bearing(self, kind: str, op_key: str, deadline: float) -> Resource | None:
        key = {"identifier": f"{self._options.op_key_system}|{op_key}"}
        found = [it for it in self._client.search_unseen(kind, key, deadline) if op_key in self._keys(it)]
        if len(found) > 1:
            raise Broken("wrong_record")
        return found[0] if found else None

    def _held(self, slot: Resource, order: SlotLock) -> SlotHold:
        since = instant(one(slot, "meta"), "lastUpdated") or datetime.now(SHANGHAI)
        return SlotHold(f"{slot['id']}:{order.op_key}", since + timedelta(minutes=self._options.hold_minutes))

    def _freed(self, slot: Resource) -> Resource:
        freed = {**slot, "status": "free", "identifier": self._foreign(slot)}
        if not freed["identifier"]:
            del freed["identifier"]  # FHIR knows no empty list
        return freed

    def _foreign(self, slot: Resource) -> list[Resource]:
        """The identifiers that are not ours to change."""
        return [held for held in objects(slot, "identifier") if text(held, "system") != self._options.op_key_system]

    def _keys(self, resource: Resource) -> set[str]:
        return {text(held, "value") for held in identifiers(resource, self._options.op_key_system)}

    def _key(self, op_key: str) -> Resource:
        return {"system": self._options.op_key_system, "value": op_key}


def before_any_write(read: Callable[[], T]) -> T:
    """A read on the way to a write: when it fails, nothing has been changed."""
    try:
        return read()
    except Broken as broken:
        raise NotSent(broken.reason) from None
    except Conflict:
        raise NotSent("conflict") from None


def after_a_write(rest: Callable[[], T], *, refusable: bool = False) -> T:
    """What follows a write: however it fails, something has been changed.

    `refusable`: a no of the server is the answer, as what was changed has been taken back.
    """
    try:
        return rest()
    except NotSent as failure:
        raise Broken(failure.reason) from None
    except Conflict:
        raise Broken("conflict") from None
    except (NotFound, Rejected):
        if refusable:
            raise
        raise Broken("his_exception") from None


def written(order: Order, slot: Resource, patient_id: str, place: Place, key: Resource) -> Resource:
    """The Appointment we send."""
    participants: list[dict[str, Any]] = [
        {"actor": {"reference": f"Patient/{patient_id}"}, "required": "required", "status": "accepted"}
    ]
    if place.doctor_code:
        doctor = {"reference": f"Practitioner/{place.doctor_code}", "display": place.doctor_name}
        participants.append({"actor": {k: v for k, v in doctor.items() if v}, "status": "accepted"})
    kind = WALK_IN if isinstance(order, RegistrationOrder) else ROUTINE
    appointment: Resource = {
        "resourceType": "Appointment",
        "identifier": [key],
        "status": "booked",
        "appointmentType": {"coding": [{"system": TYPES, "code": kind}]},
        "start": slot["start"],
        "created": datetime.now(SHANGHAI).isoformat(timespec="seconds"),
        "slot": [{"reference": f"Slot/{slot['id']}"}],
        "participant": participants,
    }
    if text(slot, "end"):
        appointment["end"] = slot["end"]
    return appointment
