"""Stays in hospital: Encounters of class IMP, with ward and bed from their Locations."""

from datetime import datetime

from his.faults import Broken
from his.fhir.client import FhirClient, Resource
from his.fhir.clinic import Clinic
from his.fhir.elements import codes, identifier, moment, objects, one, ref_id, required, text, words
from his.fhir.options import FhirOptions
from his.fhir.people import People
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionsQuery,
    AdmissionStatus,
    NotFound,
    Patient,
    Rejected,
    RejectReason,
)

STATUSES = {
    "in-progress": AdmissionStatus.ADMITTED,
    "onleave": AdmissionStatus.ADMITTED,
    "finished": AdmissionStatus.DISCHARGED,
    "cancelled": AdmissionStatus.CANCELLED,
}  # arrived and triaged are not in a bed yet: unknown
NO_STAY = frozenset({"planned", "entered-in-error"})
LEVELS = 3  # bed, room, ward


class Stays:
    """Reads stays; thread-safe."""

    def __init__(self, client: FhirClient, options: FhirOptions, people: People, clinic: Clinic) -> None:
        self._client = client
        self._options = options
        self._people = people
        self._clinic = clinic

    def admission(self, query: AdmissionQuery, deadline: float) -> Admission:
        """The stay of a wristband; of an admission number or a patient the current one, else the latest."""
        if query.wristband_no is not None:
            system = self._options.wristband_system
            if system is None:
                raise NotFound  # bands bear no number this server keeps
            found = self._by_number(system, query.wristband_no, deadline)
            if len(found) > 1:
                raise Rejected("multiple-matches", "", RejectReason.AMBIGUOUS)
            return self._chosen(found, found[0], deadline)
        if query.patient_id is not None:
            mine = self._people.resource_id(query.patient_id, deadline)
            stays = self._of(mine, deadline)
        else:
            stays = self._numbered(query.admission_no or "", deadline)
        if not stays:
            raise NotFound
        latest = max(stays, key=lambda it: (text(it, "status") in ("in-progress", "onleave"), _began(it)))
        return self._chosen(stays, latest, deadline)

    def admissions(self, query: AdmissionsQuery, deadline: float) -> tuple[Admission, ...]:
        """Every stay of the patient, newest first."""
        mine = self._people.resource_id(query.patient_id, deadline)
        stays = self._of(mine, deadline)
        patient = self._people.read(self._client.read("Patient", mine, deadline))
        places = self._places(stays, deadline)
        seqs = self._seqs(stays)
        found = [self._admission(it, seqs[required(it, "id")], patient, places) for it in stays]
        return tuple(sorted(found, key=lambda it: it.admitted_at, reverse=True))

    def encounters(self, admission_no: str, patient: str, deadline: float) -> list[Resource]:
        """The Encounters of an admission number, those of this Patient (resource id) only."""
        return [it for it in self._numbered(admission_no, deadline) if ref_id(one(it, "subject"), "Patient") == patient]

    def _numbered(self, admission_no: str, deadline: float) -> list[Resource]:
        system = self._options.admission_no_system
        if system is not None:
            return self._by_number(system, admission_no, deadline)
        found = self._client.read("Encounter", admission_no, deadline) if admission_no else {}
        return [found] if _is_stay(found) else []

    def _by_number(self, system: str, value: str, deadline: float) -> list[Resource]:
        if not value or set(value) & set("|,$\\"):
            raise NotFound
        params = {"identifier": f"{system}|{value}", "_count": "50"}
        found = [it for it in self._client.search_unseen("Encounter", params, deadline) if _is_stay(it)]
        if not found:
            raise NotFound
        return found

    def _of(self, patient: str, deadline: float) -> list[Resource]:
        found = self._client.search("Encounter", {"subject": f"Patient/{patient}", "class": "IMP"}, deadline)
        return [it for it in found if _is_stay(it) and ref_id(one(it, "subject"), "Patient") == patient]

    def _chosen(self, stays: list[Resource], stay: Resource, deadline: float) -> Admission:
        """One stay, numbered among all of its patient's when several could share an admission number."""
        who = ref_id(one(stay, "subject"), "Patient")
        if not who:
            raise Broken("bad_reply")
        if self._options.admission_no_system is not None:
            stays = self._of(who, deadline)
        patient = self._people.read(self._client.read("Patient", who, deadline))
        seq = self._seqs([*stays, stay])[required(stay, "id")]
        return self._admission(stay, seq, patient, self._places([stay], deadline))

    def _seqs(self, stays: list[Resource]) -> dict[str, int]:
        """1, 2, … by beginning among the stays that share an admission number."""
        counts: dict[str, int] = {}
        found: dict[str, int] = {}
        for it in sorted(stays, key=_began):
            if (stay_id := required(it, "id")) not in found:
                number = self._number(it)
                found[stay_id] = counts[number] = counts.get(number, 0) + 1
        return found

    def _number(self, stay: Resource) -> str:
        system = self._options.admission_no_system
        found = required(stay, "id") if system is None else identifier(stay, system)
        if not found:
            raise Broken("bad_reply")
        return found

    def _admission(self, it: Resource, seq: int, patient: Patient, places: dict[str, Resource]) -> Admission:
        ward, bed = _ward_and_bed(it, places)
        doctors = [one(part, "individual") for part in objects(it, "participant") if _attends(part)]
        return Admission(
            admission_no=self._number(it),
            admission_seq=seq,
            patient=patient,
            ward_code=text(ward, "id"),
            ward_name=text(ward, "name"),
            bed_no=text(bed, "name"),
            department=words(one(it, "serviceType")) or text(one(it, "serviceProvider"), "display"),
            doctor=next((name for who in doctors if (name := text(who, "display"))), ""),
            admitted_at=_began(it),
            discharged_at=moment(one(it, "period"), "end"),
            status=STATUSES.get(text(it, "status"), AdmissionStatus.UNKNOWN),
            wristband_no=identifier(it, self._options.wristband_system),
        )

    def _places(self, stays: list[Resource], deadline: float) -> dict[str, Resource]:
        """The Locations of the stays and what they are part of, by id."""
        wanted = {ref_id(one(at, "location"), "Location") for it in stays for at in objects(it, "location")} - {""}
        found: dict[str, Resource] = {}
        for _ in range(LEVELS):
            if not wanted:
                break
            for place in self._clinic.by_id("Location", wanted, deadline):
                found[required(place, "id")] = place
            wanted = {ref_id(one(place, "partOf"), "Location") for place in found.values()} - {"", *found}
        return found


def _is_stay(it: Resource) -> bool:
    return text(one(it, "class"), "code") in ("IMP", "ACUTE", "NONAC") and text(it, "status") not in NO_STAY


def _began(it: Resource) -> datetime:
    found = moment(one(it, "period"), "start")
    if found is None:
        raise Broken("bad_reply")
    return found


def _attends(part: Resource) -> bool:
    return any("ATND" in codes(concept) for concept in objects(part, "type"))


def _ward_and_bed(it: Resource, places: dict[str, Resource]) -> tuple[Resource, Resource]:
    """Where the patient lies, or lay last: the Locations of kind ward (wa) and bed (bd), the ward also above the bed."""
    told = [at for at in objects(it, "location") if text(at, "status") in ("active", "")] or objects(it, "location")[
        -1:
    ]
    kinds: dict[str, Resource] = {}
    for at in told:
        place: Resource | None = places.get(ref_id(one(at, "location"), "Location"))
        for _ in range(LEVELS):
            if place is None:
                break
            for code in codes(one(place, "physicalType")):
                kinds.setdefault(code, place)
            place = places.get(ref_id(one(place, "partOf"), "Location"))
    return kinds.get("wa", {}), kinds.get("bd", {})
