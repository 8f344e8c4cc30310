"""`hl7v2` against a small hospital on hl7apy, a process of its own; it answers queries and keeps control ids."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

from his.gateway import Gateway
from his.hl7v2 import OPTIONS, make
from his.port import Op
from tests.contracts.subject import Facts, Person, Place, Subject
from tests.support.mllp import PEERS, ROOT, free_port, wait_tcp

ANSWERS = {"204": "not_found", "205": "duplicate", "FULL": "slot_gone", "LATE": "too_late"}
OPERATIONS = frozenset(
    {"query_patient", "create_card", "register", "cancel_registration", "book", "cancel_booking", "top_up", "pay_prepayment"}
)  # fmt: skip
FACTS = Facts(
    patient=Person("P0000001", "600000000017"),
    name="王小明",
    id_no="990101198503100001",
    rare=(Person("P0000003", "600000000051"), "\U00020bb7田\u4dae"),
    other=Person("P0000002", "600000000034"),
    crowd=tuple(Person(f"P{n:07d}", str(600_000_000_000 + 17 * n)) for n in range(21, 121)),
)


def start(folder: Path) -> Subject:
    """The peer on a free port; hl7apy closes the connection after each answer, so none is kept."""
    port = free_port()
    command = [sys.executable, str(PEERS / "hl7_hospital.py"), str(port), str(folder)]
    proc = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert proc.stdout is not None
    assert proc.stdout.readline().strip() == "ready"
    wait_tcp(port)
    options = OPTIONS(
        host="127.0.0.1", port=port, keep_s=0, operations=OPERATIONS, txn_no="ZTX-1", answers=ANSWERS, peer_dedups=True,
        listed_cards_active=True,
    )  # fmt: skip
    numbers = itertools.count(1)

    def close() -> None:
        proc.kill()
        proc.wait()
        assert proc.stdout is not None
        proc.stdout.close()

    return Subject(
        "hl7v2", Gateway(make(options)), FACTS,
        close=close,
        freeze=lambda: os.kill(proc.pid, signal.SIGSTOP),
        thaw=lambda: os.kill(proc.pid, signal.SIGCONT),
        calls=lambda: len(lines(folder / "calls.txt")),
        rows=lambda op: sum(line.startswith(f"{op.value}\t") for line in lines(folder / "rows.tsv")),
        find_slot=lambda op: Place("S1" if op is Op.REGISTER else "S2", f"SL{next(numbers)}", 1250),
    )  # fmt: skip


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []
