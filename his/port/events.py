"""What a HIS tells us of its own accord: one shape for events over the Bridge API and over HL7 v2."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class HisEventKind(StrEnum):
    """What happened; the value is its name in the Bridge API. `ref` of the event is the number named behind each."""

    QUEUE_CALLED = "queue_called"  # 叫号; ref: registration_no
    CLINIC_STOPPED = "clinic_stopped"  # 停诊; ref: schedule_id
    REPORT_RELEASED = "report_released"  # 报告已出; ref: report_no
    FEE_ADDED = "fee_added"  # 新增费用; ref: the charge's or order's number
    ADMITTED = "admitted"  # 入院; ref: admission_no
    DISCHARGED = "discharged"  # 出院; ref: admission_no
    TRANSFERRED = "transferred"  # 转科、转床; ref: admission_no
    APPOINTMENT_CHANGED = "appointment_changed"  # 预约变更; ref: appointment_no
    PATIENT_UPDATED = "patient_updated"  # 患者信息变更; ref: patient_id
    REGISTERED = "registered"  # 在窗口挂号; ref: registration_no


@dataclass(frozen=True, slots=True)
class HisEvent:
    """One event. `event_id` is unique within its `source` (`bridge:` and a client's name, `hl7:` and a sender).

    `at` is aware; `patient_id` is the HIS's, "" where the event is about nobody (a stopped clinic). `data` holds what
    else the HIS said, by the keys of the integrator's guide: it may name a person and is kept out of repr and logs.
    At most 96, 128, 64 and 64 characters of source, event_id, patient_id and ref, without control characters.
    ValueError where something is missing, too long or has no time zone.
    """

    source: str
    event_id: str
    kind: HisEventKind
    at: datetime
    patient_id: str = ""
    ref: str = ""
    data: Mapping[str, str | int] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        """An event nobody can tell apart from another, or place in time, is none."""
        if not self.source or not self.event_id:
            raise ValueError("an event needs its source and its event_id")
        for text, longest in ((self.source, 96), (self.event_id, 128), (self.patient_id, 64), (self.ref, 64)):
            if len(text) > longest or not text.isprintable():
                raise ValueError(
                    f"an event's source, event_id, patient_id and ref are printable; this one at most {longest}"
                )
        if self.at.utcoffset() is None:
            raise ValueError("an event's time needs its zone")
