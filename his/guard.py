"""Between the house and a HIS adapter: deadline, error classes, a breaker, and one log line a call (DEBUG when all went well: a line costs a scan 0.2 ms).

Reasons of `Unavailable`: not sent: refused, connect_timeout, unreachable, unresolved, tls, busy, closed, breaker_open;
sent (a read): timeout, reset, truncated, too_large, bad_reply (not what the protocol says), http_NNN, unauthorized,
unmapped_code, wrong_record (an answer about somebody else), his_exception (the HIS says it failed).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from his.port import Ctx, HisError, Op, Unavailable, UnknownOutcome
from his.wire import Broken, NotSent

T = TypeVar("T")
log = logging.getLogger("his.call")

ANSWERED = frozenset({"his_exception", "unmapped_code", "wrong_record"})
"""Reasons given by a HIS that is alive: one poisoned record must not cut everybody off."""
OURS = frozenset({"busy", "closed"})
"""Reasons that say nothing about the HIS."""


class Breaker:
    """Opens after `fail_max` failures in a row, then lets one call through every `probe_s` seconds until one succeeds."""

    def __init__(self, fail_max: int, probe_s: float) -> None:
        self._fail_max = fail_max
        self._probe_s = probe_s
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0
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
        if not self._failures:
            return
        with self._lock:
            was_open = self.open
            self._failures, self.open = 0, False
        if was_open:
            log.warning("his breaker closed")

    def failed(self) -> None:
        """The HIS did not answer, or not usably."""
        with self._lock:
            self._failures += 1
            opens = not self.open and self._failures >= self._fail_max
            if opens:
                self.open = True
            if self.open:
                self._next_probe = time.monotonic() + self._probe_s
        if opens:
            log.warning("his breaker open failures=%d", self._failures)


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """`deadline_s` caps what callers ask for; `fail_max` failures in a row open the breaker, `probe_s` apart it is tried."""

    deadline_s: float = 5.0
    fail_max: int = 5
    probe_s: float = 2.0


class Guard:
    """Runs an adapter's calls; thread-safe. Reads and writes have breakers of their own."""

    def __init__(self, options: GuardOptions) -> None:
        self._options = options
        self.reads = Breaker(options.fail_max, options.probe_s)
        self.writes = Breaker(options.fail_max, options.probe_s)

    def read(self, op: Op, ctx: Ctx, run: Callable[[float], T]) -> T:
        """`run(deadline)` (monotonic) under the guard; raises HisErrors, never UnknownOutcome."""
        return self._run(op, ctx, run, None)

    def write(self, op: Op, ctx: Ctx, run: Callable[[float], T], op_key: str) -> T:
        """Like `read`, but whatever fails after sending is `UnknownOutcome(op_key)`."""
        return self._run(op, ctx, run, op_key)

    def _run(self, op: Op, ctx: Ctx, run: Callable[[float], T], op_key: str | None) -> T:
        started = time.monotonic()
        breaker = self.reads if op_key is None else self.writes
        outcome = "breaker_open"
        try:
            if not breaker.admit():
                raise Unavailable(outcome)
            try:
                value = run(started + min(ctx.deadline_s, self._options.deadline_s))
            except NotSent as failure:
                outcome = failure.reason
                if outcome not in OURS:
                    breaker.failed()
                raise Unavailable(outcome) from None
            except Broken as failure:
                outcome = failure.reason
                breaker.succeeded() if outcome in ANSWERED else breaker.failed()
                if op_key is None:
                    raise Unavailable(outcome) from None
                raise UnknownOutcome(op_key) from None
            except HisError as answer:
                outcome = type(answer).__name__
                breaker.succeeded()
                raise
            breaker.succeeded()
            outcome = "ok"
            return value
        finally:
            level = logging.DEBUG if outcome == "ok" else logging.INFO
            if log.isEnabledFor(level):
                took = (time.monotonic() - started) * 1000
                log.log(level, "his op=%s ms=%.1f outcome=%s trace=%s", op.value, took, outcome, ctx.trace)
