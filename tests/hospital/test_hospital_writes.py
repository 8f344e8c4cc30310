"""The human list as IT meets it: listed masked, settled once by somebody with a name and a reason, counted for the watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.clock import SystemClock
from core.config import load
from core.privacy import Vault, decode_key
from his.port import CardApplication, IdType, Sex, encode
from store.port_his import OPEN_STATES, Change, IntentState, NewIntent
from store.store import Store
from tests.hospital.test_hospital_cli import TOKEN, assert_refused, inside
from tests.support.hub import HubHouse, cards, wait_for
from tests.support.sims import ROOT, HisSim
from tests.support.write_child import command_of

ID_NO = "990101198503120037"
APPLIED = CardApplication("c1", "王小明", Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, ID_NO, "19900000001")
NOW = SystemClock().now()


class Home:
    """A folder with a configuration and a database that holds writes."""

    def __init__(self, folder: Path, his: HisSim) -> None:
        self.folder = folder
        done = inside("init", cwd=folder)
        assert done.exit_code == 0, done.stderr
        path = folder / "config.yaml"
        config = yaml.safe_load(path.read_text("utf-8"))
        config["his"]["options"] = {"base_url": his.url, "token": his.token}
        path.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
        self.config = load(path)
        self.store = Store(self.config.database.url, Vault(decode_key(self.config.secrets.data_key.get_secret_value())))

    def keep(self, command: Any, state: IntentState, why: str = "", **more: Any) -> None:
        due = NOW - timedelta(seconds=1)
        new = NewIntent(
            command.op_key, command.op.value, encode(command), getattr(command, "patient_id", ""), "portal", NOW, due
        )
        assert self.store.intents.begin(new) is None
        if state is not IntentState.SENDING:
            assert self.store.intents.move(command.op_key, OPEN_STATES, Change(state, NOW, why, **more))

    def run(self, *arguments: str) -> Any:
        return inside(*arguments, cwd=self.folder, env=TOKEN)


@pytest.fixture
def home(tmp_path: Path, his: HisSim) -> Iterator[Home]:
    made = Home(tmp_path, his)
    yield made
    made.store.close()


def test_the_list_says_who_when_what_and_why_and_names_nobody(home: Home) -> None:
    home.keep(APPLIED, IntentState.MANUAL, "cannot_be_asked")
    home.keep(command_of("top_up", "t1", "P7"), IntentState.UNKNOWN, "no_answer", next_try=NOW)
    home.keep(command_of("top_up", "t2", "P7"), IntentState.DONE, answer="{}")
    shown = home.run("his", "intents")
    assert shown.exit_code == 0, shown.stderr
    for word in ("c1\tcreate_card\tmanual", "王*明", "没有查询接口", "t1\ttop_up\tunknown", "patient P7", "2 writes"):
        assert word in shown.stdout, word
    for secret in (ID_NO, "王小明", "19900000001", "t2"):
        assert secret not in shown.stdout
    rows = [json.loads(line) for line in home.run("his", "intents", "--state", "manual", "--json").stdout.splitlines()]
    assert [(row["op_key"], row["why"], row["actor"]) for row in rows] == [("c1", "cannot_be_asked", "portal")]


def test_a_finding_is_kept_once_with_name_and_reason(home: Home) -> None:
    home.keep(APPLIED, IntentState.MANUAL, "not_found")
    done = home.run("his", "settle", "c1", "--done", "H77", "--by", "李工", "--why", "查到流水")
    assert done.exit_code == 0, done.stderr
    kept = home.store.intents.get("c1")
    assert kept is not None
    assert (kept.state, kept.his_txn_no, kept.decided_by, kept.decided_why) == (
        "done_by_hand",
        "H77",
        "李工",
        "查到流水",
    )
    assert [line.actor for line in home.store.his_calls.latest(5, "c1")] == ["李工"]
    assert_refused(home.run("his", "settle", "c1", "--not-done", "--by", "李工", "--why", "x"), "done_by_hand")
    assert "decided by 李工: 查到流水 H77" in home.run("his", "intents", "--state", "done_by_hand").stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["c1", "--by", "a", "--why", "b"], "--not-done"),
        (["c1", "--done", "H", "--not-done", "--by", "a", "--why", "b"], "--not-done"),
        (["c1", "--done", " ", "--by", "a", "--why", "b"], "--done"),
        (["c1", "--not-done", "--by", " ", "--why", "b"], "--by"),
        (["c1", "--not-done", "--by", "a", "--why", ""], "--why"),
        (["nobody", "--not-done", "--by", "a", "--why", "b"], "there is no write nobody"),
        (["s1", "--not-done", "--by", "a", "--why", "b"], "s1 is sending"),
    ],
)
def test_half_a_finding_is_refused_and_changes_nothing(home: Home, arguments: list[str], word: str) -> None:
    home.keep(APPLIED, IntentState.MANUAL)
    home.keep(command_of("top_up", "s1", "P7"), IntentState.SENDING)
    assert_refused(home.run("his", "settle", *arguments), word)
    assert {one.state for one in home.store.intents.listed(set(IntentState), 9)} == {"manual", "sending"}


def test_doctor_says_that_somebody_must_look(home: Home) -> None:
    assert "no write to the HIS waits for a person" in home.run("doctor").stdout
    home.keep(APPLIED, IntentState.MANUAL)
    assert "1 writes to the HIS wait for a person: `hospital his intents" in home.run("doctor").stdout


def test_a_hub_asks_about_what_was_left_counts_what_is_open_and_writes_down_its_reads(
    make_house: Callable[..., HubHouse],
) -> None:
    house = make_house()
    order = command_of("top_up", "k1", "P0000021")
    with house.opened() as store:
        assert store.intents.begin(NewIntent("k1", "top_up", encode(order), "P0000021", "portal", NOW, NOW)) is None
    scanner = house.add_scanner()
    house.start()
    with house.opened() as store:
        wait_for(lambda: [one.outcome for one in store.his_calls.latest(9, "k1")] == ["NotDone"], 20, "the resolver")
        scanner.scan(cards(1)[0])
        wait_for(lambda: "query_patient" in {one.op for one in store.his_calls.latest(50)}, 20, "the scan's line")
        (line,) = (one for one in store.his_calls.latest(50) if one.op == "query_patient")
    assert cards(1)[0] not in line.asked
    assert cards(1)[0][-4:] in line.asked
    text = house.get("/metrics")[1]
    assert 'hospital_his_writes{state="unknown"} 1.0' in text
    assert 'hospital_his_writes{state="manual"} 0.0' in text
    assert 'hospital_his_writes{state="done"}' not in text
    house.stop()


def test_jobs_alone_find_out_what_another_process_left_behind(home: Home, his: HisSim) -> None:
    """Sent by a portal that died; the HIS has never seen it and keeps each op_key once: it is sent again, later."""
    home.keep(command_of("top_up", "k1", "P0000021"), IntentState.SENDING)
    environ = {**os.environ, **TOKEN, "PYTHONPATH": str(ROOT)}
    jobs = subprocess.Popen(
        [sys.executable, "-m", "hospital", "jobs"], cwd=home.folder, env=environ, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 30
    while (kept := home.store.intents.get("k1")) is not None and kept.state is IntentState.SENDING:
        assert time.monotonic() < until
        time.sleep(0.05)
    jobs.send_signal(signal.SIGTERM)
    _, said = jobs.communicate(timeout=10)
    assert jobs.returncode == 0, said
    assert kept is not None
    assert (kept.state, kept.why) == ("unknown", "not_found_yet")
    assert [line.outcome for line in home.store.his_calls.latest(9, "k1")] == ["NotDone"]
