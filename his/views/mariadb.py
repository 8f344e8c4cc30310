"""MariaDB and MySQL through PyMySQL, every wait under one total deadline.

PyMySQL's own time-outs count per read, so a server that drips a byte a second is never late; here the time that is left
is worked out before every read. PyMySQL has no server-side binding and writes values into the statement: a text is
written as a hexadecimal literal, in which no character means anything whatever the server's sql_mode or charset says.
"""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from his.faults import Broken, NotSent
from his.views.driver import Account, Bound, Pool, SqlRefused, addresses, left
from his.views.sql import Row

T = TypeVar("T")
CHUNK = 64 * 1024
STRICT = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_GONE = frozenset({1053, 1077, 1079, 1080, 1927, 2003, 2006, 2013, 2014, 2027})
_LATE = frozenset({1317, 1969, 3024})  # interrupted; statement time exceeded (MariaDB, MySQL)
_DENIED = frozenset({1044, 1142, 1143, 1227, 1370, 1792})  # not granted; a write in a read-only transaction
_LOGIN = frozenset({1044, 1045, 1049, 1130, 1698, 1251})
NO_TLS = 2026  # the server offers none


class _Connection(Connection):  # type: ignore[type-arg]  # generic in the stubs only
    """A connection on a socket given to it, every wait of which ends at `deadline` (monotonic) with TimeoutError."""

    deadline = 0.0
    _sock: Any
    server_version: str

    def __init__(self, **options: Any) -> None:
        self._received = bytearray()
        super().__init__(**options)

    def _read_bytes(self, num_bytes: int) -> bytes:
        while len(self._received) < num_bytes:
            self._sock.settimeout(left(self.deadline))
            piece = self._sock.recv(CHUNK)
            if not piece:
                raise ConnectionResetError
            self._received += piece
        data = bytes(self._received[:num_bytes])
        del self._received[:num_bytes]
        return data

    def _write_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(left(self.deadline))
            view = view[self._sock.send(view) :]

    def escape(self, obj: Any, mapping: Any = None) -> str:
        """A text as a literal without one character of its own; everything else as PyMySQL writes it."""
        if isinstance(obj, str):
            return f"_utf8mb4 X'{obj.encode().hex()}'" if obj else "''"
        return str(super().escape(obj, mapping))

    def fileno(self) -> int:
        """See `Pooled`."""
        return -1 if self._sock is None else int(self._sock.fileno())

    def close(self) -> None:
        """See `Pooled`."""
        self._force_close()  # type: ignore[attr-defined]  # missing in the stubs


class MariadbDriver:
    """See `his.views.driver.Driver`."""

    def __init__(self, account: Account, *, read_only: bool) -> None:
        self._account = account
        self._read_only = read_only
        self._tls = _tls(account)
        self._pool: Pool[_Connection] = Pool(account.pool_size, self._connect)

    def read(self, statements: Sequence[Bound], deadline: float) -> list[list[Row]]:
        """See `Driver`."""

        def run(connection: _Connection) -> list[list[Row]]:
            if len(statements) == 1:  # the session is read-only, and one statement is a transaction of its own
                return [_rows(connection, statements[0])]
            connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            rows = [_rows(connection, statement) for statement in statements]
            connection.query("COMMIT")
            return rows

        return self._run(run, deadline)

    def write(self, statement: Bound, deadline: float) -> list[Row]:
        """See `Driver`. Once it left it may finish: stopped halfway, a procedure without a transaction leaves half of it."""
        return self._run(lambda connection: _rows(connection, statement, limited=False), deadline)

    def close(self) -> None:
        """See `Driver`."""
        self._pool.close()

    def _run(self, work: Callable[[_Connection], T], deadline: float) -> T:
        connection = self._pool.take(deadline)
        connection.deadline = deadline
        if time.monotonic() >= deadline:
            self._pool.give(connection)
            raise NotSent("busy")
        try:
            answer = work(connection)
        except BaseException as error:
            self._pool.drop(connection)
            if isinstance(error, (OSError, UnicodeDecodeError, pymysql.MySQLError)):
                _fail(error)
            raise
        self._pool.give(connection)
        return answer

    def _connect(self, deadline: float) -> _Connection:
        account = self._account
        until = min(deadline, time.monotonic() + account.connect_s)
        fault = NotSent("unreachable")
        for address in addresses(account.host, account.port, until):
            connection = _Connection(
                host=account.host, port=account.port, user=account.user, password=account.password,
                database=account.database, charset="utf8mb4", sql_mode=STRICT, autocommit=True, defer_connect=True,
                cursorclass=DictCursor, ssl=self._tls, ssl_disabled=self._tls is None,
                init_command="SET SESSION TRANSACTION READ ONLY" if self._read_only else None,
            )  # fmt: skip
            connection.deadline = until
            try:
                sock = socket.create_connection((address, account.port), left(until))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(sock)
            except (OSError, pymysql.MySQLError) as error:
                connection.close()
                fault = _not_connected(error, until)
            else:
                return connection
        raise fault


def _rows(connection: _Connection, bound: Bound, *, limited: bool = True) -> list[Row]:
    """The rows of the first result; what a procedure says after them is read and let go.

    `limited`: the server is told how much time is left, and stops by itself.
    """
    statement, values = bound
    with connection.cursor() as cursor:
        text, limit = statement.text, left(connection.deadline)
        if limited and "MariaDB" in connection.server_version:
            text = f"SET STATEMENT max_statement_time={limit:.3f} FOR {text}"
        elif limited:  # MySQL: milliseconds, and for SELECT only
            cursor.execute(f"SET SESSION max_execution_time={max(1, int(limit * 1000)):d}")
        cursor.execute(text, dict(values))
        rows: list[Row] = list(cursor.fetchall())  # type: ignore[arg-type]  # a DictCursor
        while cursor.nextset():
            continue
    return rows


def _fail(error: OSError | UnicodeDecodeError | pymysql.MySQLError) -> NoReturn:
    """What the server's error, or the loss of the server, means after the statement left."""
    if isinstance(error, TimeoutError):
        raise Broken("timeout") from None
    if isinstance(error, OSError):
        raise Broken("reset") from None
    if isinstance(error, UnicodeDecodeError) or not error.args or not isinstance(error.args[0], int):
        raise Broken("bad_reply") from None
    number = error.args[0]
    if number in _GONE:
        raise Broken("reset") from None
    if number in _LATE:
        raise Broken("timeout") from None
    if number in _DENIED:
        raise Broken("unauthorized") from None
    raise SqlRefused(str(number), str(error.args[1]) if len(error.args) > 1 else "") from None


def _not_connected(error: OSError | pymysql.MySQLError, until: float) -> NotSent:
    error = getattr(error, "original_exception", error)
    if isinstance(error, TimeoutError) or time.monotonic() >= until:
        return NotSent("connect_timeout")
    if isinstance(error, ssl.SSLError):
        return NotSent("tls")
    if isinstance(error, (ConnectionRefusedError, ConnectionResetError)):
        return NotSent("refused")
    if isinstance(error, pymysql.MySQLError) and error.args:
        if error.args[0] == NO_TLS:
            return NotSent("tls")
        return NotSent("unauthorized" if error.args[0] in _LOGIN else "refused")
    return NotSent("unreachable")


def _tls(account: Account) -> ssl.SSLContext | None:
    if account.ssl == "off":
        return None
    context = ssl.create_default_context(cafile=account.ca_file)
    if account.ssl == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
