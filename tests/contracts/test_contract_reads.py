"""What every adapter's reads must do: claimed ones answer in the port's types, the rest are Unsupported."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.ids import new_id
from his import port
from his.port import (
    ABNORMAL,
    AbnormalFlag,
    AdmissionQuery,
    AdmissionStatus,
    HealthQuery,
    NotFound,
    Op,
    PatientQuery,
    Unsupported,
    answer_type,
)
from tests.contracts.subject import Stay, Subject
from tests.support.typed import fits


def today() -> date:
    return datetime.now(SHANGHAI).date()


def question(subject: Subject, op: Op) -> Any:
    """A question of that operation with the peer's facts in it; None when the facts do not reach."""
    facts = subject.facts
    who, stay = facts.patient.patient_id, facts.stay
    if op in OF_A_STAY:
        return OF_A_STAY[op](stay) if stay else None
    if op is Op.LIST_SLOTS:
        return port.SlotsQuery(subject.slot(Op.BOOK).schedule_id) if facts.crowd else None
    if op is Op.REPORT:
        return port.ReportQuery(who, facts.report_no) if facts.report_no else None
    if op is Op.VISIT:
        return port.VisitQuery(who, visit_no) if (visit_no := some_visit(subject)) else None
    if op in OF_A_DAY:
        return OF_A_DAY[op](today())
    kind: Any = port.BY_OP[op]
    return kind(patient_id=who) if "patient_id" in kind.__dataclass_fields__ else kind()


OF_A_DAY: dict[Op, Callable[[date], Any]] = {
    Op.LIST_SCHEDULES: lambda day: port.SchedulesQuery(day, day + timedelta(6)),
    Op.RECONCILE_DAY: port.ReconcileQuery,
}
OF_A_STAY: dict[Op, Callable[[Stay], Any]] = {
    Op.QUERY_ADMISSION: lambda stay: AdmissionQuery(admission_no=stay.admission_no),
    Op.LIST_ADMISSIONS: lambda stay: port.AdmissionsQuery(stay.patient_id),
    Op.DAILY_STATEMENT: lambda stay: port.DailyStatementQuery(*numbers(stay), today() - timedelta(1)),
    Op.CHARGE_SUMMARY: lambda stay: port.ChargeSummaryQuery(*numbers(stay)),
    Op.LIST_PREPAYMENTS: lambda stay: port.PrepaymentsQuery(*numbers(stay)),
    Op.CHECK_WRISTBAND: lambda stay: stay.wristband_no and port.WristbandCheckQuery(stay.wristband_no, "M999999999"),
}


def numbers(stay: Stay) -> tuple[str, str, int]:
    return stay.patient_id, stay.admission_no, stay.admission_seq


def some_visit(subject: Subject) -> str | None:
    if subject.facts.visit_no is None and Op.LIST_VISITS in subject.his.capabilities:
        visits = subject.his.ask(port.VisitsQuery(subject.facts.patient.patient_id), subject.ctx).value
        return visits[0].visit_no if visits else None
    return subject.facts.visit_no


def test_it_claims_health_and_patients_and_only_operations_that_there_are(subject: Subject) -> None:
    assert subject.his.capabilities <= frozenset(Op)
    assert Op.HEALTH in subject.his.capabilities
    subject.his.ask(HealthQuery(), subject.ctx)


def test_what_is_not_claimed_is_unsupported_and_nothing_is_sent(subject: Subject) -> None:
    before = subject.calls() if subject.calls else 0
    writes = {command.op for command in port.COMMANDS}
    for op in frozenset(Op) - subject.his.capabilities:
        send: Any = subject.his.do if op in writes else subject.his.ask
        with pytest.raises(Unsupported):
            send(any_of(op), subject.ctx)
    assert (subject.calls() if subject.calls else 0) == before


def any_of(op: Op) -> Any:
    """A question or command of that operation, made of anything: it must not be looked at."""

    class Nothing:
        fresh_s = stale_s = 0.0
        op_key = new_id()

    Nothing.op = op
    return Nothing()


@pytest.mark.parametrize("op", [query.op for query in port.QUERIES])
def test_every_read_it_claims_answers_in_the_ports_types(subject: Subject, op: Op) -> None:
    subject.need(op)
    asked = question(subject, op)
    if not asked:
        pytest.skip(f"the facts of {subject.name} do not reach {op}")
    try:
        fetched = subject.his.ask(asked, subject.ctx)
    except NotFound:
        assert op not in (Op.HEALTH, Op.QUERY_PATIENT, Op.REPORT, Op.VISIT, Op.QUERY_ADMISSION)
        return
    assert fits(fetched.value, answer_type(type(asked))), fetched.value
    assert not fetched.stale
    assert abs(datetime.now(UTC) - fetched.fetched_at) < timedelta(minutes=1)


# ---------------------------------------------------------------- people


@pytest.mark.parametrize("key", ["patient_id", "card_no", "id_no"])
def test_a_patient_is_found_by_each_key_and_is_the_same(subject: Subject, key: str) -> None:
    subject.need(Op.QUERY_PATIENT)
    facts = subject.facts
    value = facts.id_no if key == "id_no" else getattr(facts.patient, key)
    if not value:
        pytest.skip(f"the peer of {subject.name} knows no {key}")
    found = subject.his.ask(PatientQuery(**{key: value}), subject.ctx).value
    assert (found.patient_id, found.name) == (facts.patient.patient_id, facts.name)


