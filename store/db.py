"""The connection to hospital.db: SQLite set right, or PostgreSQL; who may write when.

SQLite: one connection per journal mode and process behind a lock. Measured: threads with a connection each cost
2.6 times the CPU (GIL convoy), plain BEGIN loses to a busy writer, so every write is BEGIN IMMEDIATE.
`durable` commits with synchronous=FULL (money, bindings, sessions), `quick` with NORMAL (scans: they survive
kill -9, not a power cut). PostgreSQL: a small pool; quick commits set synchronous_commit off.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import peewee
from playhouse import migrations
from playhouse.db_url import connect
from playhouse.pool import PooledDatabase

from core.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
_PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "cache_size": -8000}


class _Reading:
    """SQLite's one connection, for one thread at a time. Written out: a generator costs five calls a query."""

    __slots__ = ("_lock", "_peewee")

    def __init__(self, database: peewee.Database, lock: threading.RLock) -> None:
        self._peewee, self._lock = database, lock

    def __enter__(self) -> peewee.Database:
        self._lock.acquire()
        return self._peewee

    def __exit__(self, *_failure: object) -> None:
        self._lock.release()


class _Immediate:
    """BEGIN IMMEDIATE … COMMIT under the process's write lock, asked of SQLite directly; a nested one joins the outer."""

    __slots__ = ("_connection", "_nested", "_own_lock", "_peewee", "_write_lock")

    def __init__(self, database: peewee.Database, write_lock: threading.RLock, own_lock: threading.RLock) -> None:
        self._peewee, self._write_lock, self._own_lock = database, write_lock, own_lock

    def __enter__(self) -> peewee.Database:
        self._write_lock.acquire()
        self._own_lock.acquire()
        try:
            self._connection = self._peewee.connection()
            self._nested = self._connection.in_transaction
            if not self._nested:
                self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._release()
            raise
        return self._peewee

    def __exit__(self, failure: type[BaseException] | None, *_rest: object) -> None:
        try:
            if not self._nested:
                self._end(failure is None)
        finally:
            self._release()

    def _end(self, good: bool) -> None:
        try:
            if good:
                self._connection.execute("COMMIT")
        finally:
            # also after a COMMIT that failed: left open, every later write would join it and never be kept.
            # SQLite has rolled back by itself after some errors, a full disk among them
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _release(self) -> None:
        self._own_lock.release()
        self._write_lock.release()


class Db:
    """One database in one durability. Queries take it explicitly; models are never bound globally."""

    def __init__(self, peewee_db: peewee.Database, write_lock: threading.RLock, *, quick: bool = False) -> None:
        self.peewee = peewee_db
        self.sqlite = isinstance(peewee_db, peewee.SqliteDatabase)
        self._write_lock = write_lock
        self._own_lock = threading.RLock()
        self._quick = quick
        self._reading = _Reading(peewee_db, self._own_lock)
        self.run: Callable[..., Any] = peewee_db.connection().execute if self.sqlite else peewee_db.execute_sql
        """``run(text, params)``: a cursor of hand-written SQL; inside `read` or `write` only.

        SQLite is asked directly: peewee's layer costs a scan's statements a fifth of their time.
        """

    def read(self) -> AbstractContextManager[peewee.Database]:
        """A connection to read from."""
        return self._reading if self.sqlite else self._pooled()

    def write(self, serial: str = "") -> AbstractContextManager[peewee.Database]:
        """A transaction. ``serial``: writers of the same word run one after another on PostgreSQL too."""
        return _Immediate(self.peewee, self._write_lock, self._own_lock) if self.sqlite else self._atomic(serial)

    @contextmanager
    def _pooled(self) -> Iterator[peewee.Database]:
        """A connection of the pool for this thread; nested uses share it."""
        if not self.peewee.is_closed():
            yield self.peewee
            return
        with self.peewee.connection_context():
            yield self.peewee

    @contextmanager
    def _atomic(self, serial: str) -> Iterator[peewee.Database]:
        with self._pooled(), self.peewee.atomic():
            if self._quick:
                self.peewee.execute_sql("SET LOCAL synchronous_commit = off")
            if serial:
                self.peewee.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (serial,))
            yield self.peewee

    def sql(self, text: str) -> str:
        """``?`` placeholders as this engine writes them."""
        return text if self.sqlite else text.replace("?", "%s")

    def close(self) -> None:
        """Close what this process holds."""
        if isinstance(self.peewee, PooledDatabase):
            self.peewee.close_all()
        elif not self.peewee.is_closed():
            self.peewee.close()


def open_pair(url: str) -> tuple[Db, Db]:
    """(durable, quick) for a ``database.url``. Raises ConfigError when it cannot be opened."""
    lock = threading.RLock()
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.parent.is_dir():
            raise ConfigError(f"the folder {path.parent} is not there", key="database.url")
        return Db(_sqlite(path, "full"), lock), Db(_sqlite(path, "normal"), lock, quick=True)
    try:
        database = connect(url.replace("postgresql://", "psycopg3+pool://", 1), max_connections=32, stale_timeout=300)
        database.connect()
        database.close()
    except (peewee.OperationalError, peewee.ImproperlyConfigured, ImportError) as exc:
        raise ConfigError(
            f"PostgreSQL does not answer ({type(exc).__name__}): check address and password", key="database.url"
        ) from exc
    return Db(database, lock), Db(database, lock, quick=True)


def checkpoint(db: Db) -> None:
    """Move what the quick connection wrote from the WAL into the database, without blocking writers.

    The quick connection never checkpoints itself: that is an fsync, and it would come in the middle of a scan.
    """
    if db.sqlite:
        with db.read() as database:
            database.execute_sql("PRAGMA wal_checkpoint(PASSIVE)")


def _sqlite(path: Path, synchronous: str) -> peewee.SqliteDatabase:
    pragmas = {**_PRAGMAS, "synchronous": synchronous}
    if synchronous == "normal":
        pragmas["wal_autocheckpoint"] = 0
    # Ours alone; -wal and -shm take the mode over. Only ever a new file: closing any descriptor of a file drops the
    # locks this process holds on it, and another process would then delete the WAL under our feet.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    database = peewee.SqliteDatabase(str(path), pragmas=pragmas, thread_safe=False, check_same_thread=False)
    try:
        database.connect()
    except peewee.OperationalError as exc:
        raise ConfigError(f"the database {path.name} cannot be opened: {exc}", key="database.url") from exc
    return database


def migrate(db: Db) -> list[str]:
    """Bring the schema up to date; returns the names of the migrations applied now.

    Two processes may start together: the second waits for the first (a file lock beside hospital.db, an
    advisory lock on PostgreSQL) and then finds nothing to do.
    """
    with _one_migrator(db), db.read() as database:
        return list(migrations.Runner(database, str(MIGRATIONS)).up())


@contextmanager
def _one_migrator(db: Db) -> Iterator[None]:
    if db.sqlite:
        with Path(f"{db.peewee.database}.migrate-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with db.peewee.connection_context():
        db.peewee.execute_sql("SELECT pg_advisory_lock(7314)")
        try:
            yield
        finally:
            db.peewee.execute_sql("SELECT pg_advisory_unlock(7314)")


def rows(db: Db, text: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Rows of a hand-written query; inside `Db.read` or `Db.write` only."""
    return list(db.run(db.sql(text), params).fetchall())
