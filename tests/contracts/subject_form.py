"""`rest` with the bundled mapping form-gb2312-md5: signed forms in GB 2312, against tests/support/form_his.py."""

import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from his.gateway import Gateway
from his.port import Op
from his.rest import RestAdapter, RestOptions
from tests.contracts.subject import Facts, Person, Subject
from tests.support import form_his


def start(folder: Path) -> Subject:
    """The peer on a free port."""
    ready = folder / "ready"
    proc = subprocess.Popen([sys.executable, form_his.__file__, str(ready)])
    until = time.monotonic() + 20
    while not ready.exists():
        if proc.poll() is not None or time.monotonic() > until:
            proc.kill()
            pytest.fail("the form HIS did not start")
        time.sleep(0.01)
    port = int(ready.read_text())
    his = Gateway(RestAdapter(RestOptions.model_validate({
        "base_url": f"http://127.0.0.1:{port}", "mapping": "form-gb2312-md5", "secrets": {"sign_key": form_his.KEY},
    })))  # fmt: skip

    def close() -> None:
        proc.send_signal(signal.SIGCONT)
        proc.terminate()
        proc.wait(10)

    return Subject(
        "form", his, FACTS, close,
        freeze=lambda: os.kill(proc.pid, signal.SIGSTOP),
        thaw=lambda: os.kill(proc.pid, signal.SIGCONT),
        calls=lambda: _books(port)["seen"],
        rows=lambda op: _books(port)["orders"] if op is Op.BOOK else 0,
    )  # fmt: skip


def _books(port: int) -> dict[str, int]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/_rows", "")
        return dict(json.loads(connection.getresponse().read().decode("gb18030"))["data"])
    finally:
        connection.close()


FACTS = Facts(
    patient=Person("U0001", "700000000001"),
    name="王小明",
    id_no="990101198503120001",
    absent_patient_id="U9999",
    absent_card_no="700000009999",
    rare=(Person("U0003", "700000000003"), "\U00020bb7田\u4dae"),
    other=Person("U0002", "700000000002"),
    crowd=tuple(Person(f"U{n:04d}", f"7000{n:08d}") for n in range(10, 110)),
)
