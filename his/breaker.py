"""A circuit breaker: after failures in a row only one call every few seconds is let through, until one succeeds."""

import logging
import threading
import time

log = logging.getLogger("his.breaker")


class Breaker:
    """Opens after `fail_max` failures in a row, then lets one call through every `probe_s` seconds until one succeeds.

    A call that failed while others were answered does not count: where only reports hang, scans must go on.
    """

    def __init__(self, name: str, fail_max: int, probe_s: float) -> None:
        self._name = name
        self._fail_max = fail_max
        self._probe_s = probe_s
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0
        self._answered_at = 0.0
        self.open = False

    def admit(self) -> bool:
        """Whether this call may go; while open, one caller per `probe_s` is the probe."""
        if not self.open:
            return True
        now = time.monotonic()
        with self._lock:
            if not self.open:
                return True
            if now < self._next_probe:
                return False
            self._next_probe = now + self._probe_s
            return True

    def succeeded(self) -> None:
        """The HIS answered."""
        self._answered_at = time.monotonic()
        if not self._failures:
            return
        with self._lock:
            was_open = self.open
            self._failures, self.open = 0, False
        if was_open:
            log.warning("his breaker closed for %s", self._name)

    def failed(self, since: float) -> None:
        """The HIS did not answer, or not usably, what was asked at `since` (monotonic)."""
        with self._lock:
            if since < self._answered_at and not self.open:
                return
            self._failures += 1
            opens = not self.open and self._failures >= self._fail_max
            if opens:
                self.open = True
                # a probe that fails moves nothing: counted from its end, one that hangs would put the next one off
                self._next_probe = time.monotonic() + self._probe_s
        if opens:
            log.warning("his breaker open for %s failures=%d", self._name, self._failures)

    def declined(self) -> None:
        """The call we admitted never reached the HIS: the next caller may be the probe."""
        if self.open:
            with self._lock:
                self._next_probe = 0.0
