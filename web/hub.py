"""The one Socket.IO and its rooms: screens say hello, the server chooses the room, nothing is missed or doubled."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from flask import Flask, request
from flask_socketio import Namespace, SocketIO

from core.privacy import token_hash
from store.port import Scans, Station
from web import line

log = logging.getLogger(__name__)

PING_S = 5
REPLAY_MAX = 1000
"""Events a returning screen gets one by one; beyond that it gets the latest so many and ``gap: true``."""
QUEUE_MAX = REPLAY_MAX + 256
"""Packets waiting for one screen before it counts as stalled and is cut off."""
HELLO_S = 30
"""Seconds a connection may go without a hello before it must make room; a refused screen tries every 15 s."""
STALL_S = 15
"""Seconds the kernel keeps unacknowledged bytes before it gives a dead screen up (TCP_USER_TIMEOUT)."""


class Admission(Protocol):
    """Who may listen to a station; `services.stations.StationService` is one."""

    def admit(self, code: str, token: str) -> Station | None: ...

    def live(self) -> frozenset[tuple[str, str]]:
        """(station code, token hash) of every screen that may listen now."""


@dataclass(frozen=True, slots=True)
class HubState:
    """What a fresh screen is told besides its recent scans."""

    devices: Callable[[str], Sequence[Mapping[str, Any]]]
    """States of the devices of one station."""
    his: Callable[[], Mapping[str, Any]]
    now: Callable[[], datetime]


class Hub:
    """Owns the Socket.IO server. Events reach it already stored; it only pushes and replays."""

    def __init__(self, admission: Admission, scans: Scans, state: HubState, origins: Iterable[str]) -> None:
        self.admission, self.scans, self.state = admission, scans, state
        self.io = SocketIO(
            async_mode="threading", cors_allowed_origins=sorted(origins), ping_interval=PING_S, ping_timeout=PING_S,
            max_http_buffer_size=64 * 1024, transports=["websocket"], manage_session=False,
            always_connect=True, async_handlers=False,
        )  # fmt: skip
        self.io.on_namespace(_Screens("/screens", self))
        self._order: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._caught_up: dict[str, int] = {}
        """By sid, the seq up to which a screen was served at its hello."""
        self._tokens: dict[str, tuple[str, str]] = {}
        """By sid, station code and hash of the token a screen said hello with."""
        self._greeting: dict[str, float] = {}
        """By sid, since when (monotonic) a connection has not said hello yet."""

    def init_app(self, app: Flask) -> None:
        """Serve Socket.IO on this app."""
        self.io.init_app(app)
        server = self.io.server
        line.install(server)
        told = server.eio.handlers["disconnect"]

        def gone(eio_sid: str, reason: str) -> None:
            environ = server.environ.get(eio_sid)
            told(eio_sid, reason)
            if reason != server.eio.reason.SERVER_DISCONNECT:  # then the last packets are still to be sent
                _cut(environ)

        server.eio.on("disconnect", gone)

    def push(self, station: str, event: str, body: Mapping[str, Any], text: str = "") -> None:
        """Send an event that is already stored (``body["seq"]``) to the screens of one station, in order of seq.

        ``text``: the body as JSON, when the caller has it already.

        A screen whose hello came between the commit and now has it already.
        """
        with self._order[station]:
            screens = self._screens(station)
            frame = line.event_frame("/screens", event, text or body) if screens else b""
            for sid, eio_sid in screens:
                if self._caught_up.get(sid, 0) < body["seq"]:
                    self._deliver(sid, eio_sid, frame)

    def _screens(self, station: str) -> list[tuple[str, str]]:
        """(sid, engine.io sid) of the screens of a station."""
        return list(self.io.server.manager.get_participants("/screens", station))

    def enter(self, sid: str, station: Station, last_seq: int | None) -> dict[str, Any]:
        """Put a screen into its room and catch it up; returns the ack. No event can slip between the two."""
        server = self.io.server
        eio_sid = server.manager.eio_sid_from_sid(sid, "/screens")
        for room in server.rooms(sid, namespace="/screens"):  # a second hello leaves the first one's station
            if room != sid:
                server.leave_room(sid, room, namespace="/screens")
        with self._order[station.code]:
            server.enter_room(sid, station.code, namespace="/screens")
            seq = self._caught_up[sid] = self.scans.last_seq(station.code)
            gap = False
            if last_seq is not None and last_seq < seq:
                after = max(last_seq, seq - REPLAY_MAX)
                missed = self.scans.events_after(station.code, after, seq - after)
                gap = len(missed) < seq - last_seq
                for event in missed:
                    self._deliver(
                        sid, eio_sid, line.event_frame("/screens", event.kind, {**event.body, "seq": event.seq})
                    )
            snapshot = self._snapshot(station, seq)
        return {"ok": True, "seq": seq, "snapshot": {**snapshot, "gap": gap}}

    def drop_strangers(self) -> None:
        """End connections that said no hello in time, and those whose token has been revoked; a job of every 2 s."""
        late = time.monotonic() - HELLO_S
        for sid, since in list(self._greeting.items()):
            if since < late:
                _cut(self.io.server.get_environ(sid, "/screens"))
        live = self.admission.live()  # one question for all: asked one by one, 200 screens held a scan up for 50 ms
        for sid, mark in list(self._tokens.items()):
            if mark not in live:
                _cut(self.io.server.get_environ(sid, "/screens"))

    def close(self) -> None:
        """End every screen's connection, so that no thread keeps the process from stopping."""
        for environ in list(self.io.server.environ.values()):
            _cut(environ)

    def arrived(self, sid: str) -> None:
        """A connection is there; its hello must follow."""
        self._greeting[sid] = time.monotonic()

    def known(self, sid: str, code: str, token: str) -> None:
        """Remember what this screen was admitted with."""
        self._greeting.pop(sid, None)
        self._tokens[sid] = (code, token_hash(token))

    def left(self, sid: str) -> None:
        """Forget a screen that is gone."""
        self._tokens.pop(sid, None)
        self._greeting.pop(sid, None)
        self._caught_up.pop(sid, None)

    def _snapshot(self, station: Station, seq: int) -> dict[str, Any]:
        latest = self.scans.recent_scans(station.code, 10)
        recent = [{**event.body, "seq": event.seq} for event in latest if event.seq <= seq]
        return {
            "station": {"code": station.code, "name": station.name, "kind": station.kind.value},
            "recent": recent,
            "devices": list(self.state.devices(station.code)),
            "his": self.state.his(),
            "now": self.state.now().isoformat(timespec="milliseconds"),
        }

    def _deliver(self, sid: str, eio_sid: str, frame: bytes) -> None:
        """Send one event; a screen that stopped reading must not eat memory, it resyncs by last_seq when it is back."""
        server = self.io.server
        if line.deliver(server, eio_sid, frame) > QUEUE_MAX:
            log.warning("a screen does not read and is cut off")
            _cut(server.get_environ(sid, "/screens"))


