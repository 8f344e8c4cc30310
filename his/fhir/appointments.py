"""A patient's Appointments as registrations (taken for the same day) and as bookings."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from his.faults import Broken
from his.fhir.booking import WALK_IN
from his.fhir.client import FhirClient, Resource
from his.fhir.clinic import Clinic, Place, half, schedule_id
from his.fhir.elements import codes, instant, moment, objects, one, ref_id, reference, required, text
from his.fhir.people import People
from his.port import Appointment, AppointmentsQuery, Registration, RegistrationsQuery, RegistrationState

STATES = {
    "booked": RegistrationState.VALID,
    "arrived": RegistrationState.CHECKED_IN,
    "checked-in": RegistrationState.CHECKED_IN,
    "fulfilled": RegistrationState.SEEN,
    "cancelled": RegistrationState.CANCELLED,
    "noshow": RegistrationState.NO_SHOW,
}  # proposed, pending and waitlist promise nothing yet: unknown


@dataclass(frozen=True, slots=True)
class _Facts:
    """What both kinds of record say."""

    number: str
    starts_at: datetime
    state: RegistrationState
    slot_id: str
    schedule_id: str
    place: Place
    created_at: datetime | None


class Appointments:
    """Reads Appointments; thread-safe."""

    def __init__(self, client: FhirClient, people: People, clinic: Clinic) -> None:
        self._client = client
        self._people = people
        self._clinic = clinic

    def registrations(self, query: RegistrationsQuery, deadline: float) -> tuple[Registration, ...]:
        """Those of type WALKIN, newest first."""
        found = [it for it in self._of(query, deadline) if _walked_in(it)]
        return tuple(self._registration(facts, query.patient_id) for facts in self._facts(found, deadline))

    def appointments(self, query: AppointmentsQuery, deadline: float) -> tuple[Appointment, ...]:
        """All others, newest first."""
        found = [it for it in self._of(query, deadline) if not _walked_in(it)]
        return tuple(self._appointment(facts, query.patient_id) for facts in self._facts(found, deadline))

    def registration(self, found: Resource, patient_id: str, deadline: float) -> Registration:
        """One Appointment as a registration of this patient; Broken when it is somebody else's."""
        return self._registration(self._mine(found, patient_id, deadline), patient_id)

    def appointment(self, found: Resource, patient_id: str, deadline: float) -> Appointment:
        """One Appointment as a booking of this patient; Broken when it is somebody else's."""
        return self._appointment(self._mine(found, patient_id, deadline), patient_id)

    def _mine(self, found: Resource, patient_id: str, deadline: float) -> _Facts:
        mine = self._people.resource_id(patient_id, deadline)
        facts = self._facts([found], deadline)
        if not facts or all(ref_id(one(part, "actor"), "Patient") != mine for part in objects(found, "participant")):
            raise Broken("wrong_record")
        return facts[0]

    def _of(self, query: RegistrationsQuery | AppointmentsQuery, deadline: float) -> list[Resource]:
        mine = self._people.resource_id(query.patient_id, deadline)
        found = self._client.search("Appointment", {"actor": f"Patient/{mine}"}, deadline)
        kept = []
        for it in found:
            starts = instant(it, "start")
            if starts is None or text(it, "status") == "entered-in-error":
                continue  # nothing anybody could come to
            early = query.from_day is not None and starts.date() < query.from_day
            late = query.to_day is not None and starts.date() > query.to_day
            if not early and not late:
                kept.append(it)
        return kept

    def _facts(self, found: Iterable[Resource], deadline: float) -> list[_Facts]:
        """Each with its half day and place, newest first."""
        listed = list(found)
        slot_ids = {ref_id(ref, "Slot") for it in listed for ref in objects(it, "slot")} - {""}
        slots = {required(slot, "id"): slot for slot in self._clinic.by_id("Slot", slot_ids, deadline)}
        plans = {ref_id(one(slot, "schedule"), "Schedule") for slot in slots.values()} - {""}
        places = self._clinic.places(plans, deadline)
        facts = [_fact(it, slots, places) for it in listed]
        return sorted(facts, key=lambda it: it.starts_at, reverse=True)

    def _registration(self, it: _Facts, patient_id: str) -> Registration:
        return Registration(
            registration_no=it.number, patient_id=patient_id, schedule_id=it.schedule_id, day=it.starts_at.date(),
            day_part=half(it.starts_at), state=it.state, slot_id=it.slot_id, starts_at=it.starts_at,
            department_name=it.place.department_name, doctor_code=it.place.doctor_code,
            doctor_name=it.place.doctor_name, room=it.place.room, created_at=it.created_at,
        )  # fmt: skip

    def _appointment(self, it: _Facts, patient_id: str) -> Appointment:
        return Appointment(
            appointment_no=it.number, patient_id=patient_id, schedule_id=it.schedule_id, day=it.starts_at.date(),
            day_part=half(it.starts_at), state=it.state, slot_id=it.slot_id, starts_at=it.starts_at,
            department_name=it.place.department_name, doctor_code=it.place.doctor_code,
            doctor_name=it.place.doctor_name, room=it.place.room, created_at=it.created_at,
        )  # fmt: skip


def _fact(it: Resource, slots: dict[str, Resource], places: dict[str, Place]) -> _Facts:
    starts = instant(it, "start")
    if starts is None:
        raise Broken("bad_reply")
    slot_id = next((found for ref in objects(it, "slot") if (found := ref_id(ref, "Slot"))), "")
    slot = slots.get(slot_id)
    plan = ref_id(one(slot, "schedule"), "Schedule") if slot is not None else ""
    return _Facts(
        number=required(it, "id"),
        starts_at=starts,
        state=_state(it),
        slot_id=slot_id,
        schedule_id=schedule_id(slot) if slot is not None else "",
        place=places.get(plan) or _told(it),
        created_at=moment(it, "created"),
    )


def _state(it: Resource) -> RegistrationState:
    state = STATES.get(text(it, "status"), RegistrationState.UNKNOWN)
    by_clinic = any(code.startswith("prov") for code in codes(one(it, "cancelationReason")))
    return RegistrationState.CLINIC_STOPPED if state is RegistrationState.CANCELLED and by_clinic else state


def _told(it: Resource) -> Place:
    """Who and where as far as the Appointment itself says."""
    actors = [one(part, "actor") for part in objects(it, "participant")]
    said = {reference(actor)[0]: (reference(actor)[1], text(actor, "display")) for actor in actors}
    doctor, room = said.get("Practitioner", ("", "")), said.get("Location", ("", ""))[1]
    clinic = said.get("HealthcareService", ("", ""))
    return Place(*doctor, *clinic, room=room)


def _walked_in(it: Resource) -> bool:
    return WALK_IN in codes(one(it, "appointmentType"))
