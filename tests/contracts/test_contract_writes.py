"""What every adapter's writes must do: once, in the books, told apart when refused, and findable by their op_key."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.ids import new_id
from his import port
from his.port import Done, HisError, NotDone, NotFound, Op, PayMethod, Rejected, RejectReason, StillUnknown
from tests.contracts.subject import Person, Subject
from tests.support.together import at_once
from tests.support.typed import fits

THREADS = 20
both = pytest.mark.parametrize("op", [Op.REGISTER, Op.BOOK])
CANCEL = {Op.REGISTER: Op.CANCEL_REGISTRATION, Op.BOOK: Op.CANCEL_BOOKING}


def number_of(made: Any) -> str:
    return made.registration_no if isinstance(made, port.Registration) else made.appointment_no


def listed(subject: Subject, op: Op, who: Person) -> list[Any]:
    """What the peer lists of a person."""
    query: Any = port.RegistrationsQuery if op is Op.REGISTER else port.AppointmentsQuery
    return list(subject.his.ask(query(who.patient_id), subject.ctx).value)


def lists(op: Op) -> Op:
    return Op.LIST_REGISTRATIONS if op is Op.REGISTER else Op.LIST_APPOINTMENTS


def counted(subject: Subject, op: Op) -> int:
    return subject.rows(op) if subject.rows is not None else 0


def together(tasks: list[Callable[[], Any]]) -> list[Any]:
    """What each gave, value or refusal, all let loose together."""

    def run(number: int) -> Any:
        try:
            return tasks[number]()
        except HisError as exc:
            return exc

    return at_once(len(tasks), run)


def patient_retry(subject: Subject, order: Any) -> Any:
    """Once, and again while the house itself is too busy to send: that booked nothing."""
    for _ in range(200):
        try:
            return subject.his.do(order, replace(subject.ctx, lane=port.Lane.SCAN))
        except port.Unavailable as failure:
            if failure.reason != "busy":
                raise
    return subject.his.do(order, subject.ctx)


# ---------------------------------------------------------------- one slot


@both
def test_a_slot_that_was_taken_is_in_the_list_and_gone(subject: Subject, op: Op) -> None:
    subject.need(op)
    who, where = subject.somebody(), subject.slot(op)
    made = subject.his.do(subject.order(op, who, where), subject.ctx)
    assert fits(made, port.answer_type(port.BY_OP[op]))
    assert (made.patient_id, made.schedule_id) == (who.patient_id, where.schedule_id)
    assert made.state is port.RegistrationState.VALID
    if lists(op) in subject.his.capabilities:
        assert number_of(made) in [number_of(one) for one in listed(subject, op, who)]
    if Op.LIST_SLOTS in subject.his.capabilities:
        slots = subject.his.ask(port.SlotsQuery(where.schedule_id), subject.ctx).value
        assert [slot.left for slot in slots if slot.slot_id == where.slot_id] in ([], [0])
    with pytest.raises(Rejected) as refused:
        subject.his.do(subject.order(op, subject.somebody(), where), subject.ctx)
    assert refused.value.reason is RejectReason.SLOT_GONE


@both
def test_twenty_people_at_one_slot_are_one_done_and_nineteen_refused(subject: Subject, op: Op) -> None:
    subject.need(op)
    where, before = subject.slot(op), counted(subject, op)
    orders = [subject.order(op, subject.somebody(), where) for _ in range(THREADS)]
    out = together([lambda order=order: patient_retry(subject, order) for order in orders])
    done = [one for one in out if not isinstance(one, HisError)]
    refused = [one for one in out if isinstance(one, Rejected)]
    assert (len(done), len(refused)) == (1, THREADS - 1), [repr(one) for one in out if isinstance(one, HisError)]
    assert {one.reason for one in refused} == {RejectReason.SLOT_GONE}
    if subject.rows is not None:
        assert counted(subject, op) == before + 1


@both
def test_the_same_op_key_again_is_one_row_and_the_same_answer(subject: Subject, op: Op) -> None:
    subject.need(op)
    if op not in subject.his.dedups:
        pytest.skip(f"the HIS behind {subject.name} does not keep op_keys of {op}")
    before = counted(subject, op)
    order = subject.order(op, subject.somebody(), subject.slot(op))
    first = subject.his.do(order, subject.ctx)
    assert subject.his.do(order, subject.ctx) == first
    if subject.rows is not None:
        assert counted(subject, op) == before + 1


@both
def test_the_same_op_key_from_many_threads_is_one_row(subject: Subject, op: Op) -> None:
    subject.need(op)
    if op not in subject.his.dedups:
        pytest.skip(f"the HIS behind {subject.name} does not keep op_keys of {op}")
    before = counted(subject, op)
    order = subject.order(op, subject.somebody(), subject.slot(op))
    out = together([lambda: patient_retry(subject, order)] * THREADS)
    assert not [one for one in out if isinstance(one, HisError)]
    assert len({number_of(one) for one in out}) == 1
    if subject.rows is not None:
        assert counted(subject, op) == before + 1


@both
def test_what_is_cancelled_says_so_and_gives_the_slot_back(subject: Subject, op: Op) -> None:
    subject.need(op, CANCEL[op])
    who, where = subject.somebody(), subject.slot(op)
    number = number_of(subject.his.do(subject.order(op, who, where), subject.ctx))
    kind: Any = port.BY_OP[CANCEL[op]]
    gone = subject.his.do(kind(new_id(), who.patient_id, number, "contract"), subject.ctx)
    assert gone.number == number
    if lists(op) in subject.his.capabilities:
        states = [one.state for one in listed(subject, op, who) if number_of(one) == number]
        assert states in ([], [port.RegistrationState.CANCELLED])
    with pytest.raises((Rejected, NotFound)):
        subject.his.do(kind(new_id(), who.patient_id, number, "again"), subject.ctx)
    again = subject.his.do(subject.order(op, subject.somebody(), where), subject.ctx)
    assert number_of(again) != number


@both
def test_somebody_elses_number_cannot_be_cancelled(subject: Subject, op: Op) -> None:
    subject.need(op, CANCEL[op])
    number = number_of(subject.his.do(subject.order(op, subject.somebody(), subject.slot(op)), subject.ctx))
    kind: Any = port.BY_OP[CANCEL[op]]
    with pytest.raises((Rejected, NotFound)):
        subject.his.do(kind(new_id(), subject.somebody().patient_id, number, ""), subject.ctx)


def test_a_held_slot_is_the_holders_alone_until_it_is_let_go(subject: Subject) -> None:
    subject.need(Op.LOCK_SLOT, Op.UNLOCK_SLOT, Op.BOOK)
    holder, stranger, where = subject.somebody(), subject.somebody(), subject.slot(Op.BOOK)
    place = (where.schedule_id, where.slot_id)
    hold = subject.his.do(port.SlotLock(new_id(), holder.patient_id, *place), subject.ctx)
    assert hold.expires_at.tzinfo is not None
    with pytest.raises(Rejected):
        subject.his.do(subject.order(Op.BOOK, stranger, where), subject.ctx)
    subject.his.do(port.SlotRelease(new_id(), holder.patient_id, hold.hold_no), subject.ctx)
    subject.his.do(subject.order(Op.BOOK, stranger, where), subject.ctx)


def test_a_registered_patient_can_check_in_once(subject: Subject) -> None:
    subject.need(Op.REGISTER, Op.CHECK_IN)
    who = subject.somebody()
    made = subject.his.do(subject.order(Op.REGISTER, who, subject.slot(Op.REGISTER)), subject.ctx)
    arrived = subject.his.do(port.CheckInOrder(new_id(), who.patient_id, made.registration_no), subject.ctx)
    assert arrived.registration_no == made.registration_no
    with pytest.raises(Rejected):
        subject.his.do(port.CheckInOrder(new_id(), who.patient_id, made.registration_no), subject.ctx)


# ---------------------------------------------------------------- money


def top_up(subject: Subject, who: Person, fen: int) -> port.TopUpOrder:
    key = new_id()
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    return port.TopUpOrder(key, who.patient_id, who.card_no, fen, PayMethod.WECHAT, f"W{key[-20:]}", now)


def booked_today(subject: Subject) -> list[port.ReconcileLine]:
    """The HIS's account of the day by its clock, which may be past midnight by ours."""
    days = {(datetime.now(SHANGHAI) + timedelta(minutes=minutes)).date() for minutes in (0, 5)}
    return [line for day in days for line in subject.his.ask(port.ReconcileQuery(day), subject.ctx).value.lines]


