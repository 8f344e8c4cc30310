"""What runs on its own clock: watching the HIS, following device settings, sweeping old rows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from core.clock import Clock
from store.store import Store

log = logging.getLogger(__name__)


class Every:
    """Calls ``job`` every ``seconds`` on one daemon thread until stopped; a failure is logged, not fatal."""

    def __init__(self, name: str, seconds: float, job: Callable[[], None]) -> None:
        self._name, self._seconds, self._job = name, seconds, job
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"every-{name}", daemon=True)

    def start(self) -> None:
        """Start; the first call comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the call under way, waiting for it at most a second."""
        self._stop.set()
        self._thread.join(1)

    def _run(self) -> None:
        while True:
            try:
                self._job()
            except Exception:
                log.exception("the job %s failed and will be tried again", self._name)
            if self._stop.wait(self._seconds):
                return


def sweep(store: Store, clock: Clock, keep_days: int) -> None:
    """Drop station events past their time, used steps and what the bridge noted with them, and expired sessions."""
    before = clock.now() - timedelta(days=keep_days)
    gone = store.scans.prune(before) + store.bridge_scans.prune(before) + store.his_events.prune(before)
    gone += store.sessions.prune(clock.now())
    if gone:
        log.info("swept %d old rows", gone)
