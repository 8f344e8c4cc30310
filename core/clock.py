"""Time: aware wall clock in Asia/Shanghai for what people read, monotonic for durations."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """What the house asks the time of."""

    def now(self) -> datetime:
        """Aware wall time, Asia/Shanghai."""

    def epoch(self) -> float:
        """Unix seconds; the TOTP counts on it."""

    def monotonic(self) -> float:
        """Seconds that never jump; for durations only."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(SHANGHAI)

    def epoch(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class SetClock:
    """A clock that stands until it is moved; both hands move together."""

    at: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 8, 30, tzinfo=SHANGHAI))
    ticks: float = 1000.0

    def now(self) -> datetime:
        return self.at

    def epoch(self) -> float:
        return self.at.timestamp()

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self.at += timedelta(seconds=seconds)
        self.ticks += seconds
