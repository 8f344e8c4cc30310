"""One HTTP/1.1 connection under one deadline: bytes out, one response in, no byte left over.

The standard `http.client` spends 90 µs on the headers of every response (it uses the e-mail parser) and its timeout
counts per read, so a peer that drips one byte a second is never late. Here the head is split by hand, strictly,
and the time that is left is worked out again before every read.
"""

import select
import socket
import ssl
import time
from dataclasses import dataclass

from his.faults import Broken

HEAD_CAP = 16 * 1024  # bytes of status line and headers; a HIS that sends more is not talking HTTP to us
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """Status, lower-case media type without parameters, and the whole body."""

    status: int
    media_type: str
    body: bytes


class Connection:
    """A connected socket (plain or TLS); not thread-safe, used by one call at a time."""

    __slots__ = ("_body_cap", "_buffer", "_poll", "_sock", "idle_since", "reusable", "used")

    def __init__(self, sock: socket.socket, body_cap: int) -> None:
        self._sock = sock
        sock.setblocking(False)  # a timeout set anew before each step costs two system calls a step
        self._body_cap = body_cap
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.used = False
        self.reusable = False
        self.idle_since = 0.0

    def went_stale(self) -> bool:
        """True when an idle connection has something to read: its end, or an answer nobody asked for."""
        return bool(self._poll.poll(0))

    def exchange(self, request: bytes, deadline: float) -> Response:
        """Send `request`, read its response; `deadline` on the monotonic clock. Raises `Broken` only."""
        self.reusable = False
        try:
            self._send(request, deadline)
            response = self._receive(deadline)
        except TimeoutError:
            raise Broken("timeout") from None
        except (ConnectionError, ssl.SSLError, OSError):
            raise Broken("reset", silent=not self._buffer) from None
        self.used = True
        if self._buffer:  # a second response: the next caller would get it as theirs
            self.reusable = False
        return response

    def close(self) -> None:
        """Close at once; safe to repeat."""
        self.reusable = False
        try:
            self._sock.close()
        except OSError:
            return

    def _send(self, request: bytes, deadline: float) -> None:
        _left(deadline)
        view = memoryview(request)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                self._await(wants, select.POLLOUT, deadline)

    def _fill(self, deadline: float) -> bool:
        """Read once; False at the peer's end. Reads before it waits: a HIS next door has often answered already."""
        while True:
            _left(deadline)
            try:
                piece = self._sock.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                self._await(wants, select.POLLIN, deadline)
                continue
            self._buffer += piece
            return bool(piece)

    def _await(self, wants: OSError, event: int, deadline: float) -> None:
        """Wait for the socket to take or give bytes (TLS may want the other than was asked of it), or TimeoutError."""
        if isinstance(wants, ssl.SSLWantReadError):
            event = select.POLLIN
        elif isinstance(wants, ssl.SSLWantWriteError):
            event = select.POLLOUT
        self._poll.modify(self._sock, event)
        ready = self._poll.poll(_left(deadline) * 1000)
        self._poll.modify(self._sock, select.POLLIN)
        if not ready:
            raise TimeoutError

    def _receive(self, deadline: float) -> Response:
        while True:
            status, keep_alive, headers = parse_head(self._head(deadline))
            if status >= 200:
                break
        coded = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if status in (204, 304):
            body = b""
        elif coded is not None:
            if coded.lower() != b"chunked" or length is not None:
                raise Broken("bad_reply")
            body = self._chunks(deadline)
        elif length is not None:
            body = self._exactly(_size(length, 10), deadline)
        else:
            keep_alive = False
            body = self._until_end(deadline)
        self.reusable = keep_alive
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        return Response(status, media_type.decode("latin-1"), body)

    def _head(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_CAP:
                raise Broken("too_large")
            if not self._fill(deadline):
                raise Broken("reset", silent=not self._buffer)
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _exactly(self, size: int, deadline: float) -> bytes:
        if size > self._body_cap:
            raise Broken("too_large")
        while len(self._buffer) < size:
            if not self._fill(deadline):
                raise Broken("truncated")
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > HEAD_CAP:
                raise Broken("too_large")
            if not self._fill(deadline):
                raise Broken("truncated")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _chunks(self, deadline: float) -> bytes:
        body = bytearray()
        while size := _size(self._line(deadline).partition(b";")[0].strip(), 16):
            if len(body) + size > self._body_cap:
                raise Broken("too_large")
            body += self._exactly(size, deadline)
            if self._line(deadline):
                raise Broken("bad_reply")
        trailers = 0
        while line := self._line(deadline):
            trailers += len(line)
            if trailers > HEAD_CAP:
                raise Broken("too_large")
        return bytes(body)

    def _until_end(self, deadline: float) -> bytes:
        while self._fill(deadline):
            if len(self._buffer) > self._body_cap:
                raise Broken("too_large")
        body = bytes(self._buffer)
        self._buffer.clear()
        return body


def _left(deadline: float) -> float:
    """Seconds until `deadline`; raises TimeoutError when none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _size(text: bytes, base: int) -> int:
    """A length as HTTP writes it: digits only, no sign, no underscore, at most 16 of them."""
    allowed = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not text or len(text) > 16 or text.strip(allowed):
        raise Broken("bad_reply")
    return int(text, base)


def parse_head(head: bytes) -> tuple[int, bool, dict[bytes, bytes]]:
    """Status, whether the connection may be kept, and headers by lower-case name; raises Broken("bad_reply").

    Folded lines and a length stated twice are refused: two readings of one response is how answers get swapped.
    """
    lines = head.split(b"\r\n")
    version, _, rest = lines[0].partition(b" ")
    status = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not status.isdigit() or rest[3:4] not in (b"", b" "):
        raise Broken("bad_reply")
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise Broken("bad_reply")
        value = value.strip()
        if name in (b"content-length", b"transfer-encoding") and headers.get(name, value) != value:
            raise Broken("bad_reply")
        headers[name] = value
    connection = headers.get(b"connection", b"").lower()
    keep = b"keep-alive" in connection if version == b"HTTP/1.0" else b"close" not in connection
    return int(status), keep, headers
