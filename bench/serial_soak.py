"""Serial scanners under load and abuse, on real ptys and sockets, against the issue's figures.

10,000 scans at 115200 baud pace in random chunks and terminators, sent by a process of its own; 40 replugs under
changing node names; 20 replugs within 50 ms; 1 MB of noise; 32 ports while one of them is reconfigured; TCP with
FIN, RST, a greeting at connect and a silently cut link (in a network namespace; left out, with a word, where the
machine allows none); 1,000 faults on an SSI line. Latency is from the write of a code's last byte to the sink.
`--quick` sends 3,000 scans, pulls 15 cables and sets the silent link to 3 s instead of 12.
"""

import itertools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from typing import Any

from bench import kit
from bench.serial_rig import ROOT, Rig, SimulatedScanner, footprint, serial
from devices.port import DeviceState
from devices.serial.ssi import SsiFramer
from simulators.scanner.lines import TcpLine
from simulators.scanner.ssi import SsiScanner

BARS = {
    "scans_lost": "<= 0",
    "scans_doubled": "<= 0",
    "scans_out_of_order": "<= 0",
    "scan_p99_ms": "<= 20",
    "replug_seen_max_ms": "<= 100",
    "replug_back_max_ms": "<= 1500",
    "replug_scans_lost": "<= 0",
    "threads_leaked": "<= 0",
    "descriptors_leaked": "<= 0",
    "fast_replug_ghosts": "<= 0",
    "noise_next_frame_read": ">= 1",
    "reload_others_lost": "<= 0",
    "reload_others_restarted": "<= 0",
    "tcp_first_frame_of_20": ">= 20",
    "tcp_fin_seen_ms": "<= 200",
    "tcp_rst_seen_ms": "<= 200",
    "tcp_silent_seen_s": "<= 15",
    "ssi_doubled": "<= 0",
    "ssi_wrong": "<= 0",
    "ssi_acked_but_lost": "<= 0",
}


def soak(count: int) -> dict[str, float]:
    """Scans at line pace: losses, doubles, order, latency; a bare read loop takes turns, to know the machine's."""
    codes = [f"87{index:018d}" for index in range(count)]
    sent: list[float] = []
    bare: list[float] = []
    with Rig() as rig:
        scanner = SimulatedScanner(rig.folder, "--link", str(rig.folder / "scanner"))
        other = SimulatedScanner(rig.folder, "--link", str(rig.folder / "bare"))
        rig.online(serial("c1", scanner.device))
        for start in range(0, count, 500):
            order = {"texts": codes[start : start + 500], "suffixes": ["\r", "\n", "\r\n"], "chunk": True}
            sent += scanner.order("/burst", **order)["times"]
            if start % 1000 == 0:
                bare += bare_reader(other, {**order, "suffixes": ["\r"]})
        rig.wait(lambda: len(rig.readings) >= count)
        time.sleep(0.1)
        overflow = rig.supervisor.stats()["c1"].overflow
        scanner.end()
        other.end()
        texts = [reading.text for _, reading in rig.readings]
        sent_at = dict(zip(codes, sent, strict=True))
        late = [(seen - sent_at[reading.text]) * 1000 for seen, reading in rig.readings if reading.text in sent_at]
    return {
        "scans": count,
        "scans_lost": len(set(codes) - set(texts)),
        "scans_overflowed": overflow,
        "scans_doubled": len(texts) - len(set(texts)),
        "scans_out_of_order": sum(one > other for one, other in itertools.pairwise(texts)),
        "scan_p50_ms": round(kit.percentile(late, 50), 3),
        "scan_p99_ms": round(kit.percentile(late, 99), 3),
        "scan_max_ms": round(max(late), 3),
        "bare_p50_ms": round(kit.percentile(bare, 50), 3),
        "bare_p99_ms": round(kit.percentile(bare, 99), 3),
    }


