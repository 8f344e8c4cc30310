"""A small real Socket.IO server around the screens' door, and a line to it that a test can cut, freeze and mend."""

from __future__ import annotations

import contextlib
import copy
import logging
import select
import socket
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, Response, request
from flask_socketio import SocketIO, join_room
from werkzeug.serving import make_server

from core.errors import Refusal
from core.outcomes import WORDS, Outcome
from kiosk_ui import blueprint

ZONE = ZoneInfo("Asia/Shanghai")
TOKEN = "screen-token-of-the-test"
CODE = "ABCD-2345"
CSP = "default-src 'self'; script-src 'self' 'nonce-test'; style-src 'self'; img-src 'self' data:"
PATIENT = {"name": "王*明", "sex": "male", "age": 46, "card_last4": "4821", "id_last4": None, "kind": "outpatient"}
INPATIENT = {
    "name": "欧阳*兰",
    "sex": "female",
    "age": 83,
    "card_last4": None,
    "id_last4": "002X",
    "kind": "inpatient",
}
VISIT = {"ward": "心内科一病区", "bed": "12-3", "admission_no_last4": "7719"}
WITH_PATIENT = {
    Outcome.IDENTIFIED,
    Outcome.CHECKED_IN,
    Outcome.ALREADY_DONE,
    Outcome.WRONG_STATION,
    Outcome.TOO_EARLY,
    Outcome.TOO_LATE,
    Outcome.NOT_BOUND,
}


@dataclass(frozen=True)
class Station:
    """What the door reads of a station."""

    code: str
    name: str
    kind: str
    ward_code: str = ""
    staff_only: bool = False


class Stations:
    """Three stations and one pairing code that works once."""

    def __init__(self) -> None:
        self._all = {
            "C1": Station("C1", "门诊一楼 1 号窗口", "counter"),
            "W1": Station("W1", "心内科一病区护士站", "ward"),
            "K1": Station("K1", "门诊大厅自助机", "kiosk"),
            "Q1": Station("Q1", "内科候诊屏", "queue"),
        }
        self.codes = {CODE}

    def get(self, code: str) -> Station | None:
        return self._all.get(code)

    def redeem_pairing(self, code: str, station_code: str, client_ip: str) -> str:
        if code == "MANY-2345":
            raise Refusal(
                "pairing.too_many",
                "试得太多,请 5 分钟后再试",
                "Too many tries; wait 5 minutes",
                retry_after_s=300,
            )
        if code not in self.codes:
            raise Refusal(
                "pairing.bad_code",
                "配对码不对或已过期,请重新打印一张",
                "Wrong or expired code; print a new one",
            )
        self.codes.discard(code)
        return TOKEN


def scan_of(outcome: str, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    """A scan outcome as the server sends it, without its seq."""
    at = at or datetime.now(ZONE)
    words = WORDS[Outcome(outcome)]
    scan: dict[str, Any] = {
        "scan_id": f"s-{at.timestamp()}",
        "station": "C1",
        "at": at.isoformat(),
        "outcome": outcome,
        "code_class": "ecard_pass",
        "say": words.say,
        "next": words.next(),
        "ms": 12,
    }
    if outcome in WITH_PATIENT:
        scan["patient"] = PATIENT
    if outcome in {"wrong_ward", "discharged"}:
        scan |= {"patient": INPATIENT, "visit": VISIT}
    if outcome in {"already_done", "replayed"}:
        scan |= {"first_scan": (at - timedelta(seconds=41)).isoformat(), "first_station": "C1"}
    return scan | more


class ScreensServer:
    """Serves the door over real HTTP and websockets; `send` numbers an event, keeps it and emits it."""

    def __init__(self, keep_seconds: int = 60) -> None:
        self.stations = Stations()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.hellos: list[dict[str, Any]] = []
        self.acks: list[int] = []
        self.overlap = 0  # how many events already seen a replay repeats
        self.refuse: dict[str, str] | None = None
        self.devices = [{"code": "S1", "name": "1号窗口扫码器", "state": "online", "reason": ""}]
        self.his = "online"
        self.app = app = Flask("web")
        app.config.update(SECRET_KEY="test", SCREEN_KEEP_SECONDS=keep_seconds)
        app.extensions["hospital"] = SimpleNamespace(stations=self.stations)
        app.register_blueprint(blueprint)
        app.after_request(_headers)
        self.io = SocketIO(app, async_mode="threading", ping_interval=5, ping_timeout=5)
        self.io.on_event("hello", self._hello, namespace="/screens")
        self.io.on_event("ack", lambda data: self.acks.append(data["seq"]), namespace="/screens")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.line = Line(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.line.port}"

    def send(self, name: str, data: dict[str, Any]) -> int:
        seq = len(self.events) + 1
        data = copy.deepcopy(data) | {"seq": seq}
        self.events.append((name, data))
        self.io.emit(name, data, namespace="/screens", to="screens")
        return seq

    def scan(self, outcome: str, **more: Any) -> int:
        return self.send("scan", scan_of(outcome, **more))

    def repeat(self, seq: int) -> None:
        """Emit an event once more with its old number."""
        name, data = self.events[seq - 1]
        self.io.emit(name, data, namespace="/screens", to="screens")

    def _hello(self, hello: dict[str, Any]) -> dict[str, Any]:
        self.hellos.append(hello)
        station = self.stations.get(hello["station"])
        if self.refuse or station is None or hello["token"] != TOKEN:
            refused = {"code": "screen.token", "zh": "这块屏幕的配对已失效", "en": "Pairing is void"}
            return {"ok": False, "error": self.refuse or refused}
        join_room("screens")
        if hello["last_seq"] is not None:
            for name, data in self.events[max(0, hello["last_seq"] - self.overlap) :]:
                self.io.emit(name, data, namespace="/screens", to=request.sid)
        recent = [data for name, data in reversed(self.events) if name == "scan"][:10]
        snapshot = {
            "station": {"code": station.code, "name": station.name, "kind": station.kind},
            "recent": recent,
            "devices": self.devices,
            "his": {"state": self.his},
            "now": datetime.now(ZONE).isoformat(),
        }
        return {"ok": True, "seq": len(self.events), "snapshot": snapshot}

    def close(self) -> None:
        self.line.close()
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CSP
    return response


class Line:
    """A TCP line in front of the server: cut() breaks and refuses, freeze() holds bytes back, mend() restores."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._frozen = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._up = True
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._up = False
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        self._frozen.set()

    def mend(self) -> None:
        self._up = True
        self._frozen.clear()

    def close(self) -> None:
        self._open = False
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._upstream))
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, contextlib.suppress(OSError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    while self._frozen.is_set() and self._up:
                        self._frozen.wait(0.05)
                        threading.Event().wait(0.05)
                    (far if end is near else near).sendall(data)
