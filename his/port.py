"""What the house asks of a hospital information system: nouns, errors, and the `HisPort` protocol.

Errors (raised by every adapter, translated once at the adapter's edge):

    HisError
    ├── NotFound                   a well-formed answer: the HIS holds no such thing; final
    ├── Rejected(code, message)    a well-formed answer: the HIS says no; final, tell the patient
    ├── Unavailable(reason)        nothing was changed: not sent, or a read that failed; may be retried
    ├── UnknownOutcome(op_key)     a write was sent and nobody knows; never repeat, ask first
    └── Unsupported(op)            this HIS has no such operation; hide the function

Code sets of a HIS are mapped to the enums here; a code nobody listed becomes UNKNOWN and is never guessed.
Datetimes are aware (Asia/Shanghai). The table of operations grows with the adapters: one `Op`, one method.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from core.errors import HospitalError

T = TypeVar("T")


class HisError(HospitalError):
    """Anything the HIS, or the way to it, can answer instead of a value."""


class NotFound(HisError):
    """The HIS answered: no such patient, card or admission."""


class Rejected(HisError):
    """The HIS answered and refused; `code` is its own word, `message` its own sentence."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"rejected {code}")
        self.code = code
        self.message = message


class Unavailable(HisError):
    """No usable answer and nothing changed. `reason` is a machine word: see `his.guard`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownOutcome(HisError):
    """A write left this machine and its fate is unknown; `op_key` is what to ask about."""

    def __init__(self, op_key: str) -> None:
        super().__init__("outcome unknown")
        self.op_key = op_key


class Unsupported(HisError):
    """The operation is not among this HIS's capabilities."""


class Op(StrEnum):
    """One operation of the HIS; the value is its name on the wire, in logs and in capability lists."""

    HEALTH = "health"
    QUERY_PATIENT = "query_patient"
    QUERY_ADMISSION = "query_admission"


class Sex(StrEnum):
    """Sex as the HIS records it (GB/T 2261.1: 1 male, 2 female, everything else unknown)."""

    MALE = "male"
    FEMALE = "female"
    UNKNOWN = "unknown"


class CardKind(StrEnum):
    """What a patient holds in the hand."""

    CLINIC = "clinic"  # 就诊卡
    INSURANCE = "insurance"  # 社保卡
    UNKNOWN = "unknown"


class CardStatus(StrEnum):
    """Only ACTIVE may be used; LOST and CLOSED are refused by the services."""

    ACTIVE = "active"
    LOST = "lost"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class AdmissionStatus(StrEnum):
    """Where a stay stands; only ADMITTED is a patient lying in a bed now."""

    ADMITTED = "admitted"
    DISCHARGED = "discharged"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PatientCard:
    """A card (就诊卡): 12 digits in most houses."""

    card_no: str
    kind: CardKind = CardKind.UNKNOWN
    status: CardStatus = CardStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class Patient:
    """A person the HIS knows. `birth_date` is None and strings are "" where the HIS cannot say."""

    patient_id: str
    name: str
    sex: Sex
    birth_date: date | None
    id_no: str = field(repr=False)
    phone: str = field(repr=False)
    deceased: bool = False
    cards: tuple[PatientCard, ...] = ()


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
class PatientQuery:
    """Exactly one of the keys; ValueError otherwise."""

    card_no: str | None = None
    patient_id: str | None = None

    def __post_init__(self) -> None:
        """Two keys would need a rule which one wins; no key would ask for everybody."""
        if (self.card_no is None) == (self.patient_id is None):
            raise ValueError("ask by card_no or by patient_id")


@dataclass(frozen=True, slots=True)
class AdmissionQuery:
    """Exactly one of the keys; ValueError otherwise.

    `wristband_no` names one stay. `admission_no` and `patient_id` answer the current stay, else the latest.
    """

    admission_no: str | None = None
    wristband_no: str | None = None
    patient_id: str | None = None

    def __post_init__(self) -> None:
        """See `PatientQuery`."""
        if sum(key is not None for key in (self.admission_no, self.wristband_no, self.patient_id)) != 1:
            raise ValueError("ask by admission_no, by wristband_no or by patient_id")


@dataclass(frozen=True, slots=True)
class Ctx:
    """How one call is made. `deadline_s`: seconds for the whole call: connect, send and every read."""

    deadline_s: float = 2.0
    actor: str = ""
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """A value and how fresh it is; `stale` means the HIS could not be asked and this is what it last said."""

    value: T
    fetched_at: datetime
    stale: bool = False


class HisPort(Protocol):
    """What every adapter implements; every method is thread-safe and raises only `HisError`s."""

    capabilities: frozenset[Op]

    def health(self, ctx: Ctx) -> None:
        """Return when the HIS answers; Unavailable otherwise."""

    def query_patient(self, q: PatientQuery, ctx: Ctx) -> Fetched[Patient]:
        """The patient, with every card; NotFound, Rejected("ambiguous"), Unavailable."""

    def query_admission(self, q: AdmissionQuery, ctx: Ctx) -> Fetched[Admission]:
        """The stay, discharged ones too; NotFound, Rejected, Unavailable."""

    def close(self) -> None:
        """Give back every connection; calls after it raise Unavailable."""
