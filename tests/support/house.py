"""The portal as it runs: real store, real HIS and WeChat simulators as processes, served on a free port."""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.serving import make_server

from core.clock import Clock
from core.config import Config
from his.port import AdmissionQuery, Ctx, Patient, PatientQuery
from hospital.app import create_app
from hospital.bootstrap import Parts, build
from services.cards import Claim
from store.port import BindingKind
from tests.support.sim_wechat import APP_ID, APP_SECRET, WechatSim, start_wechat
from tests.support.sims import HisSim, start_his

CARD, STAY, STAY_BAND, DISCHARGED, DECEASED = (
    "600000000017",
    "2026000101",
    "W202600010101",
    "2026000105",
    "600000000102",
)
OTHER_CARD = "600000000136"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


def config_for(folder: Path, his: HisSim, wechat: WechatSim, /, **sections: Any) -> Config:
    """A configuration of this run; ``sections`` are laid over it."""
    base: dict[str, Any] = {
        "database": {"url": f"sqlite:///{folder / 'hospital.db'}"},
        "his": {"options": {"base_url": his.url, "token": his.token}},
        "wechat": {
            "app_id": APP_ID, "app_secret": APP_SECRET, "api_base": wechat.url, "open_base": wechat.url,
            "timeout_ms": 1000,
        },
        "secrets": {"data_key": KEY},
    }  # fmt: skip
    for name, section in sections.items():
        base[name] = {**base.get(name, {}), **section}
    return Config.model_validate(base)


@dataclass
class Phone:
    """A patient's browser without JavaScript."""

    url: str
    user: int
    http: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **more: Any) -> requests.Response:
        """GET within the portal."""
        return self.http.get(self.url + path, timeout=20, **more)

    def post(self, path: str, data: dict[str, str] | None = None, **more: Any) -> requests.Response:
        """POST with the CSRF token of the bind page."""
        return self.http.post(self.url + path, {"csrf_token": self.csrf(), **(data or {})}, timeout=20, **more)

    def csrf(self) -> str:
        """The session's token, as the pages carry it."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/portal/bind", allow_redirects=False).text)
        return found[1] if found else ""

    def sign_in(self, target: str = "/portal/") -> requests.Response:
        """Through WeChat, as ``user``."""
        to_wechat = self.get(f"/portal/login?next={target}", allow_redirects=False)
        where = to_wechat.headers["Location"].split("#")[0] + f"&user={self.user}"
        back = self.http.get(where, timeout=20, allow_redirects=False).headers["Location"]
        return self.http.get(back, timeout=20, allow_redirects=False)


@dataclass
class House:
    """A running portal."""

    parts: Parts
    app: Flask
    url: str
    his: HisSim
    wechat: WechatSim

    def phone(self, user: int = 1, *, signed_in: bool = True) -> Phone:
        """A browser of this WeChat user."""
        phone = Phone(self.url, user)
        if signed_in:
            assert phone.sign_in().status_code == 303
        return phone

    def follower(self, user: int) -> str:
        """The follower id of a WeChat user who has signed in or now does."""
        from simulators.wechat.platform import Platform

        openid = Platform(APP_ID, APP_SECRET).openid(user)
        return self.parts.store.followers.seen(openid, self.parts.clock.now()).id

    def person(self, kind: BindingKind, number: str) -> Patient:
        """What the HIS holds."""
        ctx = Ctx(deadline_s=5)
        if kind is BindingKind.CARD:
            return self.parts.his.ask(PatientQuery(card_no=number), ctx).value
        return self.parts.his.ask(AdmissionQuery(admission_no=number), ctx).value.patient

    def claim(self, kind: BindingKind = BindingKind.CARD, number: str = CARD) -> Claim:
        """All four fields right."""
        person = self.person(kind, number)
        return Claim(kind, number, person.name, person.id_no, person.phone)

    def bind(self, user: int = 1, kind: BindingKind = BindingKind.CARD, number: str = CARD) -> str:
        """Bind for a user; the binding's id."""
        return self.parts.cards.bind(self.follower(user), self.claim(kind, number), "127.0.0.9").id


def fields(claim: Claim) -> dict[str, str]:
    """The bind form of a claim."""
    return {
        "kind": claim.kind.value, "number": claim.number, "name": claim.name, "id_no": claim.id_no,
        "phone": claim.phone,
    }  # fmt: skip


def run_house(
    folder: Path, his: HisSim, wechat: WechatSim, clock: Clock | None = None, /, **sections: Any
) -> Iterator[House]:
    """Serve until the test is over."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    sections = {**sections, "server": {"public_url": url, **sections.get("server", {})}}
    parts = build(config_for(folder, his, wechat, **sections), clock)
    app = create_app(parts, "portal")
    server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield House(parts, app, url, his, wechat)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        listener.detach()
        parts.close()


@pytest.fixture(scope="session")
def his_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    sim = start_his(tmp_path_factory.mktemp("his"))
    yield sim
    sim.stop()


@pytest.fixture(scope="session")
def wechat_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WechatSim]:
    sim = start_wechat(tmp_path_factory.mktemp("wechat"))
    yield sim
    sim.stop()


@pytest.fixture
def house(tmp_path: Path, his_sim: HisSim, wechat_sim: WechatSim) -> Iterator[House]:
    his_sim.fault("none")
    wechat_sim.fault("ok")
    yield from run_house(tmp_path, his_sim, wechat_sim)
