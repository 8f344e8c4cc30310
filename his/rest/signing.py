"""Signs a request: a digest over sorted parameters or the body, with a key, a time and a nonce."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI
from his.mapping.writing import written
from his.rest.options import Into, Signing

PLACES = ("parameters", "body", "key", "op", "method", "path", "timestamp", "nonce")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class Outgoing:
    """A request on its way: parameters, headers, and what the signature may cover."""

    op: str
    method: str
    path: str
    parameters: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Signer:
    """Signs by one mapping; ValueError when its template names a place that is not there."""

    def __init__(self, signing: Signing, key: str, charset: str) -> None:
        for place in _PLACE.findall(signing.template):
            if place not in PLACES:
                raise ValueError(f"{{{place}}} is no part of a request; there are {', '.join(PLACES)}")
        self._signing, self._key, self._charset = signing, key, charset
        self._of_body = "{body}" in signing.template
        if self._of_body and signing.into.header is None:
            raise ValueError("a signature over the body must go into a header")

    def sign(self, going: Outgoing, body: Callable[[dict[str, Any]], bytes]) -> None:
        """Put time, nonce and signature where they belong. `body`: the parameters as they will be sent."""
        how = self._signing
        known = {"op": going.op, "method": going.method, "path": going.path, "key": self._key}
        known["timestamp"] = str(written(datetime.now(SHANGHAI), how.timestamp_format))
        known["nonce"] = "".join(secrets.choice("0123456789") for _ in range(32))
        for name, into in (("timestamp", how.timestamp), ("nonce", how.nonce)):
            if into is not None:
                put(going, into, known[name])
        known["parameters"] = self._sorted(going.parameters)
        text = _PLACE.sub(lambda place: known[place[1]] if place[1] != "body" else "\0body\0", how.template)
        signed = text.encode(self._charset)
        if self._of_body:
            signed = signed.replace(b"\0body\0", body(going.parameters))
        put(going, how.into, self._digest(signed))

    def _sorted(self, parameters: dict[str, Any]) -> str:
        how = self._signing
        texts = {name: plain(value) for name, value in parameters.items() if name not in how.exclude}
        kept = [(name, texts[name]) for name in sorted(texts) if texts[name] or not how.skip_empty]
        return how.between.join(how.pair.replace("{name}", name).replace("{value}", value) for name, value in kept)

    def _digest(self, signed: bytes) -> str:
        match self._signing.kind:
            case "md5":
                digest = hashlib.md5(signed, usedforsecurity=False).hexdigest()  # the vendor's choice, not ours
            case "sha256":
                digest = hashlib.sha256(signed).hexdigest()
            case _:
                digest = hmac.new(self._key.encode(self._charset), signed, hashlib.sha256).hexdigest()
        return digest.upper() if self._signing.case == "upper" else digest


def put(going: Outgoing, into: Into, value: str) -> None:
    """Into a parameter or a header."""
    if into.parameter is not None:
        going.parameters[into.parameter] = value
    elif into.header is not None:
        going.headers[into.header] = value


def plain(value: Any) -> str:
    """A parameter as a form carries it: lists and objects as JSON, true and false as words."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)
