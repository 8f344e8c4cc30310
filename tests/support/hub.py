"""The hub as it runs: `hospital serve --role hub` as a process in a folder of its own, scanners on ptys, raw screens."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.rawsio import RawSio
from core.clock import SHANGHAI
from core.ids import new_id, new_token
from core.privacy import Vault
from store.port import Accepts, Device, Event, Station, StationKind
from store.store import Store
from tests.support.sims import ROOT, HisSim

KEY = b"h" * 32
QUICK_HIS = {"connect_ms": 300}
QUICK_GUARD = {"breaker_probe_ms": 200}


def cards(count: int, start: int = 13) -> list[str]:
    """Numbers of printed cards the simulated HIS holds and that are in use (the first twelve people are special)."""
    return [str(600_000_000_000 + 17 * (start + n)) for n in range(count)]


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> float:
    """Wait until it holds; how long it took, or a failure that says what was waited for."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"waited {seconds} s in vain for {what}"
        time.sleep(0.005)
    return time.monotonic() - begun


class ScannerSim:
    """A simulated scanner process on a pty."""

    def __init__(self, folder: Path, name: str) -> None:
        ready = folder / f"{name}.ready"
        self.link = folder / name
        command = [sys.executable, "-m", "simulators.scanner", "--link", str(self.link), "--ready-file", str(ready)]
        self.proc = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        wait_for(ready.exists, 20, "the scanner simulator")
        self._control = json.loads(ready.read_text())["control"]

    def order(self, path: str, **body: Any) -> dict[str, Any]:
        """One order to its control port."""
        request = urllib.request.Request(self._control + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))

    def scan(self, text: str) -> None:
        """Hold one code before it."""
        self.order("/scan", text=text, suffix="\r")

    def burst(self, texts: list[str], every: float) -> None:
        """Hold many, ``every`` seconds apart; returns when all are sent."""
        self.order("/burst", texts=texts, every=every)

    def stop(self) -> None:
        """Unplug and end."""
        if self.proc.poll() is None:
            self.proc.terminate()
        self.proc.wait(10)


@dataclass
class HubHouse:
    """One deployment. ``tokens`` by station; `start` and `kill` as often as wanted, always on the same port."""

    folder: Path
    his_url: str
    his_token: str
    stations: tuple[str, ...] = ("C1",)
    scan_deadline_ms: int = 600
    server: dict[str, Any] = field(default_factory=dict)
    runner: tuple[str, ...] = ("-m", "hospital")
    role: str = "hub"
    guard: dict[str, Any] = field(default_factory=lambda: QUICK_GUARD)
    proc: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self.log = self.folder / "hub.log"
        self.config = self.folder / "config.yaml"
        (self.folder / "data.key").write_text(base64.urlsafe_b64encode(KEY).decode())
        self.config.write_text(yaml.safe_dump({
            "server": {"port": self.port, "public_url": f"http://127.0.0.1:{self.port}", "screens": 32, **self.server},
            "database": {"url": "sqlite:///hospital.db"},
            "his": {
                "options": {"base_url": self.his_url, "token": self.his_token, **QUICK_HIS},
                "guard": self.guard,
                "scan_deadline_ms": self.scan_deadline_ms,
            },
            "secrets": {"data_key": "file:data.key"},
        }))  # fmt: skip
        self.tokens = {code: new_token() for code in self.stations}
        with self.opened() as store:
            for code, token in self.tokens.items():
                store.stations.add(Station(new_id(), code, f"{code} 号窗口", StationKind.COUNTER, Accepts.BOTH))
                store.stations.add_token(code, token, datetime.now(SHANGHAI))
        self.scanners: dict[str, ScannerSim] = {}
        self.screens: list[Screen] = []

    def opened(self) -> contextlib.closing[Store]:
        """hospital.db, beside the running hub."""
        return contextlib.closing(Store(f"sqlite:///{self.folder / 'hospital.db'}", Vault(KEY)))

    def add_scanner(self, station: str = "C1", **options: Any) -> ScannerSim:
        """A scanner of this station on a pty; repeats are let through."""
        name = f"D-{station}"
        sim = self.scanners[name] = ScannerSim(self.folder, name)
        settings = {"port": str(sim.link), "baud": 115200, "reread_ms": 0, **options}
        with self.opened() as store:
            store.devices.add(Device(new_id(), name, name, "serial", settings, station, enabled=True, revision=1))
        return sim

    # --- the process

    def start(self) -> float:
        """Start and wait until it answers; the seconds it took."""
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self.proc = subprocess.Popen(
                [sys.executable, *self.runner, "serve", "--role", self.role, "--config", str(self.config)],
                cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(self.answers, 40, f"the hub; it said: {self.said()[-2000:]}")
        return time.monotonic() - begun

    def answers(self) -> bool:
        """Whether /healthz does; a hub that ended is a failure, said with its last words."""
        assert self.proc is None or self.proc.poll() is None, self.said()[-3000:]
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str, timeout: float = 5.0) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9, arbiter and worker, as a machine that is switched off would (and systemd does)."""
        assert self.proc is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait()

    def worker(self) -> int:
        """The pid of the process that serves."""
        assert self.proc is not None
        children = Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split()
        return int(children[0])

    def stop(self) -> float:
        """SIGTERM; the seconds it took."""
        begun = time.monotonic()
        if self.proc is not None and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - begun

    def close(self) -> None:
        """End everything."""
        for screen in self.screens:
            screen.cut()
        self.stop()
        if self.proc is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.proc.pid, signal.SIGKILL)
        for sim in self.scanners.values():
            sim.stop()

    # --- what it keeps and says

    def events(self, station: str = "C1") -> list[Event]:
        """The station's list as stored."""
        with self.opened() as store:
            return store.scans.events_after(station, 0, 100_000)

    def screen(self, station: str = "C1", **how: Any) -> Screen:
        """A screen that is not connected yet."""
        self.screens.append(Screen(self, station, **how))
        return self.screens[-1]

    def await_device(self, station: str = "C1", seconds: float = 15.0) -> float:
        """Until the station's scanner is online."""

        def online() -> bool:
            with contextlib.suppress(OSError):
                return f"device D-{station}" not in self.get("/readyz")[1] and self._device_is_read(station)
            return False

        return wait_for(online, seconds, f"the scanner of {station}")

    def _device_is_read(self, station: str) -> bool:
        screen = self.screen(station)
        screen.connect()
        states = [device["state"] for device in screen.ack["snapshot"]["devices"]]
        screen.cut()
        return states == ["online"]


