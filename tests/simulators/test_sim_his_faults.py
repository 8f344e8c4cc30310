"""How the simulated HIS goes wrong: each fault does what the README says, on both faces, and books what it says."""

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from simulators.his.faults import MODES
from tests.support.his_wire import NS, Ask, envelope, json_client, post_soap
from tests.support.sims import HisSim, start_his

PAID = {
    "patient_id": "P0000001", "card_no": "600000000017", "amount_fen": 100, "pay_method": "02", "trade_no": "42",
    "paid_at": "2026-11-24 09:00:00",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    his = start_his(tmp_path_factory.mktemp("sim_his"), soap=True)
    yield his
    his.stop()


@pytest.fixture
def sim(running: HisSim) -> Iterator[HisSim]:
    yield running
    running.fault("none")


@pytest.fixture
def ask(sim: HisSim) -> Iterator[Ask]:
    with json_client(sim) as client:
        yield client


def key() -> str:
    return secrets.token_hex(16)


def raw(sim: HisSim, op: str, body: dict[str, Any], timeout: float = 0.6) -> tuple[int, bytes]:
    """One call on a connection of its own; whatever comes, or the socket's error."""
    with closing(HTTPConnection("127.0.0.1", sim.port, timeout=timeout)) as connection:
        connection.request("POST", f"/api/{op}", json.dumps(body), {"X-Token": sim.token})
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize(
    ("mode", "booked", "answer"),
    [
        ("slow", 1, "right"), ("hang", 0, "silence"), ("reset", 0, "reset"), ("html500", 0, "page"),
        ("garbage", 1, "garbage"), ("truncated", 1, "half"), ("commit_then_hang", 1, "silence"),
        ("commit_then_reset", 1, "reset"), ("duplicate", 2, "right"), ("entity_bomb", 1, "garbage"),
        ("wrong_sums", 1, "off"), ("wrong_record", 1, "other"),
    ],
)  # fmt: skip
def test_each_fault_answers_and_books_what_the_readme_says(sim: HisSim, mode: str, booked: int, answer: str) -> None:
    op_key = key()
    sim.fault(mode, 20, ["top_up"], times=1)
    said, status, body = "", 0, b""
    try:
        status, body = raw(sim, "top_up", {**PAID, "op_key": op_key})
    except TimeoutError:
        said = "silence"
    except ConnectionResetError:
        said = "reset"
    except HTTPException:
        said = "half"
    if status == 500:
        said = "page" if body.startswith(b"<!DOCTYPE html") else said
    elif status == 200:
        try:
            data = json.loads(body)["data"]
            said = "other" if data["patient_id"] != "P0000001" else "off" if data["amount_fen"] != 100 else "right"
        except ValueError:
            said = "garbage"
    assert said == answer
    assert len(sim.ledger(op_key=op_key)["rows"]) == booked
    assert raw(sim, "top_up", {**PAID, "op_key": key()})[0] == 200  # it struck once


def test_a_late_write_is_not_there_when_asked_and_lands_afterwards(sim: HisSim, ask: Ask) -> None:
    op_key = key()
    sim.fault("late", 900, ["top_up"], times=1)
    with pytest.raises(TimeoutError):
        raw(sim, "top_up", {**PAID, "op_key": op_key}, timeout=0.2)
    assert ask("query_op", op_key=op_key)["code"] == "1"
    until = time.monotonic() + 10
    while ask("query_op", op_key=op_key)["code"] == "1":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(sim.ledger(op_key=op_key)["rows"]) == 1


def test_gbk_bytes_are_declared_as_utf_8_on_both_faces(sim: HisSim) -> None:
    sim.fault("gbk")
    _, body = raw(sim, "query_patient", {"card_no": "600000000051"})
    assert json.loads(body.decode("gb18030"))["data"]["name"] == "𠮷田䶮"
    _, xml = post_soap(sim, "GetDeptInfo", envelope(sim, "GetDeptInfo", {}))
    assert b'encoding="utf-8"' in xml
    for wrong in (body, xml):
        with pytest.raises(UnicodeDecodeError):
            wrong.decode()


def test_half_an_envelope_is_sent_under_the_whole_length(sim: HisSim) -> None:
    sim.fault("truncated")
    with pytest.raises(HTTPException):
        post_soap(sim, "GetDeptInfo", envelope(sim, "GetDeptInfo", {}))


@pytest.mark.parametrize("where", ["", "_inner"])
def test_entity_attacks_are_sent_and_a_reader_that_does_not_fetch_is_seen_not_to(sim: HisSim, where: str) -> None:
    before = sim.calls("_entity")
    for mode, mark in (("entity_bomb", "&a8;"), ("external_entity", "SYSTEM")):
        sim.fault(mode + where)
        status, body = post_soap(sim, "HelloWorld", envelope(sim, "HelloWorld", {}))
        text = body.decode()
        if where:
            found = ET.fromstring(body).find(f".//{{{NS}}}HelloWorldResult")
            assert found is not None
            text = found.text or ""
        assert status == 200
        assert text.index("<!DOCTYPE") < text.index(mark) < text.index("&it;")
    assert sim.calls("_entity") == before
    raw_connection = HTTPConnection("127.0.0.1", int(sim.admin_url.rsplit(":", 1)[1]), timeout=5)
    with closing(raw_connection) as connection:
        connection.request("GET", "/_sim/entity")
        connection.getresponse().read()
    assert sim.calls("_entity") == before + 1


def test_wrong_sums_and_wrong_records_reach_lists_patients_and_stays(sim: HisSim, ask: Ask) -> None:
    asked = {"patient_id": "P0000002", "admission_no": "2026000101", "admission_seq": 1}
    right = ask("charge_summary", **asked)["data"]
    sim.fault("wrong_sums")
    wrong = ask("charge_summary", **asked)["data"]
    assert wrong["total_fen"] == right["total_fen"] + 1
    assert wrong["categories"] == right["categories"]
    invoice = ask("invoices", patient_id="P0000001")["data"]["invoices"][0]
    assert sum(one["amount_fen"] for one in invoice["items"]) != invoice["total_fen"]
    sim.fault("wrong_record")
    assert ask("query_patient", card_no="600000000017")["data"]["name"] == "王伟"
    assert ask("query_admission", wristband_no="W202600010101")["data"]["wristband_no"] != "W202600010101"
    day = ask("health")["data"]["time"][:10]
    assert ask("daily_statement", **asked, day=day)["data"]["day"] != day
    sim.fault("none")
    assert ask("query_patient", card_no="600000000017")["data"]["name"] == "王小明"


def test_faults_are_kept_apart_by_operation_and_end_after_so_many_calls(sim: HisSim, ask: Ask) -> None:
    sim.fault("garbage", ops=["list_registrations"], times=2)
    sim.fault("html500", ops=["pending_charges"], add=True)
    for _ in range(2):
        assert b"ORA-03113" in raw(sim, "registrations", {"patient_id": "P0000001"})[1]
    assert ask("registrations", patient_id="P0000001")["code"] == "0"
    assert raw(sim, "charges", {"patient_id": "P0000001"})[0] == 500
    assert post_soap(
        sim, "GetFeeListByClinicCode", envelope(sim, "GetFeeListByClinicCode", {"clinicCode": "P0000001"})
    )[0] == 500  # fmt: skip
    assert ask("balance", patient_id="P0000001")["code"] == "0"


def test_every_mode_can_be_switched_on_and_off_and_is_in_the_readme(sim: HisSim, ask: Ask) -> None:
    text = (Path(__file__).parents[2] / "simulators" / "his" / "README.md").read_text("utf-8")
    for mode in MODES:
        sim.fault(mode)
        assert f"`{mode.removesuffix('_inner')}`" in text or mode == "none"
    sim.fault("none")
    assert ask("health")["code"] == "0"


def test_fifty_writes_sent_while_it_is_stopped_are_fifty_rows_once_it_goes_on(sim: HisSim, ask: Ask) -> None:
    before = sim.booked("top_up")
    keys = [key() for _ in range(50)]
    silent: list[str] = []

    def send(op_key: str) -> None:
        try:
            raw(sim, "top_up", {**PAID, "op_key": op_key}, timeout=1.0)
        except TimeoutError:
            silent.append(op_key)

    os.kill(sim.proc.pid, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=send, args=(op_key,)) for op_key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.kill(sim.proc.pid, signal.SIGCONT)
    assert sorted(silent) == sorted(keys)
    until = time.monotonic() + 20
    while any(ask("query_op", op_key=op_key)["code"] == "1" for op_key in keys):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert sim.booked("top_up") == (before[0] + 50, before[1] + 50)
    for op_key in keys:  # a repeat of each changes nothing
        assert ask("top_up", **PAID, op_key=op_key)["code"] == "1"
    assert sim.booked("top_up") == (before[0] + 50, before[1] + 50)


def test_a_caller_that_has_gone_does_not_take_its_write_with_it(sim: HisSim, ask: Ask) -> None:
    op_key = key()
    body = json.dumps({**PAID, "op_key": op_key}).encode()
    with socket.create_connection(("127.0.0.1", sim.port), 5) as peer:
        peer.sendall(
            b"POST /api/top_up HTTP/1.1\r\nHost: his\r\nX-Token: " + sim.token.encode() +
            b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip
    until = time.monotonic() + 5
    while ask("query_op", op_key=op_key)["code"] == "1":
        assert time.monotonic() < until
        time.sleep(0.02)
