"""The HIS that speaks JSON over HTTP: `POST /api/<operation>`, reply `{"code", "message", "data"}`.

Codes: "0" ok, "1" no data, "2" refused, "-1" the HIS failed; any other is unmapped and decides nothing.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from core.clock import SHANGHAI
from his.adapter import Call
from his.faults import Broken, NotSent
from his.http import HttpEndpoint, HttpOptions
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionStatus,
    CardKind,
    CardStatus,
    Command,
    Health,
    NotFound,
    Op,
    Patient,
    PatientCard,
    PatientQuery,
    Query,
    Rejected,
    Resolution,
    Sex,
)
from his.wire import Response

SEXES = {"1": Sex.MALE, "2": Sex.FEMALE}
CARD_KINDS = {"01": CardKind.CLINIC, "02": CardKind.INSURANCE}
CARD_STATUSES = {"1": CardStatus.ACTIVE, "2": CardStatus.LOST, "3": CardStatus.CLOSED}
ADMISSION_STATUSES = {
    "I": AdmissionStatus.ADMITTED,
    "O": AdmissionStatus.DISCHARGED,
    "C": AdmissionStatus.CANCELLED,
}
WALL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


class RestOptions(BaseModel):
    """How this HIS is reached; the form in the admin pages and `config.yaml` both come from here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s?#]*)?$")] = Field(
        description="Address of the HIS interface, such as http://10.1.2.3:8080"
    )
    token: SecretStr = Field(description="Sent as X-Token; write env:NAME or file:PATH")
    connect_ms: int = Field(1000, ge=50, le=10_000, description="Longest to wait for a connection")
    charset: Literal["utf-8", "gb18030"] = Field("utf-8", description="Character set of the replies")
    pool_size: int = Field(8, ge=1, le=64, description="Connections at most; further calls wait their turn")
    idle_s: int = Field(20, ge=1, le=600, description="Unused connections are closed after so many seconds")
    body_cap_kib: int = Field(4096, ge=16, le=65_536, description="Largest reply accepted, in KiB")
    ca_file: str | None = Field(None, description="PEM of the authority that signed the HIS's certificate")


class RestAdapter:
    """See `his.adapter.Adapter`."""

    capabilities: frozenset[Op] = frozenset({Op.HEALTH, Op.QUERY_PATIENT, Op.QUERY_ADMISSION})
    resolvable: frozenset[Op] = frozenset()
    dedups: frozenset[Op] = frozenset()

    def __init__(self, options: RestOptions) -> None:
        self._charset = options.charset
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

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        asked = {
            key: value
            for key in ("card_no", "patient_id", "wristband_no", "admission_no")
            if (value := getattr(query, key, None)) is not None
        }
        data = self._ask(query.op, asked, call.deadline)
        if isinstance(query, PatientQuery):
            return read_patient(data)
        return read_admission(data) if isinstance(query, AdmissionQuery) else Health()

    def do(self, _command: Command[Any], _call: Call) -> Any:
        """See `Adapter`."""
        raise NotSent("unsupported")

    def resolve(self, _command: Command[Any], _call: Call) -> Resolution[Any]:
        """See `Adapter`."""
        raise NotSent("unsupported")

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
            reply = json.loads(response.body.decode(self._charset))
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


OPTIONS = RestOptions
make = RestAdapter


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
