"""The re-read rule of one device: a code held before the scanner counts once, and again after an absence."""

from typing import Final

_MANY: Final = 256


class RereadRule:
    """Pure; times are monotonic seconds. Every sighting extends the window; `window_s` 0 lets all through."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.suppressed = 0
        self._seen: dict[bytes, float] = {}

    def is_new(self, payload: bytes, now: float) -> bool:
        """Say whether this sighting counts as a scan; a repeat is counted in `suppressed`."""
        if self.window_s <= 0:
            return True
        before = self._seen.get(payload)
        self._seen[payload] = now
        if before is not None and now - before < self.window_s:
            self.suppressed += 1
            return False
        if len(self._seen) > _MANY:
            self._forget_old(now)
        return True

    def rearm(self, payload: bytes | None = None) -> None:
        """Let the next sighting count: of one code, or of every code ("scan again")."""
        if payload is None:
            self._seen.clear()
        else:
            self._seen.pop(payload, None)

    def _forget_old(self, now: float) -> None:
        self._seen = {code: seen for code, seen in self._seen.items() if now - seen < self.window_s}
