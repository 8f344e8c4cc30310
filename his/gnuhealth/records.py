"""What GNU Health has written down: patients, professionals, stays, lab tests, invoices."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from core.clock import SHANGHAI
from his.faults import Broken
from his.gnuhealth.client import Domain, Record, Tryton, full_name, linked, text, time_of
from his.gnuhealth.options import GnuHealthOptions
from his.port import (
    AbnormalFlag,
    Admission,
    AdmissionQuery,
    AdmissionsQuery,
    AdmissionStatus,
    CardKind,
    CardStatus,
    ChargeItem,
    Department,
    DepartmentsQuery,
    Doctor,
    DoctorsQuery,
    Invoice,
    InvoicesQuery,
    NotFound,
    Patient,
    PatientCard,
    PatientQuery,
    Rejected,
    RejectReason,
    Report,
    ReportKind,
    ReportQuery,
    ReportsQuery,
    ReportSummary,
    ResultItem,
    Sex,
)

PATIENT = "gnuhealth.patient"
SEXES = {"m": Sex.MALE, "f": Sex.FEMALE}  # nb, other, nd, u, f-m, m-f: the port has no word for them
PERSON = ("name", "lastname", "mobile", "phone")
PATIENT_FIELDS = (
    "puid",
    "gender",
    "dob",
    "deceased",
    "active",
    "party.alternative_ids",
    *(f"party.{it}" for it in PERSON),
)
STAYS = {
    "hospitalized": AdmissionStatus.ADMITTED,
    "done": AdmissionStatus.DISCHARGED,  # discharged, the bed still to be cleaned
    "finished": AdmissionStatus.DISCHARGED,
    "cancelled": AdmissionStatus.CANCELLED,
}  # free and confirmed are plans
STAY_FIELDS = (
    "name", "state", "hospitalization_date", "discharge_date", "bed.rec_name", "bed.ward.name",
    "attending_physician.party.name", "attending_physician.party.lastname",
    *(f"patient.{it}" for it in PATIENT_FIELDS),
)  # fmt: skip
LAB_FIELDS = (
    "name", "state", "patient.puid", "test.name", "date_requested", "done_date", "validation_date", "results",
    "diagnosis", "_timestamp", "pathologist.party.name", "pathologist.party.lastname",
)  # fmt: skip
LINE_FIELDS = (
    "name", "result", "result_text", "warning", "lower_limit", "upper_limit", "normal_range", "units.name", "excluded",
)  # fmt: skip
INVOICE_FIELDS = (
    "number",
    "invoice_date",
    "total_amount",
    "tax_amount",
    "party",
    "patient.party",
    "patient.puid",
    "currency.code",
)
INVOICE_LINES = (
    "invoice",
    "description",
    "product.rec_name",
    "quantity",
    "unit.symbol",
    "unit_price",
    "amount",
    "type",
)


class Records:
    """Reads records; thread-safe. A patient's number is the PUID."""

    def __init__(self, tryton: Tryton, options: GnuHealthOptions) -> None:
        self._tryton = tryton
        self._options = options

    def patient(self, query: PatientQuery, deadline: float) -> Patient:
        """The one patient of the key; AMBIGUOUS when several fit."""
        if query.id_no is not None:
            return self._one([
                ("party.alternative_ids.code", "=", query.id_no),
                ("party.alternative_ids.alternative_id_type", "=", "country_id"),
            ], deadline)  # fmt: skip
        if query.card_no is not None and not self._options.card_is_puid:
            raise NotFound
        return self._one([("puid", "=", query.card_no or query.patient_id or "")], deadline)

    def row(self, patient_id: str, deadline: float) -> Record:
        """The id and PUID of one of our patient numbers."""
        found = self._tryton.search(PATIENT, [("puid", "=", patient_id)], ("puid", "party"), deadline)
        if not patient_id or not found:
            raise NotFound
        if len(found) > 1:
            raise Rejected("patients", "", RejectReason.AMBIGUOUS)
        return found[0]

    def departments(self, _query: DepartmentsQuery, deadline: float) -> tuple[Department, ...]:
        """The specialties that some active professional has."""
        held = self._tryton.search(
            "gnuhealth.hp_specialty", [("healthprof.active", "=", True)], ("specialty", "specialty.name"), deadline
        )
        found = {
            one["specialty"]: text(linked(one, "specialty"), "name") for one in held if type(one["specialty"]) is int
        }
        return tuple(Department(str(code), name) for code, name in sorted(found.items(), key=lambda pair: pair[1]))

    def doctors(self, query: DoctorsQuery, deadline: float) -> tuple[Doctor, ...]:
        """Active professionals, once for each of their specialties, once without where they have none."""
        people = self._tryton.search(
            "gnuhealth.healthprofessional", [("active", "=", True)], ("party.name", "party.lastname"), deadline
        )
        held = self._tryton.search(
            "gnuhealth.hp_specialty", [], ("healthprof", "specialty", "specialty.name"), deadline
        )
        found = []
        for one in people:
            mine = [it for it in held if it["healthprof"] == one["id"] and type(it["specialty"]) is int]
            places = [(str(it["specialty"]), text(linked(it, "specialty"), "name")) for it in mine] or [("", "")]
            name = full_name(linked(one, "party"))
            found += [Doctor(str(one["id"]), name, "", code, place) for code, place in places]
        return tuple(it for it in found if query.department_code in ("", it.department_code))

    def admission(self, query: AdmissionQuery, deadline: float) -> Admission:
        """A stay by its number, or the patient's current one, else the latest. No wristband number is kept."""
        if query.wristband_no is not None:
            raise NotFound
        by_number = query.admission_no is not None
        clause = ("name", "=", query.admission_no) if by_number else ("patient.puid", "=", query.patient_id)
        found = self._stays([clause], deadline)
        if not found:
            raise NotFound
        return max(found, key=lambda it: (it.status is AdmissionStatus.ADMITTED, it.admitted_at))

    def admissions(self, query: AdmissionsQuery, deadline: float) -> tuple[Admission, ...]:
        """Every stay of the patient, newest first."""
        found = self._stays([("patient.puid", "=", query.patient_id)], deadline)
        return tuple(sorted(found, key=lambda it: it.admitted_at, reverse=True))

    def reports(self, query: ReportsQuery, deadline: float) -> tuple[ReportSummary, ...]:
        """Released lab tests, newest first; they belong to a patient and to no stay."""
        if query.admission_no:
            return ()
        found = [
            _summary(it, self._options.released)
            for it in self._labs([("patient.puid", "=", query.patient_id)], deadline)
        ]
        kept = [
            it for it in found
            if (query.from_day is None or it.released_at.date() >= query.from_day)
            and (query.to_day is None or it.released_at.date() <= query.to_day)
        ]  # fmt: skip
        return tuple(sorted(kept, key=lambda it: it.released_at, reverse=True))

    def report(self, query: ReportQuery, deadline: float) -> Report:
        """One released lab test of this patient with its lines."""
        clauses = [("name", "=", query.report_no), ("patient.puid", "=", query.patient_id)]
        found = self._labs(clauses, deadline)
        if not found:
            raise NotFound
        head = _summary(found[0], self._options.released)
        lines = self._tryton.search(
            "gnuhealth.lab.test.critearea",
            [("gnuhealth_lab_id", "=", found[0]["id"])],
            LINE_FIELDS,
            deadline,
            "sequence ASC",
        )
        party = linked(linked(found[0], "pathologist"), "party")
        return Report(
            report_no=head.report_no, patient_id=head.patient_id, kind=head.kind, name=head.name,
            released_at=head.released_at, version=head.version, sampled_at=None,
            doctor_name=full_name(party) if party else "", findings=text(found[0], "results"),
            conclusion=text(found[0], "diagnosis"),
            items=tuple(_item(line) for line in lines if line.get("excluded") is not True),
        )  # fmt: skip

    def invoices(self, query: InvoicesQuery, deadline: float) -> tuple[Invoice, ...]:
        """Posted and paid invoices of the patient, newest first; they belong to no stay."""
        if query.admission_no:
            return ()
        mine = self.row(query.patient_id, deadline)
        of_service = ("lines.origin.service.patient", "=", mine["id"], "gnuhealth.health_service.line")
        clauses: Domain = [
            ("type", "=", "out"), ("state", "in", ["posted", "paid"]), ["OR", ("party", "=", mine["party"]), of_service],
        ]  # fmt: skip
        listed = self._tryton.search("account.invoice", clauses, INVOICE_FIELDS, deadline)
        found = [
            one for one in listed if one.get("patient") in (mine["id"], None)
        ]  # a father's bill for his child is the child's
        ids = [one["id"] for one in found]
        lines = (
            self._tryton.search("account.invoice.line", [("invoice", "in", ids)], INVOICE_LINES, deadline)
            if ids
            else []
        )
        made = [_invoice(one, [it for it in lines if it.get("invoice") == one["id"]], mine["party"]) for one in found]
        return tuple(sorted(made, key=lambda it: it.issued_at, reverse=True))

    def _one(self, domain: Domain, deadline: float) -> Patient:
        found = self._tryton.search(PATIENT, domain, PATIENT_FIELDS, deadline)
        if not found:
            raise NotFound
        if len(found) > 1:
            raise Rejected("patients", "", RejectReason.AMBIGUOUS)
        return self._patient(found[0], self._id_numbers(found, deadline))

    def _id_numbers(self, patients: list[Record], deadline: float) -> dict[int, str]:
        """The national number of each of their other identifications, by its id."""
        ids = [held for one in patients for held in _other_ids(one)]
        if not ids:
            return {}
        domain = [("id", "in", ids), ("alternative_id_type", "=", "country_id")]
        held = self._tryton.search("gnuhealth.person_alternative_identification", domain, ("code",), deadline)
        return {one["id"]: text(one, "code") for one in held}

    def _patient(self, one: Record, id_numbers: dict[int, str]) -> Patient:
        party, puid, born = linked(one, "party"), text(one, "puid"), one.get("dob")
        if not puid:
            raise Broken("bad_reply")
        status = CardStatus.CLOSED if one.get("active") is False else CardStatus.ACTIVE
        return Patient(
            patient_id=puid,
            name=full_name(party),
            sex=SEXES.get(text(one, "gender"), Sex.UNKNOWN),
            birth_date=born if isinstance(born, date) else None,
            id_no=next((id_numbers[it] for it in _other_ids(one) if it in id_numbers), ""),
            phone=text(party, "mobile") or text(party, "phone"),
            deceased=one.get("deceased") is True,
            cards=(PatientCard(puid, CardKind.CLINIC, status),) if self._options.card_is_puid else (),
        )

    def _stays(self, domain: Domain, deadline: float) -> list[Admission]:
        clauses = [*domain, ("state", "in", list(STAYS))]
        found = self._tryton.search("gnuhealth.inpatient.registration", clauses, STAY_FIELDS, deadline)
        patients = [linked(it, "patient") for it in found]
        numbers = self._id_numbers(patients, deadline)
        return [_stay(it, self._patient(who, numbers)) for it, who in zip(found, patients, strict=True)]

    def _labs(self, domain: Domain, deadline: float) -> list[Record]:
        states = ["validated"] if self._options.released == "validated" else ["done", "validated"]
        return self._tryton.search("gnuhealth.lab", [*domain, ("state", "in", states)], LAB_FIELDS, deadline)


