"""Reports: DiagnosticReport with its Observations. Only released ones exist; a corrected one takes the old one's place."""

from his.faults import Broken
from his.fhir.client import FhirClient, Resource
from his.fhir.clinic import Clinic
from his.fhir.elements import codes, instant, moment, number, objects, one, ref_id, required, text, words
from his.fhir.people import People
from his.fhir.stays import Stays
from his.port import (
    AbnormalFlag,
    NotFound,
    Report,
    ReportKind,
    ReportQuery,
    ReportsQuery,
    ReportSummary,
    ResultItem,
)

RELEASED = frozenset({"final", "amended", "corrected", "appended"})
# v2-0074, diagnostic service sections
LABS = frozenset(
    {"LAB", "HM", "CH", "MB", "SR", "BLB", "VR", "TX", "URN", "IMM", "GE", "MYC", "MCB", "PAR", "SP", "CP", "PAT"}
)
IMAGES = frozenset({"RAD", "CT", "NMR", "US", "NMS", "VUS", "CUS", "OUS", "XRC", "RUS", "IMG", "RX", "MRI"})
FLAGS = {
    "N": AbnormalFlag.NORMAL, "H": AbnormalFlag.HIGH, "L": AbnormalFlag.LOW, "HH": AbnormalFlag.CRITICAL_HIGH,
    "LL": AbnormalFlag.CRITICAL_LOW, "A": AbnormalFlag.ABNORMAL, "AA": AbnormalFlag.ABNORMAL,
    "POS": AbnormalFlag.POSITIVE,
    "NEG": AbnormalFlag.NEGATIVE,
}  # fmt: skip
"""v3-ObservationInterpretation; POS says what was found, whether that is bad is the reader's. NEG is not "normal"."""


class Results:
    """Reads reports; thread-safe."""

    def __init__(self, client: FhirClient, people: People, clinic: Clinic, stays: Stays) -> None:
        self._client = client
        self._people = people
        self._clinic = clinic
        self._stays = stays

    def reports(self, query: ReportsQuery, deadline: float) -> tuple[ReportSummary, ...]:
        """Released ones, newest first; of one stay those whose encounter it is."""
        mine = self._people.resource_id(query.patient_id, deadline)
        params = {"subject": f"Patient/{mine}", "status": ",".join(sorted(RELEASED))}
        if query.admission_no:
            stays = self._stays.encounters(query.admission_no, mine, deadline)
            if not stays:
                return ()
            params["encounter"] = ",".join(f"Encounter/{it['id']}" for it in stays)
        found = [_summary(it, query.patient_id) for it in self._client.search("DiagnosticReport", params, deadline)
                 if text(it, "status") in RELEASED and ref_id(one(it, "subject"), "Patient") == mine]  # fmt: skip
        kept = [
            it for it in found
            if (query.from_day is None or it.released_at.date() >= query.from_day)
            and (query.to_day is None or it.released_at.date() <= query.to_day)
        ]  # fmt: skip
        return tuple(sorted(kept, key=lambda it: it.released_at, reverse=True))

    def report(self, query: ReportQuery, deadline: float) -> Report:
        """One released report of this patient with its results."""
        mine = self._people.resource_id(query.patient_id, deadline)
        found = self._client.read("DiagnosticReport", query.report_no, deadline)
        if text(found, "status") not in RELEASED or ref_id(one(found, "subject"), "Patient") != mine:
            raise NotFound
        head = _summary(found, query.patient_id)
        return Report(
            report_no=head.report_no, patient_id=head.patient_id, kind=head.kind, name=head.name,
            released_at=head.released_at, version=head.version, sampled_at=head.sampled_at,
            doctor_name=_who(found), conclusion=text(found, "conclusion"),
            items=self._items(found, mine, deadline), study_uid=self._study(found, deadline),
        )  # fmt: skip

    def _items(self, report: Resource, mine: str, deadline: float) -> tuple[ResultItem, ...]:
        listed = self._pointed(report, "result", deadline)
        lines: list[Resource] = []
        for found in listed:  # a panel's members stand in its place
            members = self._pointed(found, "hasMember", deadline) if objects(found, "hasMember") else []
            lines += [*([found] if _has_value(found) else []), *members]
        subjects = {ref_id(one(line, "subject"), "Patient") for line in lines} - {""}
        if subjects - {mine}:
            raise Broken("wrong_record")
        return tuple(_item(line) for line in lines if text(line, "status") in RELEASED)

    def _pointed(self, holder: Resource, key: str, deadline: float) -> list[Resource]:
        """The Observations a list of references names, in its order, contained ones included; one that is gone breaks it."""
        inside = {f"#{text(it, 'id')}": it for it in objects(holder, "contained")}
        refs = objects(holder, key)
        ids = [ref_id(ref, "Observation") for ref in refs if text(ref, "reference") not in inside]
        found = {required(it, "id"): it for it in self._clinic.by_id("Observation", set(ids) - {""}, deadline)}
        listed = []
        for ref in refs:
            it = inside.get(text(ref, "reference")) or found.get(ref_id(ref, "Observation"))
            if it is None:
                raise Broken("bad_reply")  # a report without one of its results is not that report
            listed.append(it)
        return listed

    def _study(self, report: Resource, deadline: float) -> str:
        """The DICOM study of the first ImagingStudy that names one."""
        for ref in objects(report, "imagingStudy"):
            try:
                study = self._client.read("ImagingStudy", ref_id(ref, "ImagingStudy") or "-", deadline)
            except NotFound:
                continue
            for held in objects(study, "identifier"):
                if text(held, "system") == "urn:dicom:uid":
                    return text(held, "value").removeprefix("urn:oid:")
        return ""


