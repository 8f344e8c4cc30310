"""A device that reads from a file: recorded codes at their recorded pace, for training and tests.

One JSON object a line: {"after_ms": 400, "text": "8712…"} or "hex" instead of "text"; "symbology" may follow.
Empty lines and lines that start with # are skipped.
"""

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from core.clock import SHANGHAI
from devices.port import (
    Backoff,
    Capability,
    DeviceMisconfigured,
    DeviceUnavailable,
    DriverHost,
    DriverOptions,
    Feedback,
    Reading,
)
from devices.serial.framers import CAP
from devices.text import decode


class ReplayOptions(DriverOptions):
    """Where the readings come from and how fast."""

    file: str = Field(
        min_length=1,
        max_length=500,
        title="File",
        description='Readings, one JSON object a line: {"after_ms": 400, "text": "…"}.',
    )
    speed: float = Field(
        default=1.0, gt=0, le=1000, title="Speed", description="1 is the recorded pace, 2 is twice as fast."
    )
    repeat: bool = Field(default=False, title="Repeat", description="Begin again at the end of the file.")
    reread_ms: int = Field(
        default=0,
        ge=0,
        le=600_000,
        title="Ignore repeats for (ms)",
        description="A code counts again only after it was absent this long; 0 lets every repeat through.",
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded reading, `after` seconds behind the one before it."""

    after: float
    raw: bytes
    symbology: str | None


def load(path: Path) -> list[Recorded]:
    """Read a recording; DeviceUnavailable when absent, DeviceMisconfigured naming the first wrong line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as wrong:
        raise DeviceMisconfigured("The recording is not UTF-8 text.", "device.bad_recording") from wrong
    except OSError as absent:
        raise DeviceUnavailable("The recording's file cannot be read.", "device.absent") from absent
    recorded = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            try:
                recorded.append(_one(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError) as wrong:
                reason = f"Line {number} of the recording is not a reading."
                raise DeviceMisconfigured(reason, "device.bad_recording") from wrong
    if not recorded:
        raise DeviceMisconfigured("The recording is empty.", "device.bad_recording")
    return recorded


def _one(entry: dict[str, Any]) -> Recorded:
    raw = bytes.fromhex(entry["hex"]) if "hex" in entry else str(entry["text"]).encode()
    symbology = entry.get("symbology")
    if not raw or len(raw) > CAP:
        raise ValueError("length")
    after = float(entry.get("after_ms", 0)) / 1000
    if not 0 <= after < 86_400:
        raise ValueError("after_ms")
    return Recorded(after, raw, None if symbology is None else str(symbology))


class ReplayDriver:
    """Satisfies `devices.port.Driver`."""

    options_model: ClassVar[type[DriverOptions]] = ReplayOptions
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.VIRTUAL, Capability.FEEDBACK})

    def __init__(self, device: str, options: ReplayOptions) -> None:
        self._device = device
        self._options = options
        self._recorded: list[Recorded] = []
        self._cancelled = threading.Event()
        self.felt: list[Feedback] = []

    @property
    def resource(self) -> str:
        """A file may be replayed by many."""
        return ""

    @property
    def backoff(self) -> Backoff:
        """As patient as with a cable."""
        return Backoff()

    def open(self) -> None:
        """Read the whole recording."""
        self._recorded = load(Path(self._options.file))

    def read_loop(self, host: DriverHost) -> None:
        """Give the readings at their pace; after the last one stay online and silent, or begin again."""
        due = time.monotonic()
        while True:
            begun = time.monotonic()
            for recorded in self._recorded:
                due += recorded.after / self._options.speed
                if self._cancelled.wait(max(0.0, due - time.monotonic())):
                    return
                host.reading(self._reading(recorded))
            if not self._options.repeat:
                self._cancelled.wait()
                return
            # a recording without pauses would otherwise take a whole core
            if time.monotonic() - begun < 0.01 and self._cancelled.wait(0.01):
                return

    def _reading(self, recorded: Recorded) -> Reading:
        decoded = decode(recorded.raw)
        return Reading(
            device=self._device,
            raw=recorded.raw,
            text=decoded.text,
            symbology=decoded.symbology or recorded.symbology,
            t_read=time.monotonic(),
            at=datetime.now(SHANGHAI),
            encoding=decoded.encoding,
        )

    def cancel(self) -> None:
        """End the replay."""
        self._cancelled.set()

    def feedback(self, kind: Feedback) -> bool:
        """Remember the last few, where a scanner would beep."""
        self.felt = [*self.felt[-63:], kind]
        return True

    def close(self) -> None:
        """Forget the recording."""
        self._recorded = []
