"""What the house asks of a hospital information system: typed questions, commands and answers, and the `HisPort`.

A question is a frozen dataclass `Query[Answer]`, a write a `Command[Answer]` with an `op_key` of ours:

    fetched = his.ask(PatientQuery(card_no="600000000017"), ctx)      # Fetched[Patient]
    registration = his.do(RegistrationOrder(op_key=new_id(), …), ctx) # Registration, or UnknownOutcome
    match his.resolve(order, ctx): Done(registration) | NotDone() | StillUnknown()

Money is integer fen, datetimes are aware (Asia/Shanghai), strings are "" and dates None where the HIS cannot say.
A code that nobody listed becomes UNKNOWN (a result flag: UNDETERMINED) and is never guessed.
Services write only through `services.his_writes`, which persists the intent before anything is sent.
"""

from his.port.clinic import (
    Appointment,
    AppointmentsQuery,
    BookingCancel,
    BookingOrder,
    Cancellation,
    CheckedIn,
    CheckInOrder,
    DayPart,
    Department,
    DepartmentsQuery,
    Doctor,
    DoctorsQuery,
    QueuePosition,
    QueueQuery,
    QueueState,
    Registration,
    RegistrationCancel,
    RegistrationOrder,
    RegistrationsQuery,
    RegistrationState,
    Released,
    Schedule,
    SchedulesQuery,
    ScheduleState,
    Slot,
    SlotHold,
    SlotLock,
    SlotRelease,
    SlotsQuery,
)
from his.port.codec import decode, decode_answer, encode
from his.port.errors import (
    HisError,
    NotFound,
    Rejected,
    RejectReason,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from his.port.events import HisEvent, HisEventKind
from his.port.gateway import Ctx, Fetched, HisPort, Lane
from his.port.inpatient import (
    Admission,
    AdmissionQuery,
    AdmissionsQuery,
    AdmissionStatus,
    CategoryTotal,
    ChargeSummary,
    ChargeSummaryQuery,
    DailyStatement,
    DailyStatementQuery,
    Prepayment,
    PrepaymentOrder,
    PrepaymentsQuery,
    WristbandCheck,
    WristbandCheckQuery,
    WristbandVerdict,
)
from his.port.money import (
    Balance,
    BalanceQuery,
    ChargeItem,
    Invoice,
    InvoicesQuery,
    PayMethod,
    PendingCharges,
    PendingChargesQuery,
    PreSettlement,
    PreSettlementOrder,
    ReconcileDay,
    ReconcileLine,
    ReconcileQuery,
    Refund,
    RefundOrder,
    Settlement,
    SettlementOrder,
    TopUp,
    TopUpOrder,
    TopUpsQuery,
)
from his.port.ops import Command, Done, NotDone, Op, OpClass, Query, Resolution, StillUnknown, answer_type, personal
from his.port.pacs import PICTURE_CAP, WIDTHS, NotAnImage, PacsPort, StudyImage
from his.port.people import (
    CardApplication,
    CardKind,
    CardStatus,
    Health,
    HealthQuery,
    IdType,
    IssuedCard,
    Patient,
    PatientCard,
    PatientQuery,
    Sex,
)
from his.port.results import (
    ABNORMAL,
    AbnormalFlag,
    PrescriptionItem,
    Report,
    ReportKind,
    ReportQuery,
    ReportsQuery,
    ReportSummary,
    ResultItem,
    Visit,
    VisitDetail,
    VisitNote,
    VisitQuery,
    VisitsQuery,
)

QUERIES: tuple[type[Query[object]], ...] = (
    HealthQuery, DepartmentsQuery, DoctorsQuery, PatientQuery, SchedulesQuery, SlotsQuery, RegistrationsQuery,
    AppointmentsQuery, QueueQuery, BalanceQuery, TopUpsQuery, PendingChargesQuery, VisitsQuery, VisitQuery,
    ReportsQuery, ReportQuery, AdmissionQuery, AdmissionsQuery, DailyStatementQuery, ChargeSummaryQuery,
    PrepaymentsQuery, InvoicesQuery, WristbandCheckQuery, ReconcileQuery,
)  # fmt: skip
COMMANDS: tuple[type[Command[object]], ...] = (
    CardApplication, SlotLock, SlotRelease, RegistrationOrder, RegistrationCancel, BookingOrder, BookingCancel,
    CheckInOrder, TopUpOrder, RefundOrder, PreSettlementOrder, SettlementOrder, PrepaymentOrder,
)  # fmt: skip
BY_OP: dict[Op, type[Query[object]] | type[Command[object]]] = {
    **{query.op: query for query in QUERIES},
    **{command.op: command for command in COMMANDS},
}

__all__ = [
    "ABNORMAL", "BY_OP", "COMMANDS", "PICTURE_CAP", "QUERIES", "WIDTHS", "AbnormalFlag", "Admission",
    "AdmissionQuery", "AdmissionStatus",
    "AdmissionsQuery", "Appointment", "AppointmentsQuery", "Balance", "BalanceQuery", "BookingCancel", "BookingOrder",
    "Cancellation", "CardApplication", "CardKind", "CardStatus", "CategoryTotal", "ChargeItem", "ChargeSummary",
    "ChargeSummaryQuery", "CheckInOrder", "CheckedIn", "Command", "Ctx", "DailyStatement", "DailyStatementQuery",
    "DayPart", "Department", "DepartmentsQuery", "Doctor", "DoctorsQuery", "Done", "Fetched", "Health", "HealthQuery",
    "HisError", "HisEvent", "HisEventKind", "HisPort", "IdType", "Invoice", "InvoicesQuery", "IssuedCard", "Lane",
    "NotAnImage", "NotDone", "NotFound", "Op",
    "OpClass", "PacsPort", "Patient", "PatientCard", "PatientQuery", "PayMethod", "PendingCharges", "PendingChargesQuery",
    "PreSettlement", "PreSettlementOrder", "Prepayment", "PrepaymentOrder", "PrepaymentsQuery", "PrescriptionItem",
    "Query", "QueuePosition", "QueueQuery", "QueueState", "ReconcileDay", "ReconcileLine", "ReconcileQuery", "Refund",
    "RefundOrder", "Registration", "RegistrationCancel", "RegistrationOrder", "RegistrationState",
    "RegistrationsQuery", "RejectReason", "Rejected", "Released", "Report", "ReportKind", "ReportQuery",
    "ReportSummary", "ReportsQuery", "Resolution", "ResultItem", "Schedule", "ScheduleState", "SchedulesQuery",
    "Settlement", "SettlementOrder", "Sex", "Slot", "SlotHold", "SlotLock", "SlotRelease", "SlotsQuery",
    "StillUnknown", "StudyImage", "TopUp", "TopUpOrder", "TopUpsQuery", "Unavailable", "UnknownOutcome", "Unsupported", "Visit",
    "VisitDetail", "VisitNote", "VisitQuery", "VisitsQuery", "WristbandCheck", "WristbandCheckQuery",
    "WristbandVerdict", "answer_type", "decode",
    "decode_answer", "encode", "personal",
]  # fmt: skip
