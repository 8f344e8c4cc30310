"""Hand one device's readings to the sink on a thread of its own, so that the reader never waits."""

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from devices.port import Reading

log = logging.getLogger(__name__)

LIMIT: Final = 64
# A busy machine may hold the consumer back for this long; the kernel keeps 4 KiB of the line meanwhile, which at
# 115200 baud is 0.35 s. A sink that hangs costs the reader this wait once, not once a reading.
GRACE_S: Final = 0.25
_LOOK_S: Final = 0.001
Sink = Callable[[Reading], None]


class Delivery:
    """A bounded queue with one consumer thread. Only one thread may `put`, so the bound needs no lock."""

    def __init__(self, device: str, sink: Sink, limit: int = LIMIT) -> None:
        self._device = device
        self._sink = sink
        self._limit = limit
        self._queue: SimpleQueue[Reading | None] = SimpleQueue()
        self._hangs = False
        self._thread = threading.Thread(target=self._run, name=f"deliver-{device}", daemon=True)
        self._thread.start()

    def put(self, reading: Reading) -> bool:
        """Queue a reading; False when the queue is full and stays so. Waits GRACE_S at most, and only once."""
        if self._queue.qsize() >= self._limit and not self._has_room_soon():
            return False
        self._hangs = False
        self._queue.put(reading)
        return True

    def _has_room_soon(self) -> bool:
        """Tell a consumer that is merely late from one that hangs."""
        if self._hangs:
            return False
        until = time.monotonic() + GRACE_S
        while time.monotonic() < until:
            time.sleep(_LOOK_S)
            if self._queue.qsize() < self._limit:
                return True
        self._hangs = True
        return False

    @property
    def waiting(self) -> int:
        """Readings not yet taken up by the sink."""
        return self._queue.qsize()

    def ask_to_stop(self) -> None:
        """Let the consumer end after what is queued."""
        self._queue.put(None)

    def stop(self, deadline: float) -> list[Reading]:
        """Wait until monotonic `deadline` for the queue to empty; give back what the sink never saw."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        left: list[Reading] = []
        if self._thread.is_alive():
            log.warning("device %s: the sink still holds a reading at the stop", self._device)
            while True:
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
                if item is not None:
                    left.append(item)
            self._queue.put(None)
        return left

    def _run(self) -> None:
        while True:
            reading = self._queue.get()
            if reading is None:
                return
            try:
                self._sink(reading)
            except Exception:
                log.exception("device %s: the sink failed on a reading", self._device)
