"""What the bridge takes and gives, as pydantic models: checked on the way in, documented on the way out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from core.codes.classify import CodeClass
from core.outcomes import Outcome
from his.port import HisEventKind

EVENTS_MAX = 100
_LONGEST = 2**53 - 1


def _text_only(value: object) -> object:
    """Numbers would be taken for seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("a time is text such as 2026-11-24T09:30:00+08:00")
    return value


def _plausible(at: datetime) -> datetime:
    if not 2000 <= at.year < 2100:
        raise ValueError("the year lies outside 2000 to 2099")
    return at


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not taken here")
    return text


At = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_plausible)]
Word = Annotated[StrictStr, AfterValidator(_printable)]
StationCode = Annotated[Word, Field(min_length=1, max_length=32)]
DataKey = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
DataValue = Annotated[StrictStr, Field(max_length=500)] | Annotated[StrictInt, Field(ge=-_LONGEST, le=_LONGEST)]


class In(BaseModel):
    """What is taken: no member that is not listed, no value turned into another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ResolveIn(In):
    """A code that a workstation of the HIS has read."""

    code: StrictStr = Field(min_length=1, max_length=4096, description="The code as read; an AIM prefix may stay.")
    station: StationCode | None = Field(
        None,
        description="A station of ours: the code is scanned there, its screen shows it and the code is used up. "
        "Left out: it is only looked up.",
    )


class ScanIn(In):
    """A scan made elsewhere; exactly one of `text` and `raw_hex`."""

    scan_id: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] = Field(
        description="Your own number of this scan, new for each scan; the same one again gives the same outcome."
    )
    station: StationCode = Field(description="The station it was made at.")
    device: Annotated[Word, Field(min_length=1, max_length=32)] = Field(description="Your name of the scanner.")
    text: Annotated[StrictStr, Field(min_length=1, max_length=4096)] | None = Field(None, description="As decoded.")
    raw_hex: Annotated[StrictStr, Field(pattern=r"^(?:[0-9A-Fa-f]{2}){1,4096}$")] | None = Field(
        None, description="The bytes of the scanner in hexadecimal; read as UTF-8, else GB18030."
    )
    symbology: Annotated[Word, Field(max_length=32)] | None = Field(
        None, description="As your reader names it; GS1… means GS1 element strings."
    )
    at: At = Field(description="When it was read, with the zone; at most 12 hours ago.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.text is None) == (self.raw_hex is None):
            raise ValueError("give exactly one of text and raw_hex")
        return self


class EventIn(In):
    """Something that happened in the HIS."""

    event_id: Annotated[Word, Field(min_length=1, max_length=128)] = Field(
        description="Your own number of this event; sent again, it is seen, not done again."
    )
    kind: HisEventKind = Field(description="What happened.")
    at: At = Field(description="When it happened, with the zone.")
    patient_id: Annotated[Word, Field(max_length=64)] = Field(
        "", description="Whom it is about; needed but for clinic_stopped and queue_called."
    )
    ref: Annotated[Word, Field(max_length=64)] = Field(
        "",
        description="The number it is about: registration_no (queue_called, registered), schedule_id "
        "(clinic_stopped, needed there), report_no, charge, admission_no, appointment_no.",
    )
    data: Annotated[dict[DataKey, DataValue], Field(max_length=32)] = Field(
        default_factory=dict,
        description="What else is known. queue_called: queue_no, department, room, doctor, name (shown masked), "
        "station (the code of a station of ours that shall show the call).",
    )

    @model_validator(mode="after")
    def _about_something(self) -> Self:
        if self.kind is HisEventKind.CLINIC_STOPPED:
            if not self.ref:
                raise ValueError("clinic_stopped needs ref: the schedule_id")
        elif self.kind is not HisEventKind.QUEUE_CALLED and not self.patient_id:
            raise ValueError("this kind needs patient_id")
        return self


class ScansQuery(In):
    """Which scans."""

    since: int = Field(0, ge=0, le=2**63 - 1, description="The `next` of the answer before; 0: from the oldest kept.")
    limit: int = Field(100, ge=1, le=500, description="At most so many.")
    station: StationCode | None = Field(None, description="Only this station; else all that the token is for.")


class Say(BaseModel):
    """One sentence in both languages."""

    zh_cn: str = Field(alias="zh-CN")
    en: str


class Next(BaseModel):
    """What to do next: the machine's word, and its label."""

    code: str
    label: Say


