"""The second half of scan_latency: our scans as hub + portal, idle, with the portal saturated, with a camera at work."""

from __future__ import annotations

import shutil
from typing import Any

from bench import kit
from bench.ours import House, Plan
from bench.rotation import Block, Rotation

CONNECTIONS = 8
PAGE = "/portal/"


def saturate(port: int) -> kit.Child:
    """Ask the portal's page on 8 kept-alive connections as fast as it answers: wrk, or our own little asker."""
    if shutil.which("wrk"):
        url = f"http://127.0.0.1:{port}{PAGE}"
        return kit.Child(["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", "--latency", url])
    child = kit.python("bench.peers.page_load", str(port), PAGE, str(CONNECTIONS))
    child.expect("loading")
    return child


def p95(blocks: list[Block]) -> float:
    """Median over the blocks of each block's p95."""
    return kit.median([kit.percentile(b.ms, 95) for b in blocks])


def measure(his_port: int, shape: tuple[int, int], figures: dict[str, Any], bars: dict[str, str]) -> None:
    """Rotate idle, portal saturated and (where there is one) camera blocks; p95 against idle of the same run."""
    rounds, size = shape
    with kit.closing_all([]) as things:
        house = House(Plan(his_port, split=True))
        things.append(house)
        subject = house.subject()
        house.await_devices(subject)
        rotation = Rotation([subject])
        rotation.block(subject, 20)
        idle: list[Block] = []
        busy: list[Block] = []
        for _ in range(rounds):
            idle.append(rotation.block(subject, size))
            load = saturate(house.portal_port)
            try:
                rotation.idle(0.3)
                busy.append(rotation.block(subject, size))
            finally:
                load.stop()
        figures.update({f"loaded_{key}": value for key, value in subject.faults().items()})
        bars.update({f"loaded_{key}": "== 0" for key in subject.faults()})
        figures["idle_p95_ms"], figures["portal_p95_ms"] = p95(idle), p95(busy)
        figures["portal_p95_vs_idle"] = kit.ratio(p95(busy), p95(idle))
        bars["portal_p95_vs_idle"] = "<= 1.5"
        print(f"  hub + portal: idle p95 {p95(idle):.2f} ms, portal saturated {p95(busy):.2f} ms")