def test_a_top_up_is_credited_once_and_stands_in_the_days_account(subject: Subject) -> None:
    subject.need(Op.TOP_UP, Op.BALANCE)
    who = subject.somebody()
    balance = subject.his.ask(port.BalanceQuery(who.patient_id), subject.ctx).value.balance_fen
    order = top_up(subject, who, 1234)
    made = subject.his.do(order, subject.ctx)
    assert made.amount_fen == 1234
    if Op.TOP_UP in subject.his.dedups:
        assert subject.his.do(order, subject.ctx) == made
    after = subject.his.ask(port.BalanceQuery(who.patient_id), subject.ctx).value.balance_fen
    assert after == balance + 1234
    if Op.LIST_TOP_UPS in subject.his.capabilities:
        mine = subject.his.ask(port.TopUpsQuery(who.patient_id), subject.ctx).value
        assert [one.amount_fen for one in mine if one.his_txn_no == made.his_txn_no] == [1234]
    if Op.RECONCILE_DAY in subject.his.capabilities:
        lines = [line for line in booked_today(subject) if line.his_txn_no == made.his_txn_no]
        assert [line.amount_fen for line in lines] == [1234]


def test_a_refund_takes_from_the_card_and_never_more_than_is_there(subject: Subject) -> None:
    subject.need(Op.TOP_UP, Op.REFUND, Op.BALANCE)
    who = subject.somebody()
    subject.his.do(top_up(subject, who, 500), subject.ctx)
    balance = subject.his.ask(port.BalanceQuery(who.patient_id), subject.ctx).value.balance_fen
    back = subject.his.do(port.RefundOrder(new_id(), who.patient_id, who.card_no, 200), subject.ctx)
    assert back.amount_fen == 200
    assert subject.his.ask(port.BalanceQuery(who.patient_id), subject.ctx).value.balance_fen == balance - 200
    with pytest.raises(Rejected) as refused:
        subject.his.do(port.RefundOrder(new_id(), who.patient_id, who.card_no, balance), subject.ctx)
    assert refused.value.reason is RejectReason.BALANCE_SHORT


