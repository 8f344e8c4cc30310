"""What became of a write is found out by asking: when, how often, and what the answers are good for."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from his.port import (
    Command,
    Done,
    NotDone,
    Op,
    Rejected,
    StillUnknown,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from services.his_writes import (
    NotBooked,
    SettledByHand,
    Step,
    WriteNeedsPerson,
    WriteSettled,
)
from store.port_his import Decision, IntentState
from tests.support.books import answer_of
from tests.support.write_desk import BOOKING, CREDITED, CTX, ORDER, Desk, desk

__all__ = ["desk"]


def test_the_his_is_asked_after_2_5_15_60_seconds_and_then_every_five_minutes(desk: Desk) -> None:
    desk.unknown()
    desk.his.says = [StillUnknown("his_exception")]
    asked_at = []
    for second in range(1, 1000):
        before = len(desk.his.asked)
        desk.pass_time(1)
        if len(desk.his.asked) > before:
            asked_at.append(second)
    assert asked_at == [2, 5, 15, 60, 360, 660, 960]


def test_what_the_his_has_is_done_and_its_answer_is_the_one_given(desk: Desk) -> None:
    desk.unknown()
    desk.his.says = [Done(CREDITED)]
    assert desk.pass_time(2) == 1
    assert desk.writes.run(ORDER, CTX) == CREDITED
    assert desk.told == [WriteSettled("k1", "top_up", IntentState.DONE, "P1")]
    assert desk.his.asked == [ORDER]


def test_one_not_done_settles_nothing_and_a_write_that_lands_late_is_done(desk: Desk) -> None:
    desk.unknown(BOOKING)
    desk.his.says = [NotDone()] * 4 + [Done(answer_of(BOOKING))]
    desk.pass_time(179)
    assert desk.intent("b1").state is IntentState.UNKNOWN
    assert len(desk.his.asked) == 4
    assert desk.pass_time(2) == 1
    assert desk.intent("b1").state is IntentState.DONE
    assert len(desk.his.sent) == 1


def test_not_done_counts_when_heard_twice_and_past_the_longest_processing_time(desk: Desk) -> None:
    desk.unknown(BOOKING)
    assert desk.pass_time(179) == 0
    assert desk.pass_time(2) == 1
    assert desk.intent("b1").state is IntentState.NOT_DONE
    assert desk.told == [WriteSettled("b1", "book", IntentState.NOT_DONE, "P1")]
    with pytest.raises(NotBooked):
        desk.writes.run(BOOKING, CTX)
    assert len(desk.his.sent) == 1


def test_a_first_not_done_long_after_the_write_must_be_confirmed_a_minute_later(desk: Desk) -> None:
    desk.options = replace(desk.options, longest_processing_s=1.0)
    desk.resolver = desk.make_resolver()
    desk.unknown(BOOKING)
    assert desk.pass_time(60) == 0
    assert desk.pass_time(4) == 1


def test_a_clock_that_jumps_an_hour_confirms_nothing(desk: Desk) -> None:
    desk.unknown(BOOKING)
    desk.pass_time(2)
    desk.clock.at += timedelta(hours=1)
    desk.resolver.round()
    assert desk.intent("b1").state is IntentState.UNKNOWN
    desk.pass_time(170)  # 172 s have passed, whatever the clock says: within 180 it may still land
    assert desk.intent("b1").state is IntentState.UNKNOWN
    desk.pass_time(361)  # its next turn by the schedule
    assert desk.intent("b1").state is IntentState.NOT_DONE


def test_a_his_that_was_silent_may_have_had_the_write_in_its_queue_until_then(desk: Desk) -> None:
    """Frozen for ten minutes, then back: what it was sent may be booked up to 180 s after that."""
    desk.unknown(BOOKING)
    desk.his.says = [StillUnknown("timeout")]
    desk.pass_time(600)
    back = desk.clock.now()
    silent = desk.intent("b1").silent_at
    assert silent is not None
    desk.his.says = [NotDone()]
    desk.resolver.hurry()
    while desk.intent("b1").state is IntentState.UNKNOWN:
        desk.pass_time(1)
    assert desk.clock.now() >= max(silent + timedelta(seconds=180), back + timedelta(seconds=60))


def test_a_his_that_keeps_each_op_key_once_is_sent_the_same_command_again(desk: Desk) -> None:
    desk.his.dedups = frozenset({Op.TOP_UP})
    desk.unknown()
    desk.his.does = [CREDITED]
    assert desk.pass_time(181) == 1
    assert [command for command, _ in desk.his.sent] == [ORDER, ORDER]
    assert desk.intent().state is IntentState.DONE


def test_a_second_sending_that_is_not_sent_leaves_it_unknown_and_one_that_is_refused_ends_it(desk: Desk) -> None:
    desk.his.dedups = frozenset({Op.TOP_UP})
    desk.unknown()
    desk.his.does = [Unavailable("breaker_open"), UnknownOutcome("k1"), Rejected("9")]
    desk.pass_time(181)
    assert (desk.intent().state, desk.intent().why) == (IntentState.UNKNOWN, "breaker_open")
    desk.pass_time(200)
    assert (desk.intent().state, desk.intent().why) == (IntentState.UNKNOWN, "not_found_yet")
    assert len(desk.his.sent) == 3
    desk.pass_time(400)
    assert desk.intent().state is IntentState.REJECTED
    assert len(desk.his.sent) == 4


def test_money_that_is_not_found_goes_to_a_person_and_a_late_landing_takes_it_back(desk: Desk) -> None:
    desk.unknown()
    desk.pass_time(181)
    assert (desk.intent().state, desk.intent().why) == (IntentState.MANUAL, "not_found")
    assert desk.told == [WriteNeedsPerson("k1", "top_up", "P1", "not_found")]
    with pytest.raises(UnknownOutcome):
        desk.writes.run(ORDER, CTX)
    desk.pass_time(3600)
    assert desk.intent().state is IntentState.MANUAL
    assert len(desk.his.sent) == 1
    desk.his.says = [Done(CREDITED)]
    assert desk.pass_time(300) == 1
    assert desk.intent().state is IntentState.DONE


@pytest.mark.parametrize("command", [ORDER, BOOKING])
def test_a_his_that_cannot_be_asked_leaves_it_to_a_person(desk: Desk, command: Command[Any]) -> None:
    desk.unknown(command)
    desk.his.says = [Unsupported("x")]
    desk.pass_time(2)
    assert (desk.intent(command.op_key).state, desk.intent(command.op_key).why) == ("manual", "cannot_be_asked")
    desk.pass_time(1000)
    assert len(desk.his.asked) == 4, "every five minutes, in case it can be asked by then"


def test_what_a_person_decided_is_never_sent_and_never_asked_about(desk: Desk) -> None:
    desk.unknown()
    desk.pass_time(181)
    found = Decision(True, "H99", "李工", "HIS 里查到", desk.clock.now())
    assert desk.store.intents.decide("k1", found) is not None
    with pytest.raises(SettledByHand) as caught:
        desk.writes.run(ORDER, CTX)
    assert caught.value.his_txn_no == "H99"
    before = len(desk.his.asked)
    desk.pass_time(1000)
    assert (len(desk.his.sent), len(desk.his.asked)) == (1, before)


def test_a_write_whose_process_died_is_asked_about_after_its_deadline_and_the_margin(desk: Desk) -> None:
    class Died(Exception):
        pass

    def die(step: Step) -> None:
        if step is Step.KEPT:
            raise Died

    with pytest.raises(Died):
        desk.make_writes(die).run(ORDER, CTX)
    desk.his.says = [Done(CREDITED)]
    assert desk.pass_time(24) == 0
    assert desk.his.asked == []
    assert desk.pass_time(1) == 1


def test_hurry_asks_about_everything_now_and_starts_the_schedule_anew(desk: Desk) -> None:
    for n in range(5):
        desk.unknown(replace(ORDER, op_key=f"k{n}"))
    desk.his.says = [StillUnknown("timeout")]
    desk.pass_time(200)
    before = len(desk.his.asked)
    assert desk.resolver.hurry() == 5
    desk.resolver.round()
    assert len(desk.his.asked) == before + 5
    desk.pass_time(5)
    assert len(desk.his.asked) > before + 5
    desk.his.says = [Done(CREDITED)]
    desk.resolver.hurry()
    assert desk.resolver.round() == 5


def test_a_breaker_that_is_open_costs_one_look_and_no_tries(desk: Desk) -> None:
    for n in range(5):
        desk.unknown(replace(ORDER, op_key=f"k{n}"))
    desk.his.says = [StillUnknown("breaker_open")]
    desk.clock.advance(2)
    desk.resolver.round()
    assert len(desk.his.asked) == 1
    assert {desk.intent(f"k{n}").tries for n in range(5)} == {0}


def test_an_intent_that_nobody_can_read_does_not_hold_up_the_others(desk: Desk) -> None:
    for n in range(2):
        desk.unknown(replace(ORDER, op_key=f"k{n}"))
    with desk.store.durable.write() as database:
        database.execute_sql("UPDATE his_intent SET op = 'book' WHERE op_key = 'k0'")
    desk.his.says = [Done(CREDITED)]
    desk.pass_time(3)
    assert (desk.intent("k0").state, desk.intent("k0").why) == ("manual", "unreadable")
    assert desk.intent("k1").state is IntentState.DONE


def test_a_damaged_intent_does_not_hold_up_the_others_either(desk: Desk) -> None:
    """One whose seal does not open is claimed first, each time: it must not end the round."""
    for key in ("k0", "k1"):
        desk.unknown(replace(ORDER, op_key=key))
    with desk.store.durable.write() as database:
        database.execute_sql("UPDATE his_intent SET payload_sealed = ? WHERE op_key = 'k0'", (b"damaged" * 9,))
    desk.his.says = [Done(CREDITED)]
    assert desk.pass_time(3) == 1
    assert (desk.intent("k0").state, desk.intent("k0").why) == ("manual", "unreadable")
    assert desk.intent("k1").state == "done"
    assert [one.op_key for one in desk.store.intents.listed({IntentState.MANUAL}, 9)] == ["k0"]


def test_two_resolvers_at_once_send_again_once(desk: Desk) -> None:
    desk.his.dedups = frozenset({Op.TOP_UP})
    for n in range(10):
        desk.unknown(replace(ORDER, op_key=f"k{n}"))
    desk.his.does = [CREDITED]
    others = [desk.make_resolver() for _ in range(4)]
    for _ in range(12):  # each must hear "not done" itself, a minute apart
        desk.clock.advance(310)
        threads = [threading.Thread(target=one.round) for one in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {desk.intent(f"k{n}").state for n in range(10)} == {IntentState.DONE}
    again = [command.op_key for command, _ in desk.his.sent[10:]]
    assert sorted(again) == sorted(set(again))


def test_a_resolver_that_died_while_it_sent_again_leaves_what_the_next_one_asks_about(desk: Desk) -> None:
    class Died(Exception):
        pass

    desk.his.dedups = frozenset({Op.TOP_UP})
    desk.unknown()
    desk.his.does = [Died(), CREDITED]
    with pytest.raises(Died):
        desk.pass_time(200)
    assert desk.intent().state is IntentState.SENDING
    desk.resolver = desk.make_resolver()
    asked = len(desk.his.asked)
    desk.pass_time(24)
    assert len(desk.his.asked) == asked, "it may still be sending"
    desk.pass_time(60)
    assert len(desk.his.asked) > asked
    assert len(desk.his.sent) == 2, "not found once: nothing follows from it"
    desk.pass_time(300)
    assert (desk.intent().state, len(desk.his.sent)) == (IntentState.DONE, 3)
