"""Scans made elsewhere count once per scan_id; the feed gives every scan once, in order, to whom it belongs."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest

from core.ids import new_id
from store.bridge import BridgeScanStore
from tests.bridge.conftest import CARD, PATIENT, Bridge, problem
from tests.support.together import at_once


def test_a_scan_made_elsewhere_is_one_of_the_stations_scans(bridge: Bridge) -> None:
    done = bridge.post("/v1/scans", bridge.scan("ws1-1")).json()
    assert (done["outcome"], done["scan_id"], done["seq"]) == ("identified", "ws1-1", 1)
    assert done["his"] == {"patient_id": PATIENT}
    (shown,) = bridge.shown("C1")
    assert shown["outcome"] == "identified"
    with bridge.parts.store.durable.read() as database:
        assert database.execute_sql("SELECT device, patient_id FROM scan").fetchall() == [("ws1", PATIENT)]


def test_bytes_are_read_as_a_scanners_are(bridge: Bridge) -> None:
    raw = bridge.scan("a", text=None, raw_hex=(b"]Q1" + CARD.encode()).hex())
    assert bridge.post("/v1/scans", raw).json()["outcome"] == "identified"
    gbk = bridge.scan("b", text=None, raw_hex="王小明".encode("gb18030").hex())
    assert bridge.post("/v1/scans", gbk).json()["outcome"] == "unknown_code"


def test_the_same_scan_id_gives_the_same_answer_and_nothing_twice(bridge: Bridge) -> None:
    _, code = bridge.e_card()
    first = bridge.post("/v1/scans", bridge.scan("a", text=code)).json()
    assert first["outcome"] == "identified"
    later = bridge.scan(
        "a", text=code, device="other", at=(bridge.parts.clock.now() + timedelta(seconds=1)).isoformat()
    )
    for body in (bridge.scan("a", text=code), later):
        assert bridge.post("/v1/scans", body).json() == first
    assert len(bridge.shown("C1")) == bridge.count("scan") == bridge.count("pass_use") == 1


@pytest.mark.parametrize("kind", ["card", "pass", "pay_code"])
def test_one_scan_sent_by_twenty_threads_at_once_is_one_scan_with_one_answer(bridge: Bridge, kind: str) -> None:
    text = {"card": CARD, "pass": bridge.e_card()[1], "pay_code": "135902746183920574"}[kind]
    answers = at_once(16, lambda _: bridge.post("/v1/scans", bridge.scan("a", text=text)).json())
    assert len({answer["seq"] for answer in answers}) == 1
    assert len({answer["outcome"] for answer in answers}) == 1
    assert all(answer.get("his") == answers[0].get("his") for answer in answers)
    assert len(bridge.shown("C1")) == bridge.count("scan") == 1


def test_without_the_claim_the_same_race_doubles(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BridgeScanStore, "claim", lambda *_: (new_id(), True))
    at_once(16, lambda _: bridge.post("/v1/scans", bridge.scan("a")).json())
    assert bridge.count("scan") == 16


def test_a_scan_id_for_another_code_or_station_is_a_conflict(bridge: Bridge) -> None:
    bridge.post("/v1/scans", bridge.scan("a"))
    problem(bridge.post("/v1/scans", bridge.scan("a", text="600000000034")), 409, "scan.id_reused")
    problem(bridge.post("/v1/scans", bridge.scan("a", station="C2")), 409, "scan.id_reused")
    other = bridge.client("other")
    assert bridge.post("/v1/scans", bridge.scan("a", text="600000000034"), other).json()["outcome"] == "identified"


@pytest.mark.parametrize("off", [timedelta(hours=13), timedelta(minutes=-6)])
def test_a_time_that_cannot_be_right_is_refused(bridge: Bridge, off: timedelta) -> None:
    at = (bridge.parts.clock.now() - off).isoformat()
    problem(bridge.post("/v1/scans", bridge.scan("a", at=at)), 422, "scan.time")
    assert bridge.count("scan") == 0


def test_identifiers_are_for_tokens_that_may_resolve(bridge: Bridge) -> None:
    token = bridge.client("agent", "scans:write")
    assert "his" not in bridge.post("/v1/scans", bridge.scan("a"), token).json()


def test_the_feed_gives_what_was_scanned_where(bridge: Bridge) -> None:
    bridge.resolve(CARD, "C1")
    bridge.resolve("600000000999", "C2")
    bridge.resolve(CARD)
    bridge.post("/v1/scans", bridge.scan("mine"))
    page = bridge.call("GET", "/v1/scans?since=0").json()
    assert [(scan["station"], scan["outcome"]) for scan in page["scans"]] == [
        ("C1", "identified"), ("C1", "identified"), ("C2", "unknown_code"),
    ]  # fmt: skip
    assert page["scans"][0]["his"] == {"patient_id": PATIENT}
    assert [scan["scan_id"] for scan in page["scans"]][1] == "mine"
    assert page["next"] == page["scans"][-1]["cursor"]
    assert bridge.call("GET", f"/v1/scans?since={page['next']}").json() == {"scans": [], "next": page["next"]}
    only = bridge.call("GET", "/v1/scans?station=C2").json()
    assert [scan["station"] for scan in only["scans"]] == ["C2"]
    problem(bridge.call("GET", "/v1/scans?since=1000"), 409, "scans.cursor")


def test_a_reader_with_any_page_size_misses_nothing_and_gets_nothing_twice_while_desks_scan(bridge: Bridge) -> None:
    stop, seen = threading.Event(), []

    def read() -> None:
        cursor, last = 0, False
        while True:
            page = bridge.app.test_client().get(
                f"/bridge/v1/scans?since={cursor}&limit=3", headers={"Authorization": f"Bearer {bridge.token}"}
            )
            body = page.get_json()
            seen.extend(body["scans"])
            cursor = body["next"]
            if not body["scans"]:
                if last:
                    return
                last = stop.is_set()

    reader = threading.Thread(target=read)
    reader.start()
    at_once(6, lambda n: [bridge.resolve(CARD, ("C1", "C2")[n % 2]) for _ in range(8)])
    stop.set()
    reader.join()
    assert Counter(scan["station"] for scan in seen) == {"C1": 24, "C2": 24}
    assert len({scan["scan_id"] for scan in seen}) == 48
    for station in ("C1", "C2"):
        assert [scan["seq"] for scan in seen if scan["station"] == station] == list(range(1, 25))