def test_nobody_is_not_found(subject: Subject) -> None:
    subject.need(Op.QUERY_PATIENT)
    asked = [PatientQuery(patient_id=subject.facts.absent_patient_id)]
    if subject.facts.absent_card_no is not None:
        asked.append(PatientQuery(card_no=subject.facts.absent_card_no))
    for query in asked:
        with pytest.raises(NotFound):
            subject.his.ask(query, subject.ctx)


def test_rare_characters_of_three_and_four_bytes_come_through(subject: Subject) -> None:
    subject.need(Op.QUERY_PATIENT)
    subject.has("rare")
    who, name = subject.facts.rare
    assert subject.his.ask(PatientQuery(patient_id=who.patient_id), subject.ctx).value.name == name


def test_a_current_stay_is_found_by_its_numbers_and_is_the_same(subject: Subject) -> None:
    subject.need(Op.QUERY_ADMISSION)
    subject.has("stay")
    stay = subject.facts.stay
    asked = [AdmissionQuery(admission_no=stay.admission_no), AdmissionQuery(patient_id=stay.patient_id)]
    asked += [AdmissionQuery(wristband_no=stay.wristband_no)] if stay.wristband_no else []
    found = [subject.his.ask(query, subject.ctx).value for query in asked]
    assert all(one == found[0] for one in found)
    assert (found[0].admission_no, found[0].patient.patient_id) == (stay.admission_no, stay.patient_id)
    assert found[0].status is AdmissionStatus.ADMITTED
    assert found[0].discharged_at is None


# ---------------------------------------------------------------- documents


def test_another_persons_report_is_not_found(subject: Subject) -> None:
    subject.need(Op.REPORT)
    subject.has("report_no")
    subject.has("other")
    subject.his.ask(port.ReportQuery(subject.facts.patient.patient_id, subject.facts.report_no), subject.ctx)
    with pytest.raises(NotFound):
        subject.his.ask(port.ReportQuery(subject.facts.other.patient_id, subject.facts.report_no), subject.ctx)


def test_another_persons_visit_is_not_found(subject: Subject) -> None:
    subject.need(Op.VISIT)
    subject.has("other")
    visit_no = some_visit(subject)
    if not visit_no:
        pytest.skip(f"the peer of {subject.name} has no visit")
    with pytest.raises(NotFound):
        subject.his.ask(port.VisitQuery(subject.facts.other.patient_id, visit_no), subject.ctx)


def test_listed_reports_open_and_are_the_patients_own(subject: Subject) -> None:
    subject.need(Op.LIST_REPORTS, Op.REPORT)
    who = subject.facts.patient.patient_id
    listed = subject.his.ask(port.ReportsQuery(who), subject.ctx).value
    assert [one.released_at for one in listed] == sorted((one.released_at for one in listed), reverse=True)
    for one in listed[:3]:
        report = subject.his.ask(port.ReportQuery(who, one.report_no), subject.ctx).value
        assert (report.report_no, report.kind, report.patient_id) == (one.report_no, one.kind, who)


def test_a_flag_in_no_list_is_undetermined_and_never_normal(subject: Subject) -> None:
    subject.need(Op.REPORT)
    subject.has("odd_report_no")
    asked = port.ReportQuery(subject.facts.patient.patient_id, subject.facts.odd_report_no)
    flags = {item.flag for item in subject.his.ask(asked, subject.ctx).value.items}
    assert AbnormalFlag.UNDETERMINED in flags
    assert flags & ABNORMAL, "the peer's report also has flags that are in the lists"


# ---------------------------------------------------------------- money


def test_pending_charges_sum_to_their_total(subject: Subject) -> None:
    subject.need(Op.PENDING_CHARGES)
    pending = subject.his.ask(port.PendingChargesQuery(subject.facts.patient.patient_id), subject.ctx).value
    assert sum(item.amount_fen for item in pending.items) == pending.total_fen


def test_invoices_are_the_sum_of_their_parts_and_of_their_lines(subject: Subject) -> None:
    subject.need(Op.INVOICES)
    for invoice in subject.his.ask(port.InvoicesQuery(subject.facts.patient.patient_id), subject.ctx).value:
        parts = invoice.self_paid_fen + invoice.fund_paid_fen + invoice.insurance_account_paid_fen
        assert parts == invoice.total_fen
        assert not invoice.items or sum(item.amount_fen for item in invoice.items) == invoice.total_fen


def test_a_stays_days_add_up_to_no_more_than_its_summary(subject: Subject) -> None:
    subject.need(Op.DAILY_STATEMENT, Op.CHARGE_SUMMARY)
    subject.has("stay")
    stay = subject.facts.stay
    asked = (stay.patient_id, stay.admission_no, stay.admission_seq)
    summary = subject.his.ask(port.ChargeSummaryQuery(*asked), subject.ctx).value
    assert sum(one.amount_fen for one in summary.categories) == summary.total_fen
    try:
        day = subject.his.ask(port.DailyStatementQuery(*asked, today() - timedelta(1)), subject.ctx).value
    except NotFound:
        return
    assert sum(item.amount_fen for item in day.items) == day.total_fen <= summary.total_fen
