"""hospital.db keeps what it is told, once, sealed, on SQLite and on PostgreSQL."""

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import peewee
import pytest

from core.clock import SetClock
from core.codes.passes import PassKind
from core.errors import ConfigError
from core.ids import new_id
from core.privacy import Undecryptable, Vault
from store.db import MIGRATIONS
from store.models import ALL
from store.port import (
    Accepts,
    Binding,
    BindingKind,
    Device,
    Limit,
    NewScan,
    PassUse,
    Reserved,
    Station,
    StationKind,
    Taken,
)
from store.store import Store
from tests.store.conftest import VAULT

NOW = SetClock().now()


def station(store: Store, code: str = "C1") -> Station:
    made = Station(new_id(), code, "一号窗口", StationKind.COUNTER, Accepts.CARD)
    store.stations.add(made)
    return made


def binding(store: Store, openid: str = "oA", number: str = "600000000017") -> Binding:
    follower = store.followers.seen(openid, NOW)
    made = Binding(new_id(), follower.id, BindingKind.CARD, number, "P1", "𠮷田䶮", NOW, number)
    return store.bindings.add(made, NOW)


def scan(at: Station, seq: int, use: tuple[str, int] | None = None) -> NewScan:
    return NewScan(new_id(), at, "S1", NOW, "identified", "e_card", 1.5, {"name": "王*明", "n": seq}, None, "P1", use)


def test_the_migrations_make_every_table_and_column_of_the_models(store: Store) -> None:
    with store.durable.read() as database:
        for model in ALL:
            table = model._meta.table_name
            columns = {column.name for column in database.get_columns(table)}
            assert columns == {field.column_name for field in model._meta.sorted_fields}, table


def test_opening_again_migrates_nothing_and_loses_nothing(url: str) -> None:
    first = Store(url, VAULT)
    station(first)
    first.close()
    second = Store(url, VAULT)
    assert second.applied == []
    assert second.stations.get("C1") is not None
    second.close()


def test_two_processes_may_open_a_new_database_together(url: str) -> None:
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(Store(url, VAULT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.applied) for one in opened) == [0, 0, 0, len(list(MIGRATIONS.glob("[0-9]*.py")))]
    for one in opened:
        one.close()


def test_sqlite_is_set_right(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'h.db'}", VAULT)
    for db, synchronous in ((store.durable, 2), (store.quick, 1)):
        with db.read() as database:
            asked = {name: database.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")}
        assert asked == {"journal_mode": "wal", "synchronous": synchronous, "foreign_keys": 1}
    store.close()


def test_a_database_that_cannot_be_opened_is_a_configuration_fault(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'nowhere' / 'h.db'}", "postgresql://nobody@127.0.0.1:1/none"):
        with pytest.raises(ConfigError, match=r"database\.url"):
            Store(url, VAULT)


def test_a_station_code_is_taken_once(store: Store) -> None:
    made = station(store)
    assert store.stations.get("C1") == made
    with pytest.raises(Taken):
        station(store)


def test_a_pairing_code_works_once_at_its_own_station_and_in_time(store: Store) -> None:
    station(store)
    station(store, "C2")
    store.stations.offer_pairing("C1", "ABCD-2345", NOW + timedelta(minutes=15))
    assert not store.stations.redeem_pairing("C2", "ABCD-2345", "t2", NOW)
    assert not store.stations.redeem_pairing("C1", "ABCD-2345", "t3", NOW + timedelta(minutes=16))
    assert store.stations.redeem_pairing("C1", "ABCD-2345", "t1", NOW)
    assert not store.stations.redeem_pairing("C1", "ABCD-2345", "t4", NOW)
    assert store.stations.token_holds("C1", "t1")
    assert not store.stations.token_holds("C2", "t1")
    assert store.stations.revoke_tokens("C1", NOW) == 1
    assert not store.stations.token_holds("C1", "t1")


def test_devices_keep_options_and_count_revisions(store: Store) -> None:
    store.devices.add(Device(new_id(), "S1", "枪", "serial", {"port": "/dev/x", "baud": 9600}, "C1", True, 1))
    changed = store.devices.change("S1", {"port": "/dev/y"}, enabled=False, station="")
    assert changed is not None
    assert (changed.revision, changed.options, changed.enabled) == (2, {"port": "/dev/y"}, False)
    assert store.devices.remove("S1")
    assert store.devices.all() == []


def test_a_follower_is_one_however_often_and_from_wherever_it_comes(store: Store) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(store.followers.seen("oA", NOW).id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    again = store.followers.get(found[0])
    assert again is not None
    assert again.openid == "oA"


def test_binding_the_same_number_twice_keeps_one(store: Store) -> None:
    first, second = binding(store), binding(store)
    assert first.id == second.id
    assert second.name == "𠮷田䶮"
    assert len(store.bindings.of(first.follower_id, BindingKind.CARD)) == 1


def test_a_binding_is_found_only_through_its_follower_and_ends_with_its_pass(store: Store) -> None:
    mine = binding(store)
    other = store.followers.seen("oB", NOW)
    row = store.bindings.pass_for(mine, NOW)
    assert store.bindings.pass_for(mine, NOW) == row
    assert row.kind is PassKind.E_CARD
    assert store.bindings.get(other.id, mine.id) is None
    assert not store.bindings.end(other.id, mine.id, NOW)
    assert store.bindings.end(mine.follower_id, mine.id, NOW)
    gone = store.scans.find_pass(row.pass_no)
    assert gone is not None
    assert gone.revoked
    assert binding(store).id != mine.id


def test_personal_fields_are_not_in_the_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'h.db'}", VAULT)
    kept = binding(store, openid="oCANARY")
    row = store.bindings.pass_for(kept, NOW)
    made = station(store)
    store.scans.commit(scan(made, 1))
    store.sessions.save("cookie", {"openid": "oCANARY"}, NOW + timedelta(hours=1))
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("h.db*"))
    for secret in ("𠮷田䶮".encode(), b"600000000017", b"oCANARY", row.secret, "王*明".encode(), b"cookie"):
        assert secret not in raw
    store.close()


