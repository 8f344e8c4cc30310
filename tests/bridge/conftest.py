"""The bridge as it is called: over HTTP, on a real store, before a HIS that runs as a process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.serving import make_server

from bridge.problems import PROBLEMS
from core.codes import passes
from core.ids import new_id
from hospital.app import create_app
from hospital.bootstrap import Parts, build
from hospital.wiring import HubParts
from store.port import Accepts, Binding, BindingKind, PassRow, Station, StationKind
from tests.support.browser import chromium
from tests.support.house import config_for
from tests.support.logs import log_lines
from tests.support.sim_wechat import WechatSim
from tests.support.sims import HisSim, start_his

__all__ = ["log_lines"]

__all__ = ["chromium"]

SCOPES = ("codes:resolve", "scans:write", "scans:read", "events:write")
CARD, PATIENT = "600000000017", "P0000001"
STATIONS = (
    ("C1", StationKind.COUNTER, Accepts.BOTH),
    ("C2", StationKind.COUNTER, Accepts.BOTH),
    ("Q1", StationKind.QUEUE, Accepts.CARD),
    ("Q2", StationKind.QUEUE, Accepts.CARD),
)


@dataclass
class Bridge:
    """A running bridge. ``token`` is of a client with every scope."""

    parts: Parts
    app: Flask
    url: str
    folder: Path
    http: requests.Session = field(default_factory=requests.Session)
    token: str = ""

    def client(self, name: str, *scopes: str, **limits: Any) -> str:
        """A new client's token."""
        return self.parts.bridge_clients.add(name, scopes or SCOPES, **limits)

    def call(self, method: str, path: str, token: str | None = None, **how: Any) -> requests.Response:
        """One call; ``token`` "" sends none."""
        headers = dict(how.pop("headers", {}))
        if token != "":
            headers["Authorization"] = f"Bearer {token or self.token}"
        return self.http.request(method, f"{self.url}/bridge{path}", headers=headers, timeout=20, **how)

    def post(self, path: str, body: object, token: str | None = None) -> requests.Response:
        """POST of JSON."""
        return self.call("POST", path, token, json=body)

    def resolve(self, code: str, station: str | None = None, token: str | None = None) -> dict[str, Any]:
        """The outcome of a code."""
        answer = self.post("/v1/codes/resolve", {"code": code, **({"station": station} if station else {})}, token)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def scan(self, scan_id: str, **other: Any) -> dict[str, Any]:
        """The body of a scan made elsewhere."""
        at = self.parts.clock.now().isoformat()
        return {"scan_id": scan_id, "station": "C1", "device": "ws1", "text": CARD, "at": at, **other}

    def event(self, event_id: str, kind: str = "queue_called", **other: Any) -> dict[str, Any]:
        """The body of an event."""
        return {
            "event_id": event_id, "kind": kind, "at": "2026-11-24T09:30:12+08:00", "patient_id": PATIENT,
            "ref": "R1", "data": {"queue_no": 17, "room": "3 诊室", "name": "王小明"}, **other,
        }  # fmt: skip

    def shown(self, station: str) -> list[dict[str, Any]]:
        """What a station was told, oldest first."""
        return [dict(event.body) for event in self.parts.store.scans.events_after(station, 0, 10_000)]

    def count(self, table: str) -> int:
        """Rows of a table."""
        with self.parts.store.durable.read() as database:
            return int(database.execute_sql(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    def e_card(self) -> tuple[PassRow, str]:
        """A pass of the patient with CARD, and what the phone shows now."""
        parts = self.parts
        follower = parts.store.followers.seen("oA", parts.clock.now())
        binding = Binding(new_id(), follower.id, BindingKind.CARD, CARD, PATIENT, "王小明", parts.clock.now(), CARD)
        row = parts.store.bindings.pass_for(parts.store.bindings.add(binding, parts.clock.now()), parts.clock.now())
        step = passes.step_at(parts.clock.epoch())
        return row, passes.render(row.kind, row.pass_no, row.secret, step)


@pytest.fixture(scope="session")
def _his_of_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    sim = start_his(tmp_path_factory.mktemp("his"))
    yield sim
    sim.stop()


@pytest.fixture
def his_process(_his_of_bridge: HisSim) -> Iterator[HisSim]:
    """The shared simulator, well again after each test."""
    yield _his_of_bridge
    _his_of_bridge.fault("none")


@pytest.fixture
def make_bridge(tmp_path: Path, his_process: HisSim) -> Iterator[Callable[..., Bridge]]:
    ends: list[Callable[[], None]] = []

    def make(**sections: Any) -> Bridge:
        folder = tmp_path / f"bridge{len(ends)}"
        folder.mkdir()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        nobody = WechatSim(url, None)  # type: ignore[arg-type]
        config = config_for(folder, his_process, nobody, server={"public_url": url}, **sections)
        parts = build(config)
        app = create_app(parts, "all", HubParts(parts))
        server = make_server("127.0.0.1", port, app, threaded=True, fd=listener.fileno())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        made = Bridge(parts, app, url, folder)

        def end() -> None:
            made.http.close()
            server.shutdown()
            thread.join()
            server.server_close()
            listener.detach()
            parts.close()

        ends.append(end)
        for code, kind, accepts in STATIONS:
            parts.store.stations.add(Station(new_id(), code, f"{code} 号", kind, accepts))
        made.token = made.client("his")
        return made

    yield make
    for end in ends:
        end()


@pytest.fixture
def bridge(make_bridge: Callable[..., Bridge]) -> Bridge:
    return make_bridge()


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, with everything RFC 9457 and the house ask of it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    body = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail", "instance", "code", "say"}
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/bridge/docs#{code}")
    assert body["title"] == PROBLEMS[code].title
    assert set(body["say"]) == {"zh-CN", "en"}
    return dict(body)