def _other_ids(patient: Record) -> list[int]:
    """The ids of a person's other identifications."""
    held = linked(patient, "party").get("alternative_ids")
    return [it for it in held if type(it) is int] if isinstance(held, list) else []


def _stay(it: Record, patient: Patient) -> Admission:
    admitted, status = time_of(it, "hospitalization_date"), STAYS.get(text(it, "state"), AdmissionStatus.UNKNOWN)
    doctor = linked(linked(it, "attending_physician"), "party")
    bed = linked(it, "bed")
    if admitted is None or not text(it, "name"):
        raise Broken("bad_reply")
    ward = linked(bed, "ward")
    return Admission(
        admission_no=text(it, "name"),
        admission_seq=1,  # a number is given once
        patient=patient,
        ward_code=str(ward.get("id") or ""),
        ward_name=text(ward, "name"),
        bed_no=text(bed, "rec_name"),
        department="",
        doctor=full_name(doctor) if doctor else "",
        admitted_at=admitted,
        # before the discharge it is only a plan
        discharged_at=time_of(it, "discharge_date") if status is AdmissionStatus.DISCHARGED else None,
        status=status,
    )


def _summary(it: Record, released: str) -> ReportSummary:
    at = time_of(it, "validation_date") or (time_of(it, "done_date") if released == "done" else None)
    number, puid = text(it, "name"), text(linked(it, "patient"), "puid")
    if at is None or not number or not puid:
        raise Broken("bad_reply")
    return ReportSummary(number, puid, ReportKind.LAB, text(linked(it, "test"), "name"), at, text(it, "_timestamp"))


