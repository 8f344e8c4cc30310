"""The HIS that speaks JSON over HTTP: `POST /api/<operation>`, reply `{"code", "message", "data"}`.

Codes: "0" ok, "1" no data, "2" refused, "-1" the HIS failed; any other is unmapped and decides nothing.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from core.clock import SHANGHAI
from his.guard import Guard, GuardOptions
from his.http import HttpEndpoint, HttpOptions
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionStatus,
    CardKind,
    CardStatus,
    Ctx,
    Fetched,
    NotFound,
    Op,
    Patient,
    PatientCard,
    PatientQuery,
    Rejected,
    Sex,
)
from his.wire import Broken, Response

T = TypeVar("T")

SEXES = {"1": Sex.MALE, "2": Sex.FEMALE}
CARD_KINDS = {"01": CardKind.CLINIC, "02": CardKind.INSURANCE}
CARD_STATUSES = {"1": CardStatus.ACTIVE, "2": CardStatus.LOST, "3": CardStatus.CLOSED}
ADMISSION_STATUSES = {
    "I": AdmissionStatus.ADMITTED,
    "O": AdmissionStatus.DISCHARGED,
    "C": AdmissionStatus.CANCELLED,
}
_raw_decode = json.JSONDecoder().raw_decode
WALL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


class RestOptions(BaseModel):
    """How this HIS is reached; the form in the admin pages and `config.yaml` both come from here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s?#]*)?$")] = Field(
        description="Address of the HIS interface, such as http://10.1.2.3:8080"
    )
    token: SecretStr = Field(description="Sent as X-Token; write env:NAME or file:PATH")
    deadline_ms: int = Field(5000, ge=100, le=60_000, description="Longest a call may take, all in all")
    connect_ms: int = Field(1000, ge=50, le=10_000, description="Longest to wait for a connection")
    charset: Literal["utf-8", "gb18030"] = Field("utf-8", description="Character set of the replies")
    pool_size: int = Field(8, ge=1, le=64, description="Connections at most; further calls wait their turn")
    idle_s: int = Field(20, ge=1, le=600, description="Unused connections are closed after so many seconds")
    body_cap_kib: int = Field(4096, ge=16, le=65_536, description="Largest reply accepted, in KiB")
    breaker_failures: int = Field(5, ge=1, le=100, description="Failures in a row that open the breaker")
    breaker_probe_ms: int = Field(2000, ge=100, le=60_000, description="How often a broken HIS is tried again")
    ca_file: str | None = Field(None, description="PEM of the authority that signed the HIS's certificate")


class RestHis:
    """`HisPort` over JSON; thread-safe, connects at the first call."""

    capabilities: frozenset[Op] = frozenset({Op.HEALTH, Op.QUERY_PATIENT, Op.QUERY_ADMISSION})

    def __init__(self, options: RestOptions) -> None:
        self._charset = options.charset
        self._guard = Guard(
            GuardOptions(options.deadline_ms / 1000, options.breaker_failures, options.breaker_probe_ms / 1000)
        )
        self._endpoint = HttpEndpoint(
            options.base_url,
            {"X-Token": options.token.get_secret_value(), "Content-Type": "application/json"},
            HttpOptions(
                connect_s=options.connect_ms / 1000,
                idle_s=options.idle_s,
                pool_size=options.pool_size,
                body_cap=options.body_cap_kib * 1024,
                ca_file=options.ca_file,
            ),
        )

    def health(self, ctx: Ctx) -> None:
        """See `HisPort`."""
        self._guard.read(Op.HEALTH, ctx, lambda deadline: self._ask(Op.HEALTH, {}, deadline))

    def query_patient(self, q: PatientQuery, ctx: Ctx) -> Fetched[Patient]:
        """See `HisPort`."""
        key, asked = ("card_no", q.card_no) if q.card_no is not None else ("patient_id", q.patient_id)

        def run(deadline: float) -> Patient:
            patient = read_patient(self._ask(Op.QUERY_PATIENT, {key: asked}, deadline))
            held = {card.card_no for card in patient.cards} if key == "card_no" else {patient.patient_id}
            if asked not in held:
                raise Broken("wrong_record")
            return patient

        return fetched(self._guard.read(Op.QUERY_PATIENT, ctx, run))

    def query_admission(self, q: AdmissionQuery, ctx: Ctx) -> Fetched[Admission]:
        """See `HisPort`."""
        keys = (("wristband_no", q.wristband_no), ("admission_no", q.admission_no), ("patient_id", q.patient_id))
        key, asked = next(pair for pair in keys if pair[1] is not None)

        def run(deadline: float) -> Admission:
            data = self._ask(Op.QUERY_ADMISSION, {key: asked}, deadline)
            admission = read_admission(data)
            held = admission.patient.patient_id if key == "patient_id" else data.get(key)
            if asked != held:
                raise Broken("wrong_record")
            return admission

        return fetched(self._guard.read(Op.QUERY_ADMISSION, ctx, run))

    def close(self) -> None:
        """See `HisPort`."""
        self._endpoint.close()

    def _ask(self, op: Op, arguments: Mapping[str, str | None], deadline: float) -> dict[str, Any]:
        """One read; its `data`. Raises NotFound, Rejected, NotSent, Broken."""
        body = json.dumps(arguments).encode("ascii")
        return self._unwrap(self._endpoint.post(f"/api/{op.value}", body, deadline, repeatable=True))

    def _unwrap(self, response: Response) -> dict[str, Any]:
        if response.status != 200:
            raise Broken("unauthorized" if response.status in (401, 403) else f"http_{response.status}")
        try:
            reply = _decode(response.body.decode(self._charset))
        except (ValueError, RecursionError):
            raise Broken("bad_reply") from None
        if not isinstance(reply, dict):
            raise Broken("bad_reply")
        code, message, data = reply.get("code"), reply.get("message"), reply.get("data")
        if code == "0":
            if not isinstance(data, dict):
                raise Broken("bad_reply")
            return cast("dict[str, Any]", data)
        if code == "1":
            raise NotFound
        if code == "2":
            raise Rejected("2", message if isinstance(message, str) else "")
        raise Broken("his_exception" if code == "-1" else "unmapped_code" if isinstance(code, str) else "bad_reply")


