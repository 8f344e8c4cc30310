"""A write is kept before it is sent, sent once, and what became of it is found out by asking."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import SHANGHAI, SetClock
from core.privacy import Vault
from his.port import (
    BookingOrder,
    Command,
    Ctx,
    Done,
    NotDone,
    NotFound,
    Op,
    PayMethod,
    Rejected,
    RejectReason,
    Resolution,
    StillUnknown,
    TopUp,
    TopUpOrder,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from services.his_resolver import HisResolver
from services.his_writes import (
    HisWrites,
    NotBooked,
    SettledByHand,
    Step,
    WriteNeedsPerson,
    WriteOptions,
    WriteSettled,
)
from store.port_his import Change, Decision, Intent, IntentState, NotStored, OpKeyReused
from store.store import Store
from tests.support.books import answer_of

ORDER = TopUpOrder("k1", "P1", "60", 1000, PayMethod.WECHAT, "T1", datetime(2026, 11, 24, tzinfo=SHANGHAI))
BOOKING = BookingOrder("b1", "P1", "60", "S1", "7")
CREDITED = TopUp("H1", "P1", 1000)
CTX = Ctx(15.0, actor="portal")


class ScriptedHis:
    """The port as a script: what `do` and `resolve` give next; the last step is repeated."""

    capabilities = frozenset({Op.TOP_UP, Op.BOOK})

    def __init__(self) -> None:
        self.dedups: frozenset[Op] = frozenset()
        self.does: list[Any] = [CREDITED]
        self.says: list[Any] = [NotDone()]
        self.sent: list[tuple[Command[Any], Ctx]] = []
        self.asked: list[Command[Any]] = []

    def do(self, command: Command[Any], ctx: Ctx) -> Any:
        self.sent.append((command, ctx))
        return self._next(self.does, command)

    def resolve(self, command: Command[Any], _ctx: Ctx) -> Resolution[Any]:
        self.asked.append(command)
        found: Resolution[Any] = self._next(self.says, command)
        return found

    @staticmethod
    def _next(script: list[Any], command: Command[Any]) -> Any:
        step = script.pop(0) if len(script) > 1 else script[0]
        value = step(command) if callable(step) else step
        if isinstance(value, Exception):
            raise value
        return value


class Desk:
    """A scripted HIS, a real store, a clock that stands."""

    def __init__(self, folder: Path) -> None:
        self.his, self.clock, self.options = ScriptedHis(), SetClock(), WriteOptions()
        self.store = Store(f"sqlite:///{folder / 'h.db'}", Vault(b"k" * 32))
        self.told: list[object] = []
        self.writes = self.make_writes()
        self.resolver = self.make_resolver()

    def make_writes(self, step: Callable[[Step], None] = lambda _: None) -> HisWrites:
        return HisWrites(self.his, self.store.intents, self.clock, self.told.append, self.options, step)

    def make_resolver(self) -> HisResolver:
        return HisResolver(self.his, self.store.intents, self.clock, self.told.append, self.options)

    def intent(self, op_key: str = "k1") -> Intent:
        kept = self.store.intents.get(op_key)
        assert kept is not None
        return kept

    def unknown(self, command: Command[Any] = ORDER) -> None:
        """Send it and hear nothing."""
        self.his.does = [UnknownOutcome(command.op_key)]
        with pytest.raises(UnknownOutcome):
            self.writes.run(command, CTX)

    def pass_time(self, seconds: float) -> int:
        """Second by second, with a round each; how many writes came to an end."""
        ended = 0
        for _ in range(int(seconds)):
            self.clock.advance(1)
            ended += self.resolver.round()
        return ended


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


# ------------------------------------------------------------------ running a write


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


# ------------------------------------------------------------------ resolving


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
    desk.pass_time(61)
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