def _item(line: Record) -> ResultItem:
    value = line.get("result")
    measured = isinstance(value, float | int) and not isinstance(value, bool)
    low, high = (_number(line.get(key)) for key in ("lower_limit", "upper_limit"))
    return ResultItem(
        name=text(line, "name"),
        value=text(line, "result_text") or (_number(value) if measured else ""),
        flag=flag(line),
        unit=text(linked(line, "units"), "name"),
        low=low,
        high=high,
        reference=text(line, "normal_range"),
    )


def flag(line: Record) -> AbnormalFlag:
    """By the limits GNU Health keeps; its warning without a limit it breaks is abnormal, no limits at all is open."""
    value, low, high = line.get("result"), line.get("lower_limit"), line.get("upper_limit")
    warned = line.get("warning") is True
    if isinstance(value, float | int) and not isinstance(value, bool) and not text(line, "result_text"):
        if isinstance(high, float | int) and value > high:
            return AbnormalFlag.HIGH
        if isinstance(low, float | int) and value < low:
            return AbnormalFlag.LOW
        if not warned and isinstance(low, float | int) and isinstance(high, float | int):
            return AbnormalFlag.NORMAL
    return AbnormalFlag.ABNORMAL if warned else AbnormalFlag.UNDETERMINED


def _number(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) or (type(value) is int and abs(value) < 10**15) else ""


