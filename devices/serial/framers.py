"""Cut a scanner's byte stream into frames, without any I/O: bytes and times in, frames out, never an exception.

Time passes only through `expire`: the reader calls it after it has *seen* silence until `deadline`. A reader
thread that was merely starved for a while therefore neither splits a frame nor drops half of one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

CAP: Final = 4096
STX: Final = 0x02
ETX: Final = 0x03
_ENDS: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """One scan as sent: `payload` without terminators; `symbology` where the protocol itself names it."""

    payload: bytes
    symbology: str | None = None


class Framer(Protocol):
    """What the reader drives. `now` is time.monotonic() in seconds."""

    bad: int
    """Frames dropped so far: too long, stale, or broken."""

    @property
    def deadline(self) -> float | None:
        """When silence until then means something; None when it means nothing."""

    def feed(self, data: bytes, now: float) -> list[Frame]:
        """Take bytes as they came; give the frames they complete."""

    def expire(self, now: float) -> list[Frame]:
        """The line was silent until `deadline`: give or drop what waited."""

    def take_replies(self) -> bytes:
        """Bytes the protocol owes the scanner (ACK, NAK); empty for most."""


class _Buffered:
    """What the plain framers share: a buffer of at most CAP bytes, its age, the count of dropped frames."""

    def __init__(self, quiet_s: float) -> None:
        self.bad = 0
        self._buffer = bytearray()
        self._quiet_s = quiet_s
        self._last = 0.0
        self._skipping = False

    @property
    def deadline(self) -> float | None:
        return self._last + self._quiet_s if self._buffer or self._skipping else None

    def expire(self, now: float) -> list[Frame]:
        """Drop a half frame: glued to the next scan it would read as somebody else's code."""
        due = self.deadline
        if due is None or now < due:
            return []
        if not self._skipping:
            self.bad += 1
        self._buffer.clear()
        self._skipping = False
        return []

    def take_replies(self) -> bytes:
        return b""

    def _overflow(self) -> None:
        """Too long for a scan: drop it, and whatever belongs to it, until the next terminator or silence."""
        self.bad += 1
        self._buffer.clear()
        self._skipping = True


class LineFramer(_Buffered):
    """Frames ended by a terminator: "any" takes CR, LF and CRLF in any mix. Never gives an empty frame."""

    _PATTERNS: Final = {
        "any": re.compile(rb"[\r\n]+"),
        "cr": re.compile(rb"\r"),
        "lf": re.compile(rb"\n"),
        "crlf": re.compile(rb"\r\n"),
        "tab": re.compile(rb"\t"),
    }

    def __init__(self, terminator: str = "any", stale_s: float = 1.0) -> None:
        super().__init__(stale_s)
        self._pattern = self._PATTERNS[terminator]

    def feed(self, data: bytes, now: float) -> list[Frame]:
        self._last = now
        self._buffer += data
        *whole, rest = self._pattern.split(bytes(self._buffer))
        frames: list[Frame] = []
        for part in whole:
            if self._skipping:
                self._skipping = False
            elif len(part) > CAP:
                self.bad += 1
            elif payload := part.strip(_ENDS):
                frames.append(Frame(payload))
        self._buffer = bytearray(rest)
        if self._skipping:
            self._keep_half_terminator(rest)
        elif len(rest) > CAP:
            self._overflow()
            self._keep_half_terminator(rest)
        return frames

    def _keep_half_terminator(self, rest: bytes) -> None:
        """While skipping keep no bytes, but a CR that may be the first half of CRLF."""
        self._buffer = bytearray(b"\r" if self._pattern is self._PATTERNS["crlf"] and rest.endswith(b"\r") else b"")


class StxEtxFramer(_Buffered):
    """Frames between STX and ETX; what stands outside (a CR LF after ETX, noise) is no scan."""

    def __init__(self, stale_s: float = 1.0) -> None:
        super().__init__(stale_s)
        self._inside = False

    @property
    def deadline(self) -> float | None:
        return self._last + self._quiet_s if self._inside else None

    def feed(self, data: bytes, now: float) -> list[Frame]:
        self._last = now
        frames: list[Frame] = []
        for byte in data:
            if byte == STX:
                self.bad += self._inside
                self._buffer.clear()
                self._inside = True
            elif not self._inside:
                continue
            elif byte == ETX:
                self._inside = False
                if payload := bytes(self._buffer):
                    frames.append(Frame(payload))
                self._buffer.clear()
            elif len(self._buffer) >= CAP:
                self.bad += 1
                self._inside = False
                self._buffer.clear()
            else:
                self._buffer.append(byte)
        return frames

    def expire(self, now: float) -> list[Frame]:
        due = self.deadline
        if due is not None and now >= due:
            self.bad += 1
            self._inside = False
            self._buffer.clear()
        return []


class IdleFramer(_Buffered):
    """Frames ended by silence: for scanners that send no terminator. The gap must exceed any pause inside a code."""

    def feed(self, data: bytes, now: float) -> list[Frame]:
        self._last = now
        if self._skipping:
            return []
        self._buffer += data
        if len(self._buffer) > CAP:
            self._overflow()
        return []

    def expire(self, now: float) -> list[Frame]:
        due = self.deadline
        if due is None or now < due:
            return []
        payload = bytes(self._buffer).strip(_ENDS)
        self._buffer.clear()
        self._skipping = False
        return [Frame(payload)] if payload else []


class FixedFramer(_Buffered):
    """Frames of exactly `length` bytes; CR and LF between them are ignored, silence realigns."""

    def __init__(self, length: int, stale_s: float = 1.0) -> None:
        super().__init__(stale_s)
        self._length = min(max(length, 1), CAP)

    def feed(self, data: bytes, now: float) -> list[Frame]:
        self._last = now
        self._buffer += data
        frames: list[Frame] = []
        while True:
            if self._buffer.startswith((b"\r", b"\n")):
                self._buffer = self._buffer.lstrip(_ENDS)
            if len(self._buffer) < self._length:
                return frames
            frames.append(Frame(bytes(self._buffer[: self._length])))
            del self._buffer[: self._length]


FramerMaker = Callable[[], Framer]
