"""A working morning whatever the hour: our clock and the simulated HIS's stand at 09:30 in Shanghai and run on."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.clock import SHANGHAI, SystemClock
from tests.support.sims import HisSim


class ShiftedClock(SystemClock):
    """The real clock, `offset` on."""

    def __init__(self, offset: timedelta) -> None:
        self.offset = offset

    def now(self) -> datetime:
        return super().now() + self.offset

    def epoch(self) -> float:
        return super().epoch() + self.offset.total_seconds()


def to_morning(hour: int = 9, minute: int = 30, days: int = 0) -> timedelta:
    """How far the clocks must be moved to stand at that time of today, `days` on."""
    now = datetime.now(SHANGHAI)
    wanted = now.replace(hour=hour, minute=minute, second=0, microsecond=0) + timedelta(days=days)
    return wanted - now


def at_morning(his: HisSim, hour: int = 9, minute: int = 30, days: int = 0) -> ShiftedClock:
    """Move the HIS to that time and return the clock to build a house with: both agree to the second.

    The HIS keeps its clock until it is moved again: end a test with `his.clock(0)`.
    """
    offset = to_morning(hour, minute, days)
    his.clock(offset.total_seconds())
    return ShiftedClock(offset)