def _invoice(one: Record, lines: list[Record], patient_party: Any) -> Invoice:
    day, number, payer = one.get("invoice_date"), text(one, "number"), one.get("party")
    if not isinstance(day, date) or not number:
        raise Broken("bad_reply")
    if text(linked(one, "currency"), "code") != "CNY":
        raise Broken("unmapped_code")
    total = _fen(one.get("total_amount"))
    parts = (total, 0) if payer == patient_party else (0, total)  # to somebody else than the patient: to his insurance
    issued = datetime.combine(day, time(), SHANGHAI)
    items = tuple(_charge(line, issued) for line in lines if text(line, "type") == "line")
    whole = sum(item.amount_fen for item in items) == total  # not so where tax comes on top
    return Invoice(number, issued, total, *parts, items=items if whole else ())


def _charge(line: Record, issued: datetime) -> ChargeItem:
    quantity = line.get("quantity")
    counted = isinstance(quantity, float | int) and not isinstance(quantity, bool)
    return ChargeItem(
        charge_no=str(line["id"]),
        name=text(line, "description") or text(linked(line, "product"), "rec_name"),
        amount_fen=_fen(line.get("amount")),
        unit=text(linked(line, "unit"), "symbol"),
        quantity=Decimal(str(quantity)) if counted else Decimal(1),
        price_fen=_price(line.get("unit_price")),
        at=issued,
    )


def _fen(value: Any) -> int:
    found = _price(value)
    if found is None:
        raise Broken("bad_reply")
    return found


def _price(value: Any) -> int | None:
    """Yuan in fen; None for what is no amount or splits a fen, as a unit's price may."""
    if not isinstance(value, Decimal) or not value.is_finite() or value.adjusted() > 12:
        return None
    return int(value * 100) if value * 100 == int(value * 100) else None
