"""The two-frame rule: bars seen by a live camera count when a second frame agrees. Pure."""

from collections.abc import Iterable
from typing import Final

from devices.camera.cascade import LINEAR, Decoded

WINDOW_S: Final = 2.0
_MANY: Final = 64


class TwoFrameRule:
    """Keeps the bars seen lately; times are monotonic seconds. Feed it one call a differing frame.

    Matrix codes (QR, DataMatrix, Aztec and their GS1 forms) carry Reed-Solomon and count at once. A 1-D
    code, GS1-128 too, has one check character, which a blurred code can satisfy and still be wrong.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self._seen: dict[tuple[str, bytes], float] = {}

    def confirmed(self, codes: Iterable[Decoded], now: float) -> list[Decoded]:
        """Give the codes of this frame that count. A held code goes on counting while it is seen."""
        sure = []
        for code in codes:
            if code.symbology not in LINEAR:
                sure.append(code)
                continue
            key = (code.symbology, code.raw)
            before = self._seen.pop(key, None)
            self._seen[key] = now
            if before is not None and now - before <= self.window_s:
                sure.append(code)
        while len(self._seen) > _MANY:
            self._seen.pop(next(iter(self._seen)))
        return sure
