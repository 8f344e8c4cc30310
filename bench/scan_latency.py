"""Scan to screen over a pty, 2,000 scans a program at 20/s, in rotating blocks of 100.

Measured from the write of a code's last byte to the event at a raw-socket client. Ours (`hospital serve`: the pass
verified, the HIS asked over HTTP each time, the outcome committed before the push) against a bare asyncio program
(pyserial-asyncio, aiohttp, websockets) and Node-RED with its serial node, all three asking one lean HIS process.
Then ours alone as hub + portal: idle, with the portal saturated, and with a camera decoding 10 frames a second.
p50/p99 compare medians over the blocks (`_pooled`: over all scans at once); Node-RED is skipped with a word when absent.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from typing import Any

from bench import kit, loaded
from bench.ours import PASSES, House, Plan, lookups
from bench.peers import nodered
from bench.rawsio import RawWs
from bench.rotation import Block, Rotation, Subject, Wire

Blocks = dict[str, list[Block]]


def _wires(seed: int) -> Callable[[], Wire]:
    """Fresh 20-digit codes for a peer, which takes any."""
    rng = random.Random(seed)

    def make() -> Wire:
        code = f"{rng.randrange(10**20):020d}"
        return code.encode() + b"\r", code

    return make


def bare_asyncio(his: str, things: list[Any]) -> Subject:
    """The bare asyncio program, started and connected."""
    pty = kit.Pty()
    child = kit.python("bench.peers.bare_asyncio", pty.path, his)
    things += [pty, child]
    client = RawWs(int(child.expect(r"port (\d+)")[1]), "/")
    return Subject("asyncio", child.pid, pty, client, _wires(1), lambda p: p["code"])


def node_red(his: str, things: list[Any]) -> Subject:
    """Node-RED, started and connected; nodered.UnavailableError when it cannot be had."""
    pty = kit.Pty()
    things.append(pty)
    red = nodered.NodeRed(pty.path, his)
    things.append(red)
    return Subject("nodered", red.pid, pty, RawWs(red.port, "/scan"), _wires(2), lambda p: p["code"])


def rotate(subjects: list[Subject], rounds: int, size: int) -> Blocks:
    """`rounds` blocks for each subject, the order turned each round so that noise and warmth are shared."""
    rotation = Rotation(subjects)
    for subject in subjects:
        rotation.block(subject, 10)  # warm: imports, caches, kept-alive connections
    blocks: Blocks = {s.name: [] for s in subjects}
    turn = itertools.cycle(range(len(subjects)))
    for _ in range(rounds):
        at = next(turn)
        for subject in subjects[at:] + subjects[:at]:
            blocks[subject.name].append(rotation.block(subject, size))
    return blocks


def summary(blocks: list[Block]) -> dict[str, float]:
    """Figures of one program: medians over blocks, and pooled."""
    pooled = [ms for block in blocks for ms in block.ms]
    return {
        "p50_ms": kit.median([kit.percentile(b.ms, 50) for b in blocks]),
        "p95_ms": kit.median([kit.percentile(b.ms, 95) for b in blocks]),
        "p99_ms": kit.median([kit.percentile(b.ms, 99) for b in blocks]),
        "p50_pooled_ms": kit.percentile(pooled, 50),
        "p99_pooled_ms": kit.percentile(pooled, 99),
        "cpu_us_per_scan": kit.median([b.cpu_us for b in blocks]),
        "scans": len(pooled),
    }


def show(name: str, s: dict[str, float]) -> None:
    print(
        f"  {name:<18} p50 {s['p50_ms']:.2f}  p95 {s['p95_ms']:.2f}  p99 {s['p99_ms']:.2f} ms"
        f"  (pooled {s['p50_pooled_ms']:.2f} / {s['p99_pooled_ms']:.2f})  CPU {s['cpu_us_per_scan']:.0f} µs/scan",
        flush=True,
    )


def compare(figures: dict[str, Any], bars: dict[str, str], got: dict[str, dict[str, float]]) -> None:
    """Ratios of ours to each peer that ran, with the bars they must meet."""
    for name, s in got.items():
        figures.update({f"{name}_{key}": value for key, value in s.items()})
    limits = {
        "asyncio": {"p50": "<= 1.2", "p99": "<= 1.5"},
        "nodered": {"p50": "<= 0.5", "p99": "<= 0.5", "cpu": "<= 0.5"},
    }
    for peer, limit in limits.items():
        if peer not in got or "ours" not in got:
            continue
        ours, theirs = got["ours"], got[peer]
        for key in ("p50", "p99"):
            figures[f"{key}_vs_{peer}"] = kit.ratio(ours[f"{key}_ms"], theirs[f"{key}_ms"])
            figures[f"{key}_pooled_vs_{peer}"] = kit.ratio(ours[f"{key}_pooled_ms"], theirs[f"{key}_pooled_ms"])
        figures[f"cpu_vs_{peer}"] = kit.ratio(ours["cpu_us_per_scan"], theirs["cpu_us_per_scan"])
        bars.update({f"{key}_vs_{peer}": bar for key, bar in limit.items()})


def duties(subject: Subject, house: House, asked_before: int, his_port: int) -> dict[str, int]:
    """What must be exactly so: nothing lost, doubled or out of order; each scan looked up and stored."""
    scans = len(subject.sent) + 1  # the one that showed the scanner was ready
    return {
        **subject.faults(),
        "not_looked_up": scans - (lookups(his_port) - asked_before),
        "not_stored": scans - house.stored(),
    }


def main(argv: list[str] | None = None) -> int:
    args = kit.parser(__doc__)
    args.add_argument("--only", default="ours,asyncio,nodered", help="comma list of the programs to run")
    args.add_argument("--no-load", action="store_true", help="leave out the part with portal and camera at work")
    asked = args.parse_args(argv)
    rounds, size = (5, 20) if asked.quick else (20, 100)
    figures: dict[str, Any] = {}
    bars: dict[str, str] = {}
    with kit.closing_all([]) as things:
        lean = kit.python("bench.peers.lean_his")
        things.append(lean)
        his_port = int(lean.expect(r"port (\d+)")[1])
        race(asked.only.split(","), his_port, (rounds, size), figures, bars)
        if "ours" in asked.only and not asked.no_load:
            loaded.measure(his_port, ([2, 3], 12) if asked.quick else ([1, 1, 1, 1, 1], 100), figures, bars)
    return kit.finish("scan_latency", figures, bars)


def race(
    chosen: list[str], his_port: int, shape: tuple[int, int], figures: dict[str, Any], bars: dict[str, str]
) -> None:
    """Part one: the programs chosen, in rotation. `shape`: (rounds, scans a block)."""
    his = f"http://127.0.0.1:{his_port}/api/query_patient"
    with kit.closing_all([]) as things:
        house = None
        if "ours" in chosen:
            house = House(Plan(his_port, passes=min(PASSES, 200 + shape[0] * shape[1])))
            things.append(house)
        peers: list[Subject] = []
        if "nodered" in chosen:
            try:
                peers.append(node_red(his, things))
            except nodered.UnavailableError as why:
                print(f"Node-RED skipped: {why}")
                figures["nodered_skipped"] = str(why)
        if "asyncio" in chosen:
            peers.insert(0, bare_asyncio(his, things))
        subjects = peers
        if house is not None:  # connected last: nobody answers its pings until the rotation runs
            subjects = [house.subject(), *peers]
            asked_before = lookups(his_port)
            house.await_devices(subjects[0])
        blocks = rotate(subjects, *shape)
        got = {name: summary(some) for name, some in blocks.items()}
        for name, s in got.items():
            show(name, s)
        for subject in subjects:
            faults = subject.faults()
            if house is not None and subject is subjects[0]:
                others = sum(len(s.sent) for s in subjects[1:])
                faults = duties(subject, house, asked_before + others, his_port)
                bars.update(dict.fromkeys(faults, "== 0"))
                figures.update(faults)
            print(f"  {subject.name:<18} {faults} of {len(subject.sent)} scans")
        compare(figures, bars, got)


if __name__ == "__main__":
    sys.exit(main())
