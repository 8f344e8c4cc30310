"""`hospital demo`: the whole house with simulated HIS, WeChat and scanners as child processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import urllib3
import yaml

from core.config import load
from core.ids import new_id
from his.port import AdmissionQuery, Ctx, PatientQuery
from hospital.bootstrap import Parts, build
from hospital.cli_base import write_key
from hospital.demo_children import APP_ID, APP_SECRET, HIS_TOKEN, Children, Started
from hospital.demo_page import DemoPage
from hospital.serve import must_be_free, serve
from services.cards import Claim
from store.port import BindingKind, Device, StationKind

CARD, STAY = "600000000017", "2026000101"
"""王小明's card and 李秀英's stay, who are always in the simulated HIS."""
WARD = "W01"


def run_demo(children: Children, started: Started, port: int) -> None:
    """Configure and furnish the house for the simulators that are starting, print the addresses, serve."""
    must_be_free("127.0.0.1", port, "--port")
    folder = children.folder
    page = _page(children, started)
    config_path = _write_config(folder, port, page)
    parts = build(load(config_path))
    try:
        page.ecard, page.wristband = _furnish(parts, page)
    finally:
        parts.close()
    _say_where(port)
    serve(config_path, "all", page.add_to)


def _page(children: Children, started: Started) -> DemoPage:
    where = json.loads(children.wait(started.his))
    return DemoPage(
        his=where["url"], his_admin=where["admin_url"], wechat=children.wait(started.wechat), lines=started.lines,
        scanners={code: json.loads(children.wait(ready))["control"] for code, ready in started.scanners.items()},
    )  # fmt: skip


def _write_config(folder: Path, port: int, page: DemoPage) -> Path:
    """A configuration for this run: the simulators' ports are new each time, the data key stays."""
    key = folder / "data.key"
    if not key.exists():
        write_key(key)
    config = {
        "server": {"host": "127.0.0.1", "port": port, "public_url": f"http://127.0.0.1:{port}"},
        "database": {"url": "sqlite:///hospital.db"},
        "his": {
            "options": {"base_url": page.his, "token": HIS_TOKEN},
            "guard": {"breaker_probe_ms": 2000},  # whoever switches the HIS off to see what happens should not wait
        },
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
        number, patient = CARD, parts.his.ask(PatientQuery(card_no=CARD), ctx).value
    else:
        number, patient = STAY, parts.his.ask(AdmissionQuery(admission_no=STAY), ctx).value.patient
    claim = Claim(kind, number, patient.name, patient.id_no, patient.phone)
    return parts.cards.bind(follower_id, claim, "127.0.0.1").id


def _say_where(port: int) -> None:
    click.echo(f"""
  掌上医院 is running; everything is simulated, nothing leaves this machine.

    phone and counter side by side   http://127.0.0.1:{port}/demo/
    patients' portal                 http://127.0.0.1:{port}/portal/
    counter screen                   http://127.0.0.1:{port}/screens/C1
    API for the HIS's programs       http://127.0.0.1:{port}/bridge/docs

  Ctrl-C stops it.
""")
