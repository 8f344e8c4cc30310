"""PostgreSQL through psycopg: one round trip a call, under one total deadline.

`BEGIN`, the statement timeout, the statements and `COMMIT` leave together (pipeline mode), so a call costs one round
trip, and a server that freezes has either all of a write or nothing. psycopg waits for its socket outside of libpq;
here it waits until the call's deadline and no longer, however slowly the server drips.
"""

import math
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import psycopg
from psycopg import waiting
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from his.faults import Broken, NotSent
from his.views.driver import Account, Bound, Pool, SqlRefused, addresses, left
from his.views.sql import Row

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN"
SETTINGS = "-c timezone=Asia/Shanghai -c datestyle=ISO -c idle_in_transaction_session_timeout=60000"
_SSL = {"off": "disable", "require": "require", "verify": "verify-full"}
_DENIED = frozenset({"42501", "25006"})  # not granted; a write in a read-only transaction
_GONE = frozenset({"57P01", "57P02", "57P03", "57P05"})  # shut down, crashed, starting, idle too long
_UNSUPPORTED_TEXT = frozenset({"22P05", "22021"})  # the database's encoding has no such character


class _Connection(psycopg.Connection[Row]):
    """A connection whose every wait ends at `deadline` (monotonic) with TimeoutError."""

    deadline = math.inf

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See psycopg; `timeout` is worked out anew before every wait."""
        wanted = left(self.deadline)
        try:
            return super().wait(gen, interval, wanted if timeout is None else min(timeout, wanted))
        except psycopg.OperationalError:
            left(self.deadline)  # raises TimeoutError when that is what it was
            raise

    def fileno(self) -> int:
        """See `Pooled`."""
        return -1 if self.closed else super().fileno()

    def close(self) -> None:
        """See `Pooled`."""
        self.pgconn.finish()


class PostgresDriver:
    """See `his.views.driver.Driver`."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._pool: Pool[_Connection] = Pool(account.pool_size, self._connect)

    def read(self, statements: Sequence[Bound], deadline: float) -> list[list[Row]]:
        """See `Driver`."""
        return self._run(READ, statements, deadline)

    def write(self, statement: Bound, deadline: float) -> list[Row]:
        """See `Driver`."""
        return self._run(WRITE, [statement], deadline)[0]

    def close(self) -> None:
        """See `Driver`."""
        self._pool.close()

    def _run(self, begin: str, statements: Sequence[Bound], deadline: float) -> list[list[Row]]:
        connection = self._pool.take(deadline)
        try:
            rows = _exchange(connection, begin, statements, deadline)
        except SqlRefused:
            self._roll_back(connection)
            raise
        except BaseException:
            self._pool.drop(connection)
            raise
        self._pool.give(connection)
        return rows

    def _roll_back(self, connection: _Connection) -> None:
        """Make a connection whose transaction failed usable again, else drop it."""
        try:
            connection.deadline = time.monotonic() + 0.5
            connection.execute("ROLLBACK")
        except (psycopg.Error, TimeoutError):
            self._pool.drop(connection)
        else:
            self._pool.give(connection)

    def _connect(self, deadline: float) -> _Connection:
        until = min(deadline, time.monotonic() + self._account.connect_s)
        fault = NotSent("connect_timeout")
        for address in addresses(self._account.host, self._account.port, until):
            try:
                # what `connect` does, whose connect_timeout knows only whole seconds and at least two
                connecting = _Connection._connect_gen(self._conninfo(address))  # noqa: SLF001
                connection = waiting.wait_conn(connecting, interval=0.1, timeout=left(until))
            except TimeoutError:
                break
            except psycopg.Error as error:
                fault = NotSent("connect_timeout") if time.monotonic() >= until else _not_connected(error)
                continue
            connection.autocommit = True  # the statements say themselves where a transaction begins
            connection.row_factory = dict_row
            return connection
        raise fault

    def _conninfo(self, address: str) -> str:
        account = self._account
        extra = {"sslrootcert": account.ca_file or "system"} if account.ssl == "verify" else {}
        return make_conninfo(
            host=account.host, hostaddr=address, port=account.port, user=account.user, password=account.password,
            dbname=account.database, sslmode=_SSL[account.ssl], client_encoding="UTF8", gssencmode="disable",
            application_name="palm-hospital", options=SETTINGS, **extra,
        )  # fmt: skip


def _exchange(connection: _Connection, begin: str, statements: Sequence[Bound], deadline: float) -> list[list[Row]]:
    try:
        connection.deadline = deadline
        patience = max(1, int(left(deadline) * 1000))
    except TimeoutError:
        raise NotSent("busy") from None
    try:
        with connection.pipeline():
            connection.execute(begin)
            connection.execute(f"SET LOCAL statement_timeout = {patience:d}")
            cursors = [connection.execute(one.text, values) for one, values in statements]
            connection.execute("COMMIT")
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
    except TimeoutError:
        raise Broken("timeout") from None
    except UnicodeDecodeError:
        raise Broken("bad_reply") from None
    except psycopg.Error as error:
        if error.sqlstate is None and time.monotonic() >= deadline:  # given up while the pipeline was being ended
            raise Broken("timeout") from None
        _fail(error)


def _fail(error: psycopg.Error) -> NoReturn:
    """What the server's error, or the loss of the server, means after the statement left."""
    code = error.sqlstate
    if code is None or code in _GONE or code.startswith("08"):
        raise Broken("reset") from None
    if code == "57014":
        raise Broken("timeout") from None
    if code in _DENIED:
        raise Broken("unauthorized") from None
    if code in _UNSUPPORTED_TEXT:
        raise NotSent("unsupported_text") from None  # the transaction is rolled back: nothing was changed
    raise SqlRefused(code, error.diag.message_primary or "") from None


def _not_connected(error: psycopg.Error) -> NotSent:
    if error.sqlstate is not None:
        return NotSent("unauthorized" if error.sqlstate.startswith("28") else "refused")
    text = str(error)  # libpq gives no code before there is a session
    if "password authentication" in text or "no pg_hba.conf" in text:
        return NotSent("unauthorized")
    if "SSL" in text or "certificate" in text:
        return NotSent("tls")
    return NotSent(
        "refused" if "refused" in text or "starting up" in text or "shutting down" in text else "unreachable"
    )
