"""The two faces of the hospital: JSON and SOAP. Each reads a request into an operation and writes its outcome."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from simulators.his import faults, soap
from simulators.his.answers import Data

JSON_TYPE = "application/json; charset=utf-8"
XML_TYPE = "text/xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an operation: ok, nodata, duplicate, refused or exception."""

    kind: str
    message: str = ""
    data: Data = field(default_factory=dict)
    reason: str = ""
    shortfall_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send."""

    status: int
    body: bytes
    media_type: str = JSON_TYPE


class Request(Protocol):
    """A request that was understood: `op` by the wire's name; `asked` None where the arguments make no sense."""

    op: str
    asked: Data | None

    def reply(self, outcome: Outcome) -> Reply:
        """The outcome in the language of the request."""

    def attack(self, mode: str, fetch_url: str) -> Reply:
        """A reply that would hurt a careless XML reader."""


class JsonRequest:
    """`POST /api/<op>`."""

    def __init__(self, op: str, body: bytes) -> None:
        self.op = op
        self.asked: Data | None = None
        with contextlib.suppress(ValueError, RecursionError):
            asked = json.loads(body or b"{}")
            self.asked = asked if isinstance(asked, dict) else None

    def reply(self, outcome: Outcome) -> Reply:
        """See `Request`."""
        return Reply(200, json_reply(outcome))

    def attack(self, _mode: str, _fetch_url: str) -> Reply:
        """JSON has no entities."""
        return Reply(200, faults.GARBAGE)


_CODES = {"ok": "0", "nodata": "1", "duplicate": "1", "refused": "2", "exception": "-1"}


def json_reply(outcome: Outcome) -> bytes:
    """The envelope every operation answers in."""
    envelope: dict[str, Any] = {"code": _CODES[outcome.kind], "message": outcome.message, "data": outcome.data}
    if outcome.reason:
        envelope["reason"] = outcome.reason
    if outcome.shortfall_fen is not None:
        envelope["shortfall_fen"] = outcome.shortfall_fen
    return json.dumps(envelope, ensure_ascii=False).encode()


class SoapRequest:
    """`POST /soap/HisService.asmx`; raises soap.Fault when it is no call this service knows."""

    def __init__(self, headers: Mapping[str, str], body: bytes, token: str) -> None:
        self._call = soap.read(headers.get("soapaction", ""), body, token)
        self.op = self._call.op
        self.asked = self._call.asked

    def reply(self, outcome: Outcome) -> Reply:
        """See `Request`."""
        return Reply(200, soap.envelope(self._call.name, self._inner(outcome)), XML_TYPE)

    def attack(self, mode: str, fetch_url: str) -> Reply:
        """See `Request`; the entity stands in returnDesc, or in the envelope."""
        own_file = (Path(__file__).parent / "README.md").as_uri()
        bomb, outside = faults.entities(fetch_url, own_file)
        doctype = bomb if mode.startswith("entity_bomb") else outside
        inner = "<Response><returnCode>1</returnCode><returnDesc>{}</returnDesc><Items/></Response>"
        if mode.endswith("_inner"):
            return Reply(200, soap.envelope(self._call.name, doctype + inner.format("&it;")), XML_TYPE)
        whole = soap.envelope(self._call.name, inner.format("__entity__")).decode().replace("__entity__", "&it;")
        declaration, rest = whole.split("?>", 1)
        return Reply(200, f"{declaration}?>{doctype}{rest}".encode(), XML_TYPE)

    def _inner(self, outcome: Outcome) -> str:
        if outcome.kind == "ok":
            shown = soap.shape_of(self._call, outcome.data)
            if shown is not None:
                return soap.response("1", "成功", shown[0], shown[1])
            return soap.response("0", "未查询到数据")
        code = {"nodata": "0", "duplicate": "2"}.get(outcome.kind, "-1")
        extra = {"errCode": outcome.reason} if outcome.reason else {}
        if outcome.shortfall_fen is not None:
            extra["lackCost"] = soap.yuan(outcome.shortfall_fen)
        return soap.response(code, outcome.message, extra=extra)


def soap_fault(problem: soap.Fault) -> Reply:
    """As ASP.NET answers what it cannot read."""
    return Reply(500, soap.fault(str(problem)), XML_TYPE)
