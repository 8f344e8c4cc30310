"""A peer that stops without a word: the right error class, in time, for every adapter; and well again afterwards."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from his.gateway import Gateway
from his.port import (
    Ctx,
    Done,
    HealthQuery,
    HisError,
    NotDone,
    Op,
    PatientQuery,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from tests.contracts.subject import Subject

DEADLINE = 1.0
GRACE = 0.5


@pytest.fixture
def frozen(subject: Subject) -> Iterator[Subject]:
    """A subject whose peer can be stopped; it goes on, and its breakers are shut, when the test is over."""
    subject.has("freeze")
    yield subject
    subject.thaw()
    until = time.monotonic() + 30
    while not well(subject.his) and time.monotonic() < until:
        time.sleep(0.2)


def well(his: Gateway) -> bool:
    """Whether reads and writes pass again."""
    try:
        his.ask(HealthQuery(), Ctx(deadline_s=5))
    except HisError:
        return False
    return True


def test_a_frozen_peer_is_unavailable_for_reads_within_the_deadline(frozen: Subject) -> None:
    frozen.need(Op.QUERY_PATIENT)
    query = PatientQuery(patient_id=frozen.facts.patient.patient_id)
    frozen.his.ask(query, frozen.ctx)
    frozen.freeze()
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        frozen.his.ask(query, Ctx(deadline_s=DEADLINE))
    assert time.monotonic() - started < DEADLINE + GRACE
    assert caught.value.reason in {"timeout", "connect_timeout"}
    frozen.thaw()
    frozen.his.ask(query, frozen.ctx)


@pytest.mark.parametrize("op", [Op.REGISTER, Op.BOOK])
def test_a_frozen_peer_leaves_a_write_unknown_within_the_deadline_and_it_is_found_afterwards(
    frozen: Subject, op: Op
) -> None:
    frozen.need(op)
    order = frozen.order(op, frozen.somebody(), frozen.slot(op))
    (frozen.freeze_at_write or frozen.freeze)()
    started = time.monotonic()
    with pytest.raises(UnknownOutcome) as caught:
        frozen.his.do(order, Ctx(deadline_s=DEADLINE))
    assert time.monotonic() - started < DEADLINE + GRACE
    assert caught.value.op_key == order.op_key
    frozen.thaw()
    if op in frozen.his.dedups:
        assert isinstance(settled(frozen, order), Done)


def settled(subject: Subject, order: Any) -> Any:
    """What became of it once the peer has got round to it: frozen, not lost."""
    until = time.monotonic() + 30
    found: Any = NotDone()
    while not isinstance(found, Done) and time.monotonic() < until:
        time.sleep(0.1)
        try:
            found = subject.his.resolve(order, subject.ctx)
        except Unsupported:  # it cannot be asked, but it keeps op_keys: the same one again finds it or does it
            found = Done(subject.his.do(order, subject.ctx))
    return found
