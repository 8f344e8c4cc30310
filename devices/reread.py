"""The re-read rule of one device: a code held before the scanner counts once, and again after an absence."""


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
        before = self._seen.pop(payload, None)
        self._seen[payload] = now
        self._forget_old(now)
        if before is not None and now - before < self.window_s:
            self.suppressed += 1
            return False
        return True

    def rearm(self, payload: bytes | None = None) -> None:
        """Let the next sighting count: of one code, or of every code ("scan again")."""
        if payload is None:
            self._seen.clear()
        else:
            self._seen.pop(payload, None)

    def _forget_old(self, now: float) -> None:
        """Drop what is past the window. The dict is in order of sighting, so only the dropped ones cost."""
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] < self.window_s:
                return
            del self._seen[oldest]