def test_another_data_key_reads_nothing(url: str) -> None:
    store = Store(url, VAULT)
    kept = binding(store)
    store.close()
    thief = Store(url, Vault(b"x" * 32))
    with pytest.raises(Undecryptable):
        thief.bindings.get(kept.follower_id, kept.id)
    thief.close()


def test_scans_are_numbered_without_gaps_however_many_threads_commit(store: Store) -> None:
    made = station(store)
    seqs: list[int] = []

    def work() -> None:
        for n in range(25):
            result = store.scans.commit(scan(made, n))
            assert isinstance(result, int)
            seqs.append(result)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 101))
    assert store.scans.last_seq("C1") == 100
    assert [event.seq for event in store.scans.events_after("C1", 95, 100)] == [96, 97, 98, 99, 100]
    assert [event.seq for event in store.scans.recent_scans("C1", 3)] == [100, 99, 98]


def test_a_step_of_a_pass_is_used_once_and_the_loser_changes_nothing(store: Store) -> None:
    first, second = station(store), station(store, "C2")
    row = store.bindings.pass_for(binding(store), NOW)
    results: list[int | PassUse] = []
    gate = threading.Barrier(8)

    def work(at: Station) -> None:
        gate.wait()
        results.append(store.scans.commit(scan(at, 1, (row.pass_no, 5))))

    threads = [threading.Thread(target=work, args=((first, second)[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, int) for result in results) == 1
    assert store.scans.last_seq("C1") + store.scans.last_seq("C2") == 1
    use = store.scans.find_use(row.pass_no, 5)
    assert use is not None
    assert use.body["name"] == "王*明"


def test_a_pass_is_found_with_the_latest_step_it_was_used_at(store: Store) -> None:
    made, row = station(store), store.bindings.pass_for(binding(store), NOW)
    steps: list[int | None] = []
    for use in (None, 5, 9, 7):
        if use is not None:
            store.scans.commit(scan(made, use, (row.pass_no, use)))
        found = store.scans.find_pass(row.pass_no)
        assert found is not None
        steps.append(found.last_step)
    assert steps == [None, 5, 9, 9]


def test_the_control_without_the_key_uses_a_step_twice(store: Store) -> None:
    """The same race when the used step is looked up first and not guarded by the primary key."""
    made = station(store)
    gate = threading.Barrier(2)
    accepted: list[int] = []

    def naive() -> None:
        seen = store.scans.find_use("0000000000", 5)
        gate.wait()
        if seen is None:
            accepted.append(store.scans.commit(scan(made, 1)))  # type: ignore[arg-type]

    threads = [threading.Thread(target=naive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 2


def test_attempts_are_counted_before_they_are_made_and_survive_a_restart(url: str) -> None:
    store = Store(url, VAULT)
    limits = (Limit("follower", "oA", 5, timedelta(hours=1)),)
    results: list[Reserved] = []
    threads = [threading.Thread(target=lambda: results.append(store.attempts.reserve(limits, NOW))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.allowed for one in results) == 5
    store.close()
    again = Store(url, VAULT)
    refused = again.attempts.reserve(limits, NOW + timedelta(minutes=10))
    assert not refused.allowed
    assert refused.retry_after == timedelta(minutes=50)
    assert again.attempts.reserve(limits, NOW + timedelta(minutes=61)).allowed
    again.close()


def test_a_success_is_taken_off_every_counter(store: Store) -> None:
    limits = (Limit("follower", "oA", 1, timedelta(hours=1)), Limit("address", "ip", 1, timedelta(hours=1)))
    first = store.attempts.reserve(limits, NOW)
    store.attempts.settle(first.attempt_id, success=True)
    second = store.attempts.reserve(limits, NOW)
    assert second.allowed
    store.attempts.settle(second.attempt_id, success=False)
    assert not store.attempts.reserve(limits[:1], NOW).allowed


def test_a_session_ends_when_it_is_dropped_or_old(store: Store) -> None:
    store.sessions.save("a", {"follower": "1"}, NOW + timedelta(hours=1))
    store.sessions.save("a", {"follower": "2"}, NOW + timedelta(hours=1))
    assert store.sessions.load("a", NOW) == {"follower": "2"}
    assert store.sessions.load("a", NOW + timedelta(hours=2)) is None
    store.sessions.drop("a")
    assert store.sessions.load("a", NOW) is None


def test_a_login_state_is_taken_once_by_its_own_session(store: Store) -> None:
    store.sessions.offer_state("s", "mine", NOW + timedelta(minutes=5))
    assert not store.sessions.take_state("s", "theirs", NOW)
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(store.sessions.take_state("s", "mine", NOW))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 5 + [True]


def test_old_events_are_swept_and_numbering_goes_on(store: Store) -> None:
    made = station(store)
    for n in range(3):
        store.scans.commit(scan(made, n))
    assert store.scans.prune(NOW + timedelta(seconds=1)) == 3
    assert store.scans.events_after("C1", 0, 10) == []
    assert store.scans.commit(scan(made, 9)) == 4


def test_many_writers_never_see_a_locked_database(tmp_path: Path) -> None:
    """Sixteen threads over two Store objects, as two processes would: BEGIN IMMEDIATE waits instead of failing."""
    url = f"sqlite:///{tmp_path / 'h.db'}"
    stores = [Store(url, VAULT), Store(url, VAULT)]
    made = station(stores[0])
    errors: list[BaseException] = []

    def work(store: Store) -> None:
        try:
            for n in range(10):
                store.scans.commit(scan(made, n))
                store.sessions.save(new_id(), {}, NOW + timedelta(hours=1))
        except peewee.PeeweeException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(stores[n % 2],)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert stores[0].scans.last_seq("C1") == 160
    for store in stores:
        store.close()


def test_after_a_write_that_failed_at_its_commit_the_next_one_is_kept(tmp_path: Path) -> None:
    """A commit that cannot happen (here: a deferred foreign key; in life, a full disk) must leave nothing open."""
    url = f"sqlite:///{tmp_path / 'h.db'}"
    store = Store(url, VAULT)
    run = store.durable.run
    with store.durable.write():
        run("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        run("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), store.durable.write():
        run("INSERT INTO child VALUES (1)")  # seen only when the transaction ends
    made = station(store)
    store.close()
    again = Store(url, VAULT)
    assert again.stations.get("C1") == made
    again.close()
