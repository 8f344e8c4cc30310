"""One thread that pings every screen, each at its own moment.

Stock engine.io in threads keeps a thread asleep for each screen's next ping and starts a new one after each pong; after
a restart two hundred screens come back together and are pinged together ever after, in bursts that a scan waits behind.
Here one thread pings them all, a little earlier than promised and never twice at the same distance, so that bursts
dissolve. A ping still goes through the screen's queue: engine.io takes a queue that stays empty for a dead screen.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from engineio.packet import PING, Packet
from engineio.socket import Socket

EARLIEST = 0.7
"""A ping comes after this share of the interval at the earliest: more pings a minute, but none together with others."""


class Pinger:
    """Sends the pings that are due; `schedule` from any thread. The thread starts with the first screen."""

    def __init__(self, interval_s: float, send: Callable[[Any], object]) -> None:
        self._interval_s, self._send = interval_s, send
        self._due: list[tuple[float, int, Any]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def schedule(self, screen: Any) -> None:
        """Ping this screen once, within the interval from now."""
        at = time.monotonic() + self._interval_s * random.uniform(EARLIEST, 1.0)
        with self._changed:
            heapq.heappush(self._due, (at, next(self._count), screen))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pings", daemon=True)
                self._thread.start()
            elif self._due[0][2] is screen:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due or (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left if self._due else None)
                screen = heapq.heappop(self._due)[2]
            if not screen.closing and not screen.closed:
                screen.last_ping = time.time()  # engine.io's own clock for a pong that does not come
                self._send(screen)


def install(eio: Any) -> None:
    """Let one pinger do what an engine.io server would start a thread for at each pong."""
    pinger = Pinger(eio.ping_interval, lambda screen: screen.send(Packet(PING)))
    start = eio.start_background_task

    def start_or_schedule(target: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if getattr(target, "__func__", None) is Socket._send_ping:  # noqa: SLF001 - it has no public place
            return pinger.schedule(target.__self__)  # type: ignore[attr-defined]
        return start(target, *args, **more)

    eio.start_background_task = start_or_schedule
