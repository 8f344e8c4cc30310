"""Sending HL7 v2 over MLLP: one connection, kept open, one message in flight, one total deadline.

Several receivers answer only the last of two messages in one packet, and some answer earlier ones again; with one in
flight, an acknowledgement whose MSA-2 is not ours is nobody's, is logged and dropped.
"""

import ipaddress
import logging
import queue
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from his.faults import Broken, NotSent
from his.hl7v2.framing import Framer, FrameTooLarge, frame
from his.hl7v2.message import BadMessage, Message

log = logging.getLogger("his.hl7v2")
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Seconds and bytes. `keep_s` 0: a connection for each message. `ca_file`: PEM, for TLS with an own authority."""

    host: str
    port: int
    connect_s: float = 2.0
    ack_s: float = 15.0
    keep_s: float = 60.0
    cap: int = 4 * 1024 * 1024
    tls: bool = False
    ca_file: str | None = None
    undeclared: str = ""


class MllpClient:
    """One receiver; thread-safe: callers take turns. Raises only NotSent and Broken."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._tls = ssl.create_default_context(cafile=options.ca_file) if options.tls else None
        self._turn = threading.Lock()
        self._line: _Line | None = None
        self._closed = False

    def exchange(self, message: bytes, control_id: str, deadline: float, *, past_commit: bool = False) -> Message:
        """Send one message and give the one whose MSA-2 is `control_id`.

        `past_commit`: a commit acknowledgement (CA) is not the end, the application's comes after it (enhanced mode).
        """
        deadline = min(deadline, time.monotonic() + self._options.ack_s)
        self._take_turn(deadline)
        try:
            line = self._open(deadline)
            try:
                line.send(frame(message), deadline)
                return self._answer(line, control_id, deadline, past_commit)
            except BaseException:
                self._drop()  # half an answer may still be on its way
                raise
            finally:
                if self._closed or not self._options.keep_s:
                    self._drop()
        finally:
            self._turn.release()

    def probe(self, deadline: float) -> None:
        """Return when the receiver accepts connections: the one we have, or a new one."""
        self._take_turn(deadline)
        try:
            self._open(deadline)
            if not self._options.keep_s:
                self._drop()
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close the connection; a call under way gets Broken("reset") and its caller asks what became of it."""
        self._closed = True
        if self._turn.acquire(blocking=False):
            self._drop()
            self._turn.release()
        elif (line := self._line) is not None:
            line.hang_up()

    def _take_turn(self, deadline: float) -> None:
        if not self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NotSent("busy")

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _open(self, deadline: float) -> "_Line":
        line = self._line
        if line is not None:
            if time.monotonic() - line.used_at < self._options.keep_s and not line.went_stale():
                return line
            self._drop()
        if self._closed:
            raise NotSent("closed")
        until = min(deadline, time.monotonic() + self._options.connect_s)
        self._line = _Line(connect(self._options.host, self._options.port, until, self._tls), self._options.cap)
        return self._line

    def _answer(self, line: "_Line", control_id: str, deadline: float, past_commit: bool) -> Message:
        strangers = 0
        try:
            while True:
                try:
                    reply = Message.read(line.receive(deadline), self._options.undeclared)
                except BadMessage:
                    raise Broken("bad_reply") from None
                if reply.get("MSA-2") != control_id:
                    strangers += 1
                elif not (past_commit and reply.get("MSA-1") == "CA"):
                    line.used_at = time.monotonic()
                    return reply
        finally:
            if strangers:
                log.warning("dropped %d acknowledgements of other messages while waiting for %s", strangers, control_id)


class _Line:
    """One connection; used by one call at a time."""

    def __init__(self, sock: socket.socket, cap: int) -> None:
        self._sock = sock
        self._framer = Framer(cap)
        self._waiting: list[bytes] = []
        self.used_at = time.monotonic()

    def went_stale(self) -> bool:
        """True when an idle connection has something to read: its end, or an answer nobody asked for."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(self._waiting or self._framer.open or poll.poll(0))

    def send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                self._sock.settimeout(_left(deadline))
                view = view[self._sock.send(view) :]
            except OSError as exc:
                reason = "timeout" if isinstance(exc, TimeoutError) else "reset"
                raise (NotSent if len(view) == len(data) else Broken)(reason) from None

    def receive(self, deadline: float) -> bytes:
        """The next frame."""
        while not self._waiting:
            try:
                self._sock.settimeout(_left(deadline))
                piece = self._sock.recv(CHUNK)
                self._waiting += self._framer.feed(piece)
            except TimeoutError:
                raise Broken("timeout") from None
            except FrameTooLarge:
                raise Broken("too_large") from None
            except OSError:
                raise Broken("reset") from None
            if not piece:
                raise Broken("truncated" if self._framer.open else "reset")
        return self._waiting.pop(0)

    def hang_up(self) -> None:
        """End it from another thread: whoever reads wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self._sock.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def connect(host: str, port: int, until: float, tls: ssl.SSLContext | None) -> socket.socket:
    """A connected socket before `until` (monotonic); raises NotSent with why not."""
    reason = "unresolved"
    for family, address in _resolve(host, port, until):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(until))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if tls is None:
                return sock
            sock.settimeout(_left(until))
            return tls.wrap_socket(sock, server_hostname=host)
        except TimeoutError:
            reason = "connect_timeout"
        except ssl.SSLError:
            reason = "tls"
        except ConnectionRefusedError:
            reason = "refused"
        except OSError:
            reason = "unreachable"
        sock.close()
    raise NotSent(reason if time.monotonic() < until else "connect_timeout")


def _resolve(host: str, port: int, until: float) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Addresses to try; a thread asks, because a name server that hangs must not outlive the deadline."""
    try:
        version = ipaddress.ip_address(host).version
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))]
    except ValueError:
        found: queue.SimpleQueue[list[tuple[socket.AddressFamily, tuple[str, int]]]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            infos = []
        found.put([(info[0], (str(info[4][0]), int(info[4][1]))) for info in infos])

    threading.Thread(target=ask, daemon=True, name="his-resolve").start()
    try:
        return found.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        return []
