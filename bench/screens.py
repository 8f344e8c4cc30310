"""200 screens on one hub: each hears its own station as fast as one screen alone does, and bad clients stop nobody.

Part one, in turn: one screen connected, then 200, each in its own room; scans at 20/s over ptys of four stations,
from the write of the last byte to the event at that station's raw Socket.IO client; an event anywhere else is
misrouted. The bar compares medians over blocks of 100 scans, `--quick` 80 (`_pooled`: over all scans at once).
Part two: 20 screens of a busy station stop reading and 200 connections send half a request; meanwhile good requests
(`/healthz`, a counter page) and good scans are timed, then threads, descriptors and memory must be back where they
were within 45 s.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import kit
from bench.ours import House, Plan, station_code
from bench.rawsio import RawSio
from bench.rotation import Block, Rotation, Subject

SCREENS = 200
SCANNERS = 4
STALLED = 20
HALF_OPEN = 200
BACK_S = 45.0


def connect_rest(house: House) -> list[Subject]:
    """Screens for the stations without a scanner; any scan they hear is not theirs."""
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(house.screen, range(SCANNERS, SCREENS)))
    return [
        Subject(station_code(n), house.hub.pid, house.ptys[0], client, house.wire, house.key_of)
        for n, client in enumerate(clients, SCANNERS)
    ]


class Crowd:
    """The other screens, connected and disconnected as the rounds need them."""

    def __init__(self, house: House, subjects: list[Subject]) -> None:
        self.house, self.subjects = house, subjects
        self.rest: list[Subject] = []
        self.misrouted = 0

    def alone(self) -> Rotation:
        """Only the first screen is connected."""
        self.misrouted += sum(len(s.strange) for s in self.rest)
        for screen in (*self.subjects[1:], *self.rest):
            screen.client.close()
        self.rest = []
        return Rotation(self.subjects[:1])

    def all(self) -> Rotation:
        """All 200 are."""
        if not self.rest:
            for k, subject in enumerate(self.subjects[1:], 1):
                if subject.client.closed:
                    subject.client = self.house.screen(k)
            self.rest = connect_rest(self.house)
        return Rotation([*self.subjects, *self.rest])


def own_room(crowd: Crowd, shape: tuple[int, int]) -> tuple[list[Block], list[Block]]:
    """(blocks with one screen, blocks with 200), one and the other first in turn. `shape`: (rounds, scans a block)."""
    rounds, size = shape
    one: list[Block] = []
    many: list[Block] = []
    first, *others = crowd.subjects
    for n in range(rounds):
        for in_crowd in (False, True) if n % 2 == 0 else (True, False):
            rotation = crowd.all() if in_crowd else crowd.alone()
            rotation.block(first, 5)
            (many if in_crowd else one).append(rotation.block(first, size))
            for other in others if in_crowd else ():
                rotation.block(other, 3)
        p99s = [kit.percentile(blocks[-1].ms, 99) for blocks in (one, many)]
        print(f"  round {n + 1}: p99 one {p99s[0]:.2f} ms, {SCREENS} screens {p99s[1]:.2f} ms", flush=True)
    return one, many


class GoodClient(threading.Thread):
    """Asks for a page ten times a second on a new connection, as a well-behaved browser or monitor would."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.ms: list[float] = []
        self.failed = 0
        self._ended = threading.Event()

    def run(self) -> None:
        paths = ("/healthz", f"/screens/{station_code(1)}")
        n = 0
        while not self._ended.wait(0.1):
            n += 1
            begun = time.perf_counter()
            try:
                conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                conn.request("GET", paths[n % 2])
                good = conn.getresponse().status == 200
                conn.close()
            except OSError:
                good = False
            self.ms.append((time.perf_counter() - begun) * 1000)
            self.failed += not good

    def end(self) -> None:
        self._ended.set()
        self.join(6)


def half_open(port: int) -> list[socket.socket]:
    """Connections that send half their headers and then nothing."""
    out = []
    for _ in range(HALF_OPEN):
        sock = socket.create_connection(("127.0.0.1", port), 5)
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        out.append(sock)
    return out


def settle(rotation: Rotation, calm: Subject, house: House, seconds: float = 20.0) -> None:
    """Until the threads of the screens that left are gone: two seconds without change, after at least six."""
    end = time.monotonic() + seconds
    seen = [kit.census(house.hub.pid)[0]]
    while time.monotonic() < end and (len(seen) < 7 or len(set(seen[-3:])) > 1):
        rotation.block(calm, 20)
        seen.append(kit.census(house.hub.pid)[0])