def bare_reader(scanner: SimulatedScanner, order: dict[str, Any]) -> list[float]:
    """Milliseconds from last byte to a plain blocking os.read loop, without driver, framer or queue."""
    seen: list[float] = []
    fd = os.open(scanner.device, os.O_RDWR | os.O_NOCTTY)

    def read() -> None:
        while len(seen) < len(order["texts"]):
            data = os.read(fd, 4096)
            seen.extend([time.monotonic()] * data.count(b"\r"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    times = scanner.order("/burst", **order)["times"]
    reader.join(10)
    os.close(fd)
    return [(at - sent) * 1000 for at, sent in zip(seen, times, strict=False)]


def replugs(count: int) -> dict[str, float]:
    """Cables pulled for a random while and plugged under another node name; then 20 within 50 ms."""
    dice, seen, back, lost = random.Random(4), [], [], 0
    with Rig() as rig:
        line = rig.pty()
        rig.online(serial("c1", line.link))
        threads, descriptors = footprint()
        for index in range(count):
            line.unplug()
            seen.append(rig.wait_for("c1", DeviceState.BACKOFF))
            time.sleep(dice.uniform(0, 0.6))
            line.plug()
            back.append(rig.wait_for("c1", DeviceState.ONLINE))
            code = f"87{index:06d}"
            line.write(code.encode() + b"\r")
            rig.wait(lambda code=code: rig.readings and rig.readings[-1][1].text == code, 1.0)
            lost += not rig.readings or rig.readings[-1][1].text != code
        ghosts = 0
        for index in range(20):
            line.unplug()
            time.sleep(dice.uniform(0.005, 0.045))
            line.plug()
            code = f"88{index:06d}"
            ghosts += not _comes_through(rig, line, code)
        after = footprint()
    return {
        "replugs": count,
        "replug_seen_max_ms": round(max(seen) * 1000, 1),
        "replug_back_p50_ms": round(sorted(back)[count // 2] * 1000, 1),
        "replug_back_max_ms": round(max(back) * 1000, 1),
        "replug_scans_lost": lost,
        "threads_leaked": after[0] - threads,
        "descriptors_leaked": after[1] - descriptors,
        "fast_replug_ghosts": ghosts,
    }


def _comes_through(rig: Rig, line: Any, code: str) -> bool:
    """A state that says online is not believed: hold the code up until it is read, for at most 1.5 s."""
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        line.write(code.encode() + b"\r")
        if rig.wait(lambda: rig.readings and rig.readings[-1][1].text == code, 0.05) < 0.05:
            return True
    return False


def noise() -> dict[str, float]:
    """A megabyte of random bytes, then a terminator, then a good code."""
    rubbish = random.Random(9).randbytes(1_000_000)
    with Rig() as rig:
        line = rig.pty()
        rig.online(serial("c1", line.link))
        for start in range(0, len(rubbish), 1024):
            line.write(rubbish[start : start + 1024])
        line.write(b"\r8712345\r")
        rig.wait(lambda: rig.readings and rig.readings[-1][1].text == "8712345", 5)
        return {"noise_next_frame_read": int(bool(rig.readings) and rig.readings[-1][1].text == "8712345")}


def reload_one(ports: int = 32, rounds: int = 100) -> dict[str, float]:
    """All ports scan while the first is reconfigured again and again."""
    with Rig() as rig:
        lines = [rig.pty(f"s{index}") for index in range(ports)]
        configs = [serial(f"c{index:02d}", line.link) for index, line in enumerate(lines)]
        rig.online(*configs)
        told, done, reloads = len(rig.states), threading.Event(), [0]

        def reload() -> None:
            while not done.is_set():
                reloads[0] += 1
                rig.supervisor.apply([serial("c00", lines[0].link, baud=(9600, 115200)[reloads[0] % 2]), *configs[1:]])
                time.sleep(0.05)

        thread = threading.Thread(target=reload)
        thread.start()
        for number in range(rounds):
            for line in lines[1:]:
                line.write(f"87{number:06d}\r".encode())
            time.sleep(0.01)
        done.set()
        thread.join()
        wanted = {(config.code, f"87{number:06d}") for config in configs[1:] for number in range(rounds)}
        rig.wait(lambda: len(rig.readings) >= len(wanted))
        got = {(reading.device, reading.text) for _, reading in rig.readings}
        return {
            "reloads": reloads[0],
            "reload_others_sent": len(wanted),
            "reload_others_lost": len(wanted - got),
            "reload_others_restarted": sum(change.device != "c00" for change in rig.states[told:]),
        }


def tcp() -> dict[str, float]:
    """A greeting at each of 20 connects, then a FIN and an RST."""
    figures: dict[str, float] = {}
    with Rig() as rig:
        line = TcpLine(greeting=b"8700\r")
        line.plug()
        rig.online(serial("g", line.name, reread_ms=0))
        for count in range(1, 20):
            rig.wait(lambda count=count: len(rig.readings) >= count and line.clients == 1, 3)
            line.unplug("fin-keep")
            rig.wait_for("g", DeviceState.BACKOFF, 1)
            rig.wait_for("g", DeviceState.ONLINE)
        rig.wait(lambda: len(rig.readings) >= 20 and line.clients == 1, 3)
        figures["tcp_first_frame_of_20"] = len(rig.readings)
        for how in ("fin", "rst"):
            rig.wait(lambda: line.clients == 1)
            line.unplug(how + "-keep")
            figures[f"tcp_{how}_seen_ms"] = round(rig.wait_for("g", DeviceState.BACKOFF, 1) * 1000, 1)
            rig.wait_for("g", DeviceState.ONLINE)
        line.unplug()
    return figures


CUT_LINK = """
import subprocess, sys, time
from bench import kit
from bench.serial_rig import Rig, serial
from devices.port import DeviceState
from simulators.scanner.lines import TcpLine

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
line = TcpLine()
line.plug()
with Rig() as rig:
    rig.online(serial("g", line.name, silent_link_s=float(sys.argv[1])))
    rig.wait(lambda: line.clients == 1)
    line.write(b"8712\\r")
    rig.wait(lambda: rig.readings)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    print(rig.wait_for("g", DeviceState.BACKOFF, 20), flush=True)
"""


def silent_link(seconds: float) -> dict[str, float]:
    """Cut the wire under an open link and wait until it is noticed."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        print("silent link: left out, unshare or ip is missing")
        return {}
    command = ["unshare", "-rn", sys.executable, "-c", CUT_LINK, str(seconds)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode != 0:
        print("silent link: left out, this machine allows no network namespace")
        return {}
    return {"tcp_silent_set_s": seconds, "tcp_silent_seen_s": round(float(answer.stdout), 2)}


def ssi(faults: int = 1000) -> dict[str, float]:
    """A simulated SSI scanner on a bad cable, in simulated time."""
    framer, now, got = SsiFramer(), [0.0], []

    def exchange(wire: bytes) -> bytes:
        for byte in wire:
            got.extend(frame.payload for frame in framer.feed(bytes((byte,)), now[0]))
            now[0] += 0.0001
        while (due := framer.deadline) is not None:
            now[0] = max(now[0], due)
            got.extend(frame.payload for frame in framer.expire(now[0]))
        return framer.take_replies()

    def wait(seconds: float) -> None:
        now[0] += seconds

    scanner = SsiScanner(exchange, wait, random.Random(11))
    held, acked = [], []
    while scanner.faults < faults:
        held.append(f"87{len(held):018d}".encode())
        if scanner.hold_up(held[-1]):
            acked.append(held[-1])
        wait(1.0)
    return {
        "ssi_faults": scanner.faults,
        "ssi_scans": len(held),
        "ssi_repeats_dropped": framer.repeats,
        "ssi_doubled": len(got) - len(set(got)),
        "ssi_wrong": len(set(got) - set(held)),
        "ssi_acked_but_lost": len(set(acked) - set(got)),
    }


def main() -> int:
    """Run all parts; the last line is the figures as JSON."""
    quick = kit.parser(__doc__).parse_args().quick
    logging.getLogger("devices").setLevel(logging.ERROR)  # cables are pulled on purpose here
    figures: dict[str, float] = {}
    parts = (
        lambda: soak(3000 if quick else 10_000),
        lambda: replugs(15 if quick else 40),
        noise,
        reload_one,
        tcp,
        lambda: silent_link(3.0 if quick else 12.0),
        ssi,
    )
    for part in parts:
        found = part()
        print(json.dumps(found), flush=True)
        figures.update(found)
    # a part left out with a word has no figure, and no bar to miss
    return kit.finish("serial_soak", figures, {name: bar for name, bar in BARS.items() if name in figures})


if __name__ == "__main__":
    raise SystemExit(main())
