"""A screen's line: events go straight into its socket from the thread that has them, and wait only where it lags.

Stock engine.io in threads costs a scan two thread changes and a second encoding each way: an event is queued for a
writer thread, and a message is read by one thread and handled by another. Measured (bench/scan_latency) that was a
sixth of the time to the screen and a third of the CPU of a scan. Here a frame is encoded once for all screens of a
station and offered to each socket without blocking; the handler's thread reads the socket itself, so that a screen
keeps three threads, not four.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import simple_websocket
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from engineio.packet import MESSAGE, NOOP, Packet
from socketio.packet import EVENT

from web import pings

KEY = "hospital.line"
"""Where a WebSocket request's environ keeps its `Line`."""
_MESSAGE_EVENT = f"{MESSAGE}{EVENT}"
"""How engine.io and Socket.IO mark an event; their encoders also search every event for binary parts, ours have none."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ACK = '42/screens,["ack",'
"""A screen says that it has drawn an event; nothing is kept of it, so it is not even decoded."""


class Line:
    """The sending side of one screen's socket; whole frames only, in the order they were given.

    `deliver` is called by one thread at a time (the station's order); `send` by any.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._late: deque[bytes] = deque()
        self.recv, self.fileno, self.close = sock.recv, sock.fileno, sock.close

    @property
    def late(self) -> int:
        """Frames this screen has not taken yet."""
        return len(self._late)

    def deliver(self, frame: bytes) -> bool:
        """Hand an event's frame over without waiting; False when it was kept back and `send` must be called by others."""
        if not self._lock.acquire(blocking=False):
            self._late.append(frame)
            return False
        try:
            if self._late:
                self._late.append(frame)
                return False
            try:
                sent = self._sock.send(frame, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError:
                return True  # it is gone; whoever reads the socket sees that
            if sent < len(frame):
                self._late.append(frame[sent:])
                return False
            return True
        finally:
            self._lock.release()

    def send(self, data: bytes) -> int:
        """Send what was kept back, then `data`; blocks as long as the screen does not read. Raises OSError."""
        with self._lock:
            while self._late:
                self._sock.sendall(self._late[0])
                self._late.popleft()
            self._sock.sendall(data)
        return len(data)


class _NoThread:
    """In place of simple_websocket's reader thread: the handler's thread reads."""

    def __init__(self, target: Callable[[], None]) -> None:
        self.name = ""
        self.target = target

    def start(self) -> None:
        """Nothing to start."""


class LineSocket(simple_websocket.Server):
    """A WebSocket whose frames go out through a `Line` and come in on the thread that asks for them."""

    sock: Any

    def __init__(self, environ: dict[str, Any], **options: Any) -> None:
        super().__init__(environ, thread_class=_NoThread, **options)

    def handshake(self) -> None:
        """Answer the upgrade, then put the line between the protocol and the socket.

        No compression is agreed on: on a LAN it costs more than the bytes it saves, and a 32 KiB window a screen.
        """
        self._owed: int | None = 0  # bytes to come of a frame begun; None: lost count, leave all to wsproto
        self.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        super().handshake()
        self.sock = self.environ[KEY] = Line(self.sock)

    def receive(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - simple_websocket's signature
        """The next message, waited for without limit: a silent screen is found by its missing pong."""
        while True:
            while self.connected and not self.input_buffer:
                self._read()
            if not self.input_buffer:
                self.sock.close()
                raise simple_websocket.ConnectionClosed(self.close_reason, self.close_message)
            message = self.input_buffer.pop(0)
            if not (isinstance(message, str) and message.startswith(_ACK)):
                return message

    def _read(self) -> None:
        try:
            data = self.sock.recv(self.receive_bytes)
            if not data:
                raise OSError
            if self._owed == 0 and (text := short_text(data)) is not None:
                self.input_buffer.append(text)
                return
            self.ws.receive_data(data)
            self.connected = self._handle_events()
            self._owed = still_owed(data, self._owed) if self._owed is not None else None
        except (OSError, simple_websocket.ws.LocalProtocolError):
            self.connected = False


def short_text(data: bytes) -> str | None:
    """The text of one whole, short, masked, uncompressed text frame; None when the bytes are anything else.

    Nearly all that screens send is such a frame, an ack or a pong. wsproto's parser is thorough and costs ten times
    this; it gets everything else, and what is wrong.
    """
    if len(data) < 6 or data[0] != 0x81 or not 0x80 <= data[1] < 0xFE or len(data) != 6 + (data[1] & 0x7F):
        return None
    size = data[1] & 0x7F
    mask = (data[2:6] * (size // 4 + 1))[:size]
    plain = (int.from_bytes(data[6:], "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return None


def still_owed(data: bytes, owed: int) -> int | None:
    """Bytes that must still come before the next frame begins, after `data` when `owed` were due before it.

    None when `data` ends inside a frame's head, so that nobody can tell.
    """
    at = owed
    while at < len(data):
        head = data[at : at + 10]
        size = head[1] & 0x7F if len(head) > 1 else 127
        wide = {126: 2, 127: 8}.get(size, 0)
        if len(head) < 2 + wide:
            return None
        at += 2 + wide + (4 if head[1] & 0x80 else 0) + (int.from_bytes(head[2 : 2 + wide], "big") if wide else size)
    return at - len(data)


class LineTransport(SimpleWebSocketWSGI):
    """engine.io's WebSocket transport on a `LineSocket`."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ARG002 - WSGI
        """Serve one WebSocket until it ends; what is raised then tells the server that the response is done."""
        self.ws = LineSocket(environ, **self.server_args)
        answer = self.app(self)
        if self.ws.mode == "gunicorn":
            raise StopIteration
        if self.ws.mode == "werkzeug":
            raise ConnectionError
        return answer


def install(server: Any) -> None:
    """Make a threading-mode Socket.IO server use lines for its WebSockets, and one thread for all pings."""
    server.eio._async = {**server.eio._async, "websocket": LineTransport}  # noqa: SLF001 - it has no public place
    pings.install(server.eio)


def event_frame(namespace: str, event: str, body: Mapping[str, Any] | str) -> bytes:
    """One event as the WebSocket frame every screen gets: final, unmasked, uncompressed; ``body`` may be its JSON."""
    data = body if isinstance(body, str) else _encode(body)
    text = f'{_MESSAGE_EVENT}{namespace},["{event}",{data}]'.encode()
    size = len(text)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + text
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text


def deliver(server: Any, eio_sid: str, frame: bytes) -> int:
    """Send a frame down one screen's line; how many frames it is behind."""
    environ = server.environ.get(eio_sid)
    line: Line | None = environ.get(KEY) if environ else None
    client = server.eio.sockets.get(eio_sid)
    if line is None or client is None:
        return 0  # it is going or gone; it asks for what it missed when it comes back
    if not line.deliver(frame) and line.late <= 2:
        client.queue.put(Packet(NOOP))  # wakes the writer thread, which sends what is late first
    return line.late
