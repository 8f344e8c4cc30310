"""Reading HL7 v2 messages: character set, segments, fields, escapes, times. PyPI `hl7` splits; this reads.

`hl7`'s own `unescape` is not used: it takes `\\X…\\` for Latin-1, logs the text it cannot read (a patient's), and
multiplies by a number the sender chose (`\\.sp99999999999\\`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import hl7

from core.clock import SHANGHAI

UTF8, GB18030 = "utf-8", "gb18030"
CHARSETS = {
    "UNICODE UTF-8": UTF8, "UNICODE UTF8": UTF8, "UTF-8": UTF8, "UTF8": UTF8,
    "GB 18030-2000": GB18030, "GB18030": GB18030, "GB 18030": GB18030, "GBK": GB18030, "GB2312": GB18030,
    "8859/1": "latin-1", "": "", "ASCII": "",
}  # fmt: skip
"""MSH-18 (table 0211, and what is written instead) -> codec; "" is undeclared: UTF-8, else GB18030.

ASCII is what interface engines declare without looking, so it promises nothing.
"""
PATH = r"[A-Z][A-Z0-9]{2}-[1-9]\d{0,2}(\.[1-9]\d?){0,2}"
"""SEG-field[.component[.subcomponent]], such as PV1-19.1."""
_HEADER = re.compile(r"MSH([^\w\s])((?:(?!\1)[^\w\s]){4,5})\1")
_TIME = re.compile(r"(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)?)?(\d\d)?(?:\.\d{1,4})?([+-]\d{4})?")
_SEGMENT_END = re.compile(r"\r\n?|\n(?=[A-Z][A-Z0-9]{2}(?:[^\w\s]|\Z))")
_NULL = '""'
_PARTS_CAP = 200_000
"""Separators a message may hold: 6,000 results have 70,000, and `hl7` needs 6 µs and 500 bytes for each part."""
_LINES_CAP = 20
"""Blank lines one `\\.sp\\` may ask for."""


class BadMessage(Exception):
    """It cannot be read as HL7 v2. `reason`: no_header, charset, segments, too_many_parts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(raw: bytes, undeclared: str = "") -> tuple[str, str]:
    """The text and its codec, by MSH-18, else `undeclared` (a codec), else UTF-8, else GB18030. Raises BadMessage."""
    declared = _declared(raw)
    if declared not in CHARSETS:
        raise BadMessage("charset")
    codec = CHARSETS[declared] or undeclared
    for one in (codec,) if codec else (UTF8, GB18030):
        try:
            return raw.decode(one), one
        except UnicodeDecodeError:
            continue
    raise BadMessage("charset")


def _declared(raw: bytes) -> str:
    """MSH-18 as written. The header may hold Chinese, and a GB18030 character may end in the byte of `|`."""
    line = re.split(rb"[\r\n]", raw.lstrip()[:4096], maxsplit=1)[0]
    try:
        head = line.decode(UTF8)
    except UnicodeDecodeError:
        head = line.decode(GB18030, "replace")
    if not _HEADER.match(head):
        raise BadMessage("no_header")
    fields = head.split(head[3])
    return fields[17].split(head[5])[0].strip().upper() if len(fields) > 17 else ""


class Segment:
    """One segment; fields, repetitions, components and subcomponents count from 1. Absent and null are ""."""

    def __init__(self, parsed: Any, message: "Message") -> None:
        self._parsed, self._message = parsed, message
        self.name = str(parsed[0])

    def get(self, field: int, component: int = 1, sub: int = 1, repetition: int = 1) -> str:
        """One leaf, unescaped."""
        repetitions = self.repetitions(field)
        return repetitions[repetition - 1].get(component, sub) if repetition <= len(repetitions) else ""

    def repetitions(self, field: int) -> "list[Repetition]":
        """The repetitions of a field; none when it is absent or empty."""
        if field >= len(self._parsed) or not str(self._parsed[field]):
            return []
        return [Repetition(one, self._message) for one in self._parsed[field]]

    def at(self, path: str) -> str:
        """The leaf a path names within this segment; its segment name is not looked at."""
        field, *rest = (int(number) for number in path.partition("-")[2].split("."))
        return self.get(field, *rest)


