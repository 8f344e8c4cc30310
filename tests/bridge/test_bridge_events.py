"""Events of the HIS: stored before they are answered, each once whoever repeats it, told to displays and the house once."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from his.port import HisEvent, HisEventKind, QueueQuery
from hospital.his_news import HisNews
from services.his_events import HisEventArrived
from store.his_events import HisEventStore
from store.port_bridge import NewHisEvent, StoredHisEvent
from tests.bridge.conftest import PATIENT, Bridge, problem
from tests.support.together import at_once


def heard(bridge: Bridge) -> list[HisEventArrived]:
    """What listeners of the bus hear from now on."""
    got: list[HisEventArrived] = []
    bridge.parts.bus.subscribe(HisEventArrived, got.append)
    return got


def send(bridge: Bridge, *events: dict[str, Any]) -> dict[str, Any]:
    answer = bridge.post("/v1/events", list(events) if len(events) != 1 else events[0])
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_event_is_new_then_seen(bridge: Bridge) -> None:
    got = heard(bridge)
    assert send(bridge, bridge.event("E1")) == {
        "new": 1, "seen": 0, "refused": 0, "results": [{"index": 0, "status": "new"}],
    }  # fmt: skip
    assert send(bridge, bridge.event("E1"))["seen"] == 1
    (arrived,) = got
    assert (arrived.event.source, arrived.event.event_id) == ("bridge:his", "E1")
    assert arrived.event.kind is HisEventKind.QUEUE_CALLED
    assert arrived.event.data["name"] == "王小明"
    assert "王小明" not in repr(arrived)


@pytest.mark.parametrize("kind", list(HisEventKind))
def test_every_kind_is_taken(bridge: Bridge, kind: HisEventKind) -> None:
    got = heard(bridge)
    assert send(bridge, bridge.event("E1", kind.value))["new"] == 1
    assert [one.event.kind for one in got] == [kind]
    assert bool(bridge.shown("Q1")) == (kind is HisEventKind.QUEUE_CALLED)


def test_a_queue_call_reaches_the_displays_with_a_masked_name(bridge: Bridge) -> None:
    send(bridge, bridge.event("E1"))
    for display in ("Q1", "Q2"):
        (shown,) = bridge.shown(display)
        assert shown == {
            "event": "queue_called", "at": "2026-11-24T09:30:12+08:00", "queue_no": 17, "room": "3 诊室", "name": "王*明",
        }  # fmt: skip
    assert bridge.shown("C1") == []


@pytest.mark.parametrize(("named", "told"), [("C1", ["C1", "Q1", "Q2"]), ("Q2", ["Q2"]), ("NOWHERE", ["Q1", "Q2"])])
def test_a_call_goes_to_the_station_the_his_names(bridge: Bridge, named: str, told: list[str]) -> None:
    send(bridge, bridge.event("E1", data={"queue_no": 1, "station": named}))
    assert [code for code in ("C1", "C2", "Q1", "Q2") if bridge.shown(code)] == told


@pytest.mark.parametrize(
    ("stations", "told"), [(["C1"], ["C1"]), (["C1", "Q2"], ["C1", "Q2"]), ([], ["C1", "Q1", "Q2"])]
)
def test_a_client_for_some_stations_calls_on_no_other_display(
    bridge: Bridge, stations: list[str], told: list[str]
) -> None:
    token = bridge.client("desk", "events:write", stations=stations)
    assert (
        bridge.post("/v1/events", bridge.event("E1", data={"queue_no": 1, "station": "C1"}), token).json()["new"] == 1
    )
    assert [code for code in ("C1", "C2", "Q1", "Q2") if bridge.shown(code)] == told


def test_what_is_cached_of_the_patient_is_asked_for_again_at_once(bridge: Bridge) -> None:
    forgotten: list[dict[str, str]] = []
    bridge.parts.his_events._forget = lambda **what: forgotten.append(what)
    send(bridge, bridge.event("E1", "report_released"), bridge.event("E2", "clinic_stopped", ref="S9", patient_id=""))
    assert forgotten == [{"patient_id": PATIENT, "schedule_id": ""}, {"patient_id": "", "schedule_id": "S9"}]


def test_a_portal_of_its_own_forgets_too(bridge: Bridge) -> None:
    """Its gateway is another one: it follows the stored events."""
    news = HisNews(bridge.parts)
    cache = bridge.parts.his._cache
    forgotten: list[Any] = []
    send(bridge, bridge.event("E1", "report_released"))
    cache.forget = lambda **what: forgotten.append(what)
    for _ in range(2):
        news.follow()
    assert forgotten == [{"patient_id": PATIENT, "schedule_id": ""}]
    assert HisNews(bridge.parts)._seq == news._seq
    assert QueueQuery.fresh_s > 0, "what would be shown from memory for so long without it"


# ---------------------------------------------------------------- lists


def test_of_a_partly_bad_list_the_good_ones_are_stored_and_the_bad_ones_named(bridge: Bridge) -> None:
    send(bridge, bridge.event("E0"))
    bad: list[Any] = [{"event_id": "x"}, None, bridge.event("E0", "admitted")]
    done = send(bridge, bridge.event("E1"), bad[0], bridge.event("E0"), bad[1], bridge.event("E2", "admitted"), bad[2])
    assert (done["new"], done["seen"], done["refused"]) == (2, 1, 3)
    assert [one["status"] for one in done["results"]] == ["new", "refused", "seen", "refused", "new", "refused"]
    assert {fault["index"] for fault in done["errors"]} == {1, 3, 5}
    assert [fault["code"] for fault in done["errors"] if fault["index"] == 5] == ["event.id_reused"]
    assert bridge.count("his_event") == 3


def test_the_same_event_twice_in_one_list_is_new_and_seen(bridge: Bridge) -> None:
    assert send(bridge, bridge.event("E1"), bridge.event("E1"))["results"] == [
        {"index": 0, "status": "new"}, {"index": 1, "status": "seen"},
    ]  # fmt: skip
    assert len(bridge.shown("Q1")) == 1


def test_a_list_of_bad_ones_is_a_problem(bridge: Bridge) -> None:
    said = problem(bridge.post("/v1/events", [{}, 7]), 422, "events.refused")
    assert {fault["index"] for fault in said["errors"]} == {0, 1}


@pytest.mark.parametrize("count", [0, 101])
def test_a_list_holds_one_to_a_hundred(bridge: Bridge, count: int) -> None:
    answer = bridge.post("/v1/events", [bridge.event(f"E{n}") for n in range(count)])
    problem(answer, 422, "body.invalid")
    assert bridge.count("his_event") == 0


def test_a_hundred_events_are_one_commit_in_their_order(bridge: Bridge) -> None:
    assert send(bridge, *(bridge.event(f"E{n}", data={"queue_no": n}) for n in range(100)))["new"] == 100
    assert [shown["queue_no"] for shown in bridge.shown("Q1")] == list(range(100))


def test_an_event_id_used_again_for_something_else_is_a_conflict(bridge: Bridge) -> None:
    got = heard(bridge)
    send(bridge, bridge.event("E1"))
    said = problem(bridge.post("/v1/events", bridge.event("E1", ref="R2")), 409, "event.id_reused")
    assert said["errors"][0]["pointer"] == "/event_id"
    assert len(got) == 1


def test_two_clients_may_use_the_same_event_id_and_a_new_token_continues(bridge: Bridge) -> None:
    send(bridge, bridge.event("E1"))
    other = bridge.client("other")
    assert bridge.post("/v1/events", bridge.event("E1"), other).json()["new"] == 1
    bridge.parts.bridge_clients.revoke("his")
    again = bridge.client("his")
    assert bridge.post("/v1/events", bridge.event("E1"), again).json()["seen"] == 1


# ---------------------------------------------------------------- races


def replay(bridge: Bridge, kind: str, times: int = 100) -> Counter[str]:
    """One event sent so many times by ten threads at once; what was answered."""
    event = bridge.event("E1", kind)

    def some(_: int) -> list[str]:
        client = bridge.app.test_client()
        return [
            client.post(
                "/bridge/v1/events", json=event, headers={"Authorization": f"Bearer {bridge.token}"}
            ).get_json()["results"][0]["status"]
            for _ in range(times // 10)
        ]

    return Counter(status for statuses in at_once(10, some) for status in statuses)


@pytest.mark.parametrize("kind", ["queue_called", "report_released"])
def test_a_hundred_repeats_at_once_are_one_row_one_event_and_one_call_on_each_display(
    bridge: Bridge, kind: str
) -> None:
    got = heard(bridge)
    assert replay(bridge, kind) == {"new": 1, "seen": 99}
    assert bridge.count("his_event") == 1
    assert len(got) == 1
    assert len(bridge.shown("Q1")) == len(bridge.shown("Q2")) == (kind == "queue_called")


def test_without_the_unique_key_the_same_repeats_double(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look, then store: what is done where nothing but the code keeps it unique."""
    with bridge.parts.store.durable.write() as database:
        database.execute_sql("DROP INDEX hiseventmodel_source_event_id")
    together = threading.Barrier(10)
    local = threading.local()

    def add(self: HisEventStore, events: list[NewHisEvent], now: Any) -> list[StoredHisEvent]:
        kept = self.after(0, 10)
        if not hasattr(local, "met"):
            local.met = True
            together.wait(30)
        if kept:
            return [StoredHisEvent(kept[0][0], new=False)]
        with self._db.write():
            (event,) = events
            sealed = self._vault.seal("{}", f"his_event:{event.source}:{event.event_id}:data")
            self._db.run(
                "INSERT INTO his_event (source, event_id, kind, at_ms, patient_id, ref, data_sealed, received_ms)"
                " VALUES (?, ?, ?, 0, '', '', ?, 0)",
                (event.source, event.event_id, event.kind, sealed),
            )
        return [StoredHisEvent(1, new=True)]

    monkeypatch.setattr(HisEventStore, "add", add)
    got = heard(bridge)
    assert replay(bridge, "report_released")["new"] > 1
    assert bridge.count("his_event") > 1
    assert len(got) > 1


def test_handle_is_for_every_way_in(bridge: Bridge) -> None:
    got = heard(bridge)
    event = HisEvent("hl7:RENHE", "MSG1", HisEventKind.ADMITTED, bridge.parts.clock.now(), PATIENT, "2026000101")
    assert [bridge.parts.his_events.handle(event) for _ in range(3)] == ["new", "seen", "seen"]
    assert [one.event for one in got] == [event]
