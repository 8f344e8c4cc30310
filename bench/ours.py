"""Our own service for the benches: a scratch deployment with stations, scanners on ptys and passes, and `hospital serve`."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench import kit
from bench.rawsio import RawSio
from bench.rotation import Subject, Wire
from core.clock import SHANGHAI
from core.codes import passes
from core.ids import new_id, new_token
from core.privacy import Vault
from store.port import Accepts, Binding, BindingKind, Device, PassRow, Station, StationKind
from store.store import Store

PASSES = 2000
"""At 20 scans a second one pass comes round after 100 s: three steps later, so it is a fresh code each time."""


@dataclass
class Plan:
    """What to build. `scanners`: how many of the stations have one; `screens`: threads kept for screens."""

    his_port: int
    stations: int = 1
    scanners: int = 1
    screens: int = 64
    passes: int = PASSES
    extra_devices: list[Device] = field(default_factory=list)
    split: bool = False


class House:
    """A running deployment in a scratch folder. `hub` (and `portal` when split) are children; `stop()` ends all."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dir = Path(tempfile.mkdtemp(prefix="palm-bench-"))
        self.ptys = [kit.Pty() for _ in range(plan.scanners)]
        self.tokens = [new_token() for _ in range(plan.stations)]
        self.children: list[kit.Child] = []
        self.port, self.portal_port = kit.free_port(), kit.free_port()
        self.latest: dict[str, str] = {}
        try:
            self.passes = self._prepare()
            self._turn = itertools.cycle(self.passes)
            self._count = itertools.count()
            self.hub = self._serve("hub" if plan.split else "all", self.port)
            self.portal = self._serve("portal", self.portal_port) if plan.split else self.hub
        except BaseException:
            self.stop()
            raise

    # --- building -------------------------------------------------------------------------------------

    def _prepare(self) -> list[PassRow]:
        key = self._key = os.urandom(32)
        (self.dir / "data.key").write_text(base64.urlsafe_b64encode(key).decode())
        config = {
            "server": {
                "host": "127.0.0.1",
                "port": self.port,
                "portal_port": self.portal_port,
                "public_url": f"http://127.0.0.1:{self.port}",
                "screens": self.plan.screens,
            },
            "database": {"url": "sqlite:///hospital.db"},
            "his": {
                "adapter": "rest",
                "options": {"base_url": f"http://127.0.0.1:{self.plan.his_port}", "token": "bench"},
            },
            "secrets": {"data_key": "file:data.key"},
        }
        (self.dir / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        store = Store(f"sqlite:///{self.dir / 'hospital.db'}", Vault(key))
        try:
            with (
                store.durable.write()
            ):  # one commit for all: thousands of durable ones would take longer than the bench
                return self._fill(store)
        finally:
            store.close()

    def _fill(self, store: Store) -> list[PassRow]:
        now = datetime.now(SHANGHAI)
        for n, token in enumerate(self.tokens):
            code = station_code(n)
            store.stations.add(Station(new_id(), code, f"窗口 {n}", StationKind.COUNTER, Accepts.BOTH))
            store.stations.add_token(code, token, now)
        for n, pty in enumerate(self.ptys):
            options = {"port": pty.path, "baud": 115200}
            store.devices.add(Device(new_id(), f"D{n}", f"扫码器 {n}", "serial", options, station_code(n), True, 1))
        for device in self.plan.extra_devices:
            store.devices.add(device)
        follower = store.followers.seen("bench", now)
        rows = []
        for n in range(self.plan.passes):
            card = f"60{n:010d}"
            binding = Binding(new_id(), follower.id, BindingKind.CARD, card, f"P{card[-8:]}", "王小明", now)
            rows.append(store.bindings.pass_for(store.bindings.add(binding, now), now))
        return rows

    def _serve(self, role: str, port: int) -> kit.Child:
        child = kit.python("hospital", "serve", "--config", str(self.dir / "config.yaml"), "--role", role, cwd=self.dir)
        self.children.append(child)
        self._await_healthy(child, port)
        return child

    @staticmethod
    def _await_healthy(child: kit.Child, port: int, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and child.proc.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
            time.sleep(0.05)
        raise RuntimeError("hospital serve does not answer /healthz:\n" + "\n".join(child.lines[-40:]))

    def switch_device(self, code: str, *, enabled: bool) -> None:
        """Change a device in the database; the running hub follows within two seconds."""
        store = Store(f"sqlite:///{self.dir / 'hospital.db'}", Vault(self._key))
        try:
            device = store.devices.get(code)
            assert device is not None
            store.devices.change(code, device.options, enabled=enabled, station=device.station)
        finally:
            store.close()

    # --- scanning -------------------------------------------------------------------------------------

    def wire(self) -> Wire:
        """The next pass as its phone shows it now; the key tells this very showing apart."""
        row = next(self._turn)
        code = passes.render(row.kind, row.pass_no, row.secret, passes.step_at(time.time()))
        key = f"{row.number[-4:]}#{next(self._count)}"
        self.latest[row.number[-4:]] = key
        return code.encode() + b"\r", key

    def key_of(self, payload: Any) -> str | None:
        """The key of a scan event; anything but `identified` is a key nobody waits for."""
        event, body = payload
        if event != "scan":
            return None
        if body.get("outcome") != "identified":
            return f"{body.get('outcome')}@{body.get('seq')}"
        return self.latest.get(body["patient"]["card_last4"], "?")

    def screen(self, station: int = 0, **kw: Any) -> RawSio:
        """A screen that has said hello to its station and was let in."""
        client = RawSio(self.port, **kw)
        ack = client.call("hello", {"station": station_code(station), "token": self.tokens[station], "last_seq": None})
        if not ack or not ack.get("ok"):
            raise ConnectionError(f"hello was refused: {ack}")
        return client

    def subject(self, station: int = 0, name: str = "ours") -> Subject:
        """One scanner with the screen of its station, as a program under test; it acks each scan as a screen does."""
        return Subject(name, self.hub.pid, self.ptys[station], self.screen(station), self.wire, self.key_of, ack)

    def await_devices(self, subject: Subject, seconds: float = 15.0) -> None:
        """Until a scan of this subject's pty comes through; RuntimeError with the service's last lines otherwise."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            subject.pty.send(self.wire()[0])
            until = time.monotonic() + 1.0
            while (left := until - time.monotonic()) > 0:
                if any(payload[0] == "scan" for _, payload in subject.client.poll(left)):
                    subject.client.poll(0.2)
                    return
        raise RuntimeError("no scan came through:\n" + "\n".join(self.hub.lines[-20:]))

    def stored(self) -> int:
        """Identified scans in hospital.db."""
        with sqlite3.connect(f"file:{self.dir / 'hospital.db'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM scan WHERE outcome = 'identified'").fetchone()[0])

    def stop(self) -> None:
        """End the processes, close the ptys, remove the folder."""
        for child in reversed(self.children):
            child.stop()
        for pty in self.ptys:
            pty.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def ack(client: Any, payload: Any) -> None:
    """What a counter screen answers to each event."""
    client.emit("ack", {"seq": payload[1].get("seq")})


def station_code(n: int) -> str:
    """C000, C001, …"""
    return f"C{n:03d}"


def lookups(his_port: int) -> int:
    """How many patients the lean HIS was asked for so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{his_port}/stats", timeout=5) as answer:
        return int(json.load(answer)["lookups"])
