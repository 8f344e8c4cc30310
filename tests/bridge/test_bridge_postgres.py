"""The bridge on PostgreSQL, where several transactions really run at once: the same promises hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from services.his_events import HisEventArrived
from tests.bridge.conftest import Bridge
from tests.support.postgres import Cluster, start_cluster
from tests.support.together import at_once


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = start_cluster()
    if isinstance(running, str):
        pytest.skip(running)
    yield running
    running.stop()


@pytest.fixture
def on_postgres(make_bridge: Callable[..., Bridge], cluster: Cluster) -> Bridge:
    return make_bridge(database={"url": cluster.url})


def test_events_scans_and_the_feed_count_once(on_postgres: Bridge) -> None:
    bridge, arrived = on_postgres, []
    bridge.parts.bus.subscribe(HisEventArrived, arrived.append)
    _, code = bridge.e_card()

    def work(n: int) -> list[str]:
        client = bridge.app.test_client()
        headers = {"Authorization": f"Bearer {bridge.token}"}
        events = [bridge.event(f"E{k}") for k in range(10)]
        done = client.post("/bridge/v1/events", json=events[n % 10 :] + events[: n % 10], headers=headers).get_json()
        scan = client.post("/bridge/v1/scans", json=bridge.scan("same", text=code), headers=headers).get_json()
        own = client.post("/bridge/v1/scans", json=bridge.scan(f"own{n}", station=f"C{n % 2 + 1}"), headers=headers)
        return [*(one["status"] for one in done["results"]), scan["outcome"], own.get_json()["outcome"]]

    statuses = Counter(status for got in at_once(12, work) for status in got)
    assert statuses == {"new": 10, "seen": 110, "identified": 24}
    assert len(arrived) == bridge.count("his_event") == 10
    assert len(bridge.shown("Q1")) == len(bridge.shown("Q2")) == 10
    assert bridge.count("scan") == 13
    assert bridge.count("pass_use") == 1
    cursor, seen = 0, []
    while page := bridge.call("GET", f"/v1/scans?since={cursor}&limit=4").json()["scans"]:
        seen += page
        cursor = page[-1]["cursor"]
    assert len({scan["scan_id"] for scan in seen}) == len(seen) == 13
    assert bridge.resolve(code)["outcome"] == "replayed"
