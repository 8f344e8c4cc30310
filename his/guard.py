"""Between the house and a HIS adapter: deadlines, lanes, repeats of reads, a breaker, error classes.

Reasons of `Unavailable`: not sent: refused, connect_timeout, unreachable, unresolved, tls, busy, closed, breaker_open,
unmapped_value (the mapping has no code for what is asked), unsupported_text (no charset of the HIS holds it), bad_wsdl;
sent, and by the HIS's own word not carried out (a SOAP Fault the mapping lists): unauthorized, not_accepted;
sent (a read): timeout, reset, truncated, too_large, bad_reply (not what the protocol says), http_NNN, unauthorized,
unmapped_code, wrong_record (an answer about somebody else), wrong_sums, his_exception (the HIS says it failed), altered_text ('?' for
a character it cannot hold).
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from his.adapter import Call
from his.breaker import Breaker
from his.faults import Broken, NotSent
from his.port import Command, Ctx, HisError, Lane, OpClass, Query, Unavailable, UnknownOutcome

T = TypeVar("T")
Asked = Query[Any] | Command[Any]
log = logging.getLogger("his.call")

ANSWERED = frozenset({"duplicate", "altered_text", "his_exception", "unmapped_code", "wrong_record", "wrong_sums"})
"""Reasons given by a HIS that is alive: one poisoned record must not cut everybody off."""
OURS = frozenset({"busy", "closed", "unmapped_value", "unsupported_text"})
"""Reasons that say nothing about the HIS."""
PASSING = frozenset({"reset", "refused", "truncated", "http_502", "http_503", "http_504"})
"""Faults that another try a moment later may not meet; a time-out has used the time up already."""


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """Seconds and counts; the defaults are `his.guard`'s in config.yaml."""

    deadlines: Mapping[OpClass, float] = field(
        default_factory=lambda: {OpClass.HEALTH: 2.0, OpClass.READ: 5.0, OpClass.REPORT: 10.0, OpClass.WRITE: 15.0}
    )
    lanes: Mapping[Lane, int] = field(default_factory=lambda: {Lane.SCAN: 8, Lane.PAGE: 8, Lane.JOB: 2})
    wait_s: float = 0.25
    """How long a page or a job waits for its lane before it is told `busy`; a scan waits until its deadline."""
    fail_max: int = 5
    probe_s: float = 10.0
    attempts: int = 3
    pause_s: float = 0.05


class Guard:
    """Runs an adapter's calls; thread-safe. Reads and writes have breakers of their own."""

    def __init__(self, options: GuardOptions) -> None:
        self._options = options
        self.reads = Breaker("reads", options.fail_max, options.probe_s)
        self.writes = Breaker("writes", options.fail_max, options.probe_s)
        self._lanes = {lane: threading.BoundedSemaphore(count) for lane, count in options.lanes.items()}

    def read(self, asked: Asked, op_class: OpClass, ctx: Ctx, run: Callable[[Any, Call], T]) -> T:
        """`run(asked, call)`, again after a passing fault while time is left; raises HisErrors, never UnknownOutcome."""
        started = time.monotonic()
        deadline = started + min(ctx.deadline_s, self._options.deadlines[op_class])
        call = Call(deadline)
        tries = 0
        while True:
            tries += 1
            try:
                return self._run(asked, ctx, call, run, self.reads)
            except Unavailable as failure:
                pause = self._options.pause_s * 2**tries * random.uniform(0.5, 1.5)
                last = tries >= self._options.attempts or time.monotonic() + pause >= deadline
                if last or failure.reason not in PASSING or self.reads.open:
                    raise
            time.sleep(pause)

    def write(self, command: Command[Any], ctx: Ctx, run: Callable[[Any, Call], T]) -> T:
        """`run(command, call)`, once, and whatever fails after sending is `UnknownOutcome(op_key)`."""
        deadline = time.monotonic() + min(ctx.deadline_s, self._options.deadlines[OpClass.WRITE])
        return self._run(command, ctx, Call(deadline), run, self.writes)

    def _run(self, asked: Asked, ctx: Ctx, call: Call, run: Callable[[Any, Call], T], breaker: Breaker) -> T:
        started = time.monotonic()
        outcome = "breaker_open"
        lane = self._lanes[ctx.lane]
        try:
            if not breaker.admit():
                raise Unavailable(outcome)
            patience = call.deadline - started if ctx.lane is Lane.SCAN else self._options.wait_s
            if not lane.acquire(blocking=False) and not lane.acquire(timeout=max(0.0, patience)):
                outcome = "busy"
                breaker.declined()
                raise Unavailable(outcome)
            try:
                value = run(asked, call)
            except NotSent as failure:
                outcome = failure.reason
                breaker.declined() if outcome in OURS else breaker.failed(started)
                raise Unavailable(outcome) from None
            except Broken as failure:
                outcome = failure.reason
                breaker.succeeded() if outcome in ANSWERED else breaker.failed(started)
                if breaker is self.reads:
                    raise Unavailable(outcome) from None
                raise UnknownOutcome(asked.op_key, outcome) from None  # type: ignore[union-attr]  # a command
            except HisError as answer:
                outcome = type(answer).__name__
                breaker.succeeded()
                raise
            finally:
                lane.release()
            breaker.succeeded()
            outcome = "ok"
            return value
        finally:
            level = logging.DEBUG if outcome == "ok" else logging.INFO
            if log.isEnabledFor(level):
                took = (time.monotonic() - started) * 1000
                log.log(level, "his op=%s ms=%.1f outcome=%s trace=%s", asked.op.value, took, outcome, ctx.trace)
