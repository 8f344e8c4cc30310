"""Raw-socket WebSocket and Socket.IO (engine.io 4) clients, stamped at recv: they cost next to nothing."""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
import time
from typing import Any

Stamped = tuple[int, Any]  # (perf_counter_ns at recv, payload)


class RawWs:
    """A WebSocket client over a plain TCP socket. `poll()` never blocks longer than asked."""

    def __init__(self, port: int, path: str, *, rcvbuf: int = 0, timeout: float = 10.0) -> None:
        host = "127.0.0.1"
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buf = bytearray()
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)
        self.closed = False
        self._upgrade(host, port, path)

    def _upgrade(self, host: str, port: int, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buf:
            got = self.sock.recv(4096)
            if not got:
                raise ConnectionError("closed during the WebSocket handshake")
            self._buf += got
        head, _, rest = bytes(self._buf).partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"no WebSocket: {head[:200]!r} {rest[:200]!r}")
        self._buf = bytearray(rest)
        self._fresh = bool(rest)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, text: str | bytes, opcode: int = 1) -> None:
        """One masked frame (a zero mask is allowed by the wire and costs nothing to apply)."""
        data = text.encode() if isinstance(text, str) else text
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
        elif len(data) < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
        self.sock.sendall(head + b"\0\0\0\0" + data)

    def _frames(self) -> list[tuple[int, bytes]]:
        """Take the whole frames out of the buffer (servers do not mask; nobody here fragments)."""
        out = []
        buf = self._buf
        while len(buf) >= 2:
            size, at = buf[1] & 0x7F, 2
            if size == 126:
                if len(buf) < 4:
                    break
                size, at = int.from_bytes(buf[2:4], "big"), 4
            elif size == 127:
                if len(buf) < 10:
                    break
                size, at = int.from_bytes(buf[2:10], "big"), 10
            if len(buf) < at + size:
                break
            out.append((buf[0] & 0x0F, bytes(buf[at : at + size])))
            del buf[: at + size]
        return out

    def poll(self, timeout: float) -> list[Stamped]:
        """Messages that arrive within `timeout` seconds: as soon as there are some, else an empty list."""
        if self._fresh:  # frames that came in one piece with the handshake's answer
            self._fresh = False
            return self._take(time.perf_counter_ns())
        if self.closed or not self._poll.poll(max(0.0, timeout) * 1000):
            return []
        return self.receive()

    def receive(self) -> list[Stamped]:
        """One recv, for a caller whose own poll said there is something; answers pings on the way."""
        try:
            got = self.sock.recv(65536)
        except (ConnectionError, TimeoutError):
            got = b""
        stamp = time.perf_counter_ns()
        if not got:
            self.closed = True
            return []
        self._buf += got
        return self._take(stamp)

    def _take(self, stamp: int) -> list[Stamped]:
        out: list[Stamped] = []
        for opcode, data in self._frames():
            if opcode == 8:
                self.closed = True
            elif opcode == 9:
                self.send(data, opcode=10)
            elif opcode in (1, 2):
                out += self._message(stamp, data.decode())
        return out

    def _message(self, stamp: int, text: str) -> list[Stamped]:
        return [(stamp, json.loads(text))]

    def close(self) -> None:
        self.closed = True
        self.sock.close()


class RawSio(RawWs):
    """A Socket.IO client on one namespace, WebSocket from the first byte; yields ("event", payload)."""

    def __init__(self, port: int, namespace: str = "/screens", *, auth: Any = None, **kw: Any) -> None:
        self.ns = namespace
        self._acks: dict[int, Any] = {}
        self._next_ack = 0
        self._joined = False
        self._opened = False
        self._early: list[Stamped] = []
        super().__init__(port, "/socket.io/?EIO=4&transport=websocket", **kw)
        self._until(lambda: self._opened, "engine.io did not open")
        self.send(f"40{namespace},{json.dumps(auth) if auth else ''}")
        self._until(lambda: self._joined, f"namespace {namespace} did not open")

    def _until(self, done: Any, what: str, timeout: float = 10.0) -> None:
        end = time.monotonic() + timeout
        while not done():
            if self.closed or time.monotonic() > end:
                raise ConnectionError(what)
            self._early += RawWs.poll(self, 0.5)

    def poll(self, timeout: float) -> list[Stamped]:
        if self._early:
            early, self._early = self._early, []
            return early
        return super().poll(timeout)

    def call(self, event: str, payload: Any) -> Any:
        """Emit with an ack and wait for it; events that arrive meanwhile are kept for `poll`."""
        self._next_ack += 1
        number = self._next_ack
        self.send(f"42{self.ns},{number}{json.dumps([event, payload])}")
        self._until(lambda: number in self._acks, f"no ack to {event}")
        return self._acks.pop(number)

    def emit(self, event: str, payload: Any) -> None:
        self.send(f"42{self.ns},{json.dumps([event, payload])}")

    def _message(self, stamp: int, text: str) -> list[Stamped]:
        kind = text[:1]
        if kind == "2":
            self.send("3" + text[1:])
        elif kind == "0":
            self._opened = True
        elif kind == "1":
            self.closed = True
        elif kind == "4":
            return self._packet(stamp, text[1:2], text[2:])
        return []

    def _packet(self, stamp: int, kind: str, rest: str) -> list[Stamped]:
        if rest.startswith("/"):
            _ns, _, rest = rest.partition(",")
        if kind == "0":
            self._joined = True
        elif kind == "1":
            self.closed = True
        elif kind == "4":
            raise ConnectionError(f"namespace {self.ns} refused: {rest}")
        elif kind in ("2", "3"):
            at = 0
            while at < len(rest) and rest[at].isdigit():
                at += 1
            body = json.loads(rest[at:])
            if kind == "3":
                self._acks[int(rest[:at])] = body[0] if body else None
            else:
                return [(stamp, (body[0], body[1] if len(body) > 1 else None))]
        return []
