"""`hospital demo`: the whole house with simulated HIS, WeChat and scanners as child processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import urllib3
import yaml

from core.config import load
from core.errors import ConfigError
from core.ids import new_id
from his.port import AdmissionQuery, Ctx, PatientQuery
from hospital.bootstrap import Parts, build
from hospital.cli_base import write_key
from hospital.demo_page import DemoPage
from hospital.serve import serve
from services.cards import Claim
from store.port import BindingKind, Device, StationKind

APP_ID, APP_SECRET, HIS_TOKEN = "wx5f0e5f0e5f0e5f0e", "simulated-app-secret", "his-demo-token"
CARD, STAY = "600000000017", "2026000101"
"""王小明's card and 李秀英's stay, who are always in the simulated HIS."""
WARD = "W01"
_READY_S = 20.0


@dataclass
class Children:
    """The simulators: started together, stopped together."""

    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> Path:
        """Start ``python -m simulators.NAME``; returns its ready file."""
        ready = self.folder / f"{name}-{len(self._running)}.ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", f"simulators.{name}", *arguments, "--ready-file", str(ready)]
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._running.append(
                subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            )
        return ready

    def wait(self, ready: Path) -> str:
        """The content of a ready file once its simulator has written it. Raises ConfigError."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            if ready.exists() and (text := ready.read_text(encoding="utf-8").strip()):
                return text
            if any(child.poll() is not None for child in self._running):
                break
            time.sleep(0.02)
        raise ConfigError(f"a simulator did not start; see the .log files in {self.folder}")

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to who has not gone after two seconds."""
        for child in self._running:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + 2
        for child in self._running:
            try:
                child.wait(max(0.05, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def run_demo(port: int, folder: Path) -> None:
    """Start everything, print the addresses, serve until interrupted, stop cleanly."""
    folder.mkdir(parents=True, exist_ok=True)
    children = Children(folder.resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        page = _start_simulators(children)
        config_path = _write_config(folder, port, page)
        parts = build(load(config_path))
        try:
            page.ecard, page.wristband = _furnish(parts, page)
        finally:
            parts.close()
        _say_where(port)
        serve(config_path, "all", page.add_to)
    except KeyboardInterrupt:
        pass
    finally:
        children.stop()


def _start_simulators(children: Children) -> DemoPage:
    folder = children.folder
    his = children.start("his", "--db", str(folder / "his.db"), "--token", HIS_TOKEN)
    wechat = children.start("wechat", "--app-id", APP_ID, "--app-secret", APP_SECRET)
    lines = {"C1": folder / "scanner-counter", "W1": folder / "scanner-ward"}
    scanners = {code: children.start("scanner", "--link", str(link)) for code, link in lines.items()}
    where = json.loads(children.wait(his))
    return DemoPage(
        his=where["url"], his_admin=where["admin_url"], wechat=children.wait(wechat), lines=lines,
        scanners={code: json.loads(children.wait(ready))["control"] for code, ready in scanners.items()},
    )  # fmt: skip


def _write_config(folder: Path, port: int, page: DemoPage) -> Path:
    """A configuration for this run: the simulators' ports are new each time, the data key stays."""
    key = folder / "data.key"
    if not key.exists():
        write_key(key)
    config = {
        "server": {"host": "127.0.0.1", "port": port, "public_url": f"http://127.0.0.1:{port}"},
        "database": {"url": "sqlite:///hospital.db"},
        "his": {"options": {"base_url": page.his, "token": HIS_TOKEN}},
        "wechat": {"app_id": APP_ID, "app_secret": APP_SECRET, "api_base": page.wechat, "open_base": page.wechat},
        "secrets": {"data_key": "file:data.key"},
        "log": {"level": "WARNING"},
    }
    path = folder / "config.yaml"
    path.write_text(
        "# Written anew at each start of `hospital demo`.\n" + yaml.safe_dump(config, sort_keys=False), encoding="utf-8"
    )
    return path


def _furnish(parts: Parts, page: DemoPage) -> tuple[str, str]:
    """Stations, scanners and one phone user with a card and a relative's stay; returns the two page addresses."""
    if parts.stations.get("C1") is None:
        parts.stations.add("C1", "门诊一号窗口", StationKind.COUNTER)
        parts.stations.add("W1", "一病区护士站", StationKind.WARD, ward_code=WARD)
    options: Mapping[str, Mapping[str, Any]] = {
        code: {"port": str(link), "reread_ms": 800} for code, link in page.lines.items()
    }
    for code, name in (("C1", "窗口扫码枪"), ("W1", "病区扫码枪")):
        if (known := parts.store.devices.get(f"S-{code}")) is None:
            parts.store.devices.add(Device(new_id(), f"S-{code}", name, "serial", options[code], code, True, 1))
        elif dict(known.options) != dict(options[code]):
            parts.store.devices.change(known.code, options[code], enabled=True, station=code)
    follower = parts.store.followers.seen(_openid_of_first_user(parts), parts.clock.now())
    card = _bind(parts, follower.id, BindingKind.CARD)
    stay = _bind(parts, follower.id, BindingKind.ADMISSION)
    return f"/portal/cards/{card}/ecard", f"/portal/admissions/{stay}/wristband"


def _openid_of_first_user(parts: Parts) -> str:
    """What WeChat says of the user who opens the portal: asked through the same doors as at a login."""
    url = parts.wechat.authorize_url(f"{parts.config.server.public_url}/portal/wechat/callback", "demo")
    answer = urllib3.PoolManager().request("GET", url.split("#")[0], redirect=False, timeout=5)
    location = answer.headers.get("Location", "")
    code = parse_qs(urlsplit(location).query).get("code", [""])[0]
    return parts.wechat.openid(code)


def _bind(parts: Parts, follower_id: str, kind: BindingKind) -> str:
    """Bind through the front door, with the four fields the HIS holds."""
    ctx = Ctx(deadline_s=5, actor="demo")
    if kind is BindingKind.CARD:
        number, patient = CARD, parts.his.query_patient(PatientQuery(card_no=CARD), ctx).value
    else:
        number, patient = STAY, parts.his.query_admission(AdmissionQuery(admission_no=STAY), ctx).value.patient
    claim = Claim(kind, number, patient.name, patient.id_no, patient.phone)
    return parts.cards.bind(follower_id, claim, "127.0.0.1").id


def _say_where(port: int) -> None:
    click.echo(f"""
  掌上医院 is running; everything is simulated, nothing leaves this machine.

    phone and counter side by side   http://127.0.0.1:{port}/demo/
    patients' portal                 http://127.0.0.1:{port}/portal/
    counter screen                   http://127.0.0.1:{port}/screens/C1

  Ctrl-C stops it.
""")
