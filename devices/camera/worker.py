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

from devices.camera.child import Emit, settle

BEAT_S: Final = 0.5


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


def watch(config: dict[str, Any], emit: Emit) -> None:
    """Read and decode until the source ends (SourceError) or stands still (SourceError, device.frozen)."""
    from devices.camera.cascade import Cascade
    from devices.camera.confirm import TwoFrameRule
    from devices.camera.gate import FreezeWatch, MotionGate
    from devices.camera.sources import SourceError, open_source

    cascade, rule, meter = Cascade(config["formats"]), TwoFrameRule(), Meter()
    source = open_source(config["source"], config["fps"], config["width"], config["height"])
    gate = MotionGate(always=not config["gate"])
    lifelike = source.lifelike and config["freeze_s"] > 0
    freeze = FreezeWatch(config["freeze_s"] if lifelike else 0.0)
    ready, beat_at = False, 0.0
    while True:
        gray = source.read()
        now = time.monotonic()
        meter.frame(now)
        if freeze.frozen(gray, now):
            raise SourceError("The camera repeats one picture; it is frozen.", "device.frozen")
        if not ready:
            # a camera that comes up frozen is not ready, or it would flicker between online and lost
            ready = not lifelike or (meter.frames > 1 and not freeze.repeated)
            if not ready:
                continue
            emit({"is": "ready"})
        # the same picture again is no second opinion on bars, and nothing new to decode
        if gate.wants(gray, now) and not (lifelike and freeze.repeated):
            codes = cascade.live(gray)
            meter.decoded((time.monotonic() - now) * 1000)
            if codes:
                gate.sighted(now)
            for code in rule.confirmed(codes, now):
                emit(_code(code, now))
        if now - beat_at >= BEAT_S:
            beat_at = now
            emit({**meter.beat(), "gate_open": gate.open(now), "dark": gate.dark})


def _code(code: Any, now: float) -> dict[str, Any]:
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
    import cv2

    from devices.camera.sources import SourceError

    cv2.setNumThreads(1)
    try:
        watch(config, emit)
    except SourceError as ended:
        emit({"is": "end", "reason": ended.reason, "code": ended.code})
    except MemoryError:
        emit({"is": "end", "reason": "The camera's pictures need too much memory.", "code": "device.lost"})
    os._exit(0)  # releasing a dead camera can hang; the kernel does it better


if __name__ == "__main__":
    main()
