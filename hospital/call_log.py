"""Writes down every call of the HIS, masked: reads in batches off the caller's thread, writes before their outcome.

A read costs its caller the append to a queue; masking and storing happen here. Pings of the HIS's health are not kept.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from his.gateway import CallRecord
from his.masking import masked
from his.port import Command, Op, encode
from hospital.jobs import Every
from store.port_his import HisCall, HisCalls, NotStored

log = logging.getLogger(__name__)

FLUSH_S = 1.0
BATCH = 100
"""Lines in one commit: a scan that wants to commit waits for no more than these."""


class CallLog:
    """`record` is what the gateway calls; thread-safe. Reads beyond `room` push out the oldest, writes are never dropped."""

    def __init__(self, calls: HisCalls, room: int = 10_000) -> None:
        self._calls = calls
        self._queue: deque[CallRecord] = deque(maxlen=room)
        self._room = room
        self._dropped = 0
        self._flushing = threading.Lock()
        self._job = Every("his-calls", FLUSH_S, self.flush)
        self._started = False

    def record(self, call: CallRecord) -> None:
        """Keep one call; never raises."""
        if isinstance(call.asked, Command):
            self._store([call])
        elif call.op is not Op.HEALTH:
            if len(self._queue) == self._room:
                self._dropped += 1
            self._queue.append(call)

    def start(self) -> None:
        """Begin to flush every second; after the fork."""
        self._started = True
        self._job.start()

    def flush(self) -> None:
        """Write what has queued up."""
        with self._flushing:
            while batch := [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]:
                self._store(batch)
            if dropped := self._dropped:
                self._dropped = 0
                log.warning("his_call: %d reads were not written down, the database was too slow", dropped)

    def close(self) -> None:
        """Flush and end; what comes later is not kept."""
        if self._started:
            self._job.stop()
        self.flush()

    def _store(self, calls: list[CallRecord]) -> None:
        lines = []
        for call in calls:
            try:
                lines.append(line_of(call))
            except (TypeError, ValueError):  # an adapter that answers what is no type of the port
                log.exception("his_call: a call of %s cannot be written down", call.op.value)
        try:
            self._calls.add(lines)
        except NotStored as failure:
            log.error("his_call: %d calls were not written down: %s", len(lines), failure)


def line_of(call: CallRecord) -> HisCall:
    """A call as it may be written down. Answers only of writes: what a read says is the HIS's own to keep."""
    asked, answer, outcome = call.asked, call.answer, call.outcome
    if call.resolving and outcome == "ok":
        outcome, answer = type(answer).__name__, getattr(answer, "value", None)
    person = getattr(answer, "patient", answer)  # of a stay or a new card
    whose = getattr(asked, "patient_id", None) or getattr(person, "patient_id", None)
    return HisCall(
        call.at, call.op.value, str(getattr(asked, "op_key", "")), call.ctx.actor, str(whose or ""),
        call.ctx.lane.value, outcome, call.code, call.ms, call.resolving, masked(asked),
        masked(answer) if answer is not None and isinstance(asked, Command) else "",
        body=encode(asked),
    )  # fmt: skip
