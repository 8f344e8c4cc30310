"""The hub from outside: health, who may listen, which room, what a returning screen is sent."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.ids import new_token
from tests.support.hub import HubHouse, Line, cards, wait_for
from tests.support.sims import ROOT, HisSim


@pytest.fixture(scope="module")
def house(shared_houses: Callable[..., HubHouse]) -> HubHouse:
    """Two counters with a scanner each, and two stations nobody uses but one test each."""
    house = shared_houses(stations=("C1", "C2", "R1", "X1"))
    house.add_scanner("C1")
    house.add_scanner("C2")
    house.start()
    house.await_device("C1")
    house.await_device("C2")
    return house


def add_notices(house: HubHouse, station: str, count: int) -> None:
    """Events stored by somebody else, as those of the time before a screen came back."""
    with house.opened() as store, store.quick.write():
        for n in range(count):
            store.scans.add_event(station, "notice", {"kind": "test", "n": n}, datetime.now(SHANGHAI))


def hello(house: HubHouse, **said: Any) -> dict[str, Any]:
    """The reply to one hello on a line of its own."""
    line = Line(house.port)
    try:
        return dict(line.call("hello", said))
    finally:
        line.close()


# ---------------------------------------------------------------- health


def test_a_well_hub_is_healthy_ready_and_counts_its_scans(house: HubHouse, his: HisSim) -> None:
    screen = house.screen()
    screen.connect()
    for card in cards(3):
        house.scanners["D-C1"].scan(card)
    screen.poll_until(lambda: len(screen.outcomes) == 3)
    screen.cut()
    assert house.get("/healthz") == (200, '{"status":"ok"}\n')
    status, body = house.get("/readyz")
    assert (status, json.loads(body)) == (200, {"status": "ready", "reasons": []})
    status, metrics = house.get("/metrics")
    assert status == 200
    counted = next(
        line for line in metrics.splitlines() if line.startswith('hospital_scans_total{outcome="identified"}')
    )
    assert float(counted.split()[-1]) >= 3
    assert "hospital_scan_seconds_bucket" in metrics
    assert not any(card in metrics for card in cards(3))


def test_an_unready_hub_says_why_and_is_still_healthy(house: HubHouse, his: HisSim) -> None:
    his.fault("down")
    status, body = house.get("/readyz")
    assert status == 503
    assert [reason["part"] for reason in json.loads(body)["reasons"]] == ["his"]
    assert house.get("/healthz")[0] == 200
    his.fault("none")
    house.scanners["D-C2"].order("/unplug")
    wait_for(lambda: house.get("/readyz")[0] == 503, 3, "the scanner to be missed")
    wait_for(
        lambda: [r["part"] for r in json.loads(house.get("/readyz")[1])["reasons"]] == ["device D-C2"], 5, "it alone"
    )
    house.scanners["D-C2"].order("/plug")
    wait_for(lambda: house.get("/readyz")[0] == 200, 5, "the scanner to be back")


# ---------------------------------------------------------------- who may listen


@pytest.mark.parametrize(
    "said",
    [{}, {"station": "C1"}, {"station": "C1", "token": 5}, {"station": ["C1"], "token": "x", "last_seq": None}]
    + [{"station": "C1", "token": "x", "last_seq": wrong} for wrong in (-1, "7", 1.5, True, [1])],
)
def test_a_malformed_hello_is_refused_in_words(house: HubHouse, said: dict[str, Any]) -> None:
    reply = hello(house, **said)
    assert (reply["ok"], reply["error"]["code"]) == (False, "hello.malformed")
    assert reply["error"]["zh"]
    assert "snapshot" not in reply


def test_wrong_foreign_and_unknown_tokens_are_refused_alike(house: HubHouse) -> None:
    replies = [
        hello(house, station=station, token=token, last_seq=0)
        for station, token in (
            ("C1", new_token()),
            ("C1", house.tokens["C2"]),
            ("NONE", house.tokens["C1"]),
            ("C1", ""),
        )
    ]
    assert all(reply == replies[0] for reply in replies)
    assert replies[0]["error"]["code"] == "hello.refused"


def test_a_revoked_token_is_refused_from_then_on(house: HubHouse) -> None:
    assert hello(house, station="X1", token=house.tokens["X1"])["ok"]
    done = subprocess.run(
        [sys.executable, "-m", "hospital", "stations", "revoke", "X1", "--config", str(house.config)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hello(house, station="X1", token=house.tokens["X1"])["error"]["code"] == "hello.refused"


def handshake(house: HubHouse, origin: str, more: str = "") -> bytes:
    """The status line of a WebSocket handshake from a page of this origin."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", house.port), 5) as sock:
        sock.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\n{more}"
            f"Origin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        return sock.recv(4096).split(b"\r\n", 1)[0]


def test_pages_of_other_sites_cannot_open_a_line(house: HubHouse) -> None:
    own = f"http://127.0.0.1:{house.port}"
    assert b"101" in handshake(house, own)
    assert b"400" in handshake(house, "http://evil.example")
    assert b"400" in handshake(house, "http://evil.example", "X-Forwarded-Host: evil.example\r\n")
    assert b"400" in handshake(house, "null")
    assert b"400" in handshake(house, own + ".evil.example")
    assert house.get("/socket.io/?EIO=4&transport=polling")[0] == 400


