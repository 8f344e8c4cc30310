"""Intents move only where their state allows, once, and the call log only grows, on SQLite and on PostgreSQL."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import pytest

from core.clock import SetClock
from store.models import ms
from store.models_his import ALL
from store.port_his import (
    FINAL_STATES,
    OPEN_STATES,
    Change,
    Decision,
    HisCall,
    IntentState,
    NewIntent,
    NotStored,
    OpKeyReused,
)
from store.store import Store
from tests.store.conftest import VAULT
from tests.support.together import at_once

NOW = SetClock().now()
LATER = NOW + timedelta(minutes=5)
CANARY = "990101198503120037"
NEW = NewIntent("k1", "top_up", f'{{"id_no":"{CANARY}"}}', "P1", "portal", NOW, NOW + timedelta(seconds=20))
CALL = HisCall(NOW, "top_up", "k1", "portal", "P1", "page", "ok", "", 12.5, False, '{"n":1}', '{"m":2}', CANARY)


def change(state: IntentState, **more: object) -> Change:
    return Change(state, LATER, **more)  # type: ignore[arg-type]


def unknown(store: Store, key: str = "k1", next_try: datetime = NOW) -> None:
    assert store.intents.begin(replace(NEW, op_key=key)) is None
    assert store.intents.move(key, OPEN_STATES, change(IntentState.UNKNOWN, next_try=next_try, why="no_answer"))


def test_the_migration_makes_every_table_and_column_of_the_models(store: Store) -> None:
    with store.durable.read() as database:
        for model in ALL:
            table = model._meta.table_name
            columns = {column.name for column in database.get_columns(table)}
            assert columns == {field.column_name for field in model._meta.sorted_fields}, table


# ------------------------------------------------------------------ intents


def test_an_intent_is_kept_before_it_is_sent_and_survives_reopening(url: str) -> None:
    first = Store(url, VAULT)
    assert first.intents.begin(NEW) is None
    first.close()
    second = Store(url, VAULT)
    kept = second.intents.get("k1")
    assert kept is not None
    assert (kept.state, kept.payload, kept.patient_id, kept.actor) == ("sending", NEW.payload, "P1", "portal")
    assert (kept.created_at, kept.sent_at, kept.next_try) == (NOW, NOW, NEW.next_try)
    second.close()


def test_the_same_op_key_is_begun_once_and_another_command_may_not_use_it(store: Store) -> None:
    assert store.intents.begin(NEW) is None
    again = store.intents.begin(NEW)
    assert again is not None
    assert again.state is IntentState.SENDING
    with pytest.raises(OpKeyReused):
        store.intents.begin(replace(NEW, payload="{}"))


def test_of_twenty_at_once_one_may_send_both_when_it_is_new_and_when_it_was_unsent(store: Store) -> None:
    begun = at_once(20, lambda _: store.intents.begin(NEW))
    assert begun.count(None) == 1
    assert store.intents.move("k1", OPEN_STATES, change(IntentState.UNSENT, why="refused"))
    later = replace(NEW, at=LATER)
    begun = at_once(20, lambda _: store.intents.begin(later))
    assert begun.count(None) == 1
    kept = store.intents.get("k1")
    assert kept is not None
    assert (kept.created_at, kept.sent_at, kept.state) == (NOW, LATER, "sending")


def test_an_unsent_op_key_is_not_given_to_another_command(store: Store) -> None:
    store.intents.begin(NEW)
    store.intents.move("k1", OPEN_STATES, change(IntentState.UNSENT))
    with pytest.raises(OpKeyReused):
        store.intents.begin(replace(NEW, payload="{}"))


def test_a_move_from_a_state_it_is_not_in_changes_nothing(store: Store) -> None:
    store.intents.begin(NEW)
    assert store.intents.move("k1", OPEN_STATES, change(IntentState.DONE, answer='{"a":1}', why=""))
    for state in IntentState:
        assert not store.intents.move("k1", OPEN_STATES, change(state, answer="{}"))
    kept = store.intents.get("k1")
    assert kept is not None
    assert (kept.state, kept.answer, kept.settled_at, kept.next_try) == ("done", '{"a":1}', LATER, None)
    assert not store.intents.move("nobody", OPEN_STATES, change(IntentState.DONE))


def test_a_move_leaves_what_it_does_not_name(store: Store) -> None:
    unknown(store)
    store.intents.move("k1", OPEN_STATES, change(IntentState.UNKNOWN, first_not_done=NOW, silent_at=LATER, tries=3))
    store.intents.move("k1", OPEN_STATES, change(IntentState.UNKNOWN, tries=4))
    kept = store.intents.get("k1")
    assert kept is not None
    assert (kept.first_not_done, kept.silent_at, kept.tries, kept.why) == (NOW, LATER, 4, "no_answer")
    assert kept.next_try == NOW


def test_what_is_due_is_claimed_by_one_oldest_first_and_again_when_the_lease_is_over(store: Store) -> None:
    unknown(store, "b", NOW)
    unknown(store, "a", NOW - timedelta(seconds=1))
    unknown(store, "c", LATER)
    until = NOW + timedelta(seconds=60)
    claimed = [one and one.op_key for one in (store.intents.claim("me", NOW, until) for _ in range(3))]
    assert claimed == ["a", "b", None]
    assert store.intents.claim("other", until - timedelta(seconds=1), until) is None
    after = store.intents.claim("other", until + timedelta(seconds=1), until + timedelta(seconds=60))
    assert after is not None
    assert after.op_key == "a"


def test_twenty_resolvers_claim_each_of_ten_once(store: Store) -> None:
    for number in range(10):
        unknown(store, f"k{number}")
    found = at_once(20, lambda n: store.intents.claim(f"r{n}", NOW, LATER))
    keys = [one.op_key for one in found if one is not None]  # type: ignore[attr-defined]
    assert sorted(keys) == sorted(set(keys))
    rest = [store.intents.claim("last", NOW, LATER) for _ in range(11)]
    assert sorted([*keys, *(one.op_key for one in rest if one is not None)]) == [f"k{n}" for n in range(10)]


def test_a_sending_one_is_due_only_when_its_process_must_be_dead(store: Store) -> None:
    store.intents.begin(NEW)
    assert store.intents.claim("me", NOW + timedelta(seconds=19), LATER) is None
    claimed = store.intents.claim("me", NOW + timedelta(seconds=20), LATER)
    assert claimed is not None
    assert claimed.state is IntentState.SENDING


def test_only_the_holder_of_the_lease_sends_again(store: Store) -> None:
    unknown(store)
    store.intents.claim("me", NOW, LATER)
    assert not store.intents.send_again("k1", "other", NOW, LATER)
    assert store.intents.send_again("k1", "me", NOW, LATER)
    assert not store.intents.send_again("k1", "me", NOW, LATER), "it is being sent"


def test_hurry_makes_what_is_unknown_due_and_leaves_what_may_be_in_flight(store: Store) -> None:
    store.intents.begin(replace(NEW, op_key="sending"))
    for key in ("u1", "u2"):
        unknown(store, key, LATER)
    assert store.intents.hurry(NOW) == 2
    assert {one.op_key for one in (store.intents.claim("me", NOW, LATER) for _ in range(2)) if one} == {"u1", "u2"}
    assert store.intents.claim("me", NOW, LATER) is None
    kept = store.intents.get("u1")
    assert kept is not None
    assert kept.silent_at == NOW, "what it was sent may have been waiting until now"


def test_a_person_decides_once_and_it_is_written_down(store: Store) -> None:
    decision = Decision(True, "H77", "李工", f"found it, {CANARY}", LATER)
    assert store.intents.decide("k1", decision) is None
    store.intents.begin(NEW)
    assert store.intents.decide("k1", decision) is None, "it is being sent"
    store.intents.move("k1", OPEN_STATES, change(IntentState.MANUAL, next_try=LATER))
    kept = store.intents.decide("k1", decision)
    assert kept is not None
    assert (kept.state, kept.his_txn_no, kept.decided_by, kept.decided_why) == (
        "done_by_hand", "H77", "李工", f"found it, {CANARY}",
    )  # fmt: skip
    assert store.intents.decide("k1", replace(decision, done=False)) is None
    lines = store.his_calls.latest(5, "k1")
    assert [(one.outcome, one.code, one.actor) for one in lines] == [("decided", "done_by_hand", "李工")]


def test_the_list_and_the_counts_show_what_is_not_final(store: Store) -> None:
    for number, state in enumerate(IntentState):
        key = f"k{number}"
        store.intents.begin(replace(NEW, op_key=key, at=NOW + timedelta(seconds=number)))
        if state is not IntentState.SENDING:
            store.intents.move(key, OPEN_STATES, change(state))
    assert store.intents.counts() == {state: 1 for state in IntentState if state not in FINAL_STATES}
    listed = store.intents.listed(FINAL_STATES, 10)
    assert [one.state for one in listed] == [state for state in IntentState if state in FINAL_STATES]
    assert len(store.intents.listed(FINAL_STATES, 2)) == 2


def test_what_is_kept_of_a_write_is_sealed(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'h.db'}", VAULT)
    store.intents.begin(NEW)
    store.intents.move("k1", OPEN_STATES, change(IntentState.DONE, answer=NEW.payload, refusal=NEW.payload))
    store.his_calls.add([CALL])
    assert CANARY not in repr(store.intents.get("k1"))
    store.close()
    assert not [one for one in tmp_path.iterdir() if CANARY.encode() in one.read_bytes()]


def test_a_database_that_fails_says_so_in_one_way(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'h.db'}", VAULT)
    with store.durable.write() as database:
        database.execute_sql("DROP TABLE his_intent")
        database.execute_sql("DROP TABLE his_call")
    for run in (
        lambda: store.intents.begin(NEW),
        lambda: store.intents.move("k1", OPEN_STATES, change(IntentState.DONE)),
        lambda: store.intents.claim("me", NOW, LATER),
        lambda: store.his_calls.add([CALL]),
    ):
        with pytest.raises(NotStored):
            run()
    store.close()


# ------------------------------------------------------------------ the log of calls


def test_calls_are_appended_and_their_bodies_are_kept_as_a_keyed_hash(store: Store) -> None:
    store.his_calls.add([CALL, replace(CALL, op_key="", resolving=True)])
    store.his_calls.add([])
    newest, first = store.his_calls.latest(10)
    assert (newest.resolving, first.resolving) == (True, False)
    assert first.body == newest.body == VAULT.index("his_body", CANARY)
    assert replace(first, body=CANARY) == CALL
    assert store.his_calls.latest(10, "k1") == [first]


REFUSED = (peewee.IntegrityError, sqlite3.IntegrityError)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE his_call SET outcome = 'ok'",
        "DELETE FROM his_call",
        "INSERT OR REPLACE INTO his_call SELECT * FROM his_call",
        "TRUNCATE his_call",
    ],
)
def test_nobody_changes_or_takes_away_a_line_of_the_log(store: Store, statement: str) -> None:
    if store.durable.sqlite == statement.startswith("TRUNCATE") or (
        not store.durable.sqlite and "REPLACE" in statement
    ):
        pytest.skip("not a statement of this engine")
    store.his_calls.add([replace(CALL, at=datetime.now(UTC))])
    before = store.his_calls.latest(10)
    with pytest.raises(REFUSED), store.durable.write() as database:
        database.execute_sql(statement)
    assert store.his_calls.latest(10) == before


def test_the_same_statement_does_change_a_table_without_the_triggers(store: Store) -> None:
    """Control: it is the triggers that refuse."""
    store.his_calls.add([replace(CALL, at=datetime.now(UTC))])
    with store.durable.write() as database:
        database.execute_sql("CREATE TABLE copy AS SELECT * FROM his_call")
        database.execute_sql("UPDATE copy SET outcome = 'gone'")
        assert database.execute_sql("SELECT outcome FROM copy").fetchall() == [("gone",)]


def test_old_lines_are_pruned_and_never_those_of_the_last_thirty_days(store: Store) -> None:
    now = datetime.now(UTC)
    days = (400, 200, 31, 29, 0)
    store.his_calls.add([replace(CALL, at=now - timedelta(days=n), op_key=f"d{n}") for n in days])
    assert store.his_calls.prune(now - timedelta(days=180)) == 2
    assert store.his_calls.prune(now) == 1
    assert [one.op_key for one in store.his_calls.latest(10)] == ["d0", "d29"]
    assert ms(store.his_calls.latest(1)[0].at) == ms(now)