def assault(house: House, subjects: list[Subject], seconds: float, figures: dict[str, Any]) -> None:
    """Part two; fills the figures."""
    busy, calm = subjects[0], subjects[1]
    rotation = Rotation([busy, calm])
    settle(rotation, calm, house)
    threads, fds = kit.census(house.hub.pid)
    rss = kit.pss_mib(house.hub.pid)
    stalled: list[RawSio] = [house.screen(0, rcvbuf=2048) for _ in range(STALLED)]
    broken = half_open(house.port)
    good = GoodClient(house.port)
    good.start()
    begun = time.monotonic()
    rotation.block(busy, 60, per_second=60)  # what the stalled ones do not take
    scans: list[float] = []
    while time.monotonic() - begun < seconds:
        scans += rotation.block(calm, 20).ms
        scans += rotation.block(busy, 20).ms
    figures["peak_rss_grown_mib"] = kit.pss_mib(house.hub.pid) - rss
    back = -1.0
    while (took := time.monotonic() - begun) < BACK_S:
        now_threads, now_fds = kit.census(house.hub.pid)
        if now_threads <= threads + 2 and now_fds <= fds + 4:
            back = took
            break
        scans += rotation.block(calm, 10).ms
    good.end()
    for client in (*stalled, *broken):
        client.close()
    figures.update(
        good_requests=len(good.ms),
        good_within_1s=sum(ms < 1000 for ms in good.ms) / max(1, len(good.ms)) if not good.failed else 0.0,
        good_worst_ms=max(good.ms, default=float("nan")),
        good_scan_p99_ms=kit.percentile(scans, 99),
        back_after_s=back if back >= 0 else float("nan"),
        threads_before=threads, threads_after=kit.census(house.hub.pid)[0],
        fds_before=fds, fds_after=kit.census(house.hub.pid)[1],
        rss_grown_mib=kit.pss_mib(house.hub.pid) - rss,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    args = kit.parser(__doc__).parse_args(argv)
    shape = (2, 80) if args.quick else (10, 100)  # a p99 of fewer scans is only their worst
    figures: dict[str, Any] = {}
    with kit.closing_all([]) as things:
        lean = kit.python("bench.peers.lean_his")
        things.append(lean)
        his_port = int(lean.expect(r"port (\d+)")[1])
        plan = Plan(his_port, stations=SCREENS, scanners=SCANNERS, screens=SCREENS + STALLED + 20, passes=700)
        house = House(plan)
        things.append(house)
        subjects = [house.subject(k, station_code(k)) for k in range(SCANNERS)]
        for subject in subjects:
            house.await_devices(subject)
        crowd = Crowd(house, subjects)
        one, many = own_room(crowd, shape)
        crowd.all()
        figures["pss_200_screens_mib"], figures["threads_200_screens"] = (
            kit.pss_mib(house.hub.pid),
            kit.census(house.hub.pid)[0],
        )
        crowd.alone()
        subjects[1].client = house.screen(1)
        figures["misrouted"] = crowd.misrouted + sum(len(s.strange) for s in subjects)
        for name, blocks in (("one", one), ("crowd", many)):
            figures[f"{name}_p50_ms"] = kit.median([kit.percentile(b.ms, 50) for b in blocks])
            figures[f"{name}_p99_ms"] = kit.median([kit.percentile(b.ms, 99) for b in blocks])
            figures[f"{name}_p99_pooled_ms"] = kit.percentile([ms for b in blocks for ms in b.ms], 99)
        for key in ("p99", "p99_pooled"):
            figures[f"own_room_{key}_vs_one"] = kit.ratio(figures[f"crowd_{key}_ms"], figures[f"one_{key}_ms"])
        assault(house, subjects, 6 if args.quick else 20, figures)
        for key in ("lost", "doubled", "disordered"):
            figures[key] = sum(s.faults()[key] for s in subjects)
    bars = {
        "own_room_p99_vs_one": "<= 1.3",
        **dict.fromkeys(("misrouted", "lost", "doubled", "disordered"), "== 0"),
        "good_within_1s": ">= 1",
        "back_after_s": f"<= {BACK_S:.0f}",
        "rss_grown_mib": "<= 20",
    }
    return kit.finish("screens", figures, bars)


if __name__ == "__main__":
    sys.exit(main())