class Repetition:
    """One repetition of a field."""

    def __init__(self, parsed: Any, message: "Message") -> None:
        self._parsed, self._message = parsed, message

    def get(self, component: int = 1, sub: int = 1) -> str:
        """One leaf, unescaped."""
        found = self._parsed
        for number in (component, sub):
            if isinstance(found, str):
                found = found if number == 1 else ""
            else:
                found = found[number - 1] if number <= len(found) else ""
        text = str(found)
        return "" if text == _NULL else self._message.unescape(text)


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message that was read; no repr, for it names people."""

    parsed: Any
    charset: str

    @classmethod
    def read(cls, raw: bytes, undeclared: str = "") -> "Message":
        """`raw` without its frame; `undeclared`: see `decode`. Raises BadMessage."""
        text, charset = decode(raw.removeprefix(b"\xef\xbb\xbf"), undeclared)
        text = _SEGMENT_END.sub("\r", text.strip())
        head = _HEADER.match(text)
        if head is None or len({head[1], *head[2]}) != 1 + len(head[2]):
            raise BadMessage("no_header")
        if re.search(rf"\r(?!\r|\Z|[A-Z][A-Z0-9]{{2}}(?:{re.escape(head[1])}|\r|\Z))", text):
            raise BadMessage("segments")
        if sum(map(text.count, ("\r", head[1], *head[2]))) > _PARTS_CAP:
            raise BadMessage("too_many_parts")
        return cls(hl7.parse(re.sub("\r+", "\r", text)), charset)

    def segments(self, name: str) -> list[Segment]:
        """All segments of that name, in order."""
        return [segment for segment in self if segment.name == name]

    def get(self, path: str) -> str:
        """The leaf at `PID-3.1` in the first such segment; "" where there is none."""
        for segment in self:
            if segment.name == path[:3]:
                return segment.at(path)
        return ""

    def __iter__(self) -> Iterator[Segment]:
        return (Segment(one, self) for one in self.parsed)

    @property
    def type(self) -> tuple[str, str]:
        """Message code and trigger event, such as ("ADT", "A08")."""
        return self.get("MSH-9.1"), self.get("MSH-9.2")

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.get("MSH-10")

    def unescape(self, text: str) -> str:
        """A leaf with its escapes (2.7, `\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\X…\\ \\.br\\`) replaced; unknown ones stay."""
        escape = self.parsed.esc
        if escape not in text:
            return text
        plain, *rest = text.split(escape)
        out, index = [plain], 0
        while index < len(rest):
            if index + 1 == len(rest):  # no second escape character: it was text
                out.append(escape + rest[index])
                break
            out += [self._sequence(rest[index]), rest[index + 1]]
            index += 2
        return "".join(out)

    def _sequence(self, inside: str) -> str:
        escape, separators = self.parsed.esc, self.parsed.separators
        plain = dict(zip("FRST", separators[1:5], strict=True)) | {"E": escape, "H": "", "N": ""}
        if inside in plain:
            return str(plain[inside])
        if inside.startswith(".") and (match := re.fullmatch(r"\.(br|sp|ce|fi|nf|in|ti|sk)([+-]?\d{0,6})", inside)):
            return "\n" * min(int(match[2] or 1), _LINES_CAP) if match[1] in ("br", "sp", "ce") else ""
        if re.fullmatch("X([0-9A-Fa-f]{2})+", inside):
            return bytes.fromhex(inside[1:]).decode(self.charset, "replace")
        return f"{escape}{inside}{escape}"


def moment(text: str) -> datetime | None:
    """A TS or DTM (`YYYYMMDD[HHMM[SS[.S…]]][+ZZZZ]`) with its zone, Shanghai when it has none; None when it is no time."""
    match = _TIME.fullmatch(text.strip())
    if match is None or match[3] is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    zone: Any = SHANGHAI
    try:
        if match[7]:
            minutes = int(match[7][1:3]) * 60 + int(match[7][3:])
            zone = timezone(timedelta(minutes=-minutes if match[7][0] == "-" else minutes))
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(SHANGHAI)
    except (ValueError, OverflowError):
        return None


def day(text: str) -> date | None:
    """The date of a DT, TS or DTM as written, without its zone; None when there is none."""
    match = re.match(r"(\d{4})(\d\d)(\d\d)", text.strip())
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def control_id_of(raw: bytes) -> str:
    """MSH-10 of something that may not be readable otherwise, for the answer that says so; "" when it has none."""
    fields: Sequence[bytes] = re.split(rb"[\r\n]", raw.lstrip()[:4096], maxsplit=1)[0].split(raw.lstrip()[3:4] or b"|")
    return fields[9].decode("ascii", "ignore")[:64] if len(fields) > 9 else ""
