"""The gateway over a scripted adapter: repeats, lanes, cache, checks, records."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from his.adapter import Call
from his.faults import Broken, Duplicate, NotSent
from his.gateway import CallRecord, Gateway
from his.guard import GuardOptions
from his.port import (
    Balance,
    BalanceQuery,
    BookingOrder,
    Command,
    Ctx,
    DailyStatement,
    DailyStatementQuery,
    Department,
    DepartmentsQuery,
    Done,
    Health,
    HealthQuery,
    Lane,
    NotDone,
    NotFound,
    Op,
    Patient,
    PatientCard,
    PatientQuery,
    PayMethod,
    Query,
    QueueQuery,
    Rejected,
    RejectReason,
    ReportsQuery,
    Resolution,
    SchedulesQuery,
    Sex,
    SlotsQuery,
    StillUnknown,
    TopUp,
    TopUpOrder,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)

WANG = Patient("P1", "王小明", Sex.MALE, None, "990101198503120037", "19900000001", cards=(PatientCard("60"),))
ORDER = TopUpOrder("k1", "P1", "60", 1000, PayMethod.WECHAT, "T1", datetime(2026, 11, 24, tzinfo=UTC))
CREDITED = TopUp("H1", "P1", 1000)
DEPARTMENTS = (Department("D01", "心血管内科"),)
SILENT = ReportsQuery("P1")
"""Asked each time, and shown as old while the HIS is silent."""


class Scripted:
    """An adapter that answers what its script says: a value, an error, or something to call."""

    capabilities = frozenset(Op) - {Op.CHECK_WRISTBAND}
    resolvable = frozenset({Op.TOP_UP})
    dedups: frozenset[Op] = frozenset()

    def __init__(self, *script: Any, resolution: Any = None) -> None:
        self.script = list(script)
        self.resolution = resolution
        self.asked: list[Any] = []

    def _next(self, asked: Any, call: Call) -> Any:
        self.asked.append(asked)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        value = step(call) if callable(step) else step
        if isinstance(value, Exception):
            raise value
        return value

    def ask(self, query: Query[Any], call: Call) -> Any:
        return self._next(query, call)

    def do(self, command: Command[Any], call: Call) -> Any:
        return self._next(command, call)

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        if isinstance(self.resolution, Exception):
            raise self.resolution
        return self.resolution

    def close(self) -> None:
        """Nothing is open."""


def gateway(adapter: Scripted, **options: Any) -> Gateway:
    return Gateway(adapter, replace(GuardOptions(pause_s=0.001), **options))


def failure(run: Callable[[], Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        run()
    return caught.value.reason


# ------------------------------------------------------------------ reads are repeated, writes never


@pytest.mark.parametrize("fault", [Broken("reset"), NotSent("refused"), Broken("http_503"), Broken("truncated")])
def test_a_read_that_met_a_passing_fault_is_asked_again(fault: Exception) -> None:
    adapter = Scripted(fault, fault, WANG)
    assert gateway(adapter).ask(PatientQuery(card_no="60"), Ctx()).value == WANG
    assert len(adapter.asked) == 3


def test_three_tries_are_all_and_they_end_before_the_deadline() -> None:
    adapter = Scripted(Broken("reset"))
    assert failure(lambda: gateway(adapter, fail_max=99).ask(PatientQuery(card_no="60"), Ctx())) == "reset"
    assert len(adapter.asked) == 3
    slow = Scripted(Broken("reset"))
    began = time.monotonic()
    failure(lambda: gateway(slow, pause_s=5.0).ask(PatientQuery(card_no="60"), Ctx(deadline_s=0.3)))
    assert time.monotonic() - began < 0.3
    assert len(slow.asked) == 1, "there was no time for a second try"


@pytest.mark.parametrize("fault", [Broken("timeout"), Broken("bad_reply"), Broken("wrong_record"), NotSent("busy")])
def test_a_fault_that_another_try_would_meet_again_is_not_repeated(fault: Exception) -> None:
    adapter = Scripted(fault, WANG)
    failure(lambda: gateway(adapter).ask(PatientQuery(card_no="60"), Ctx()))
    assert len(adapter.asked) == 1


@pytest.mark.parametrize(
    ("fault", "error"), [(Broken("reset"), UnknownOutcome), (NotSent("refused"), Unavailable), (Broken("x"), UnknownOutcome)]
)  # fmt: skip
def test_a_write_is_sent_once_whatever_happens(fault: Exception, error: type[Exception]) -> None:
    adapter = Scripted(fault, CREDITED)
    with pytest.raises(error) as caught:
        gateway(adapter).do(ORDER, Ctx())
    assert caught.value.reason == fault.reason  # type: ignore[attr-defined]
    assert len(adapter.asked) == 1


# ------------------------------------------------------------------ answers that are none


@pytest.mark.parametrize(
    ("asked", "answer", "why"),
    [
        (PatientQuery(card_no="61"), WANG, "wrong_record"),
        (PatientQuery(patient_id="P2"), WANG, "wrong_record"),
        (PatientQuery(id_no="990101198503120038"), WANG, "wrong_record"),
        (BalanceQuery("P2"), Balance("P1", 5), "wrong_record"),
        (DailyStatementQuery("P1", "A", 1, date(2026, 1, 2)), DailyStatement(date(2026, 1, 1), (), 0), "wrong_record"),
        (DailyStatementQuery("P1", "A", 1, date(2026, 1, 1)), DailyStatement(date(2026, 1, 1), (), 1), "wrong_sums"),
    ],
)
def test_an_answer_about_somebody_else_or_with_wrong_sums_is_no_answer(asked: Any, answer: Any, why: str) -> None:
    assert failure(lambda: gateway(Scripted(answer)).ask(asked, Ctx())) == why


def test_an_id_number_fits_whatever_the_case_of_its_check_letter() -> None:
    held = replace(WANG, id_no="99010119850312003X")
    assert gateway(Scripted(held)).ask(PatientQuery(id_no="99010119850312003x"), Ctx()).value == held


def test_a_write_answered_with_another_amount_is_unknown_not_done() -> None:
    with pytest.raises(UnknownOutcome):
        gateway(Scripted(replace(CREDITED, amount_fen=999))).do(ORDER, Ctx())


def test_one_poisoned_record_does_not_open_the_breaker() -> None:
    his = gateway(Scripted(WANG), fail_max=2)
    for _ in range(5):
        failure(lambda: his.ask(PatientQuery(card_no="61"), Ctx()))
    assert his.ask(PatientQuery(card_no="60"), Ctx()).value == WANG


# ------------------------------------------------------------------ duplicates and resolutions


def test_a_his_that_says_duplicate_has_done_it_and_is_asked_for_its_answer() -> None:
    assert gateway(Scripted(Duplicate(), resolution=Done(CREDITED))).do(ORDER, Ctx()) == CREDITED


@pytest.mark.parametrize(
    "resolution", [NotDone(), StillUnknown(), NotFound(), Rejected("9"), NotSent("refused"), Broken("x")]
)
def test_a_duplicate_whose_answer_cannot_be_had_is_unknown(resolution: Any) -> None:
    with pytest.raises(UnknownOutcome):
        gateway(Scripted(Duplicate(), resolution=resolution)).do(ORDER, Ctx())


def test_a_his_that_says_duplicate_is_alive_and_its_breaker_stays_closed() -> None:
    his = gateway(Scripted(Duplicate(), resolution=NotDone()), fail_max=1)
    for _ in range(3):
        with pytest.raises(UnknownOutcome):
            his.do(ORDER, Ctx())
    assert not his.guard.writes.open


def test_a_resolution_that_fails_is_still_unknown_and_says_why() -> None:
    for fault in (NotSent("refused"), Broken("timeout"), NotFound(), Rejected("9")):
        assert isinstance(gateway(Scripted(None, resolution=fault)).resolve(ORDER, Ctx()), StillUnknown)
    wrong = Done(replace(CREDITED, amount_fen=1))
    assert gateway(Scripted(None, resolution=wrong)).resolve(ORDER, Ctx()) == StillUnknown("wrong_sums")
    assert gateway(Scripted(None, resolution=NotDone())).resolve(ORDER, Ctx()) == NotDone()


def test_what_a_his_cannot_do_is_unsupported_and_never_sent() -> None:
    adapter = Scripted(WANG)
    adapter.capabilities = frozenset({Op.HEALTH, Op.BOOK})
    his = gateway(adapter)
    booking = BookingOrder("k", "P1", "60", "S", "1")
    for run in (
        lambda: his.ask(PatientQuery(card_no="60"), Ctx()),
        lambda: his.do(ORDER, Ctx()),
        lambda: his.resolve(booking, Ctx()),
    ):
        with pytest.raises(Unsupported):
            run()
    assert adapter.asked == []


# ------------------------------------------------------------------ lanes, and the breaker


def test_pages_that_hang_leave_the_scanners_their_lane() -> None:
    gate = threading.Event()
    his = gateway(
        Scripted(lambda _: (gate.wait(5), Health())[1]), lanes={Lane.SCAN: 2, Lane.PAGE: 2, Lane.JOB: 1}, wait_s=0.05
    )
    hanging = [threading.Thread(target=lambda: his.ask(HealthQuery(), Ctx())) for _ in range(2)]
    for thread in hanging:
        thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    assert failure(lambda: his.ask(HealthQuery(), Ctx())) == "busy"
    assert time.monotonic() - began < 1.0
    scanner = threading.Thread(target=lambda: his.ask(HealthQuery(), Ctx(lane=Lane.SCAN)))
    scanner.start()
    time.sleep(0.1)
    assert not his.guard.reads.open, "being busy says nothing about the HIS"
    gate.set()
    for thread in (*hanging, scanner):
        thread.join()


def test_a_probe_that_found_its_lane_full_leaves_the_next_one_free() -> None:
    adapter = Scripted(Broken("timeout"))
    his = gateway(adapter, fail_max=1, probe_s=60.0)
    failure(lambda: his.ask(HealthQuery(), Ctx()))
    assert failure(lambda: his.ask(HealthQuery(), Ctx())) == "breaker_open"
    his.guard.reads._next_probe = 0.0
    adapter.script = [NotSent("busy"), Health()]
    assert failure(lambda: his.ask(HealthQuery(), Ctx())) == "busy"
    assert his.ask(HealthQuery(), Ctx()).value == Health()


def test_a_probe_that_hung_does_not_put_the_next_one_off() -> None:
    """The next one is due `probe_s` after the last one left: a HIS that is back must not wait for a deadline besides."""

    def hangs(_: Call) -> Any:
        time.sleep(0.5)
        raise Broken("timeout")

    adapter = Scripted(Broken("timeout"), hangs, Health())
    his = gateway(adapter, fail_max=1, probe_s=0.6)
    failure(lambda: his.ask(HealthQuery(), Ctx()))
    time.sleep(0.7)
    left = time.monotonic()
    assert failure(lambda: his.ask(HealthQuery(), Ctx())) == "timeout"
    time.sleep(max(0.0, left + 0.8 - time.monotonic()))
    assert his.ask(HealthQuery(), Ctx()).value == Health()


def test_reports_that_hang_while_cards_are_answered_do_not_stop_the_scanners() -> None:
    """The laboratory's system is down behind a HIS that is well: the calls that hang end long after others were answered."""

    class Laboratory(Scripted):
        def ask(self, query: Query[Any], call: Call) -> Any:
            if query.op is Op.LIST_REPORTS:
                time.sleep(0.6)
                raise Broken("timeout")
            return WANG

    his = gateway(Laboratory(WANG), fail_max=2)
    pages = [threading.Thread(target=failure, args=(lambda: his.ask(ReportsQuery("P1"), Ctx()),)) for _ in range(6)]
    for page in pages:
        page.start()
    time.sleep(0.2)
    assert his.ask(PatientQuery(card_no="60"), Ctx(lane=Lane.SCAN)).value == WANG
    for page in pages:
        page.join()
    assert his.ask(PatientQuery(card_no="60"), Ctx(lane=Lane.SCAN)).value == WANG
    assert not his.guard.reads.open
    for _ in range(2):  # control: with no answer in between they count
        assert failure(lambda: his.ask(ReportsQuery("P1"), Ctx())) == "timeout"
    assert his.guard.reads.open


