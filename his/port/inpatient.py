"""Stays in hospital: who lies where, what it costs each day, what was prepaid."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from his.port.money import ChargeItem, PayMethod
from his.port.ops import Command, Op, OpClass, Query
from his.port.people import Patient


class AdmissionStatus(StrEnum):
    """Where a stay stands; only ADMITTED is a patient lying in a bed now."""

    ADMITTED = "admitted"
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class WristbandVerdict(StrEnum):
    """Whether what the nurse holds is for the wearer of this band."""

    MATCH = "match"
    MISMATCH = "mismatch"
    DISCHARGED = "discharged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Admission:
    """One stay (住院).

    `admission_no` may serve several stays of one patient; `admission_seq` (1, 2, …) tells them apart.
    """

    admission_no: str
    admission_seq: int
    patient: Patient
    ward_code: str
    ward_name: str
    bed_no: str
    department: str
    doctor: str
    admitted_at: datetime
    discharged_at: datetime | None
    status: AdmissionStatus
    wristband_no: str = ""
    """What a scanner reads from the band of this stay; "" where the HIS cannot say."""


@dataclass(frozen=True, slots=True)
class AdmissionQuery(Query[Admission]):
    """Exactly one of the keys; ValueError otherwise.

    `wristband_no` names one stay. `admission_no` and `patient_id` answer the current stay, else the latest.
    """

    op: ClassVar = Op.QUERY_ADMISSION
    admission_no: str | None = None
    wristband_no: str | None = None
    patient_id: str | None = None

    def __post_init__(self) -> None:
        """See `PatientQuery`."""
        if (self.admission_no is None) + (self.wristband_no is None) + (self.patient_id is None) != 2:
            raise ValueError("ask by admission_no, by wristband_no or by patient_id")


@dataclass(frozen=True, slots=True)
class AdmissionsQuery(Query[tuple[Admission, ...]]):
    """Every stay of a patient, newest first."""

    op: ClassVar = Op.LIST_ADMISSIONS
    stale_s: ClassVar = 3600.0
    patient_id: str


@dataclass(frozen=True, slots=True)
class DailyStatement:
    """The charges of one day of a stay (日清单); `total_fen` is the sum of the items."""

    day: date
    items: tuple[ChargeItem, ...]
    total_fen: int


@dataclass(frozen=True, slots=True)
class DailyStatementQuery(Query[DailyStatement]):
    """One day of one stay."""

    op: ClassVar = Op.DAILY_STATEMENT
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    admission_no: str
    admission_seq: int
    day: date


@dataclass(frozen=True, slots=True)
class CategoryTotal:
    """One invoice category (发票项目) and its sum."""

    invoice_category: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class ChargeSummary:
    """All charges of a stay by invoice category (费用汇总).

    `total_fen` is their sum; `prepaid_fen` what was paid in advance, `balance_fen` what is left of it (negative: owed).
    """

    categories: tuple[CategoryTotal, ...]
    total_fen: int
    prepaid_fen: int | None = None
    balance_fen: int | None = None


@dataclass(frozen=True, slots=True)
class ChargeSummaryQuery(Query[ChargeSummary]):
    """The whole of one stay so far."""

    op: ClassVar = Op.CHARGE_SUMMARY
    op_class: ClassVar = OpClass.REPORT
    stale_s: ClassVar = 86_400.0
    patient_id: str
    admission_no: str
    admission_seq: int


@dataclass(frozen=True, slots=True)
class Prepayment:
    """Money paid in advance for a stay (预交金)."""

    his_txn_no: str
    patient_id: str
    admission_no: str
    amount_fen: int
    at: datetime | None = None
    pay_method: PayMethod = PayMethod.UNKNOWN
    provider_trade_no: str = ""
    op_key: str = ""
    balance_fen: int | None = None


@dataclass(frozen=True, slots=True)
class PrepaymentOrder(Command[Prepayment]):
    """Credit a stay with money that has been taken."""

    op: ClassVar = Op.PAY_PREPAYMENT
    money: ClassVar = True
    op_key: str
    patient_id: str
    admission_no: str
    admission_seq: int
    amount_fen: int
    pay_method: PayMethod
    provider_trade_no: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class PrepaymentsQuery(Query[tuple[Prepayment, ...]]):
    """Prepayments of one stay, newest first."""

    op: ClassVar = Op.LIST_PREPAYMENTS
    stale_s: ClassVar = 3600.0
    patient_id: str
    admission_no: str
    admission_seq: int


@dataclass(frozen=True, slots=True)
class WristbandCheck:
    """What the HIS says of a band and a thing meant for its wearer."""

    verdict: WristbandVerdict
    admission: Admission | None = None
    item_name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class WristbandCheckQuery(Query[WristbandCheck]):
    """Is the thing with this label (`item_code`: bag, tube, order) for the wearer of this band?"""

    op: ClassVar = Op.CHECK_WRISTBAND
    wristband_no: str
    item_code: str
