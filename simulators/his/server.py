"""HTTP/1.1 on asyncio, small and quick: keep-alive, TCP_NODELAY, one thread, about 0.1 ms a lookup."""

import asyncio
import contextlib
import hmac
import json
import socket
import struct
from collections import Counter
from datetime import timedelta
from typing import Any

from simulators.his import faults
from simulators.his.world import NoData, Refused, World

REQUEST_CAP = 256 * 1024
JSON_TYPE = "application/json; charset=utf-8"


class HisServer:
    """Two ports: the HIS itself, and an admin port that answers even while the HIS is `down`."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.token = token.encode()
        self.fault = faults.Fault()
        self.calls: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self.port = 0
        self.admin_port = 0
        self._server: asyncio.Server | None = None
        self._parked: socket.socket | None = None
        self._admin: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` and `admin_port` are set afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, admin=False), host, port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        self._admin = await loop.create_server(lambda: Connection(self, admin=True), host, 0)
        self.admin_port = self._admin.sockets[0].getsockname()[1]
        self._host = host

    async def stop(self) -> None:
        """Close both ports and every connection."""
        for server in (self._server, self._admin):
            if server is not None:
                server.close()
        for connection in list(self.connections):
            connection.abort()
        if self._parked is not None:
            self._parked.close()

    async def set_fault(self, fault: faults.Fault) -> None:
        """Switch; `down` closes the port but keeps its number, so nobody else can take it meanwhile."""
        self.fault = fault
        loop = asyncio.get_running_loop()
        if fault.mode == "down" and self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self.connections):
                if not connection.admin:
                    connection.abort()
            await asyncio.sleep(0)
            self._parked = bound(self._host, self.port)
        elif fault.mode != "down" and self._parked is not None:
            self._parked.close()
            listener = bound(self._host, self.port)
            self._parked = None
            self._server = await loop.create_server(lambda: Connection(self, admin=False), sock=listener, backlog=512)

    def answer(self, op: str, body: bytes) -> bytes:
        """The reply to one operation, as JSON bytes."""
        self.calls[op] += 1
        run = self.world.operations.get(op)
        try:
            asked = json.loads(body or b"{}")
            if run is None or not isinstance(asked, dict):
                return reply("-1", "无此接口或参数错误")
            return reply("0", "", run(asked))
        except NoData:
            return reply("1", "未查询到数据")
        except Refused as refused:
            return reply("2", str(refused))
        except (ValueError, TypeError, KeyError):
            return reply("-1", "参数错误")

    async def admin(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """The switches: fault, clock, calls. A status and a JSON value."""
        if (method, path) == ("GET", "/_sim/calls"):
            return 200, dict(self.calls)
        try:
            asked = json.loads(body or b"{}")
            if (method, path) == ("POST", "/_sim/fault"):
                await self.set_fault(faults.read(asked))
                return 200, {"mode": self.fault.mode}
            if (method, path) == ("POST", "/_sim/clock"):
                self.world.clock_offset = timedelta(seconds=float(asked["offset_s"]))
                return 200, {"now": f"{self.world.now():%Y-%m-%d %H:%M:%S}"}
        except (ValueError, TypeError, KeyError) as wrong:
            return 400, {"error": str(wrong)}
        return 404, {"error": "no such switch"}


class Connection(asyncio.Protocol):
    """One peer; answers requests one after the other."""

    def __init__(self, server: HisServer, *, admin: bool) -> None:
        self._server = server
        self.admin = admin
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio sets TCP_NODELAY itself."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the peer and whatever was being dripped to it."""
        self._server.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """RST, as a killed process gives."""
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect; serve as soon as a whole request is there."""
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self._buffer[:end]).split(b"\r\n")
            headers = dict(line.lower().partition(b": ")[::2] for line in lines[1:])
            token = next((line[9:] for line in lines[1:] if line[:9].lower() == b"x-token: "), b"")
            length = int(headers.get(b"content-length", b"0") or b"0")
            if length > REQUEST_CAP or len(self._buffer) > REQUEST_CAP + 16_384:
                self._transport.close()
                return
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._serve(lines[0].decode("latin-1"), token, body)
            if self._task is not None:
                return

    def _serve(self, start: str, token: bytes, body: bytes) -> None:
        method, _, rest = start.partition(" ")
        path = rest.partition(" ")[0]
        if path.startswith("/_sim/"):
            self._later(self._admin(method, path, body))
            return
        if method != "POST" or not path.startswith("/api/") or self.admin:
            self._send(404, reply("-1", "无此接口"))
            return
        if not hmac.compare_digest(token, self._server.token):
            self._send(401, reply("-1", "令牌无效"))
            return
        op = path[5:]
        answer = self._server.answer(op, body)
        if self._server.fault.strikes(op):
            self._misbehave(self._server.fault, answer)
        else:
            self._send(200, answer)

    def _misbehave(self, fault: faults.Fault, answer: bytes) -> None:
        match fault.mode:
            case "slow":
                self._later(self._slow(fault.ms, answer))
            case "hang":
                self._later(asyncio.sleep(3600))
            case "drip":
                self._later(self._drip(fault.ms, answer))
            case "reset" | "down":
                self.abort()
            case "html500":
                self._send(500, faults.ERROR_PAGE, "text/html; charset=utf-8")
            case "garbage":
                self._send(200, faults.GARBAGE)
            case "truncated":
                self._transport.write(head(200, JSON_TYPE, len(answer)) + answer[: len(answer) // 2])
                self._transport.close()

    def _later(self, work: Any) -> None:
        async def run() -> None:
            await work
            self._task = None
            self._next()

        self._task = asyncio.get_running_loop().create_task(run())

    async def _slow(self, ms: int, answer: bytes) -> None:
        await asyncio.sleep(ms / 1000)
        self._send(200, answer)

    async def _drip(self, ms: int, answer: bytes) -> None:
        for byte in head(200, JSON_TYPE, len(answer)) + answer:
            self._transport.write(bytes((byte,)))
            await asyncio.sleep(ms / 1000)

    async def _admin(self, method: str, path: str, body: bytes) -> None:
        status, value = await self._server.admin(method, path, body)
        self._send(status, json.dumps(value, ensure_ascii=False).encode())

    def _send(self, status: int, body: bytes, media_type: str = JSON_TYPE) -> None:
        self._transport.write(head(status, media_type, len(body)) + body)


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds `port` without listening: to connect to it is to be refused."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def head(status: int, media_type: str, length: int) -> bytes:
    """Status line and headers."""
    word = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}.get(status, "Internal Server Error")
    return (
        f"HTTP/1.1 {status} {word}\r\nServer: his-simulator\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode("ascii")


def reply(code: str, message: str, data: Any = None) -> bytes:
    """The envelope every operation answers in."""
    return json.dumps({"code": code, "message": message, "data": data or {}}, ensure_ascii=False).encode()
