"""What runs on its own clock for writes to the HIS: the resolver, its haste when the HIS is back, the log's broom.

In one kind of process only: the hub (roles hub and all), or `hospital jobs` beside a portal that runs alone. Two at
once do no harm: leases keep them apart.
"""

from __future__ import annotations

import logging
import signal
import threading
from datetime import timedelta
from pathlib import Path

from core.config import load
from his.port import Ctx, HealthQuery, HisError, Lane
from hospital.bootstrap import Parts, build
from hospital.jobs import Every
from hospital.logs import configure

log = logging.getLogger(__name__)

ROUND_S = 1.0
WATCH_S = 3.0


class WriteJobs:
    """`start` begins work, `stop` ends it; `his_is_back` is called by whoever sees the lamp turn green."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._was_open = False
        self._jobs = (
            Every("his-writes", ROUND_S, self._tick),
            Every("his-calls-sweep", 24 * 3600, self._sweep),
        )

    def start(self) -> None:
        """Begin; the first round comes at once and finds what the last process left behind."""
        for job in self._jobs:
            job.start()

    def stop(self) -> None:
        """End after the question under way, waiting for it at most a second."""
        for job in self._jobs:
            job.stop()

    def his_is_back(self) -> None:
        """Ask about everything unknown now."""
        self._parts.resolver.hurry()

    def _tick(self) -> None:
        guard = self._parts.his.guard
        is_open = guard.reads.open or guard.writes.open
        if self._was_open and not is_open:
            self.his_is_back()
        self._was_open = is_open
        self._parts.resolver.round()

    def _sweep(self) -> None:
        days = self._parts.config.policies.keep_his_calls_days
        gone = self._parts.store.his_calls.prune(self._parts.clock.now() - timedelta(days=days))
        if gone:
            log.info("swept %d old lines of his_call", gone)


class HisWatch:
    """Asks the HIS for its health where no hub does, and tells the jobs when it is back."""

    def __init__(self, parts: Parts, jobs: WriteJobs) -> None:
        self._parts, self._jobs = parts, jobs
        self._online = True
        self._job = Every("his", WATCH_S, self._look)

    def start(self) -> None:
        """Begin to look."""
        self._job.start()

    def stop(self) -> None:
        """End."""
        self._job.stop()

    def _look(self) -> None:
        was, self._online = self._online, self._answers()
        if self._online and not was:
            self._jobs.his_is_back()

    def _answers(self) -> bool:
        try:
            self._parts.his.ask(HealthQuery(), Ctx(deadline_s=2.0, actor="watch", lane=Lane.JOB))
        except HisError:
            return False
        return True


def run_jobs(config_path: Path) -> None:
    """`hospital jobs`: run until SIGTERM or Ctrl-C. Raises ConfigError."""
    config = load(config_path)
    configure(config.log)
    parts = build(config)
    work = WriteJobs(parts)
    watch = HisWatch(parts, work)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    parts.calls.start()
    work.start()
    watch.start()
    log.info("jobs are running")
    told.wait()
    watch.stop()
    work.stop()
    parts.close()
