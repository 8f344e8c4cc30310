"""What the bridge keeps: tokens as hashes, each event once, each scan once, one number over the scans of all stations."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from core.clock import SetClock
from core.ids import new_id
from store.port import Accepts, FoundScan, NewScan, Station, StationKind, Taken
from store.port_bridge import BridgeClient, Look, NewHisEvent
from store.store import Store

NOW = SetClock().now()
LATER = NOW + timedelta(days=40)


def client(name: str = "his") -> BridgeClient:
    return BridgeClient(new_id(), name, frozenset({"scans:read", "events:write"}), ("C1",), ("10.0.0.0/8",), NOW)


def station(store: Store, code: str = "C1") -> Station:
    made = Station(new_id(), code, "一号窗口", StationKind.COUNTER, Accepts.CARD)
    store.stations.add(made)
    return made


def scan(at: Station, scan_id: str = "") -> NewScan:
    body = {"scan_id": scan_id, "name": "王*明"}
    return NewScan(scan_id or new_id(), at, "S1", NOW, "identified", "e_card", 1.5, body, None, "P1")


def event(event_id: str = "E1", *tells: str) -> NewHisEvent:
    told = tuple((code, "queue", {"n": event_id}) for code in tells)
    return NewHisEvent("bridge:his", event_id, "queue_called", NOW, "P1", "R1", {"name": "王小明"}, told)


def test_a_client_is_found_by_its_token_and_the_token_is_nowhere(store: Store) -> None:
    made = client()
    store.bridge_clients.add(made, "secret-token")
    assert store.bridge_clients.by_token("secret-token") == made
    assert store.bridge_clients.by_token("secret-toke") is None
    with store.durable.read() as database:
        row = database.execute_sql("SELECT * FROM bridge_client").fetchone()
    assert "secret-token" not in str(row)


def test_a_name_belongs_to_one_live_client_and_is_free_again_after_its_end(store: Store) -> None:
    store.bridge_clients.add(client(), "t1")
    with pytest.raises(Taken):
        store.bridge_clients.add(client(), "t2")
    assert store.bridge_clients.revoke("his", NOW)
    assert not store.bridge_clients.revoke("his", NOW)
    store.bridge_clients.add(client(), "t2")
    old = store.bridge_clients.by_token("t1")
    assert old is not None
    assert old.revoked_at == NOW
    assert len(store.bridge_clients.all()) == 2


def test_an_event_is_stored_once_and_tells_the_stations_once(store: Store) -> None:
    station(store)
    first, second = (store.his_events.add([event("E1", "C1")], NOW)[0] for _ in range(2))
    assert (first.new, second.new, second.same) == (True, False, True)
    assert first.told == (("C1", 1),)
    assert second.told == ()
    assert [one.body for one in store.scans.events_after("C1", 0, 9)] == [{"n": "E1"}]


def test_an_event_stored_by_sixteen_threads_at_once_is_stored_by_one(store: Store) -> None:
    station(store)
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda: got.append(store.his_events.add([event("E1", "C1")], NOW)[0].new))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 15 + [True]
    assert store.scans.last_seq("C1") == 1


def test_an_event_id_used_again_for_something_else_is_told_from_a_repeat(store: Store) -> None:
    store.his_events.add([event()], NOW)
    for other in (
        replace(event(), ref="R2"),
        replace(event(), data={"name": "李雷"}),
        replace(event(), at=NOW + timedelta(seconds=1)),
    ):
        assert store.his_events.add([other], NOW)[0].same is False
    assert store.his_events.add([replace(event(), source="other")], NOW)[0].new


def test_a_batch_is_one_commit_and_none_of_it_stays_when_one_fails(store: Store) -> None:
    with pytest.raises(IndexError):
        store.his_events.add([event("E1"), event("E2", "NOWHERE")], NOW)
    assert store.his_events.last_seq() == 0
    assert [one.new for one in store.his_events.add([event("E1"), event("E1"), event("E2")], NOW)] == [
        True,
        False,
        True,
    ]


def test_a_reader_of_events_gets_each_in_order_while_many_write(store: Store) -> None:
    got: list[tuple[int, NewHisEvent]] = []
    threads = [
        threading.Thread(target=lambda n=n: [store.his_events.add([event(f"{n}-{i}")], NOW) for i in range(10)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or len(got) < store.his_events.last_seq():
        got += store.his_events.after(got[-1][0] if got else 0, 7)
    for thread in threads:
        thread.join()
    got += store.his_events.after(got[-1][0], 100)
    assert len({one.event_id for _, one in got}) == len(got) == 40
    assert got[0][1].data == {"name": "王小明"}


def test_the_names_in_an_event_are_sealed(store: Store) -> None:
    store.his_events.add([event()], NOW)
    with store.durable.read() as database:
        row = database.execute_sql("SELECT data_sealed FROM his_event").fetchone()
    assert "王小明".encode() not in bytes(row[0])


def test_a_scan_id_of_ours_is_committed_once(store: Store) -> None:
    at = station(store)
    row = scan(at, new_id())
    assert store.scans.commit(row) == 1
    again = store.scans.commit(row)
    assert isinstance(again, FoundScan)
    assert (again.station, again.seq, again.patient_id, again.body["scan_id"]) == ("C1", 1, "P1", row.scan_id)
    assert store.scans.last_seq("C1") == 1
    assert store.scans.find_scan(new_id()) is None


def test_one_scan_committed_by_sixteen_threads_at_once_is_committed_by_one(store: Store) -> None:
    row, got = scan(station(store), new_id()), []
    threads = [threading.Thread(target=lambda: got.append(store.scans.commit(row))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(1) == 1
    assert {one.seq for one in got if isinstance(one, FoundScan)} == {1}
    assert store.scans.last_seq("C1") == 1


def test_a_clients_scan_id_means_one_scan_with_one_content(store: Store) -> None:
    ours = new_id()
    assert store.bridge_scans.claim("a", "X1", ours, "C1|600000000017", NOW) == (ours, True)
    assert store.bridge_scans.claim("a", "X1", new_id(), "C1|600000000017", NOW) == (ours, True)
    assert store.bridge_scans.claim("a", "X1", new_id(), "C1|600000000034", NOW) == (ours, False)
    other = new_id()
    assert store.bridge_scans.claim("b", "X1", other, "C1|600000000034", NOW) == (other, True)


def test_of_twenty_looks_at_one_code_at_once_one_is_the_first(store: Store) -> None:
    firsts: list[object] = []

    def look(shown: tuple[str, int] | None = ("1234567890", 7), who: str = "his") -> object:
        return store.bridge_scans.note(Look(new_id(), who, NOW, "identified", "e_card", shown, "P1"))

    threads = [threading.Thread(target=lambda: firsts.append(look())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert firsts.count(None) == 1
    assert look(("1234567890", 8)) is None
    assert look(who="other") is None
    assert look(None) is None


def test_the_feed_gives_each_scan_once_however_stations_interleave(store: Store) -> None:
    stations = [station(store, code) for code in ("C1", "C2", "C3")]
    cursor, seen = 0, []

    def work(at: Station) -> None:
        for _ in range(20):
            store.scans.commit(scan(at))

    threads = [threading.Thread(target=work, args=(at,)) for at in stations]
    for thread in threads:
        thread.start()
    alive = True
    while alive:
        alive = any(thread.is_alive() for thread in threads)
        page, cursor = store.bridge_scans.feed("his", cursor, 7, ())
        while page:
            seen += page
            page, cursor = store.bridge_scans.feed("his", cursor, 7, ())
    for thread in threads:
        thread.join()
    assert [number for number, _, _ in seen] == sorted(number for number, _, _ in seen)
    for at in stations:
        assert [one.seq for _, one, _ in seen if one.station == at.code] == list(range(1, 21))


def test_the_feed_keeps_to_the_stations_asked_for_and_names_the_clients_own_scan_id(store: Store) -> None:
    one, two = station(store, "C1"), station(store, "C2")
    ours, _ = store.bridge_scans.claim("his", "X1", new_id(), "x", NOW)
    store.scans.commit(scan(one, ours))
    store.scans.add_event("C1", "notice", {}, NOW)
    store.scans.commit(scan(two))
    page, cursor = store.bridge_scans.feed("his", 0, 10, ("C1",))
    assert [(found.station, own) for _, found, own in page] == [("C1", "X1")]
    assert store.bridge_scans.feed("other", 0, 10, ("C1",))[0][0][2] == ""
    assert store.bridge_scans.feed("his", cursor, 10, ("C1",)) == ([], cursor)
    assert store.bridge_scans.feed("his", 0, 10, ("C2",))[0][0][1].station == "C2"


def test_the_broom_takes_what_is_old_and_numbers_never_begin_again(store: Store) -> None:
    at = station(store)
    store.bridge_scans.claim("his", "X1", new_id(), "x", NOW)
    store.bridge_scans.note(Look(new_id(), "his", NOW, "identified", "e_card", None, None))
    store.scans.commit(scan(at))
    store.scans.commit(scan(at))
    _, cursor = store.bridge_scans.feed("his", 0, 10, ())
    store.his_events.add([event("E1"), event("E2")], NOW)
    last = store.his_events.last_seq()
    store.scans.prune(LATER)
    assert store.bridge_scans.prune(LATER) == 3
    assert store.his_events.prune(LATER) == 1
    store.scans.commit(scan(at))
    page, _ = store.bridge_scans.feed("his", cursor, 10, ())
    assert [one.seq for _, one, _ in page] == [3]
    assert store.his_events.add([event("E3")], NOW)[0].seq > last
