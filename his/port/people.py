"""Patients and their cards: who somebody is to the HIS."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from his.port.ops import Command, Op, OpClass, Query, personal


class Sex(StrEnum):
    """Sex as the HIS records it (GB/T 2261.1: 1 male, 2 female, everything else unknown)."""

    MALE = "male"
    FEMALE = "female"
    UNKNOWN = "unknown"


class IdType(StrEnum):
    """Kinds of identity document (WS/T 364, CV02.01.101)."""

    ID_CARD = "id_card"  # 居民身份证 01
    HOUSEHOLD = "household"  # 居民户口簿 02
    PASSPORT = "passport"  # 护照 03
    OFFICER = "officer"  # 军官证 04
    DRIVING = "driving"  # 驾驶证 05
    HK_MACAO = "hk_macao"  # 港澳居民来往内地通行证 06
    TAIWAN = "taiwan"  # 台湾居民来往内地通行证 07
    BIRTH_CERTIFICATE = "birth_certificate"  # 出生医学证明
    FOREIGN_RESIDENT = "foreign_resident"  # 外国人永久居留证
    UNKNOWN = "unknown"  # 99


class CardKind(StrEnum):
    """What a patient holds in the hand."""

    CLINIC = "clinic"  # 就诊卡
    INSURANCE = "insurance"  # 社保卡
    E_HEALTH = "e_health"  # 电子健康卡
    UNKNOWN = "unknown"


class CardStatus(StrEnum):
    """Only ACTIVE may be used; LOST and CLOSED are refused by the services."""

    ACTIVE = "active"
    LOST = "lost"
    CLOSED = "closed"
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
    id_no: str = personal()
    phone: str = personal()
    deceased: bool = False
    cards: tuple[PatientCard, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """The HIS answers; `at` is its own clock where it says."""

    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HealthQuery(Query[Health]):
    """Is it there, does it know us?"""

    op: ClassVar = Op.HEALTH
    op_class: ClassVar = OpClass.HEALTH


@dataclass(frozen=True, slots=True)
class PatientQuery(Query[Patient]):
    """Exactly one of the keys; ValueError otherwise. More than one match is Rejected with AMBIGUOUS."""

    op: ClassVar = Op.QUERY_PATIENT
    card_no: str | None = None
    patient_id: str | None = None
    id_no: str | None = personal(None)

    def __post_init__(self) -> None:
        """Two keys would need a rule which one wins; no key would ask for everybody."""
        if (self.card_no is None) + (self.patient_id is None) + (self.id_no is None) != 2:
            raise ValueError("ask by card_no, by patient_id or by id_no")


@dataclass(frozen=True, slots=True)
class IssuedCard:
    """A card just issued, and whose it is."""

    card_no: str
    patient: Patient


@dataclass(frozen=True, slots=True)
class CardApplication(Command[IssuedCard]):
    """Issue an electronic card (在线办卡); a guardian is named for a child."""

    op: ClassVar = Op.CREATE_CARD
    op_key: str
    name: str
    sex: Sex
    birth_date: date
    id_type: IdType
    id_no: str = personal()
    phone: str = personal()
    guardian_name: str = personal("")
    guardian_id_no: str = personal("")
