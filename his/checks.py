"""Is this the answer to what was asked? An answer about somebody else, or one whose sums do not add up, is no answer.

Raises Broken: "wrong_record" or "wrong_sums". A read becomes Unavailable by it, a write UnknownOutcome: it is asked for.
"""

from collections.abc import Callable, Iterable
from typing import Any

from his.faults import Broken
from his.port import (
    Admission,
    AdmissionQuery,
    ChargeItem,
    ChargeSummary,
    Command,
    DailyStatement,
    DailyStatementQuery,
    Invoice,
    IssuedCard,
    Patient,
    PatientQuery,
    PendingCharges,
    PreSettlement,
    PreSettlementOrder,
    Query,
    ReconcileDay,
    ReconcileQuery,
    Report,
    ReportQuery,
    Settlement,
    Slot,
    SlotsQuery,
    VisitDetail,
    VisitQuery,
)


def check(asked: Query[Any] | Command[Any], value: Any) -> None:
    """Compare one answer with its question; cheap for the kinds that need nothing."""
    if (by_question := _QUESTIONS.get(type(asked))) is not None:
        by_question(asked, value)
    elif (patient_id := getattr(asked, "patient_id", None)) is not None:
        for one in value if isinstance(value, tuple) else (value,):
            _same(getattr(one, "patient_id", patient_id), patient_id)
    if (amount := getattr(asked, "amount_fen", None)) is not None:
        _adds_up(amount == value.amount_fen)
    for one in value if isinstance(value, tuple) else (value,):
        if (sums := _SUMS.get(type(one))) is not None:
            sums(one)


def _same(held: str, asked: str) -> None:
    if held != asked:
        raise Broken("wrong_record")


def _adds_up(right: bool) -> None:
    if not right:
        raise Broken("wrong_sums")


def _patient(query: PatientQuery, patient: Patient) -> None:
    if query.card_no is not None:
        if all(card.card_no != query.card_no for card in patient.cards):
            raise Broken("wrong_record")
    elif query.id_no is not None:
        _same(patient.id_no.upper(), query.id_no.upper())
    else:
        _same(patient.patient_id, query.patient_id or "")


def _admission(query: AdmissionQuery, stay: Admission) -> None:
    if query.wristband_no is not None:
        _same(stay.wristband_no, query.wristband_no)
    elif query.admission_no is not None:
        _same(stay.admission_no, query.admission_no)
    else:
        _same(stay.patient.patient_id, query.patient_id or "")


def _slots(query: SlotsQuery, slots: Iterable[Slot]) -> None:
    for slot in slots:
        _same(slot.schedule_id, query.schedule_id)


def _report(query: ReportQuery, report: Report) -> None:
    _same(report.report_no, query.report_no)
    _same(report.patient_id, query.patient_id)


def _visit(query: VisitQuery, detail: VisitDetail) -> None:
    _same(detail.visit.visit_no, query.visit_no)
    _same(detail.visit.patient_id, query.patient_id)


def _day(query: DailyStatementQuery | ReconcileQuery, value: DailyStatement | ReconcileDay) -> None:
    if value.day != query.day:
        raise Broken("wrong_record")


def _pre_settled(order: PreSettlementOrder, parts: PreSettlement) -> None:
    _adds_up(parts.total_fen == order.total_fen)


def _total(items: Iterable[ChargeItem]) -> int:
    return sum(item.amount_fen for item in items)


def _parts(value: Invoice | Settlement | PreSettlement) -> None:
    _adds_up(value.total_fen == value.self_paid_fen + value.fund_paid_fen + value.insurance_account_paid_fen)


def _invoice(value: Invoice) -> None:
    _parts(value)
    _adds_up(not value.items or _total(value.items) == value.total_fen)


_QUESTIONS: dict[type, Callable[[Any, Any], None]] = {
    PatientQuery: _patient, AdmissionQuery: _admission, SlotsQuery: _slots, ReportQuery: _report, VisitQuery: _visit,
    DailyStatementQuery: _day, ReconcileQuery: _day, PreSettlementOrder: _pre_settled,
}  # fmt: skip
_SUMS: dict[type, Callable[[Any], None]] = {
    PendingCharges: lambda it: _adds_up(_total(it.items) == it.total_fen),
    DailyStatement: lambda it: _adds_up(_total(it.items) == it.total_fen),
    ChargeSummary: lambda it: _adds_up(sum(one.amount_fen for one in it.categories) == it.total_fen),
    ReconcileDay: lambda it: _adds_up(sum(one.amount_fen for one in it.lines) == it.total_fen),
    Invoice: _invoice,
    Settlement: _parts,
    PreSettlement: _parts,
    IssuedCard: lambda it: _adds_up(any(card.card_no == it.card_no for card in it.patient.cards)),
}
