"""A HIS that does nothing but keep books: a process of its own with a SQLite file, HTTP, and the faults writes meet.

`python -m tests.support.books DB READY` serves; `start_books` runs it, `BooksAdapter` speaks to it. A write is a row
(op_key, patient, amount). Faults: hang (nothing booked, no answer), commit_then_hang, commit_then_reset, late (no
answer, booked after `ms`), refuse. With `dedup` a repeated op_key is answered "duplicate"; without it is booked again.
"""

import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from his.adapter import Call
from his.faults import Broken, Duplicate
from his.http import HttpEndpoint, HttpOptions
from his.port import (
    Appointment,
    BookingOrder,
    Command,
    DayPart,
    Done,
    Health,
    NotDone,
    Op,
    Query,
    RegistrationState,
    Rejected,
    RejectReason,
    Resolution,
    TopUp,
)
from tests.support.sims import ROOT


class Books:
    """The server's side: rows in SQLite, one fault for all."""

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("CREATE TABLE IF NOT EXISTS booked (op_key TEXT, patient TEXT, amount INT)")
        self.mode, self.ms, self.dedup = "none", 0, True
        self.sent = 0

    def book(self, asked: dict[str, Any]) -> str:
        """ "ok", or "duplicate"; atomic."""
        with self.lock:
            if self.dedup and self.has(asked["op_key"]):
                return "duplicate"
            self.db.execute("INSERT INTO booked VALUES (?, ?, ?)", (asked["op_key"], asked["patient"], asked["amount"]))
            return "ok"

    def has(self, op_key: str) -> bool:
        """Whether it is in the books."""
        return self.db.execute("SELECT 1 FROM booked WHERE op_key = ?", (op_key,)).fetchone() is not None


class Handler(BaseHTTPRequestHandler):
    """One request; `do`, `resolve`, `health`, and the switches."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    books: Books

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        books = self.books
        if self.path == "/fault":
            books.mode, books.ms, books.dedup = asked["mode"], asked["ms"], asked["dedup"]
            return self.answer({"code": "ok"})
        if self.path == "/rows":
            with books.lock:
                rows = books.db.execute("SELECT op_key, patient, amount FROM booked").fetchall()
            return self.answer({"rows": rows, "sent": books.sent})
        if self.path == "/do":
            return self.write(asked)
        if self.path == "/resolve":
            with books.lock:
                return self.answer({"code": "done" if books.has(asked["op_key"]) else "not_done"})
        return self.answer({"code": "ok"})

    def write(self, asked: dict[str, Any]) -> None:
        books, mode = self.books, self.books.mode
        books.sent += 1
        if mode == "refuse":
            return self.answer({"code": "full"})
        if mode == "late":
            threading.Timer(books.ms / 1000, books.book, (asked,)).start()
        code = books.book(asked) if mode not in ("hang", "late") else ""
        if mode in ("hang", "late", "commit_then_hang"):
            time.sleep(3600)
        if mode == "commit_then_reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        return self.answer({"code": code})

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A peer that hung up, or was killed, is what these tests are about."""


def _serve(db: str, ready: str) -> None:
    Handler.books = Books(db)
    server = _Server(("127.0.0.1", 0), Handler)
    fresh = Path(ready + ".new")
    fresh.write_text(f"http://127.0.0.1:{server.server_address[1]}", "utf-8")
    fresh.replace(ready)
    server.serve_forever()


@dataclass
class BooksHis:
    """A running one."""

    url: str
    proc: subprocess.Popen[bytes]

    def fault(self, mode: str, ms: int = 0, *, dedup: bool = True) -> None:
        """Switch."""
        self._say("/fault", {"mode": mode, "ms": ms, "dedup": dedup})

    def rows(self, patient: str = "") -> list[str]:
        """op_keys booked, as often as they are, of one patient or of all."""
        return [row[0] for row in self._say("/rows", {})["rows"] if patient in ("", row[1])]

    def sent(self) -> int:
        """Writes that reached it."""
        return int(self._say("/rows", {})["sent"])

    def freeze(self) -> None:
        """SIGSTOP: the kernel still accepts connections and keeps what is sent."""
        os.kill(self.proc.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        os.kill(self.proc.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self.proc.kill()
        self.proc.wait()

    def _say(self, path: str, body: object) -> Any:
        endpoint = HttpEndpoint(self.url, {})
        try:
            answer = endpoint.post(path, json.dumps(body).encode(), time.monotonic() + 10, repeatable=True)
            return json.loads(answer.body)
        finally:
            endpoint.close()


def start_books(folder: Path) -> BooksHis:
    """Start it; ready when this returns."""
    ready = folder / "books.ready"
    ready.unlink(missing_ok=True)
    proc = subprocess.Popen(
        [sys.executable, "-m", "tests.support.books", str(folder / "books.db"), str(ready)], cwd=ROOT
    )
    until = time.monotonic() + 30
    while not ready.exists():
        assert proc.poll() is None, "the books did not open"
        assert time.monotonic() < until, "the books did not open"
        time.sleep(0.01)
    return BooksHis(ready.read_text("utf-8"), proc)


class BooksAdapter:
    """See `his.adapter.Adapter`: top-ups (money) and bookings (none). `dedups` says what `fault` made of the peer."""

    capabilities = frozenset({Op.HEALTH, Op.TOP_UP, Op.BOOK})

    def __init__(self, url: str, *, dedup: bool = True, resolvable: bool = True) -> None:
        writes = frozenset({Op.TOP_UP, Op.BOOK})
        self.dedups: frozenset[Op] = writes if dedup else frozenset()
        self.resolvable: frozenset[Op] = writes if resolvable else frozenset()
        self._http = HttpEndpoint(url, {"Content-Type": "application/json"}, HttpOptions(pool_size=64))

    def ask(self, _query: Query[Any], call: Call) -> Any:
        self._say("/health", {}, call, repeatable=True)
        return Health()

    def do(self, command: Command[Any], call: Call) -> Any:
        asked = {
            "op_key": command.op_key, "patient": getattr(command, "patient_id", ""),
            "amount": getattr(command, "amount_fen", 0),
        }  # fmt: skip
        code = self._say("/do", asked, call, repeatable=False)
        if code == "duplicate":
            raise Duplicate
        if code == "full":
            raise Rejected("F1", "号源已满", RejectReason.SLOT_GONE)
        return answer_of(command)

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        code = self._say("/resolve", {"op_key": command.op_key}, call, repeatable=True)
        return Done(answer_of(command)) if code == "done" else NotDone()

    def close(self) -> None:
        self._http.close()

    def _say(self, path: str, body: object, call: Call, *, repeatable: bool) -> Any:
        response = self._http.post(path, json.dumps(body).encode(), call.deadline, repeatable=repeatable)
        try:
            return json.loads(response.body)["code"]
        except (ValueError, KeyError):
            raise Broken("bad_reply") from None


def answer_of(command: Command[Any]) -> Any:
    """What these books answer to a write."""
    if isinstance(command, BookingOrder):
        return Appointment(
            f"A{command.op_key}", command.patient_id, command.schedule_id, date(2026, 11, 25), DayPart.MORNING,
            RegistrationState.VALID,
        )  # fmt: skip
    assert isinstance(command, Command)
    return TopUp(f"H{command.op_key}", command.patient_id, command.amount_fen, op_key=command.op_key)  # type: ignore[attr-defined]


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
