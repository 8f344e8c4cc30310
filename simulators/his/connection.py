"""HTTP/1.1 on asyncio, small and quick: keep-alive, TCP_NODELAY, one thread, about 0.1 ms a lookup."""

import asyncio
import contextlib
import hmac
import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from simulators.his import faults, soap, wsdl
from simulators.his.faces import (
    JSON_TYPE,
    XML_TYPE,
    JsonRequest,
    Outcome,
    Reply,
    Request,
    SoapRequest,
    json_reply,
    soap_fault,
)

if TYPE_CHECKING:
    from simulators.his.server import HisServer

REQUEST_CAP = 256 * 1024


class Connection(asyncio.Protocol):
    """One peer; answers requests one after the other."""

    def __init__(self, server: "HisServer", *, admin: bool) -> None:
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
            lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length") or "0")
            if length > REQUEST_CAP or len(self._buffer) > REQUEST_CAP + 16_384:
                self._transport.close()
                return
            if len(self._buffer) < end + 4 + length:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            self._serve(lines[0], headers, body)
            if self._task is not None:
                return

    def _serve(self, start: str, headers: dict[str, str], body: bytes) -> None:
        method, _, rest = start.partition(" ")
        path = rest.partition(" ")[0]
        if path.startswith("/_sim/"):
            self._later(self._switch(method, path, body))
            return
        asked = None if self.admin else self._understand(method, path, headers, body)
        if asked is None:
            self._send(Reply(404, json_reply(Outcome("exception", "无此接口"))))
        elif isinstance(asked, Reply):
            self._send(asked)
        elif (fault := self._server.fault_for(asked.op)) is not None:
            self._misbehave(fault, asked)
        else:
            self._send(asked.reply(self._server.answer(asked.op, asked.asked)))

    def _understand(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Request | Reply | None:
        """A request to carry out, or what is to be said at once; None: nothing is there."""
        server = self._server
        if method == "POST" and path.startswith("/api/"):
            if not hmac.compare_digest(headers.get("x-token", "").encode("latin-1"), server.token.encode()):
                return Reply(401, json_reply(Outcome("exception", "令牌无效")))
            return JsonRequest(path[5:], body)
        if not server.soap or not path.startswith(soap.PATH):
            return None
        if method == "POST" and path == soap.PATH:
            try:
                return SoapRequest(headers, body, server.token)
            except soap.Fault as problem:
                return soap_fault(problem)
        if method == "GET" and path.lower() == f"{soap.PATH}?wsdl".lower():
            host = headers.get("host", f"{server.host}:{server.port}")
            return Reply(200, wsdl.wsdl(f"http://{host}{soap.PATH}"), XML_TYPE)
        return None

    def _misbehave(self, fault: faults.Fault, asked: Request) -> None:
        server = self._server
        if fault.mode in faults.UNBOOKED:
            self._unbooked(fault, asked)
            return
        outcome = server.answer(asked.op, asked.asked, twice=fault.mode == "duplicate")
        if fault.mode in ("wrong_sums", "wrong_record") and outcome.kind == "ok":
            outcome = server.mistaken(fault.mode, outcome)
        reply = asked.reply(outcome)
        match fault.mode:
            case "slow":
                self._later(self._slow(fault.ms, reply))
            case "drip":
                self._later(self._drip(fault.ms, reply))
            case "commit_then_hang":
                self._later(asyncio.sleep(3600))
            case "commit_then_reset":
                self.abort()
            case "garbage":
                self._send(Reply(200, faults.GARBAGE, reply.media_type))
            case "gbk":
                self._send(Reply(reply.status, reply.body.decode().encode("gb18030"), reply.media_type))
            case "truncated":
                half = reply.body[: len(reply.body) // 2]
                self._transport.write(head(200, reply.media_type, len(reply.body)) + half)
                self._transport.close()
            case mode if mode in faults.ENTITIES:
                self._send(asked.attack(mode, server.fetch_url()))
            case _:
                self._send(reply)

    def _unbooked(self, fault: faults.Fault, asked: Request) -> None:
        if fault.mode != "late":
            self._server.calls[asked.op] += 1  # it came, and nothing was done about it
        match fault.mode:
            case "html500":
                self._send(Reply(500, faults.ERROR_PAGE, "text/html; charset=utf-8"))
            case "reset" | "down":
                self.abort()
            case "late":
                self._server.later(fault.ms, asked.op, asked.asked)
                self._later(asyncio.sleep(3600))
            case _:
                self._later(asyncio.sleep(3600))

    def _later(self, work: Any) -> None:
        async def run() -> None:
            await work
            self._task = None
            self._next()

        self._task = asyncio.get_running_loop().create_task(run())

    async def _slow(self, ms: int, reply: Reply) -> None:
        await asyncio.sleep(ms / 1000)
        self._send(reply)

    async def _drip(self, ms: int, reply: Reply) -> None:
        for byte in head(reply.status, reply.media_type, len(reply.body)) + reply.body:
            self._transport.write(bytes((byte,)))
            await asyncio.sleep(ms / 1000)

    async def _switch(self, method: str, path: str, body: bytes) -> None:
        status, value = await self._server.switch(method, path, body)
        self._send(Reply(status, json.dumps(value, ensure_ascii=False).encode()))

    def _send(self, reply: Reply) -> None:
        self._transport.write(head(reply.status, reply.media_type, len(reply.body)) + reply.body)


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds `port` without listening: to connect to it is to be refused."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


def head(status: int, media_type: str = JSON_TYPE, length: int = 0) -> bytes:
    """Status line and headers."""
    word = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}.get(status, "Internal Server Error")
    return (
        f"HTTP/1.1 {status} {word}\r\nServer: his-simulator\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode("ascii")
