"""Decides which frames are worth decoding: movement, or now and then anyway. Also sees freezing and darkness. Pure."""

import zlib
from typing import Final

import cv2
import numpy as np

from devices.camera.images import Gray

BLOCKS: Final = (16, 9)
THRESHOLD: Final = 6.0
"""Mean grey levels by which one of 16 x 9 blocks must change; sensor noise stays near 1 in the 160 x 90 picture."""

OPEN_S: Final = 1.5
IDLE_S: Final = 1.0
IN_VIEW_S: Final = 0.4
"""How often to look anyway: at rest, and while a code was seen (often enough to hold the re-read window open)."""

DARK: Final = 6.0


class MotionGate:
    """Looks at a 160 x 90 picture of each frame (0.3 ms at 720p). Times are monotonic seconds."""

    def __init__(self, always: bool = False) -> None:
        self._always = always
        self._before: Gray | None = None
        self._moved_at = float("-inf")
        self._decoded_at = float("-inf")
        self._sighted_at = float("-inf")
        self.dark = False

    def wants(self, gray: Gray, now: float) -> bool:
        """Say whether to decode this frame."""
        small = np.asarray(cv2.resize(gray, (160, 90), interpolation=cv2.INTER_AREA), np.uint8)
        if self._before is None or self._change(small) > THRESHOLD:
            self._moved_at = now
        self._before = small
        self.dark = float(small.mean()) < DARK
        pause = IDLE_S if self.resting(now) else IN_VIEW_S
        if self._always or self.open(now) or now - self._decoded_at >= pause:
            self._decoded_at = now
            return True
        return False

    def resting(self, now: float) -> bool:
        """Whether nothing moves and no code is in view: then the dear looks need not come every time."""
        return not self._always and not self.open(now) and now - self._sighted_at >= OPEN_S

    def open(self, now: float) -> bool:
        """Whether something moved a moment ago."""
        return now - self._moved_at < OPEN_S

    def sighted(self, now: float) -> None:
        """Tell that the frame held a code."""
        self._sighted_at = now

    def _change(self, small: Gray) -> float:
        difference = cv2.absdiff(small, self._before) if self._before is not None else small
        return float(cv2.resize(difference, BLOCKS, interpolation=cv2.INTER_AREA).max())


class FreezeWatch:
    """A camera that repeats one frame is dead though its reads succeed: a live sensor's noise never repeats."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._print = -1
        self._since = 0.0
        self.repeated = False

    def frozen(self, gray: Gray, now: float) -> bool:
        """Whether this frame has been the same to the bit for `after_s` seconds; 0 switches the watch off."""
        mark = zlib.adler32(gray.tobytes())
        self.repeated = mark == self._print
        if not self.repeated:
            self._print, self._since = mark, now
        return self._after_s > 0 and self.repeated and now - self._since >= self._after_s