# ---------------------------------------------------------------- which room


def test_a_screen_hears_its_own_station_only_whatever_it_asks_for(house: HubHouse) -> None:
    one, two = house.screen("C1"), house.screen("C2")
    one.connect()
    two.connect()
    assert one.line is not None
    refused = Line(house.port)
    refused.call("hello", {"station": "C2", "token": "wrong", "last_seq": 0})
    silent = Line(house.port)
    for line in (one.line, refused, silent):
        line.emit("join", {"room": "C2"})
        line.emit("enter_room", "C2")
        line.emit("subscribe", {"station": "C2", "rooms": ["C2"]})
    held = cards(20, start=100)
    for n, card in enumerate(held):
        house.scanners["D-C1" if n % 2 else "D-C2"].scan(card)
    one.poll_until(lambda: len(one.outcomes) == 10)
    two.poll_until(lambda: len(two.outcomes) == 10)
    one.poll(0.2)
    assert {body["station"] for kind, _, body in one.seen if kind == "scan"} == {"C1"}
    assert {body["station"] for kind, _, body in two.seen if kind == "scan"} == {"C2"}
    assert refused.poll(0) == []
    assert silent.poll(0) == []
    for line in (refused, silent):
        line.close()


def test_a_second_hello_leaves_the_station_of_the_first(house: HubHouse) -> None:
    screen = house.screen("C1")
    screen.connect()
    assert screen.line is not None
    assert screen.line.call("hello", {"station": "C2", "token": house.tokens["C2"], "last_seq": None})["ok"]
    witness = house.screen("C1")
    witness.connect()
    for name, card in zip(("D-C1", "D-C2"), cards(2, start=130), strict=True):
        house.scanners[name].scan(card)
    witness.poll_until(lambda: witness.outcomes)
    screen.poll_until(lambda: screen.outcomes)
    screen.poll(0.2)
    assert {body["station"] for kind, _, body in screen.seen if kind == "scan"} == {"C2"}


# ---------------------------------------------------------------- what a returning screen is sent


def came_back(house: HubHouse, last_seq: int | None) -> tuple[dict[str, Any], list[int]]:
    """The reply, and the seqs sent to a screen of R1 that had seen so much."""
    screen = house.screen("R1")
    screen.last_seq = last_seq
    reply = screen.connect()
    screen.poll(0.3)
    seqs = screen.seqs
    screen.cut()
    return reply, seqs


def test_a_returning_screen_gets_exactly_what_it_missed_and_is_told_of_a_gap(house: HubHouse) -> None:
    add_notices(house, "R1", 1200)
    reply, seqs = came_back(house, 1100)
    assert (reply["seq"], reply["snapshot"]["gap"], seqs) == (1200, False, list(range(1101, 1201)))
    assert came_back(house, 1199)[1] == [1200]
    assert came_back(house, 1200)[1] == []
    reply, seqs = came_back(house, 200)
    assert (reply["snapshot"]["gap"], seqs) == (False, list(range(201, 1201)))
    reply, seqs = came_back(house, 199)
    assert (reply["snapshot"]["gap"], seqs) == (True, list(range(201, 1201)))
    reply, seqs = came_back(house, None)
    assert (reply["seq"], reply["snapshot"]["gap"], seqs) == (1200, False, [])
    reply, seqs = came_back(house, 5000)
    assert (reply["seq"], seqs) == (1200, []), "numbering that began anew shows in the reply"


def test_a_fresh_screen_is_told_the_last_ten_scans_the_lamps_and_the_time(house: HubHouse) -> None:
    screen = house.screen("C1")
    screen.connect()
    for card in cards(12, start=140):
        house.scanners["D-C1"].scan(card)
    screen.poll_until(lambda: len(screen.outcomes) == 12)
    snapshot = house.screen("C1").connect()["snapshot"]
    assert [scan["seq"] for scan in snapshot["recent"]] == screen.seqs[:1:-1]
    assert snapshot["station"] == {"code": "C1", "name": "C1 号窗口", "kind": "counter"}
    assert [(device["code"], device["state"]) for device in snapshot["devices"]] == [("D-C1", "online")]
    assert abs(datetime.fromisoformat(snapshot["now"]).timestamp() - time.time()) < 5


def test_a_thousand_events_of_catching_up_do_not_count_as_stalling(house: HubHouse) -> None:
    """The replay fills the screen's queue in one go; the next event must not cut it off."""
    add_notices(house, "C1", 1000)
    screen = house.screen("C1")
    with house.opened() as store:
        screen.last_seq = store.scans.last_seq("C1") - 1000
    screen.connect()
    house.scanners["D-C1"].scan(cards(1, start=170)[0])
    screen.poll_until(lambda: screen.outcomes)
    assert screen.connected
    assert len(screen.seqs) == 1001
    assert screen.seqs == sorted(set(screen.seqs))
