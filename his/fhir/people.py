"""Patients and their cards: Patient read and written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI
from his.faults import Broken
from his.fhir.client import Conflict, FhirClient, Resource
from his.fhir.elements import day, identifier, identifiers, objects, one, required, text
from his.fhir.options import FhirOptions
from his.port import (
    CardApplication,
    CardKind,
    CardStatus,
    Done,
    IdType,
    IssuedCard,
    NotDone,
    NotFound,
    Patient,
    PatientCard,
    PatientQuery,
    Rejected,
    RejectReason,
    Resolution,
    Sex,
)

SEXES = {"male": Sex.MALE, "female": Sex.FEMALE}  # "other", "unknown" and what is no code at all: unknown
GENDERS = {Sex.MALE: "male", Sex.FEMALE: "female", Sex.UNKNOWN: "unknown"}
IDS_KEPT = 4096  # patients whose resource id is remembered


class People:
    """Who somebody is to this server; thread-safe."""

    def __init__(self, client: FhirClient, options: FhirOptions) -> None:
        self._client = client
        self._options = options
        self._ids: dict[str, str] = {}

    def patient(self, query: PatientQuery, deadline: float) -> Patient:
        """The one patient of the key; AMBIGUOUS when several fit."""
        options = self._options
        if query.card_no is not None:
            return self.read(self._by_identifier(options.card_no_system, query.card_no, deadline))
        if query.id_no is not None:
            return self.read(self._by_identifier(options.id_no_system, query.id_no, deadline))
        return self.read(self.resource(query.patient_id or "", deadline))

    def resource(self, patient_id: str, deadline: float) -> Resource:
        """The Patient of one of our patient numbers."""
        if not patient_id:
            raise NotFound
        if self._options.patient_id_system is None:
            return self._client.read("Patient", patient_id, deadline)
        return self._by_identifier(self._options.patient_id_system, patient_id, deadline)

    def resource_id(self, patient_id: str, deadline: float) -> str:
        """The id of that Patient, asked for once where numbers are not ids."""
        if self._options.patient_id_system is None:
            return patient_id
        known = self._ids.get(patient_id)
        if known is None:
            known = required(self.resource(patient_id, deadline), "id")
            if len(self._ids) >= IDS_KEPT:
                self._ids.clear()
            self._ids[patient_id] = known
        return known

    def number(self, patient: Resource) -> str:
        """Our number of a Patient; Broken when it has none."""
        system = self._options.patient_id_system
        found = required(patient, "id") if system is None else identifier(patient, system)
        if not found:
            raise Broken("bad_reply")
        return found

    def read(self, patient: Resource) -> Patient:
        """The Patient as ours."""
        cards = [
            PatientCard(text(held, "value"), CardKind.CLINIC, _status(patient, held))
            for held in identifiers(patient, self._options.card_no_system)
        ]
        return Patient(
            patient_id=self.number(patient),
            name=name_of(patient),
            sex=SEXES.get(text(patient, "gender"), Sex.UNKNOWN),
            birth_date=day(text(patient, "birthDate")),
            id_no=identifier(patient, self._options.id_no_system),
            phone=next(
                (text(way, "value") for way in objects(patient, "telecom") if text(way, "system") == "phone"), ""
            ),
            deceased=patient.get("deceasedBoolean") is True or bool(text(patient, "deceasedDateTime")),
            cards=tuple(cards),
        )

    def create_card(self, order: CardApplication, deadline: float) -> IssuedCard:
        """A new Patient, once per ID number; DUPLICATE when this person is known already."""
        if order.id_type is not IdType.ID_CARD:
            raise Rejected("id_type", "", RejectReason.NOT_ALLOWED)
        system = self._options.id_no_system
        try:
            patient = self._client.create(
                written(order, self._options), {"identifier": f"{system}|{order.id_no}"}, deadline
            )
        except Conflict:
            raise Rejected("multiple-matches", "", RejectReason.AMBIGUOUS) from None
        if order.op_key not in [text(held, "value") for held in identifiers(patient, self._options.op_key_system)]:
            raise Rejected("duplicate", "", RejectReason.DUPLICATE)
        return self._issued(patient)

    def resolve_card(self, order: CardApplication, deadline: float) -> Resolution[IssuedCard]:
        """Whether a Patient bears this op_key."""
        key = {"identifier": f"{self._options.op_key_system}|{order.op_key}"}
        found = self._client.search_unseen("Patient", key, deadline)
        return Done(self._issued(found[0])) if found else NotDone()

    def _issued(self, patient: Resource) -> IssuedCard:
        card_no = identifier(patient, self._options.card_no_system)
        if not card_no:
            raise Broken("bad_reply")  # the server was said to give one
        return IssuedCard(card_no, self.read(patient))

    def _by_identifier(self, system: str, value: str, deadline: float) -> Resource:
        if not value or set(value) & set("|,$\\"):
            raise NotFound  # no number looks so, and they mean something in a search
        found = self._client.search_unseen("Patient", {"identifier": f"{system}|{value}"}, deadline)
        if len(found) > 1:  # a record merged into another is not a second person
            found = [patient for patient in found if not _merged(patient)] or found
        if not found:
            raise NotFound
        if len(found) > 1:
            raise Rejected("multiple-matches", "", RejectReason.AMBIGUOUS)
        return found[0]


def written(order: CardApplication, options: FhirOptions) -> Resource:
    """The Patient we send for an application."""
    patient: Resource = {
        "resourceType": "Patient",
        "active": True,
        "identifier": [
            {"system": options.id_no_system, "value": order.id_no},
            {"system": options.op_key_system, "value": order.op_key},
        ],
        "name": [{"use": "official", "text": order.name}],
        "gender": GENDERS[order.sex],
        "birthDate": order.birth_date.isoformat(),
    }
    if order.phone:
        patient["telecom"] = [{"system": "phone", "use": "mobile", "value": order.phone}]
    if order.guardian_name:
        guardian: dict[str, Any] = {"name": {"text": order.guardian_name}}
        guardian["relationship"] = [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0131", "code": "N"}]}
        ]
        patient["contact"] = [guardian]
    return patient


def name_of(person: Resource) -> str:
    """The official name, else the first that is not an old one; Broken without any."""
    names = [held for held in objects(person, "name") if text(held, "use") not in ("old", "maiden")]
    names.sort(key=lambda held: text(held, "use") != "official")
    for held in names:
        if found := text(held, "text") or _joined(held):
            return found
    raise Broken("bad_reply")


def _joined(name: Mapping[str, Any]) -> str:
    given = name.get("given")
    parts = [part for part in given if isinstance(part, str)] if isinstance(given, list) else []
    family = name.get("family")
    family = family if isinstance(family, str) else ""
    if all(part.isascii() for part in (family, *parts)):
        return " ".join((*parts, family)).strip()
    return "".join((family, *parts))  # 姓在前, no space


def _status(patient: Resource, held: Resource) -> CardStatus:
    """What FHIR can tell of a card: replaced, run out, or in use; a lost one it has no word for."""
    ends = day(text(one(held, "period"), "end")[:10])
    gone = ends is not None and ends < datetime.now(SHANGHAI).date()
    if text(held, "use") == "old" or gone or patient.get("active") is False:
        return CardStatus.CLOSED
    return CardStatus.ACTIVE


def _merged(patient: Resource) -> bool:
    return any(text(link, "type") == "replaced-by" for link in objects(patient, "link"))
