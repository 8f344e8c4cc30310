"""Nothing ever done twice: a frozen HIS, kill -9 of ours at every step, writes that land late. Each with its control."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.ids import new_id
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import Ctx, HealthQuery, HisError, Lane, UnknownOutcome
from services.his_resolver import HisResolver
from services.his_writes import HisWrites, NotBooked, Step, WriteOptions
from store.port_his import ASKED_STATES, OPEN_STATES, Intent, IntentState
from store.store import Store
from tests.support.books import BooksAdapter, BooksHis, start_books
from tests.support.together import at_once
from tests.support.write_child import QUICK, VAULT, Child, command_of

WRITERS = 50
DEADLINE_S = 2.0


@pytest.fixture
def books(tmp_path: Path) -> Iterator[BooksHis]:
    running = start_books(tmp_path)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    warm = Child()
    yield warm
    warm.close()


class House:
    """Our side: store, gateway, writes and resolver, with the schedule given."""

    def __init__(self, folder: Path, books: BooksHis, options: WriteOptions, *, dedup: bool = True) -> None:
        self.url = f"sqlite:///{folder / 'hospital.db'}"
        self.store = Store(self.url, VAULT)
        lanes = {Lane.SCAN: 8, Lane.PAGE: 64, Lane.JOB: 2}
        self.his = Gateway(BooksAdapter(books.url, dedup=dedup), GuardOptions(lanes=lanes, probe_s=1.0))
        common = (self.his, self.store.intents, SystemClock(), lambda _: None, options)
        self.writes, self.resolver = HisWrites(*common), HisResolver(*common)

    def states(self) -> dict[str, IntentState]:
        return {one.op_key: one.state for one in self.store.intents.listed(set(IntentState), 1000)}

    def intents(self) -> list[Intent]:
        return self.store.intents.listed(set(IntentState), 1000)

    def resolve_all(self, within_s: float) -> float:
        """Run the resolver as the job does, and hurry it when the HIS is back; seconds until nothing is open."""
        began, online = time.monotonic(), True
        while any(state in OPEN_STATES for state in self.states().values()):
            assert time.monotonic() - began < within_s, self.states()
            was, online = online, self._answers()
            if online and not was:
                self.resolver.hurry()
            self.resolver.round()
            time.sleep(0.05)
        return time.monotonic() - began

    def _answers(self) -> bool:
        try:
            self.his.ask(HealthQuery(), Ctx(0.3, lane=Lane.JOB))
        except HisError:
            return False
        return True

    def close(self) -> None:
        self.his.close()
        self.store.close()


@pytest.fixture
def make_house(tmp_path: Path, books: BooksHis) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(options: WriteOptions = QUICK, *, dedup: bool = True) -> House:
        books.fault("none", dedup=dedup)
        made.append(House(tmp_path, books, options, dedup=dedup))
        return made[-1]

    yield make
    for house in made:
        house.close()


# ------------------------------------------------------------------ a HIS that stands still


@pytest.mark.parametrize("dedup", [True, False])
def test_fifty_writes_to_a_frozen_his_are_fifty_rows_and_all_known_within_a_minute(
    make_house: Callable[..., House], books: BooksHis, dedup: bool
) -> None:
    house = make_house(WriteOptions(ask_s=1.0, margin_s=1.0), dedup=dedup)
    took: list[float] = []

    def write(number: int) -> None:
        began = time.monotonic()
        with pytest.raises(UnknownOutcome):
            house.writes.run(command_of("top_up", f"k{number}", f"P{number}"), Ctx(DEADLINE_S))
        took.append(time.monotonic() - began)

    books.freeze()
    try:
        at_once(WRITERS, write)
        house.resolver.round()
        assert set(house.states().values()) == {IntentState.UNKNOWN}
    finally:
        books.thaw()
    assert len(took) == WRITERS
    assert max(took) < DEADLINE_S + 0.5, max(took)
    resolved = house.resolve_all(within_s=60)
    assert sorted(books.rows()) == sorted(f"k{n}" for n in range(WRITERS))
    assert set(house.states().values()) == {IntentState.DONE}
    print(f"slowest {max(took):.3f} s of {DEADLINE_S} s, all resolved in {resolved:.2f} s")


def test_a_caller_that_tries_again_after_a_timeout_doubles(make_house: Callable[..., House], books: BooksHis) -> None:
    """Control: what most do: no intent, one retry under a new key."""
    house = make_house()

    def write(number: int) -> None:
        for _ in range(2):
            try:
                house.his.do(command_of("top_up", new_id(), f"P{number}"), Ctx(0.5))
            except HisError:
                continue
            return

    books.freeze()
    try:
        at_once(WRITERS, write)
    finally:
        books.thaw()
    time.sleep(1)
    assert max(len(books.rows(f"P{n}")) for n in range(WRITERS)) == 2


# ------------------------------------------------------------------ kill -9 of ours

SENT = "sent"
STEPS = [Step.BEGINNING, Step.KEPT, SENT, Step.ANSWERED, Step.SETTLED]


def kill(child: Child, house: House, books: BooksHis, job: dict[str, Any]) -> None:
    """One write of a process of ours, killed at `job["step"]`; SENT: the HIS has booked it, the answer never comes."""
    job = {"store": house.url, "his": books.url, "how": "intent", **job}
    if job["step"] != SENT:
        assert child.run(job) == -signal.SIGKILL
        return
    books.fault("commit_then_hang", dedup=job["dedup"])

    def kill_when_booked(pid: int) -> None:
        until = time.monotonic() + 10
        while job["op_key"] not in books.rows():
            assert time.monotonic() < until
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)

    assert child.run(job, kill_when_booked) == -signal.SIGKILL
    books.fault("none", dedup=job["dedup"])


@pytest.mark.parametrize("dedup", [True, False], ids=["dedup", "no dedup"])
@pytest.mark.parametrize("op", ["top_up", "book"])
def test_twenty_kills_at_each_step_double_nothing_and_lose_no_intent(
    make_house: Callable[..., House], books: BooksHis, child: Child, op: str, dedup: bool
) -> None:
    house = make_house(dedup=dedup)
    keys = {step: [f"{step}-{n}" for n in range(20)] for step in STEPS}
    for step, names in keys.items():
        for key in names:
            kill(child, house, books, {"dedup": dedup, "step": step, "op": op, "op_key": key, "patient": key})
    house.resolve_all(within_s=60)
    rows, states = books.rows(), house.states()
    assert len(rows) == len(set(rows)), "doubled"
    for key in keys[Step.BEGINNING]:
        assert key not in states
        assert key not in rows, "nothing was kept, so nothing may have been sent"
    for key, state in states.items():
        assert (key in rows) == (state is IntentState.DONE), (key, state)
    for step in (SENT, Step.ANSWERED, Step.SETTLED):
        assert {states[key] for key in keys[step]} == {IntentState.DONE}
    # kept and never sent: sent again where that is safe, else a person's for money, else not done
    end = IntentState.DONE if dedup else IntentState.MANUAL if op == "top_up" else IntentState.NOT_DONE
    assert {states[key] for key in keys[Step.KEPT]} == {end}
    for key in keys[Step.SETTLED]:
        assert house.writes.run(command_of(op, key, key), Ctx(1.0)), "its answer was kept"
    assert len(books.rows()) == len(rows)


def test_calling_first_and_noting_afterwards_doubles_what_was_killed_between(
    make_house: Callable[..., House], books: BooksHis, child: Child
) -> None:
    """Control: nothing says that it was done, so it is done again after the restart."""
    house = make_house()
    for n in range(20):
        job = {"store": house.url, "his": books.url, "dedup": True, "op": "top_up", "patient": f"P{n}", "how": "naive"}
        assert child.run({**job, "op_key": f"first{n}", "step": Step.ANSWERED}) == -signal.SIGKILL
        assert child.run({**job, "op_key": f"again{n}", "step": ""}) == 0
    assert [len(books.rows(f"P{n}")) for n in range(20)] == [2] * 20


# ------------------------------------------------------------------ writes that land late


@pytest.mark.parametrize("dedup", [True, False], ids=["dedup", "no dedup"])
@pytest.mark.parametrize("op", ["top_up", "book"])
def test_a_write_that_lands_late_is_one_row_and_done(
    make_house: Callable[..., House], books: BooksHis, op: str, dedup: bool
) -> None:
    """Asked first, the HIS has no trace of it; then, within its longest processing time, it books it."""
    house = make_house(replace(QUICK, longest_processing_s=2.5), dedup=dedup)
    books.fault("late", 1600, dedup=dedup)

    def write(number: int) -> None:
        with pytest.raises(UnknownOutcome):
            house.writes.run(command_of(op, f"k{number}", f"P{number}"), Ctx(0.4))

    at_once(5, write)
    books.fault("none", dedup=dedup)
    house.resolve_all(within_s=30)
    assert set(house.states().values()) == {IntentState.DONE}
    assert sorted(books.rows()) == [f"k{n}" for n in range(5)]
    assert all(one.first_not_done for one in house.intents()), "the HIS did say that it had no such thing"


def test_believing_the_first_not_found_doubles_what_lands_late(
    make_house: Callable[..., House], books: BooksHis
) -> None:
    """Control: no waiting, no second question; told "not booked", the caller starts anew."""
    hasty = WriteOptions(
        deadline_s=1.5, longest_processing_s=0.0, asks_after_s=(0.05,), then_every_s=0.05, confirm_s=0.0, margin_s=0.3
    )
    house = make_house(hasty, dedup=False)
    books.fault("late", 1500, dedup=False)
    order = command_of("book", "k1", "P1")
    with pytest.raises(UnknownOutcome):
        house.writes.run(order, Ctx(0.3))
    books.fault("none", dedup=False)
    house.resolve_all(within_s=10)
    with pytest.raises(NotBooked):
        house.writes.run(order, Ctx(0.3))
    house.writes.run(command_of("book", "k2", "P1"), Ctx(1.0))
    time.sleep(1.6)
    assert sorted(books.rows("P1")) == ["k1", "k2"]


def test_money_that_lands_after_a_person_was_called_is_done_and_sent_once(
    make_house: Callable[..., House], books: BooksHis
) -> None:
    """A HIS later than it promised: on the human list first, off it by itself."""
    house = make_house(dedup=False)
    books.fault("late", 6000, dedup=False)
    with pytest.raises(UnknownOutcome):
        house.writes.run(command_of("top_up", "k1", "P1"), Ctx(0.4))
    books.fault("none", dedup=False)
    house.resolve_all(within_s=5)
    assert house.states() == {"k1": IntentState.MANUAL}
    until = time.monotonic() + 20
    while house.states()["k1"] in ASKED_STATES and time.monotonic() < until:
        house.resolver.round()
        time.sleep(0.05)
    assert house.states() == {"k1": IntentState.DONE}
    assert (books.rows(), books.sent()) == (["k1"], 1)


def test_what_was_booked_without_an_answer_is_done(make_house: Callable[..., House], books: BooksHis) -> None:
    for dedup in (True, False):
        house = make_house(dedup=dedup)
        for mode in ("commit_then_reset", "commit_then_hang"):
            books.fault(mode, dedup=dedup)
            with pytest.raises(UnknownOutcome):
                house.writes.run(command_of("top_up", f"{mode}-{dedup}", "P1"), Ctx(0.4))
        books.fault("none", dedup=dedup)
        house.resolve_all(within_s=20)
    assert set(house.states().values()) == {IntentState.DONE}
    assert len(books.rows()) == 4


def test_twenty_threads_and_two_processes_under_one_op_key_are_one_row(
    make_house: Callable[..., House], books: BooksHis, child: Child, tmp_path: Path
) -> None:
    house = make_house(dedup=False)
    other = House(tmp_path, books, QUICK, dedup=False)  # a second pair of connections, as a second process has

    def write(number: int) -> None:
        with contextlib.suppress(UnknownOutcome):
            (house, other)[number % 2].writes.run(command_of("top_up", "k1", "P1"), Ctx(2.0))

    at_once(20, write)
    job = {"store": house.url, "his": books.url, "dedup": False, "step": "", "op": "top_up", "op_key": "k1",
           "patient": "P1", "how": "intent"}  # fmt: skip
    assert child.run(job) == 0
    other.close()
    assert books.rows() == ["k1"]
    assert house.states() == {"k1": IntentState.DONE}