def test_reads_that_fail_do_not_stop_writes() -> None:
    adapter = Scripted(Broken("timeout"))
    his = gateway(adapter, fail_max=1)
    failure(lambda: his.ask(HealthQuery(), Ctx()))
    adapter.script = [CREDITED]
    assert his.do(ORDER, Ctx()) == CREDITED


# ------------------------------------------------------------------ the cache


def test_a_fresh_copy_is_given_without_asking_and_an_old_one_only_where_it_will_do() -> None:
    adapter = Scripted(DEPARTMENTS)
    his = gateway(adapter)
    first = his.ask(DepartmentsQuery(), Ctx())
    assert his.ask(DepartmentsQuery(), Ctx()) == first
    assert len(adapter.asked) == 1
    age(his, DepartmentsQuery(), DepartmentsQuery.fresh_s + 1)
    adapter.script = [Broken("timeout")]
    assert failure(lambda: his.ask(DepartmentsQuery(), Ctx())) == "timeout"
    old = his.ask(DepartmentsQuery(), Ctx(stale_ok=True))
    assert (old.value, old.stale, old.fetched_at) == (DEPARTMENTS, True, first.fetched_at)
    age(his, DepartmentsQuery(), DepartmentsQuery.stale_s + 1)
    assert failure(lambda: his.ask(DepartmentsQuery(), Ctx(stale_ok=True))) == "timeout"


