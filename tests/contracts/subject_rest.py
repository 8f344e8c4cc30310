"""`rest` with the bundled mapping renhe-json, against the simulated HIS."""

import json
import os
import signal
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from core.clock import SHANGHAI
from his.gateway import Gateway
from his.port import Op
from his.rest import RestAdapter, RestOptions
from tests.contracts.subject import Facts, Person, Stay, Subject
from tests.support.sims import HisSim, start_his

FACTS = Facts(
    patient=Person("P0000001", "600000000017"),
    name="王小明",
    id_no="990101198503120037",
    rare=(Person("P0000003", "600000000051"), "\U00020bb7田\u4dae"),
    other=Person("P0000002", "600000000034"),
    report_no="B0000001",
    odd_report_no="B0000001",
    stay=Stay("P0000002", "2026000101", 1, "W202600010101"),
    crowd=tuple(Person(f"P{n:07d}", str(600_000_000_000 + 17 * n)) for n in range(21, 121)),
)


def start(folder: Path) -> Subject:
    """The simulator with its clock at half past seven, when every clinic of today is still to come."""
    sim = start_his(folder)
    now = datetime.now(SHANGHAI)
    sim.clock((now.replace(hour=7, minute=30, second=0) - now).total_seconds())
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": sim.url, "token": sim.token})))
    return subject_of("rest", sim, his)


def subject_of(name: str, sim: HisSim, his: Gateway) -> Subject:
    """Any adapter on the simulated HIS: the same facts and controls."""
    return Subject(
        name, his, FACTS,
        close=sim.stop,
        freeze=lambda: os.kill(sim.proc.pid, signal.SIGSTOP),
        thaw=lambda: os.kill(sim.proc.pid, signal.SIGCONT),
        calls=lambda: sum(sim.calls().values()),
        rows=lambda op: _rows(sim, op),
    )  # fmt: skip


def _rows(sim: HisSim, op: Op) -> int:
    """Rows of one operation, as the simulator's books have them."""
    connection = HTTPConnection(urlsplit(sim.admin_url).netloc, timeout=5)
    try:
        connection.request("GET", "/_sim/rows")
        said = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return int(said["ops"].get(op.value, {}).get("rows", 0))
