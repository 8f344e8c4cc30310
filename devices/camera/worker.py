"""The process that watches one camera: frames in, codes and heartbeats out as JSON lines; pictures are never kept.

First line in: {"source", "fps", "width", "height", "formats", "freeze_s", "gate"}. Lines out, by "is":
ready; beat {fps, decode_p95_ms, frames, gate_open, dark}; code {text, raw, symbology, aim, encoding, step, t};
end {reason, code}. "t" is time.monotonic(), which all processes of a machine share.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any, Final

import cv2

from devices.camera.cascade import Cascade, Decoded
from devices.camera.child import Emit, settle
from devices.camera.confirm import TwoFrameRule
from devices.camera.gate import FreezeWatch, MotionGate
from devices.camera.images import Gray
from devices.camera.sources import SourceError, open_source

BEAT_S: Final = 0.5
REST_DEAR: Final = 4
"""At rest only every fourth look is followed by a dear one; together they would take 6 % of a core, not 3."""


class Meter:
    """What the heartbeat tells: pictures a second, and how long decoding takes."""

    def __init__(self) -> None:
        self.frames = 0
        self._ticks: deque[float] = deque(maxlen=30)
        self._decode_ms: deque[float] = deque(maxlen=100)

    def frame(self, now: float) -> None:
        """Count a picture."""
        self.frames += 1
        self._ticks.append(now)

    def decoded(self, ms: float) -> None:
        """Count a decode."""
        self._decode_ms.append(ms)

    def beat(self) -> dict[str, Any]:
        """The figures of now."""
        span = self._ticks[-1] - self._ticks[0] if len(self._ticks) > 1 else 0.0
        ordered = sorted(self._decode_ms)
        return {
            "is": "beat",
            "frames": self.frames,
            "fps": round((len(self._ticks) - 1) / span, 2) if span > 0 else 0.0,
            "decode_p95_ms": round(ordered[int(len(ordered) * 0.95)], 2) if ordered else 0.0,
        }


class Watch:
    """One camera being watched: its source, its gate and its cascade."""

    def __init__(self, config: dict[str, Any], emit: Emit) -> None:
        self._emit = emit
        self._cascade, self._rule, self._meter = Cascade(config["formats"]), TwoFrameRule(), Meter()
        self._source = open_source(config["source"], config["fps"], config["width"], config["height"])
        # equal frames in a row mean something only where the source is lifelike and the guard is on
        self._freeze = FreezeWatch(config["freeze_s"])
        self._lifelike = self._source.lifelike and config["freeze_s"] > 0
        self._gate = MotionGate(always=not config["gate"])
        self._ready = False
        self._looks = 0
        self._beat_at = 0.0

    def run(self) -> None:
        """Watch until the source ends or stands still (SourceError)."""
        while True:
            gray = self._source.read()
            now = time.monotonic()
            self._meter.frame(now)
            repeated = self._lifelike and self._repeats(gray, now)
            if not self._ready and not self._becomes_ready(repeated):
                continue
            # the same picture again is no second opinion on bars, and nothing new to decode
            if self._gate.wants(gray, now) and not repeated:
                self._decode(gray, now)
            if now - self._beat_at >= BEAT_S:
                self._beat_at = now
                self._emit({**self._meter.beat(), "gate_open": self._gate.open(now), "dark": self._gate.dark})

    def _repeats(self, gray: Gray, now: float) -> bool:
        if self._freeze.frozen(gray, now):
            raise SourceError("The camera repeats one picture; it is frozen.", "device.frozen")
        return self._freeze.repeated

    def _becomes_ready(self, repeated: bool) -> bool:
        """A camera that comes up frozen is not ready, or it would flicker between online and lost."""
        self._ready = not self._lifelike or (self._meter.frames > 1 and not repeated)
        if self._ready:
            self._emit({"is": "ready"})
        return self._ready

    def _decode(self, gray: Gray, now: float) -> None:
        self._looks += 1
        dear = self._looks % REST_DEAR == 0 or not self._gate.resting(now)
        codes = self._cascade.live(gray) if dear else self._cascade.fast(gray)
        self._meter.decoded((time.monotonic() - now) * 1000)
        if codes:
            self._gate.sighted(now)
        for code in self._rule.confirmed(codes, now):
            self._emit(_code(code, now))


def _code(code: Decoded, now: float) -> dict[str, Any]:
    return {
        "is": "code",
        "text": code.text,
        "raw": code.raw.hex(),
        "symbology": code.symbology,
        "aim": code.aim,
        "encoding": code.encoding,
        "step": code.step,
        "t": now,
    }


def _leave_with_parent() -> None:
    """A worker whose parent was killed would hold the camera for ever: standard input ends with the parent."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve one camera."""
    emit = settle()
    config = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    try:
        Watch(config, emit).run()
    except SourceError as ended:
        emit({"is": "end", "reason": ended.reason, "code": ended.code})
    except MemoryError:
        emit({"is": "end", "reason": "The camera's pictures need too much memory.", "code": "device.lost"})
    os._exit(0)  # releasing a dead camera can hang; the kernel does it better


if __name__ == "__main__":
    main()
