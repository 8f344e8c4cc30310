"""The house as it runs (a portal and `hospital jobs`) against the simulated HIS through the configured adapter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from core.clock import SHANGHAI, SystemClock
from core.config import load
from core.ids import new_id
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import Ctx, HisError, Lane, PayMethod, TopUpOrder, UnknownOutcome
from hospital.bootstrap import Parts, build, his_adapter
from hospital.cli_base import write_key
from services.his_resolver import HisResolver
from services.his_writes import Step
from store.port_his import OPEN_STATES, IntentState
from store.store import Store
from tests.support.sims import ROOT, HisSim, start_his
from tests.support.together import at_once
from tests.support.write_child import QUICK, VAULT, Child, adapter_of

WRITERS, DEADLINE_S = 50, 2.0
SENT = "sent"


@dataclass
class Hospital:
    """A portal's parts in this process, the jobs in one of their own, one database."""

    parts: Parts
    his: HisSim
    jobs: subprocess.Popen[str]

    def states(self) -> list[IntentState]:
        return [one.state for one in self.parts.store.intents.listed(set(IntentState), 1000)]

    def wait_until_known(self, within_s: float) -> float:
        began = time.monotonic()
        while OPEN_STATES & set(self.states()):
            assert time.monotonic() - began < within_s, self.states()
            time.sleep(0.1)
        return time.monotonic() - began

    def switch(self, path: str, body: object) -> Any:
        """One of the simulator's switches."""
        return ask(self.his, path, body)

    def booked(self, patient_id: str = "") -> list[str]:
        """op_keys of the top-ups in the HIS's ledger, as often as they were booked; the seed's have none."""
        return [
            row["op_key"] for row in ask(self.his, "/_sim/ledger?op=top_up")["rows"]
            if row["op_key"] and patient_id in ("", row["patient_id"])
        ]  # fmt: skip