def _raw_socket(environ: Mapping[str, Any] | None) -> socket.socket | None:
    """The TCP socket behind a WebSocket request, under gunicorn or Werkzeug."""
    raw = (environ or {}).get("gunicorn.socket") or (environ or {}).get("werkzeug.socket")
    return raw if isinstance(raw, socket.socket) else None


def _cut(environ: Mapping[str, Any] | None) -> None:
    """Close the TCP connection, so that no thread stays blocked in send or recv."""
    if (raw := _raw_socket(environ)) is not None:
        try:
            raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the socket of a stalled screen was already closed")


def _give_up_on_silence(environ: Mapping[str, Any]) -> None:
    """No delay for small packets; a peer that acknowledges nothing is given up by the kernel."""
    if (raw := _raw_socket(environ)) is not None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_S * 1000)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _Screens(Namespace):
    """/screens: ``hello {station, token, last_seq}`` → ack; ``ack {seq}`` from the screen."""

    def __init__(self, name: str, hub: Hub) -> None:
        super().__init__(name)
        self._hub = hub

    def on_connect(self, _auth: object = None) -> None:
        _give_up_on_silence(request.environ)
        self._hub.arrived(request.sid)  # type: ignore[attr-defined]

    def on_disconnect(self, _reason: object = None) -> None:
        self._hub.left(request.sid)  # type: ignore[attr-defined]

    def on_hello(self, data: object) -> dict[str, Any]:
        sid = request.sid  # type: ignore[attr-defined]
        said = data if isinstance(data, dict) else {}
        code, token, last_seq = said.get("station"), said.get("token"), said.get("last_seq")
        if not isinstance(code, str) or not isinstance(token, str) or not _is_seq(last_seq):
            return _refusal("hello.malformed", "屏幕的请求不完整", "hello needs station, token and last_seq")
        station = self._hub.admission.admit(code, token)
        if station is None:
            self._hub.arrived(sid)
            return _refusal("hello.refused", "这块屏幕没有配对或已被停用", "this screen is not paired, or was revoked")
        self._hub.known(sid, code, token)
        return self._hub.enter(sid, station, last_seq)

    def on_ack(self, data: object) -> None:
        """The screen has drawn up to this seq; a stalled one is found by its queue, so nothing is kept."""


def _is_seq(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _refusal(code: str, zh: str, en: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "zh": zh, "en": en}}