def age(his: Gateway, query: Query[Any], seconds: float) -> None:
    his._cache._entries[query].since -= seconds


def test_money_is_never_shown_from_memory() -> None:
    adapter = Scripted(Balance("P1", 5))
    his = gateway(adapter)
    his.ask(BalanceQuery("P1"), Ctx(stale_ok=True))
    adapter.script = [Broken("timeout")]
    assert failure(lambda: his.ask(BalanceQuery("P1"), Ctx(stale_ok=True))) == "timeout"


def test_a_refusal_is_not_hidden_behind_an_old_copy() -> None:
    adapter = Scripted(DEPARTMENTS)
    his = gateway(adapter)
    his.ask(DepartmentsQuery(), Ctx())
    age(his, DepartmentsQuery(), DepartmentsQuery.fresh_s + 1)
    adapter.script = [Rejected("9", reason=RejectReason.NOT_ALLOWED)]
    with pytest.raises(Rejected):
        his.ask(DepartmentsQuery(), Ctx(stale_ok=True))


def test_a_hundred_pages_that_want_the_same_list_ask_once() -> None:
    adapter = Scripted(lambda _: (time.sleep(0.1), DEPARTMENTS)[1])
    his = gateway(adapter, lanes={Lane.SCAN: 1, Lane.PAGE: 100, Lane.JOB: 1})
    threads = [threading.Thread(target=lambda: his.ask(DepartmentsQuery(), Ctx())) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(adapter.asked) == 1


def test_pages_that_waited_for_a_question_without_answer_do_not_each_ask_it_again() -> None:
    adapter = Scripted(lambda _: (time.sleep(0.2), Broken("timeout"))[1])
    his = gateway(adapter, lanes={Lane.SCAN: 1, Lane.PAGE: 100, Lane.JOB: 1}, fail_max=999)
    reasons: list[str] = []
    threads = [
        threading.Thread(target=lambda: reasons.append(failure(lambda: his.ask(DepartmentsQuery(), Ctx(deadline_s=5)))))
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reasons == ["timeout"] * 30
    assert len(adapter.asked) == 1


def test_a_page_with_an_old_copy_does_not_wait_out_the_whole_deadline_behind_another() -> None:
    gate = threading.Event()
    adapter = Scripted(DEPARTMENTS)
    his = gateway(adapter)
    his.ask(DepartmentsQuery(), Ctx())
    age(his, DepartmentsQuery(), DepartmentsQuery.fresh_s + 1)
    adapter.script = [lambda _: (gate.wait(5), DEPARTMENTS)[1]]
    first = threading.Thread(target=lambda: his.ask(DepartmentsQuery(), Ctx()))
    first.start()
    time.sleep(0.05)
    began = time.monotonic()
    assert his.ask(DepartmentsQuery(), Ctx(deadline_s=8, stale_ok=True)).stale
    assert time.monotonic() - began < 3
    gate.set()
    first.join()


def test_what_a_write_touched_is_asked_for_again_and_other_patients_lists_are_not() -> None:
    adapter = Scripted(())
    his = gateway(adapter)
    for patient_id in ("P1", "P2"):
        his.ask(QueueQuery(patient_id), Ctx())
    adapter.script = [CREDITED]
    his.do(ORDER, Ctx())
    adapter.script = [()]
    before = len(adapter.asked)
    his.ask(QueueQuery("P2"), Ctx())
    assert len(adapter.asked) == before
    his.ask(QueueQuery("P1"), Ctx())
    assert len(adapter.asked) == before + 1


def test_what_the_his_says_has_changed_is_not_shown_again_even_as_old() -> None:
    adapter = Scripted(())
    his = gateway(adapter)
    for patient_id in ("P1", "P2"):
        his.ask(ReportsQuery(patient_id), Ctx())
    his.forget(patient_id="P1")
    adapter.script = [Broken("timeout")]
    assert failure(lambda: his.ask(ReportsQuery("P1"), Ctx(stale_ok=True))) == "timeout"
    assert his.ask(ReportsQuery("P2"), Ctx(stale_ok=True)).stale


def test_a_stopped_clinic_drops_its_slots_and_asks_for_the_list_of_schedules_again() -> None:
    adapter = Scripted(())
    his = gateway(adapter)
    days = SchedulesQuery(date(2026, 11, 24), date(2026, 11, 24))
    for query in (days, SlotsQuery("S1"), SlotsQuery("S2")):
        his.ask(query, Ctx())
    his.forget(schedule_id="S1")
    before = len(adapter.asked)
    his.ask(SlotsQuery("S2"), Ctx())
    assert len(adapter.asked) == before
    his.ask(SlotsQuery("S1"), Ctx())
    his.ask(days, Ctx())
    assert len(adapter.asked) == before + 2


def test_an_answer_that_was_under_way_when_the_change_was_told_is_asked_for_again() -> None:
    adapter = Scripted(lambda _call: his.forget(patient_id="P1") or ())
    his = gateway(adapter)
    his.ask(QueueQuery("P1"), Ctx())
    adapter.script = [()]
    his.ask(QueueQuery("P1"), Ctx())
    assert len(adapter.asked) == 2
    his.ask(QueueQuery("P1"), Ctx())
    assert len(adapter.asked) == 2


def test_what_the_his_no_longer_has_is_not_shown_again_even_as_old() -> None:
    for word in (NotFound(), Rejected("withdrawn")):
        his = gateway(Scripted(DEPARTMENTS, word, Broken("timeout")))
        assert his.ask(SILENT, Ctx()).value == DEPARTMENTS
        with pytest.raises(type(word)):
            his.ask(SILENT, Ctx(stale_ok=True))
        assert failure(lambda his=his: his.ask(SILENT, Ctx(stale_ok=True))) == "timeout"  # type: ignore[misc]


def test_an_answer_that_was_under_way_when_the_change_was_told_is_not_shown_as_old() -> None:
    adapter = Scripted(lambda _: (his.forget(patient_id="P1"), DEPARTMENTS)[1], Broken("timeout"))
    his = gateway(adapter)
    assert his.ask(SILENT, Ctx()).value == DEPARTMENTS
    assert failure(lambda: his.ask(SILENT, Ctx(stale_ok=True))) == "timeout"
    adapter.script = [lambda _: (his.forget(patient_id="P2"), DEPARTMENTS)[1], Broken("timeout")]
    his.ask(SILENT, Ctx())
    assert his.ask(SILENT, Ctx(stale_ok=True)).stale, "somebody else's change is none of this patient's"


def test_the_cache_keeps_the_latest_only() -> None:
    his = gateway(Scripted(()))
    his._cache._size = 3
    for n in range(10):
        his.ask(QueueQuery(f"P{n}"), Ctx())
    assert [query.patient_id for query in his._cache._entries] == ["P7", "P8", "P9"]


# ------------------------------------------------------------------ the record


def test_each_call_is_recorded_once_with_how_it_went() -> None:
    records: list[CallRecord] = []
    adapter = Scripted(WANG, NotFound(), Rejected("17"), Broken("timeout"), resolution=Done(CREDITED))
    his = Gateway(adapter, GuardOptions(), records.append)
    query, ctx = PatientQuery(card_no="60"), Ctx(actor="station:C1")
    his.ask(query, ctx)
    for error in (NotFound, Rejected, Unavailable):
        with pytest.raises(error):
            his.ask(query, ctx)
    his.resolve(ORDER, ctx)
    assert [(one.op, one.outcome, one.code, one.resolving) for one in records] == [
        (Op.QUERY_PATIENT, "ok", "", False),
        (Op.QUERY_PATIENT, "NotFound", "", False),
        (Op.QUERY_PATIENT, "Rejected", "17", False),
        (Op.QUERY_PATIENT, "Unavailable", "timeout", False),
        (Op.TOP_UP, "ok", "", True),
    ]
    assert records[0].answer == WANG
    assert datetime.now(UTC) - records[0].at < timedelta(seconds=30)
