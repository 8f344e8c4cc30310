"""Paced scans through several programs in turn: each block is written to a pty and awaited at a raw client."""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import kit
from bench.rawsio import RawWs

Wire = tuple[bytes, str]  # (what the scanner sends, the key by which its event is recognised)


@dataclass
class Subject:
    """One program under test. `make` gives the next scan, `key_of` the key of an event (None: not a scan).

    `after(client, payload)` is what a real screen does with a scan it has drawn.
    """

    name: str
    pid: int
    pty: kit.Pty
    client: RawWs
    make: Callable[[], Wire]
    key_of: Callable[[Any], str | None]
    after: Callable[[Any, Any], None] | None = None
    sent: list[str] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    arrived: list[str] = field(default_factory=list)
    strange: list[Any] = field(default_factory=list)

    def take(self, stamp: int, payload: Any, out: list[float]) -> None:
        """Book one event: its latency in ms to `out`, or a note that it was never asked for."""
        key = self.key_of(payload)
        if key is None:
            return
        self.arrived.append(key)
        t0 = self.due.pop(key, None)
        if t0 is None:
            self.strange.append(payload)
        else:
            out.append((stamp - t0) / 1e6)
        if self.after:
            self.after(self.client, payload)

    def faults(self) -> dict[str, int]:
        """Scans lost, doubled (or never sent), and out of order, of all sent so far."""
        first = list(dict.fromkeys(self.arrived))
        order = {key: n for n, key in enumerate(self.sent)}
        known = [order[key] for key in first if key in order]
        return {
            "lost": len(self.sent) - len(known),
            "doubled": len(self.arrived) - len(known),
            "disordered": sum(b < a for a, b in itertools.pairwise(known)),
        }


@dataclass
class Block:
    """Latencies (ms) of one block and what the program spent on a CPU meanwhile (µs a scan)."""

    ms: list[float]
    cpu_us: float


class Rotation:
    """Keeps every client's pings answered while one subject at a time is measured."""

    def __init__(self, subjects: Sequence[Subject], extra: Sequence[RawWs] = ()) -> None:
        self._by_fd: dict[int, tuple[RawWs, Subject | None]] = {}
        self._poll = select.poll()
        for subject in subjects:
            self.watch(subject.client, subject)
        for client in extra:
            self.watch(client, None)

    def watch(self, client: RawWs, subject: Subject | None) -> None:
        self._by_fd[client.fileno()] = (client, subject)
        self._poll.register(client.fileno(), select.POLLIN)

    def _until(self, end_ns: int, active: Subject | None, out: list[float], *, all_in: bool = False) -> None:
        """Serve the sockets until the instant; with `all_in`, only until nothing is outstanding."""
        while (left := end_ns - time.perf_counter_ns()) > 0:
            if all_in and active and not active.due:
                return
            for fd, _ in self._poll.poll(left / 1e6):
                client, subject = self._by_fd[fd]
                for stamp, payload in client.receive():
                    if subject:
                        subject.take(stamp, payload, out if subject is active else [])
                if client.closed:  # a screen lost is a figure nobody should trust
                    self._poll.unregister(fd)
                    raise ConnectionError(f"{subject.name if subject else 'a screen'} closed its socket")

    def idle(self, seconds: float) -> None:
        """Only answer pings for a while."""
        self._until(time.perf_counter_ns() + int(seconds * 1e9), None, [])

    def block(self, subject: Subject, count: int, per_second: float = 20.0) -> Block:
        """Send `count` scans at the pace; a scan's event is awaited until 3 s after the last one."""
        out: list[float] = []
        gap = int(1e9 / per_second)
        cpu = kit.cpu_ns(subject.pid)
        start = time.perf_counter_ns()
        for n in range(count):
            self._until(start + n * gap, subject, out)
            data, key = subject.make()
            subject.sent.append(key)
            subject.due[key] = 0
            subject.due[key] = subject.pty.send(data)
        self._until(time.perf_counter_ns() + int(3e9), subject, out, all_in=True)
        spent = kit.cpu_ns(subject.pid) - cpu
        subject.due.clear()
        return Block(out, spent / 1000 / count)
