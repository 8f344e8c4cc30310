"""Writing HL7 v2 messages: segments from plain values, escapes, the character set, control ids."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI
from his.hl7v2.message import GB18030, UTF8

DECLARED = {UTF8: "UNICODE UTF-8", GB18030: "GB 18030-2000"}
"""Codec -> MSH-18 (table 0211)."""
_ESCAPES = {"|": "F", "^": "S", "~": "R", "\\": "E", "&": "T"}
_NEEDS = re.compile(r"\r\n|[|^~\\&\x00-\x1f\x7f]")
Value = Any
"""A field: text, a tuple of components (a component may be a tuple of subcomponents), or a list of repetitions."""


def escape(text: str) -> str:
    """Text as it may stand in a field with the usual separators; line ends become `\\.br\\`, other controls hex."""

    def one(match: re.Match[str]) -> str:
        found = match[0]
        if found in _ESCAPES:
            return f"\\{_ESCAPES[found]}\\"
        return "\\.br\\" if found[-1] in "\r\n" else f"\\X{ord(found):02X}\\"

    return _NEEDS.sub(one, text)


def _join(value: Value, separators: str = "~^&") -> str:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return separators[0].join(_join(one, separators) for one in value)
    joined = separators[1].join(_join(one, separators[1:]) for one in value)
    return joined.rstrip(separators[1])


class Draft:
    """A message being written; segments stand in the order of their first mention."""

    def __init__(self) -> None:
        self._segments: list[tuple[str, dict[int, Value]]] = []

    def add(self, name: str, fields: Mapping[int, Value]) -> None:
        """One more segment, its fields by number."""
        self._segments.append((name, dict(fields)))

    def put(self, path: str, text: str) -> None:
        """Set one leaf, such as PV1-19.1, in the first segment of that name, which is added when missing."""
        name, _, numbers = path.partition("-")
        field, component = (*(int(one) for one in numbers.split(".")), 1)[:2]
        fields = next((found for segment, found in self._segments if segment == name), None)
        if fields is None:
            fields = {}
            self._segments.append((name, fields))
        old = fields.get(field, "")
        parts: list[Value] = list(old) if isinstance(old, tuple) else [old]
        parts += [""] * (component - len(parts))
        parts[component - 1] = text
        fields[field] = tuple(parts)

    def encode(self, charset: str) -> bytes:
        """The message without its frame; UnicodeEncodeError when a text cannot be said in `charset`."""
        return "".join(_line(name, fields) + "\r" for name, fields in self._segments).encode(charset)


def _line(name: str, fields: Mapping[int, Value]) -> str:
    if name == "MSH":
        texts = [_join(fields.get(number, "")) for number in range(3, max(fields) + 1)]
        return "|".join(["MSH", "^~\\&", *texts]).rstrip("|")
    return "|".join([name, *(_join(fields.get(number, "")) for number in range(1, max(fields, default=0) + 1))]).rstrip(
        "|"
    )


def header(
    kind: Sequence[str], sender: Sequence[str], receiver: Sequence[str], more: Mapping[int, Value]
) -> dict[int, Value]:
    """MSH of ours: `kind` is MSH-9's components, `sender` and `receiver` application and facility; `more` by number."""
    return {
        3: sender[0], 4: sender[1], 5: receiver[0], 6: receiver[1], 7: stamp(datetime.now(SHANGHAI)),
        9: tuple(kind), **more,
    }  # fmt: skip


def stamp(at: datetime) -> str:
    """An aware time as DTM with its zone."""
    return at.strftime("%Y%m%d%H%M%S%z")


def yuan(fen: int) -> str:
    """1234 -> "12.34"."""
    return f"{fen // 100}.{fen % 100:02d}"


def derived_id(op: str, op_key: str) -> str:
    """MSH-10 of a write: the same command has the same one whenever it is sent; 20 characters, as v2.5 allows.

    Hex digits only: a receiver may look for segment names anywhere (node-hl7-server 2.5.0 split an id at its "BHS").
    """
    return hashlib.sha256(f"{op}:{op_key}".encode()).hexdigest()[:20].upper()


def fresh_id() -> str:
    """MSH-10 of a question or an acknowledgement: never used before."""
    return secrets.token_hex(10).upper()
