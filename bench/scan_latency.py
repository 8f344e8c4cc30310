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

from bench import kit
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
        rotation.block(subject, 20)  # warm: imports, caches, kept-alive connections
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


def main(argv: list[str] | None = None) -> int:
    args = kit.parser(__doc__)
    args.add_argument("--only", default="ours,asyncio,nodered", help="comma list of the programs to run")
    asked = args.parse_args(argv)
    rounds, size = (5, 20) if asked.quick else (20, 100)
    chosen = asked.only.split(",")
    with kit.closing_all([]) as things:
        lean = kit.python("bench.peers.lean_his")
        things.append(lean)
        his_port = int(lean.expect(r"port (\d+)")[1])
        his = f"http://127.0.0.1:{his_port}/api/query_patient"
        subjects: list[Subject] = []
        if "asyncio" in chosen:
            subjects.append(bare_asyncio(his, things))
        if "nodered" in chosen:
            try:
                subjects.append(node_red(his, things))
            except nodered.UnavailableError as why:
                print(f"Node-RED skipped: {why}")
        blocks = rotate(subjects, rounds, size)
        for name, some in blocks.items():
            show(name, summary(some))
        for s in subjects:
            print(s.name, s.faults())
    return 0


if __name__ == "__main__":
    sys.exit(main())
