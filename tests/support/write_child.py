"""A process of ours that writes to the HIS and is killed with SIGKILL at a named step.

It imports the house once and forks for each job, so that twenty kills at each step take seconds. A job is one JSON line
{"store", "his", "dedup", "step", "op", "op_key", "patient", "how"[, "token"[, "adapter"]]}; answers: {"pid"}, then {"exit"} (-9 when killed).
With `token` the HIS is the simulated one behind the rest adapter (or soap), else the books. `how`: "intent" runs `HisWrites`; "naive" calls the HIS and would note the answer afterwards, as most do.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI, SystemClock
from core.privacy import Vault
from his.adapter import Adapter
from his.gateway import Gateway
from his.port import BookingOrder, Command, Ctx, HisError, PayMethod, TopUpOrder
from his.rest import RestAdapter, RestOptions
from his.soap import SoapAdapter, SoapOptions
from services.his_writes import HisWrites, Step, WriteOptions
from store.store import Store
from tests.support.books import BooksAdapter
from tests.support.sims import ROOT

QUICK = WriteOptions(
    deadline_s=1.5, longest_processing_s=1.0, asks_after_s=(0.1, 0.2, 0.4, 0.8), then_every_s=0.5, confirm_s=0.4,
    ask_s=1.0, margin_s=0.3,
)  # fmt: skip
"""The same rules at a hundredth of the time."""
VAULT = Vault(b"k" * 32)


def command_of(op: str, op_key: str, patient: str) -> Command[Any]:
    """A top-up (money has been taken) or a booking (none); P0000021 has the simulated HIS's 21st card."""
    card = str(600_000_000_000 + 17 * int(patient[1:])) if patient[1:].isdigit() else "60"
    if op == "book":
        return BookingOrder(op_key, patient, card, "S1", "7")
    return TopUpOrder(op_key, patient, card, 1000, PayMethod.WECHAT, "T1", datetime(2026, 11, 24, tzinfo=SHANGHAI))


def adapter_of(job: dict[str, Any]) -> Adapter:
    """The books, or the simulated HIS."""
    if job.get("adapter") == "soap":
        return SoapAdapter(SoapOptions.model_validate({"url": job["his"], "token": job["token"]}))
    if "token" in job:
        return RestAdapter(RestOptions.model_validate({"base_url": job["his"], "token": job["token"]}))
    return BooksAdapter(job["his"], dedup=job["dedup"])


def work(job: dict[str, Any]) -> None:
    """One write, killed on the way when `step` says so."""

    def maybe_die(step: Step) -> None:
        if step == job["step"]:
            os.kill(os.getpid(), signal.SIGKILL)

    his = Gateway(adapter_of(job))
    command = command_of(job["op"], job["op_key"], job["patient"])
    if job["how"] == "naive":
        his.do(command, Ctx(QUICK.deadline_s))
        maybe_die(Step.ANSWERED)
        return
    store = Store(job["store"], VAULT)
    writes = HisWrites(his, store.intents, SystemClock(), lambda _: None, QUICK, maybe_die)
    writes.run(command, Ctx(QUICK.deadline_s, actor="child"))


class Child:
    """The warm process, from the test's side."""

    def __init__(self) -> None:
        self._proc = subprocess.Popen(
            [sys.executable, "-m", "tests.support.write_child"], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def run(self, job: dict[str, Any], meanwhile: Callable[[int], None] = lambda _: None) -> int:
        """Do one job; `meanwhile` gets its pid. Its exit: 0, 1 for a HisError, -9 when it was killed."""
        assert self._proc.stdin is not None
        assert self._proc.stdout is not None
        self._proc.stdin.write(json.dumps(job) + "\n")
        meanwhile(json.loads(self._proc.stdout.readline())["pid"])
        return int(json.loads(self._proc.stdout.readline())["exit"])

    def close(self) -> None:
        """End it."""
        assert self._proc.stdin is not None
        assert self._proc.stdout is not None
        self._proc.stdin.close()
        self._proc.wait(10)
        self._proc.stdout.close()


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                work(job)
            except HisError:
                os._exit(1)
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 2)
        sys.stdout.write(json.dumps({"pid": pid}) + "\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"exit": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