def ask(his: HisSim, path: str, body: object = None) -> Any:
    """One of the simulator's switches; without `body` a question."""
    connection = HTTPConnection(urlsplit(his.admin_url).netloc, timeout=10)
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture
def hospital(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hospital]:
    """Over JSON, or over the adapter that a test's indirect parameter names."""
    adapter = getattr(request, "param", "rest")
    his = start_his(tmp_path, soap=adapter == "soap")
    address = {"url": his.soap_url} if adapter == "soap" else {"base_url": his.url}
    write_key(tmp_path / "data.key")
    config = {
        "database": {"url": "sqlite:///hospital.db"},
        "his": {
            "adapter": adapter,
            "options": {**address, "token": his.token, "pool_size": 64},
            "guard": {"page_calls": 64, "write_ms": int(DEADLINE_S * 1000), "breaker_probe_ms": 1000},
        },
        "secrets": {"data_key": "file:data.key"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    parts = build(load(tmp_path / "config.yaml"))
    parts.calls.start()
    jobs = subprocess.Popen(
        [sys.executable, "-m", "hospital", "jobs"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield Hospital(parts, his, jobs)
    jobs.terminate()
    jobs.communicate(timeout=20)
    parts.close()
    his.stop()


def order(number: int, op_key: str) -> TopUpOrder:
    """A top-up of the n-th of the crowd, whose card is the n-th."""
    return TopUpOrder(
        op_key, f"P{number:07d}", str(600_000_000_000 + 17 * number), 1000, PayMethod.WECHAT, f"T{op_key}",
        datetime.now(SHANGHAI).replace(microsecond=0),
    )  # fmt: skip


@pytest.mark.parametrize("hospital", ["rest", "soap"], indirect=True)
@pytest.mark.parametrize("dedup", [True, False], ids=["dedup", "no dedup"])
def test_fifty_top_ups_to_a_frozen_his_are_fifty_rows_and_all_known_within_a_minute(
    hospital: Hospital, dedup: bool
) -> None:
    hospital.switch("/_sim/fault", {"mode": "none", "dedup": dedup})
    took: list[float] = []

    def write(number: int) -> None:
        began = time.monotonic()
        with pytest.raises(UnknownOutcome):
            hospital.parts.writes.run(order(number, f"k{number}"), Ctx(15.0, actor="portal"))
        took.append(time.monotonic() - began)

    os.kill(hospital.his.proc.pid, signal.SIGSTOP)
    try:
        at_once(WRITERS, lambda n: write(21 + n))
        time.sleep(5)  # the jobs ask, get no answer and leave it alone
    finally:
        os.kill(hospital.his.proc.pid, signal.SIGCONT)
    assert max(took) < DEADLINE_S + 0.5, max(took)
    known = hospital.wait_until_known(60)
    assert hospital.states() == [IntentState.DONE] * WRITERS
    assert sorted(hospital.booked()) == sorted(f"k{n}" for n in range(21, 21 + WRITERS))
    lines = hospital.parts.store.his_calls.latest(1000, "k21")
    assert [(one.outcome, one.code) for one in (lines[-1], lines[0])] == [("UnknownOutcome", "timeout"), ("Done", "")]
    print(f"slowest {max(took):.3f} s of {DEADLINE_S} s, all known {known:.2f} s after it went on")


def test_trying_again_under_a_new_key_doubles(hospital: Hospital) -> None:
    """Control, against a HIS that does know its op_keys: the key must survive the failure. No breaker comes between."""
    impatient = Gateway(his_adapter(hospital.parts.config), GuardOptions(lanes={Lane.PAGE: WRITERS}, fail_max=1000))

    def write(number: int) -> None:
        for _ in range(2):
            try:
                impatient.do(order(number, new_id()), Ctx(0.5))
            except HisError:
                continue
            return

    os.kill(hospital.his.proc.pid, signal.SIGSTOP)
    try:
        at_once(WRITERS, lambda n: write(21 + n))
    finally:
        os.kill(hospital.his.proc.pid, signal.SIGCONT)
    time.sleep(1)
    impatient.close()
    assert max(len(hospital.booked(f"P{n:07d}")) for n in range(21, 21 + WRITERS)) == 2


@pytest.mark.parametrize("adapter", ["rest", "soap"])
def test_twenty_kills_at_each_step_before_the_simulated_his_double_nothing_and_lose_no_intent(
    tmp_path: Path, adapter: str
) -> None:
    """The rules of test_his_writes, over a configured adapter and a HIS that keeps each op_key once."""
    sim, child = start_his(tmp_path, soap=adapter == "soap"), Child()
    url = f"sqlite:///{tmp_path / 'hospital.db'}"
    store = Store(url, VAULT)
    job = {
        "store": url, "his": sim.soap_url or sim.url, "token": sim.token, "adapter": adapter, "dedup": True,
        "op": "top_up", "how": "intent",
    }  # fmt: skip
    his = Gateway(adapter_of(job))
    keys = {step: [f"{step}-{n}" for n in range(20)] for step in (*Step, SENT)}
    for step, names in keys.items():
        mode = "commit_then_hang" if step == SENT else "none"
        ask(sim, "/_sim/fault", {"mode": mode, "ops": ["top_up"]})
        for number, key in enumerate(names, 21):
            todo = {**job, "step": step, "op_key": key, "patient": f"P{number:07d}"}
            killer = kill_when_booked(sim, key) if step == SENT else lambda _: None
            assert child.run(todo, killer) == -signal.SIGKILL
    ask(sim, "/_sim/fault", {"mode": "none"})
    resolver = HisResolver(his, store.intents, SystemClock(), lambda _: None, QUICK)
    until = time.monotonic() + 60
    while OPEN_STATES & set(store.intents.counts()):
        assert time.monotonic() < until, store.intents.counts()
        resolver.round()
        time.sleep(0.05)
    booked = [row["op_key"] for row in ask(sim, "/_sim/ledger?op=top_up")["rows"] if row["op_key"]]
    assert sorted(booked) == sorted(key for step, names in keys.items() if step != Step.BEGINNING for key in names)
    assert {one.state for one in store.intents.listed(set(IntentState), 1000)} == {IntentState.DONE}
    child.close()
    his.close()
    store.close()
    sim.stop()


def kill_when_booked(sim: HisSim, op_key: str) -> Callable[[int], None]:
    """SIGKILL for the process that sent it, once it is in the HIS's books; the answer never comes."""

    def kill(pid: int) -> None:
        until = time.monotonic() + 10
        while not ask(sim, f"/_sim/ledger?op_key={op_key}")["rows"]:
            assert time.monotonic() < until
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)

    return kill


@pytest.mark.parametrize("hospital", ["rest", "soap"], indirect=True)
@pytest.mark.parametrize("mode", ["commit_then_hang", "commit_then_reset", "late", "garbage", "truncated"])
def test_what_the_his_booked_without_a_usable_answer_is_found_and_never_booked_again(
    hospital: Hospital, mode: str
) -> None:
    fault = {"mode": mode, "ms": 4000, "ops": ["top_up"], "dedup": False}
    hospital.switch("/_sim/fault", fault)
    for number in range(21, 24):
        with pytest.raises(UnknownOutcome):
            hospital.parts.writes.run(order(number, f"k{number}"), Ctx(0.6))
    hospital.switch("/_sim/fault", {"mode": "none", "dedup": False})
    hospital.wait_until_known(60)
    assert hospital.states() == [IntentState.DONE] * 3
    assert sorted(hospital.booked()) == ["k21", "k22", "k23"]
