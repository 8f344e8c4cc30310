"""A lean HTTP client for one endpoint: kept-alive connections in a small pool, one total deadline a call.

`requests` and `httpx` cost more than all the rest of a scan; this does only what an adapter needs:
POST and its sisters, http and https, a body cap, TCP_NODELAY, and one repeat of a read whose kept-alive connection the peer had
closed. It follows no redirects, keeps no cookies and reads no proxy settings.
"""

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from his.faults import Broken, NotSent
from his.wire import Connection, Response

NAME_KEPT_S = 60.0  # how long a resolved name is trusted; a HIS that moves is followed within a minute


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How to talk to the endpoint; seconds and bytes. `ca_file`: PEM of the hospital's own authority, for https."""

    connect_s: float = 1.0
    idle_s: float = 20.0
    pool_size: int = 8
    body_cap: int = 4 * 1024 * 1024
    ca_file: str | None = None


class HttpEndpoint:
    """One server; thread-safe. Calls raise `NotSent` or `Broken`, with a machine word as reason."""

    def __init__(self, base_url: str, headers: dict[str, str], options: HttpOptions | None = None) -> None:
        """`base_url`: http(s)://host[:port][/prefix]. ValueError when it is anything else."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("base_url must look like http://host:port/prefix, without user or password")
        self._options = options or HttpOptions()
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=self._options.ca_file) if parts.scheme == "https" else None
        lines = {"Host": parts.netloc, "Accept": "application/json", **headers}
        if any(bad in text for pair in lines.items() for text in pair for bad in "\r\n"):
            raise ValueError("a header must stand on one line")
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        self._lines: dict[str, bytes] = {}  # request line and fixed headers, by path
        self._idle: deque[Connection] = deque()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One None for each call that may still begin: a semaphore in C; threading's takes ten Python calls a lookup."""
        for _ in range(self._options.pool_size):
            self._room.put(None)
        self._addresses: list[tuple[socket.AddressFamily, tuple[str, int]]] = []
        self._resolved_at = 0.0
        self._closed = False

    def post(self, path: str, body: bytes, deadline: float, *, repeatable: bool) -> Response:
        """POST `body` to `path` and read the answer before `deadline` (monotonic).

        `repeatable` (reads only): sent again once, on a new connection, when a kept-alive one proved dead.
        """
        return self._call(b"%s%d\r\n\r\n%s" % (self._start(path), len(body), body), deadline, repeatable=repeatable)

    def request(
        self, line: str, headers: Mapping[str, str], body: bytes | None, deadline: float, *, repeatable: bool
    ) -> Response:
        """As `post` for any method: `line` is method and path, such as "PUT /Slot/7"; `headers` are this request's own.

        ValueError when a header, or a path that is not percent-encoded, does not stand on its line.
        """
        method, _, path = line.partition(" ")
        own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if not path.startswith("/") or any(c <= " " for c in path) or len(own.splitlines()) != len(headers):
            raise ValueError("a header and a request line must stand on one line each")
        start = f"{method} {self._prefix}{path} HTTP/1.1\r\n".encode("ascii") + self._fixed + own.encode("latin-1")
        if body is None:
            return self._call(start + b"\r\n", deadline, repeatable=repeatable)
        return self._call(b"%sContent-Length: %d\r\n\r\n%s" % (start, len(body), body), deadline, repeatable=repeatable)

    def close(self) -> None:
        """Close idle connections; those in use close when their call ends."""
        self._closed = True
        self._drop_idle()

    def _call(self, request: bytes, deadline: float, *, repeatable: bool) -> Response:
        try:
            self._room.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise NotSent("busy") from None
        try:
            connection = self._take(deadline)
            try:
                return self._exchange(connection, request, deadline)
            except Broken as broken:
                if not (repeatable and connection.used and broken.silent):
                    raise
            self._drop_idle()  # its neighbours are as old
            return self._exchange(self._connect(deadline), request, deadline)
        finally:
            self._room.put(None)

    def _start(self, path: str) -> bytes:
        start = self._lines.get(path)
        if start is None:
            line = f"POST {self._prefix}{path} HTTP/1.1\r\n".encode("ascii")
            start = self._lines[path] = line + self._fixed + b"Content-Length: "
        return start

    def _exchange(self, connection: Connection, request: bytes, deadline: float) -> Response:
        try:
            response = connection.exchange(request, deadline)
        except BaseException:
            connection.close()  # half a response may still be on its way
            raise
        if connection.reusable and not self._closed:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _take(self, deadline: float) -> Connection:
        oldest = time.monotonic() - self._options.idle_s
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect(deadline)
            if connection.idle_since > oldest and not connection.went_stale():
                return connection
            connection.close()

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _connect(self, deadline: float) -> Connection:
        if self._closed:
            raise NotSent("closed")
        reason = "unresolved"
        until = min(deadline, time.monotonic() + self._options.connect_s)
        for family, address in self._where(until):
            left = until - time.monotonic()
            if left <= 0:
                break
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(left)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return Connection(self._secure(sock, until), self._options.body_cap)
            except TimeoutError:
                reason = "connect_timeout"
            except ssl.SSLError:
                reason = "tls"
            except ConnectionRefusedError:
                reason = "refused"
            except OSError:
                reason = "unreachable"
            sock.close()
        self._resolved_at = 0.0  # it may have moved
        raise NotSent(reason if time.monotonic() < until else "connect_timeout")

    def _secure(self, sock: socket.socket, until: float) -> socket.socket:
        if self._tls is None:
            return sock
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)  # the handshake counts this once, over all its reads
        return self._tls.wrap_socket(sock, server_hostname=self._host)

    def _where(self, until: float) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        """Addresses to try; a name server that hangs must not outlive the deadline, so a thread asks it."""
        if self._addresses and time.monotonic() - self._resolved_at < NAME_KEPT_S:
            return self._addresses
        try:
            version = ipaddress.ip_address(self._host).version
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            self._addresses = [(family, (self._host, self._port))]
        except ValueError:
            found: queue.SimpleQueue[list[tuple[socket.AddressFamily, tuple[str, int]]]] = queue.SimpleQueue()
            threading.Thread(target=self._resolve, args=(found,), daemon=True, name="his-resolve").start()
            try:
                self._addresses = found.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return []
        self._resolved_at = time.monotonic()
        return self._addresses

    def _resolve(self, found: "queue.SimpleQueue[list[tuple[socket.AddressFamily, tuple[str, int]]]]") -> None:
        try:
            infos = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            infos = []
        found.put([(info[0], (str(info[4][0]), int(info[4][1]))) for info in infos])
