"""A write is kept before it is sent, and sent once, whoever runs it however often."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from his.port import (
    Ctx,
    Done,
    NotFound,
    Op,
    Rejected,
    RejectReason,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from services.his_writes import (
    HisWrites,
    Step,
    WriteSettled,
)
from store.port_his import Change, IntentState, NotStored, OpKeyReused
from tests.support.books import answer_of
from tests.support.write_desk import BOOKING, CREDITED, CTX, ORDER, Desk, desk

__all__ = ["desk"]


def test_the_intent_is_on_the_disk_before_anything_is_sent(desk: Desk) -> None:
    seen: list[IntentState] = []
    desk.his.does = [lambda _: (seen.append(desk.intent().state), CREDITED)[1]]
    assert desk.writes.run(ORDER, CTX) == CREDITED
    assert seen == [IntentState.SENDING]
    assert (desk.intent().state, desk.intent().actor, desk.intent().patient_id) == ("done", "portal", "P1")
    assert desk.told == [WriteSettled("k1", "top_up", IntentState.DONE, "P1")]


def test_an_op_key_that_is_done_gives_its_answer_again_without_sending(desk: Desk) -> None:
    assert desk.writes.run(ORDER, CTX) == desk.writes.run(replace(ORDER), CTX) == CREDITED
    assert len(desk.his.sent) == 1


@pytest.mark.parametrize("refusal", [Rejected("17", "余额不足", RejectReason.BALANCE_SHORT, 300), NotFound()])
def test_a_refusal_is_final_and_the_same_the_second_time(desk: Desk, refusal: Exception) -> None:
    desk.his.does = [refusal, CREDITED]
    for _ in range(2):
        with pytest.raises(type(refusal)) as caught:
            desk.writes.run(ORDER, CTX)
        assert vars(caught.value) == vars(refusal)
    assert len(desk.his.sent) == 1
    assert desk.intent().state is IntentState.REJECTED
    assert [type(one) for one in desk.told] == [WriteSettled]


def test_what_was_not_sent_may_be_run_again_under_the_same_op_key(desk: Desk) -> None:
    desk.his.does = [Unavailable("refused"), CREDITED]
    with pytest.raises(Unavailable, match="refused"):
        desk.writes.run(ORDER, CTX)
    assert desk.intent().state is IntentState.UNSENT
    assert desk.told == []
    assert desk.pass_time(400) == 0
    assert desk.writes.run(ORDER, CTX) == CREDITED


def test_what_is_unknown_is_never_sent_by_running_it_again(desk: Desk) -> None:
    desk.unknown()
    for _ in range(3):
        with pytest.raises(UnknownOutcome):
            desk.writes.run(ORDER, CTX)
    assert len(desk.his.sent) == 1


def test_an_op_key_belongs_to_one_command(desk: Desk) -> None:
    desk.writes.run(ORDER, CTX)
    for other in (replace(ORDER, amount_fen=1001), replace(BOOKING, op_key="k1")):
        with pytest.raises(OpKeyReused):
            desk.writes.run(other, CTX)
    assert len(desk.his.sent) == 1


def test_twenty_threads_with_one_op_key_send_once(desk: Desk) -> None:
    gate, results = threading.Barrier(20), []

    def run() -> None:
        gate.wait()
        try:
            results.append(desk.writes.run(ORDER, CTX))
        except UnknownOutcome:
            results.append(None)

    threads = [threading.Thread(target=run) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.his.sent) == 1
    assert set(results) <= {CREDITED, None}
    assert CREDITED in results


def test_without_the_intent_twenty_threads_send_twenty_times(desk: Desk) -> None:
    """Control: asking the HIS directly."""
    threads = [threading.Thread(target=lambda: desk.his.do(ORDER, CTX)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desk.his.sent) == 20


def test_what_the_his_cannot_do_and_a_bad_op_key_are_refused_before_anything_is_kept(desk: Desk) -> None:
    desk.his.capabilities = frozenset({Op.BOOK})  # type: ignore[misc]
    with pytest.raises(Unsupported):
        desk.writes.run(ORDER, CTX)
    for op_key in ("", "k" * 33):
        with pytest.raises(ValueError):
            desk.writes.run(replace(BOOKING, op_key=op_key), CTX)
    assert desk.store.intents.counts() == {}


def test_the_commit_of_the_intent_is_taken_off_the_deadline(desk: Desk) -> None:
    writes = desk.make_writes(lambda step: desk.clock.advance(4) if step is Step.KEPT else None)
    writes.run(ORDER, Ctx(9.0))
    assert desk.his.sent[0][1].deadline_s == 5.0


def test_a_process_that_stood_still_past_the_deadline_does_not_send_any_more(desk: Desk) -> None:
    writes = desk.make_writes(lambda step: desk.clock.advance(60) if step is Step.KEPT else None)
    with pytest.raises(Unavailable, match="late"):
        writes.run(ORDER, CTX)
    assert desk.his.sent == []
    assert desk.intent().state is IntentState.UNSENT


def test_a_database_that_fails_first_sends_nothing_and_one_that_fails_later_makes_it_unknown(desk: Desk) -> None:
    intents = desk.store.intents

    class Failing:
        def begin(self, _new: object) -> None:
            raise NotStored("disk full")

        def move(self, *_: object) -> bool:
            raise NotStored("disk full")

    with pytest.raises(Unavailable, match="database"):
        HisWrites(desk.his, Failing(), desk.clock, desk.told.append, desk.options).run(ORDER, CTX)  # type: ignore[arg-type]
    assert desk.his.sent == []
    later = Failing()
    later.begin = intents.begin  # type: ignore[method-assign,assignment]
    with pytest.raises(UnknownOutcome):
        HisWrites(desk.his, later, desk.clock, desk.told.append, desk.options).run(ORDER, CTX)  # type: ignore[arg-type]
    desk.his.says = [Done(CREDITED)]
    assert desk.pass_time(30) == 1
    assert desk.writes.run(ORDER, CTX) == CREDITED


def test_an_answer_that_comes_after_the_resolver_gave_up_still_counts(desk: Desk) -> None:
    """The process stood still while it was sending: asking concluded "not done", then the answer is read."""

    def conclude(_: object) -> Any:
        assert desk.store.intents.move("b1", {IntentState.SENDING}, Change(IntentState.NOT_DONE, desk.clock.now()))
        return answer_of(BOOKING)

    desk.his.does = [conclude]
    assert desk.writes.run(BOOKING, CTX) == answer_of(BOOKING)
    assert desk.intent("b1").state is IntentState.DONE


def test_a_late_no_answer_does_not_undo_what_the_resolver_found(desk: Desk) -> None:
    def found(_: object) -> Any:
        done = Change(
            IntentState.DONE, desk.clock.now(), answer='{"his_txn_no":"H1","patient_id":"P1","amount_fen":1000}'
        )
        assert desk.store.intents.move("k1", {IntentState.SENDING}, done)
        return UnknownOutcome("k1")

    desk.his.does = [found]
    assert desk.writes.run(ORDER, CTX) == CREDITED
