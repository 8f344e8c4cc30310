"""What both database drivers share: the pool, the deadline on a socket, the ways a statement can end."""

import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from his.faults import NotSent
from his.views.sql import Row, Statement, Value

Bound = tuple[Statement, Mapping[str, Value]]


class SqlRefused(Exception):
    """The server answered with an error of its own: `code` is PostgreSQL's SQLSTATE or MariaDB's number, as text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Driver(Protocol):
    """One account on one server; thread-safe. Raises NotSent, Broken, SqlRefused."""

    def read(self, statements: Sequence[Bound], deadline: float) -> list[list[Row]]:
        """The rows of each statement, all seen in one read-only transaction."""

    def write(self, statement: Bound, deadline: float) -> list[Row]:
        """The rows one statement answers, committed. Sent once."""

    def close(self) -> None:
        """Close idle connections; calls after it raise NotSent("closed")."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom; seconds. `ssl`: off, require (any certificate), verify (by `ca_file` or the system's)."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    pool_size: int
    connect_s: float
    ssl: Literal["off", "require", "verify"]
    ca_file: str | None


def account(url: str, default_port: int, pool_size: int, connect_s: float,
            ssl: Literal["off", "require", "verify"], ca_file: str | None) -> Account:  # fmt: skip
    """The parts of `scheme://user:password@host:port/database`. ValueError, which never holds the password."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.username or not parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must look like postgresql://user:password@host:port/database")
    return Account(
        parts.hostname, parts.port or default_port, unquote(parts.username), unquote(parts.password or ""),
        unquote(parts.path.strip("/")), pool_size, connect_s, ssl, ca_file,
    )  # fmt: skip


class Pooled(Protocol):
    """A connection as the pool sees it."""

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""

    def close(self) -> None:
        """Close at once, without a word to the server."""


C = TypeVar("C", bound=Pooled)


class Pool(Generic[C]):
    """At most `size` connections, the one used last is taken first. One that has something to read is dead."""

    def __init__(self, size: int, connect: Callable[[float], C]) -> None:
        self._connect = connect
        self._room = threading.BoundedSemaphore(size)
        self._idle: deque[C] = deque()
        self._closed = False

    def take(self, deadline: float) -> C:
        """A connection to be given back with `give` or `drop`. Raises NotSent."""
        if not self._room.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NotSent("busy")
        try:
            while True:
                if self._closed:
                    raise NotSent("closed")
                try:
                    connection = self._idle.pop()
                except IndexError:
                    return self._connect(deadline)
                if not readable(connection.fileno()):
                    return connection
                connection.close()  # the server went away, or restarted, since
        except BaseException:
            self._room.release()
            raise

    def give(self, connection: C) -> None:
        """It ended well and may serve again."""
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)
        self._room.release()

    def drop(self, connection: C) -> None:
        """It ended in the middle of something."""
        connection.close()
        self._room.release()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def readable(fileno: int) -> bool:
    """True when an idle connection has something to say, or is closed."""
    if fileno < 0:
        return True
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))


def left(deadline: float) -> float:
    """Seconds until `deadline`; raises TimeoutError when none are."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def addresses(host: str, port: int, until: float) -> list[str]:
    """Where `host` is; a thread asks, because a name server that hangs must not outlive the deadline. Raises NotSent."""
    found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put([str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except OSError:
            found.put([])

    threading.Thread(target=look_up, daemon=True, name="his-resolve").start()
    try:
        names = found.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        names = []
    if not names:
        raise NotSent("unresolved")
    return names