def test_a_prepayment_is_credited_once_and_stands_in_the_days_account(subject: Subject) -> None:
    subject.need(Op.PAY_PREPAYMENT, Op.LIST_PREPAYMENTS)
    subject.has("stay")
    stay, key = subject.facts.stay, new_id()
    numbers = (stay.patient_id, stay.admission_no, stay.admission_seq)
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    order = port.PrepaymentOrder(key, *numbers, 5000, PayMethod.WECHAT, f"W{key[-20:]}", now)
    before = len(subject.his.ask(port.PrepaymentsQuery(*numbers), subject.ctx).value)
    made = subject.his.do(order, subject.ctx)
    if Op.PAY_PREPAYMENT in subject.his.dedups:
        assert subject.his.do(order, subject.ctx) == made
    after = subject.his.ask(port.PrepaymentsQuery(*numbers), subject.ctx).value
    assert len(after) == before + 1
    assert [one.amount_fen for one in after if one.his_txn_no == made.his_txn_no] == [5000]
    if Op.RECONCILE_DAY in subject.his.capabilities:
        assert [line.amount_fen for line in booked_today(subject) if line.his_txn_no == made.his_txn_no] == [5000]


def test_charges_are_settled_by_their_parts_and_a_changed_sum_is_refused(subject: Subject) -> None:
    subject.need(Op.PENDING_CHARGES, Op.PRE_SETTLE, Op.SETTLE)
    who = subject.facts.patient
    pending = subject.his.ask(port.PendingChargesQuery(who.patient_id), subject.ctx).value
    if not pending.items:
        pytest.skip(f"the peer of {subject.name} has no charges waiting")
    numbers = tuple(item.charge_no for item in pending.items)
    wrong = port.PreSettlementOrder(new_id(), who.patient_id, numbers, pending.total_fen + 1, pending.version)
    with pytest.raises(Rejected) as refused:
        subject.his.do(wrong, subject.ctx)
    assert refused.value.reason is RejectReason.AMOUNT_CHANGED
    parts = subject.his.do(replace(wrong, op_key=new_id(), total_fen=pending.total_fen), subject.ctx)
    key = new_id()
    order = port.SettlementOrder(
        key, who.patient_id, parts.settle_no, numbers, parts.total_fen, parts.self_paid_fen, PayMethod.WECHAT, f"S{key[-20:]}"
    )  # fmt: skip
    made = subject.his.do(order, subject.ctx)
    assert (made.total_fen, made.self_paid_fen) == (pending.total_fen, parts.self_paid_fen)
    assert subject.his.ask(port.PendingChargesQuery(who.patient_id), subject.ctx).value.items == ()
    with pytest.raises(Rejected):
        subject.his.do(replace(order, op_key=new_id()), subject.ctx)


# ---------------------------------------------------------------- asking what became of it


@both
def test_what_was_done_is_found_by_its_op_key_with_the_same_answer(subject: Subject, op: Op) -> None:
    subject.need(op)
    order = subject.order(op, subject.somebody(), subject.slot(op))
    resolvable(subject, order)
    made = subject.his.do(order, subject.ctx)
    assert subject.his.resolve(order, subject.ctx) == Done(made)


@both
def test_what_was_never_sent_is_not_done(subject: Subject, op: Op) -> None:
    subject.need(op)
    order = subject.order(op, subject.somebody(), subject.slot(op))
    resolvable(subject, order)
    assert subject.his.resolve(order, subject.ctx) == NotDone()


def test_a_top_up_is_found_by_its_op_key_with_the_same_answer(subject: Subject) -> None:
    subject.need(Op.TOP_UP)
    order = top_up(subject, subject.somebody(), 100)
    resolvable(subject, order)
    made = subject.his.do(order, subject.ctx)
    found = subject.his.resolve(order, subject.ctx)
    assert isinstance(found, Done)
    assert (found.value.his_txn_no, found.value.amount_fen) == (made.his_txn_no, 100)


def resolvable(subject: Subject, order: Any) -> None:
    """Skip where the HIS cannot be asked."""
    try:
        found = subject.his.resolve(replace(order, op_key=new_id()), subject.ctx)
    except port.Unsupported:
        pytest.skip(f"the HIS behind {subject.name} cannot be asked for {order.op}")
    assert not isinstance(found, (Done, StillUnknown)), found