def _decode(text: str) -> Any:
    """`json.loads` less its regular expressions for blanks, which cost as much as the rest. Raises ValueError."""
    text = text.strip(" \t\r\n")
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than one value")
    return value


def fetched(value: T) -> Fetched[T]:
    """`value` as of now."""
    return Fetched(value, datetime.now(SHANGHAI))


def read_patient(data: Mapping[str, Any]) -> Patient:
    """The wire's patient as ours; raises Broken("bad_reply") when who it is cannot be told."""
    cards = data.get("cards")
    return Patient(
        patient_id=_required(data, "patient_id"),
        name=_required(data, "name"),
        sex=SEXES.get(_text(data, "sex"), Sex.UNKNOWN),
        birth_date=_day(_text(data, "birth_date")),
        id_no=_text(data, "id_no"),
        phone=_text(data, "phone"),
        deceased=data.get("deceased") is True,
        cards=tuple(_card(card) for card in cards if isinstance(card, dict)) if isinstance(cards, list) else (),
    )


def read_admission(data: Mapping[str, Any]) -> Admission:
    """The wire's admission as ours; raises Broken("bad_reply") when who, which stay or when cannot be told."""
    patient, seq = data.get("patient"), data.get("admission_seq")
    if not isinstance(patient, dict) or type(seq) is not int or seq < 1:
        raise Broken("bad_reply")
    discharged = _text(data, "discharged_at")
    return Admission(
        admission_no=_required(data, "admission_no"),
        admission_seq=seq,
        patient=read_patient(patient),
        ward_code=_text(data, "ward_code"),
        ward_name=_text(data, "ward_name"),
        bed_no=_text(data, "bed_no"),
        department=_text(data, "department"),
        doctor=_text(data, "doctor"),
        admitted_at=_moment(_text(data, "admitted_at")),
        discharged_at=_moment(discharged) if discharged else None,
        status=ADMISSION_STATUSES.get(_text(data, "status"), AdmissionStatus.UNKNOWN),
        wristband_no=_text(data, "wristband_no"),
    )


def _card(data: Mapping[str, Any]) -> PatientCard:
    return PatientCard(
        _required(data, "card_no"),
        CARD_KINDS.get(_text(data, "kind"), CardKind.UNKNOWN),
        CARD_STATUSES.get(_text(data, "status"), CardStatus.UNKNOWN),
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    """A text field, "" when the HIS cannot supply it (absent, null, or its sentinels -1 and [])."""
    value = data.get(key)
    return value if isinstance(value, str) and value != "-1" else ""


def _required(data: Mapping[str, Any], key: str) -> str:
    text = _text(data, key)
    if not text:
        raise Broken("bad_reply")
    return text


def _day(text: str) -> date | None:
    """YYYY-MM-DD; None for anything else: an impossible birth date is unknown, not repaired."""
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    """The HIS's wall time `YYYY-MM-DD HH:MM:SS`, which is Shanghai's."""
    if not WALL_TIME.fullmatch(text):
        raise Broken("bad_reply")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
    except ValueError:
        raise Broken("bad_reply") from None
