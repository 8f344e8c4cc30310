"""Fifty writes into a HIS that stands still: each is unknown in time, and each is there once when it goes on."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import Ctx, Done, HisError, Lane, Op, UnknownOutcome
from his.rest import RestAdapter, RestOptions
from tests.contracts.subject import Subject
from tests.contracts.subject_rest import subject_of
from tests.support.sims import HisSim, start_his

WRITES = 50
DEADLINE = 2.0
CTX = Ctx(deadline_s=DEADLINE, lane=Lane.SCAN)


@pytest.fixture
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subject, HisSim]]:
    """A gateway through which fifty calls go at once, and whose breaker stays shut."""
    sim = start_his(tmp_path_factory.mktemp("frozen"))
    options = {"base_url": sim.url, "token": sim.token, "pool_size": WRITES + 4}
    guard = GuardOptions(lanes=dict.fromkeys(Lane, WRITES + 4), fail_max=1000)
    his = Gateway(RestAdapter(RestOptions.model_validate(options)), guard)
    yield subject_of("rest", sim, his), sim
    his.close()
    os.kill(sim.proc.pid, signal.SIGCONT)
    sim.stop()


def an_order(subject: Subject) -> object:
    return subject.order(Op.BOOK, subject.somebody(), subject.slot(Op.BOOK))


def frozen_writes(subject: Subject, sim: HisSim, orders: list[object], tries: int) -> list[tuple[str, float]]:
    """All orders at once while the HIS is stopped, each sent `tries` times; how each try ended and after how long."""
    ended: list[tuple[str, float]] = []

    def write(order: object) -> None:
        for _ in range(tries):
            started = time.monotonic()
            try:
                subject.his.do(order, CTX)
            except HisError as failure:
                ended.append((type(failure).__name__, time.monotonic() - started))

    os.kill(sim.proc.pid, signal.SIGSTOP)
    threads = [threading.Thread(target=write, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.kill(sim.proc.pid, signal.SIGCONT)
    return ended


def test_fifty_writes_into_a_frozen_his_are_unknown_in_time_and_there_once_afterwards(
    wide: tuple[Subject, HisSim],
) -> None:
    subject, sim = wide
    before, orders = subject.rows(Op.BOOK), [an_order(subject) for _ in range(WRITES)]
    ended = frozen_writes(subject, sim, orders, tries=1)
    assert [name for name, _ in ended] == [UnknownOutcome.__name__] * WRITES
    assert max(took for _, took in ended) < DEADLINE + 0.5
    until, left = time.monotonic() + 60, list(orders)
    while left and time.monotonic() < until:
        left = [order for order in left if not isinstance(subject.his.resolve(order, subject.ctx), Done)]
    assert left == []
    assert subject.rows(Op.BOOK) == before + WRITES


def test_whoever_sends_again_what_was_not_answered_doubles_it(wide: tuple[Subject, HisSim]) -> None:
    """The control: a HIS that keeps no op_keys, as most do, books a repeat into the next slot of that clinic."""
    subject, sim = wide
    sim.fault("none", dedup=False)
    before, orders = subject.rows(Op.BOOK), []
    for _ in range(10):
        orders.append(an_order(subject))
        for _ in range(5):
            subject.slot(Op.BOOK)  # leave room for the repeat
    frozen_writes(subject, sim, orders, tries=2)
    until = time.monotonic() + 20
    while subject.rows(Op.BOOK) < before + 20 and time.monotonic() < until:
        time.sleep(0.1)
    assert subject.rows(Op.BOOK) == before + 20
