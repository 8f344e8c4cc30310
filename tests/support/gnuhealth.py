"""GNU Health 5.0.6 on loopback, from the prepared dump beside the repository; or a word why there is none.

Its folder is `var/gnuhealth` (500 MB: a venv of its own and a database). It is made only when tests run with --soak,
which takes about two minutes; where it is there already a start takes about ten seconds, with the database as in the dump.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TextIO

from core.clock import SHANGHAI

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT.parent / "shared" / "peers" / "gnuhealth"
FOLDER = ROOT / "var" / "gnuhealth"
USER, PASSWORD = "admin", "ghpass123"
DOCTOR = 1
RARE = ("𠮷田", "䶮")
"""A name with a four-byte character and one of GB 18030 only."""


@dataclass
class GnuHealth:
    """A running server."""

    port: int
    lock: TextIO
    session: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, object]:
        """Our adapter's, for this server; of the demo hospital nobody validates lab tests."""
        return {"base_url": self.url, "database": "health", "user": USER, "password": PASSWORD,
                "card_is_puid": True, "released": "done"}  # fmt: skip

    @property
    def pid(self) -> int:
        return int((FOLDER / "trytond.pid").read_text("ascii"))

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def call(self, method: str, *params: object, timeout: float = 20) -> Any:
        """One call of Tryton's own protocol, without our adapter; RuntimeError with its error."""
        if not self.session and method != "common.db.login":
            user_id, key = self.call("common.db.login", USER, {"password": PASSWORD}, "en")[:2]
            self.session = b64encode(f"{USER}:{user_id}:{key}".encode()).decode()
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Session {self.session}"} if self.session else {}),
        }
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", "/health/", json.dumps({"id": 1, "method": method, "params": params}), headers)
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if said.get("error"):
            raise RuntimeError(said["error"])
        return said["result"]

    def free(self, times: list[datetime]) -> list[int]:
        """Free appointments of the doctor, as the hospital gives its numbers out."""
        rows = [{"healthprof": DOCTOR, "state": "free", "appointment_date": wire(at)} for at in times]
        made: list[int] = self.call("model.gnuhealth.appointment.create", rows, {})
        return made

    def person(self, puid: str, family: str, given: str, id_no: str = "") -> None:
        """A patient more."""
        other = [["create", [{"alternative_id_type": "country_id", "code": id_no}]]] if id_no else []
        [party] = self.call(
            "model.party.party.create",
            [{"name": given, "lastname": family, "ref": puid, "gender": "f", "is_person": True, "is_patient": True,
              "fed_country": "CHN",
              "dob": {"__class__": "date", "year": 1990, "month": 2, "day": 3}, "alternative_ids": other,
              "alternative_identification": bool(id_no)}],
            {},
        )  # fmt: skip
        self.call("model.gnuhealth.patient.create", [{"party": party}], {})

    def rows(self, domain: list[object], names: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(
            "model.gnuhealth.appointment.search_read", domain, 0, None, None, names, {}
        )
        return found


def wire(at: datetime) -> dict[str, object]:
    utc = at.astimezone(UTC)
    return {"__class__": "datetime", "year": utc.year, "month": utc.month, "day": utc.day, "hour": utc.hour,
            "minute": utc.minute, "second": 0, "microsecond": 0}  # fmt: skip


def tomorrow() -> date:
    return (datetime.now(SHANGHAI) + timedelta(days=1)).date()


def times(day: date, hour: int, count: int, minutes: int = 5) -> list[datetime]:
    """`count` times of `day` from `hour` on, by Shanghai's clock."""
    begin = datetime(day.year, day.month, day.day, hour, tzinfo=SHANGHAI)
    return [begin + timedelta(minutes=minutes * at) for at in range(count)]


_started: list[GnuHealth | str] = []


def gnuhealth() -> GnuHealth | str:
    """The one server of this test run, started at the first call and ended with the run; or the reason why there is none."""
    if not _started:
        server = _start()
        _started.append(server)
        if isinstance(server, GnuHealth):
            atexit.register(_stop, server)
    return _started[0]


def _start() -> GnuHealth | str:
    if not (SCRIPTS / "start").exists():
        return "GNU Health's start script is not beside the repository (../shared/peers/gnuhealth)"
    if not (FOLDER / "venv" / "bin" / "trytond").exists() and "PALM_TESTS_SOAK" not in os.environ:
        return "GNU Health is not installed in var/gnuhealth; run once with --soak (two minutes, 500 MB)"
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return "another test run has GNU Health"
    shutil.rmtree(FOLDER / "pg", ignore_errors=True)
    port = _two_free_ports()
    with (FOLDER / "start.log").open("w") as log:
        try:
            done = subprocess.run(
                [str(SCRIPTS / "start"), str(FOLDER), str(port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=170, check=False,
            )  # fmt: skip
            failed = f"exit {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            failed = "not within 170 s"
    server = GnuHealth(port, lock)
    try:
        if not failed:
            server.call("model.res.user.get_preferences", True, {})
    except (OSError, ValueError, RuntimeError) as fault:
        failed = type(fault).__name__
    if failed:
        _stop(server)
        return f"GNU Health did not start ({failed}); see var/gnuhealth/start.log"
    return server


def _stop(server: GnuHealth) -> None:
    """End server and database."""
    if (FOLDER / "trytond.pid").exists():
        with suppress(OSError, ValueError):
            server.thaw()
        subprocess.run(
            [str(SCRIPTS / "stop"), str(FOLDER)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        (FOLDER / "trytond.pid").unlink(missing_ok=True)
    server.lock.close()


def _two_free_ports() -> int:
    """A free port whose successor is free too: the script takes that for the database."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