class Line(RawSio):
    """A raw Socket.IO client that leaves no socket behind when nobody listens."""

    def __init__(self, port: int, **how: Any) -> None:
        try:
            super().__init__(port, **how)
        except BaseException:
            self.sock.close()
            raise


class Screen:
    """What a careful screen does: keeps ``last_seq``, says it at every hello, and notes every event it is sent.

    ``seen`` holds (event name, seq, body) as they came, over all connections, nothing filtered.
    """

    def __init__(self, house: HubHouse, station: str, *, forgetful: bool = False, rcvbuf: int = 0) -> None:
        self._house, self._station, self._forgetful, self._rcvbuf = house, station, forgetful, rcvbuf
        self.seen: list[tuple[str, int, dict[str, Any]]] = []
        self.last_seq: int | None = None
        self.ack: dict[str, Any] = {}
        self.line: Line | None = None

    @property
    def connected(self) -> bool:
        return self.line is not None and not self.line.closed

    @property
    def seqs(self) -> list[int]:
        return [seq for _, seq, _ in self.seen]

    @property
    def outcomes(self) -> list[str]:
        return [body["outcome"] for kind, _, body in self.seen if kind == "scan"]

    def connect(self, token: str | None = None) -> dict[str, Any]:
        """Connect and say hello; the reply. OSError while nobody listens."""
        self.cut()
        line = Line(self._house.port, rcvbuf=self._rcvbuf)
        hello = {
            "station": self._station,
            "token": token or self._house.tokens[self._station],
            "last_seq": None if self._forgetful else self.last_seq,
        }
        try:
            self.ack = line.call("hello", hello)
        except BaseException:
            line.close()
            raise
        self.line = line
        if self.ack["ok"] and self.last_seq is None:
            self.last_seq = self.ack["seq"]
        self.poll(0)
        return self.ack

    def reconnect(self, seconds: float = 30.0) -> float:
        """Connect again and again until it works; the seconds it took."""

        def tried() -> bool:
            with contextlib.suppress(OSError):
                return bool(self.connect()["ok"])
            return False

        return wait_for(tried, seconds, "the hub to take the screen back")

    def poll(self, seconds: float) -> None:
        """Take what arrives within so many seconds."""
        until = time.monotonic() + seconds
        while self.line is not None:
            for _, (kind, body) in self.line.poll(max(0.0, until - time.monotonic())):
                self.seen.append((kind, body["seq"], body))
                self.last_seq = max(self.last_seq or 0, body["seq"])
            if self.line.closed or time.monotonic() >= until:
                return

    def poll_until(self, condition: Callable[[], Any], seconds: float = 10.0) -> float:
        """Take events until the condition holds; how long that took."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, f"waited {seconds} s in vain; saw {self.seqs[-20:]}"
            self.poll(0.05)
        return time.monotonic() - begun

    def cut(self) -> None:
        """Drop the line, as a pulled cable would."""
        if self.line is not None:
            self.line.close()
            self.line = None


def house_on(his: HisSim, folder: Path, **how: Any) -> HubHouse:
    """A house before this HIS."""
    return HubHouse(folder, his.url, his.token, **how)
