"""Visits, their notes, and reports with flagged results."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from his.port.money import ChargeItem
from his.port.ops import Op, OpClass, Query


class ReportKind(StrEnum):
    """检验 or 检查."""

    LAB = "lab"
    IMAGING = "imaging"
    UNKNOWN = "unknown"


class AbnormalFlag(StrEnum):
    """A result against its reference (HL7 table 0078, and the words Chinese HISes write). Unlisted: UNDETERMINED (未判定)."""

    NORMAL = "normal"  # N
    HIGH = "high"  # H ↑ 偏高
    LOW = "low"  # L ↓ 偏低
    CRITICAL_HIGH = "critical_high"  # HH ↑↑
    CRITICAL_LOW = "critical_low"  # LL ↓↓
    ABNORMAL = "abnormal"  # A AA
    POSITIVE = "positive"  # 阳性 + POS
    NEGATIVE = "negative"  # 阴性 NEG: what was looked for is not there; whether that is good, nobody has said
    UNDETERMINED = "undetermined"


ABNORMAL = frozenset(AbnormalFlag) - {AbnormalFlag.NORMAL, AbnormalFlag.NEGATIVE, AbnormalFlag.UNDETERMINED}


@dataclass(frozen=True, slots=True)
class Visit:
    """One outpatient visit (就诊记录)."""

    visit_no: str
    patient_id: str
    at: datetime
    department_name: str = ""
    doctor_name: str = ""
    diagnosis: str = ""
    total_fen: int | None = None


@dataclass(frozen=True, slots=True)
class VisitsQuery(Query[tuple[Visit, ...]]):
    """A patient's visits, newest first."""

    op: ClassVar = Op.LIST_VISITS
    stale_s: ClassVar = 86_400.0
    patient_id: str
    from_day: date | None = None
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class VisitNote:
    """The outpatient medical record (门诊病历), section by section."""

    chief_complaint: str = ""
    present_illness: str = ""
    past_history: str = ""
    examination: str = ""
    diagnosis: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class PrescriptionItem:
    """One medicine of a prescription."""

    name: str
    spec: str = ""
    dose: str = ""
    route: str = ""
    frequency: str = ""
    days: int | None = None
    quantity: str = ""
    recipe_no: str = ""


@dataclass(frozen=True, slots=True)
class VisitDetail:
    """A visit with its record, prescriptions and charges; parts the HIS cannot supply are None or empty."""

    visit: Visit
    note: VisitNote | None = None
    prescriptions: tuple[PrescriptionItem, ...] = ()
    charges: tuple[ChargeItem, ...] = ()


@dataclass(frozen=True, slots=True)
class VisitQuery(Query[VisitDetail]):
    """One visit of this patient; NotFound when it is somebody else's."""

    op: ClassVar = Op.VISIT
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    visit_no: str


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """A released report in a list; `abnormal` None where the list does not tell."""

    report_no: str
    patient_id: str
    kind: ReportKind
    name: str
    released_at: datetime
    version: str = ""
    sampled_at: datetime | None = None
    abnormal: bool | None = None


@dataclass(frozen=True, slots=True)
class ReportsQuery(Query[tuple[ReportSummary, ...]]):
    """Released reports of a patient, or of one stay, newest first; unreleased ones do not exist."""

    op: ClassVar = Op.LIST_REPORTS
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    from_day: date | None = None
    to_day: date | None = None
    admission_no: str = ""


@dataclass(frozen=True, slots=True)
class ResultItem:
    """One line of a lab report; `low` and `high` are the reference as written, `reference` where it is no range."""

    name: str
    value: str
    flag: AbnormalFlag
    unit: str = ""
    low: str = ""
    high: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A released report; `study_uid` (DICOM) names its images, "" when there are none."""

    report_no: str
    patient_id: str
    kind: ReportKind
    name: str
    released_at: datetime
    version: str = ""
    sampled_at: datetime | None = None
    doctor_name: str = ""
    findings: str = ""
    conclusion: str = ""
    items: tuple[ResultItem, ...] = ()
    study_uid: str = ""


@dataclass(frozen=True, slots=True)
class ReportQuery(Query[Report]):
    """One released report of this patient; NotFound when it is somebody else's or not released."""

    op: ClassVar = Op.REPORT
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    report_no: str
