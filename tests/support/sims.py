"""Starts the outside parties as real processes, for the tests of every room."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class HisSim:
    """A running `simulators.his`. `admin_url` answers even while the HIS is down; `soap_url` is "" without `soap`."""

    url: str
    admin_url: str
    token: str
    db: Path
    proc: subprocess.Popen[bytes]
    soap_url: str = ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def fault(self, mode: str, ms: int = 1000, ops: list[str] | None = None, **more: object) -> None:
        """Make it misbehave until told "none"; modes, and `times`, `add`, `dedup`, are in simulators/his/README.md."""
        self._switch("POST", "/_sim/fault", {"mode": mode, "ms": ms, "ops": ops or [], **more})

    def rows(self) -> Any:
        """What was booked over the interface: {"tables": {name: n}, "ops": {op: {"rows", "keys"}}}."""
        return self._switch("GET", "/_sim/rows", None)

    def booked(self, op: str) -> tuple[int, int]:
        """Rows booked by one operation, and how many op_keys they have: equal unless something was done twice."""
        row = self.rows()["ops"].get(op, {"rows": 0, "keys": 0})
        return row["rows"], row["keys"]

    def ledger(self, **where: str) -> Any:
        """Movements of money by `op_key`, `patient_id`, `op` or `account`: {"rows", "total_fen", "accounts"}."""
        return self._switch("GET", f"/_sim/ledger?{urlencode(where)}", None)

    def stop_clinic(self, schedule_id: str) -> int:
        """停诊; how many numbers it struck."""
        stopped: int = self._switch("POST", "/_sim/stop_clinic", {"schedule_id": schedule_id})["stopped"]
        return stopped

    def clock(self, offset_s: float) -> None:
        """Move its clock that far from the real one."""
        self._switch("POST", "/_sim/clock", {"offset_s": offset_s})

    def calls(self, op: str | None = None) -> Any:
        """How often it was asked: a dict by operation, or the count of `op`."""
        counts = self._switch("GET", "/_sim/calls", None)
        return counts if op is None else counts.get(op, 0)

    def stop(self) -> None:
        """End it; safe to repeat."""
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                self.proc.kill()
        self.proc.wait()

    def _switch(self, method: str, path: str, body: object) -> Any:
        connection = HTTPConnection(urlsplit(self.admin_url).netloc, timeout=5)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            return answer
        finally:
            connection.close()


def start_his(
    tmp_path: Path, *, port: int = 0, token: str = "token-of-tests", seed: int = 2026, soap: bool = False
) -> HisSim:
    """Start it on a free port with its database in `tmp_path`; ready when this returns (under 2 s).

    Called again with the same `tmp_path` (and `port`), the same hospital comes back.
    """
    ready = tmp_path / "his.ready"
    ready.unlink(missing_ok=True)
    db = tmp_path / "his.db"
    command = [sys.executable, "-m", "simulators.his", "--port", str(port), "--db", str(db), "--seed", str(seed)]
    command += ["--token", token, "--ready-file", str(ready), *(["--soap"] if soap else [])]
    proc = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not ready.exists():
        if proc.poll() is not None or time.monotonic() > until:
            proc.kill()
            proc.wait()
            raise RuntimeError(f"the HIS simulator did not start (exit {proc.returncode})")
        time.sleep(0.01)
    said = json.loads(ready.read_text("utf-8"))
    return HisSim(said["url"], said["admin_url"], token, db, proc, said.get("soap_url", ""))