def _summary(it: Resource, patient_id: str) -> ReportSummary:
    meta = one(it, "meta")
    released = instant(it, "issued") or instant(meta, "lastUpdated")
    if released is None:
        raise Broken("bad_reply")
    return ReportSummary(
        report_no=required(it, "id"),
        patient_id=patient_id,
        kind=_kind(it),
        name=words(one(it, "code")),
        released_at=released,
        version=text(meta, "versionId"),
        sampled_at=moment(it, "effectiveDateTime") or moment(one(it, "effectivePeriod"), "start"),
    )


def _kind(it: Resource) -> ReportKind:
    said = {code for concept in objects(it, "category") for code in codes(concept)}
    if said & IMAGES or objects(it, "imagingStudy"):
        return ReportKind.IMAGING
    return ReportKind.LAB if said & LABS else ReportKind.UNKNOWN


def _who(report: Resource) -> str:
    people = objects(report, "resultsInterpreter") or objects(report, "performer")
    return next((name for ref in people if (name := text(ref, "display"))), "")


def _has_value(observation: Resource) -> bool:
    return any(key.startswith("value") or key == "dataAbsentReason" for key in observation)


def _item(it: Resource) -> ResultItem:
    low, high, reference = _range(it)
    return ResultItem(
        name=words(one(it, "code")),
        value=_value(it),
        flag=flag(objects(it, "interpretation")),
        unit=text(one(it, "valueQuantity"), "unit"),
        low=low,
        high=high,
        reference=reference,
    )


def _value(it: Resource) -> str:
    quantity = one(it, "valueQuantity")
    if quantity:
        return text(quantity, "comparator") + number(quantity.get("value"))
    for key in ("valueString", "valueDateTime", "valueTime"):
        if said := text(it, key):
            return said
    if isinstance(it.get("valueBoolean"), bool):
        return "是" if it["valueBoolean"] else "否"
    if (whole := number(it.get("valueInteger"))) != "":
        return whole
    ratio = one(it, "valueRatio")
    if ratio:
        return ":".join(number(one(ratio, part).get("value")) for part in ("numerator", "denominator"))
    return words(one(it, "valueCodeableConcept"))


def _range(it: Resource) -> tuple[str, str, str]:
    """Low, high and the words of the one reference range; several hold for different people: only words then."""
    ranges = objects(it, "referenceRange")
    if len(ranges) != 1:
        return "", "", "; ".join(said for one_ in ranges if (said := text(one_, "text")))
    found = ranges[0]
    low, high = (number(one(found, end).get("value")) for end in ("low", "high"))
    return low, high, text(found, "text")


def flag(concepts: list[Resource]) -> AbnormalFlag:
    """What the interpretations say together; unlisted or contradicting ones leave it open."""
    said = [[FLAGS[code] for code in codes(concept) if code in FLAGS] for concept in concepts]
    flags = {found for one_ in said for found in one_}
    whole = all(one_ for one_ in said)  # each concept was understood
    return flags.pop() if whole and len(flags) == 1 else AbnormalFlag.UNDETERMINED