class PatientShown(BaseModel):
    """Masked unless the station is staff-only."""

    name: str
    sex: str
    age: int | None
    card_last4: str | None
    id_last4: str | None
    kind: str = Field(description="outpatient or inpatient")


class VisitShown(BaseModel):
    """Where an inpatient lies."""

    ward: str
    bed: str
    admission_no_last4: str


class HisIds(BaseModel):
    """Identifiers of the HIS, in full, as far as they are known."""

    patient_id: str | None = None
    card_no: str | None = None
    admission_no: str | None = None
    admission_seq: int | None = None
    wristband_no: str | None = None


class OutcomeOut(BaseModel):
    """The scan outcome, the same on screens, agents and here."""

    model_config = ConfigDict(extra="forbid")

    seq: int | None = Field(description="Its number at its station; null when no station was named.")
    scan_id: str = Field(description="Yours where you gave one, else ours.")
    station: str = Field(description="The station's code; `bridge:` and the client's name when none was named.")
    at: datetime = Field(description="When it was read.")
    outcome: Outcome = Field(description="How it ended; programs go by this.")
    code_class: CodeClass = Field(description="What the code was.")
    say: Say = Field(description="The sentence for people.")
    next: Next = Field(description="What to do.")
    ms: float = Field(description="Milliseconds from the reading to the answer.")
    patient: PatientShown | None = Field(None, description="Who it is, as a screen may show it.")
    visit: VisitShown | None = Field(None, description="An inpatient's place.")
    first_scan: datetime | None = Field(None, description="`already_done`, `replayed`: when the code was accepted.")
    first_station: str | None = Field(None, description="And where.")
    his: HisIds | None = Field(None, description="Only for whom an outcome identifies.")


class FeedScan(OutcomeOut):
    """A scan with its place in the feed."""

    cursor: int = Field(description="Its place in the feed.")


class ScansOut(BaseModel):
    """Scans, oldest first."""

    model_config = ConfigDict(extra="forbid")

    scans: list[FeedScan] = Field(description="Scan outcomes, each with its `cursor`.")
    next: int = Field(description="Say it as `since` the next time. It grows, with gaps.")


class Fault(BaseModel):
    """What does not fit, without the value."""

    index: int | None = Field(None, description="Which event of the list, from 0.")
    pointer: str | None = Field(None, description="JSON Pointer of the member.")
    code: str | None = Field(None, description="A problem code, in a list of events.")
    detail: str = Field(description="What is wrong, in English.")


class EventResult(BaseModel):
    """What became of one event of the list."""

    index: int = Field(description="Which event of the list, from 0.")
    status: str = Field(description="new, seen or refused")


class EventsOut(BaseModel):
    """What became of the events, in their order; `errors` says why some were refused."""

    model_config = ConfigDict(extra="forbid")

    new: int = Field(description="How many were stored now.")
    seen: int = Field(description="How many were there already.")
    refused: int = Field(description="How many do not fit.")
    results: list[EventResult] = Field(description="What became of each.")
    errors: list[Fault] = Field(default_factory=list, description="Why some were refused; left out when none was.")


class ProblemOut(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="Where it is explained: an address on this page.")
    title: str = Field(description="The same for every problem with this code.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What to do, in English.")
    instance: str = Field(description="This very occurrence; give it to IT.")
    code: str = Field(description="The machine's word; programs go by this.")
    say: Say = Field(description="What to do, in both languages.")
    errors: list[Fault] = Field(
        default_factory=list, description="What does not fit; left out when nothing is to be named."
    )


Json = dict[str, Any]
PARTS: tuple[type[BaseModel], ...] = (ProblemOut, Fault, EventResult, Say, Next, PatientShown, VisitShown, HisIds)
"""What the members of answers are made of, for the reference page."""
