"""GNU Health itself, as the HIS: what it has is read as it stands, what it would sell twice is sold once."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.config import Config
from his.adapter import Call
from his.gateway import Gateway
from his.gnuhealth import OPTIONS, make
from his.guard import GuardOptions
from his.port import (
    AbnormalFlag,
    AdmissionQuery,
    AdmissionsQuery,
    AdmissionStatus,
    AppointmentsQuery,
    BookingCancel,
    BookingOrder,
    Ctx,
    DayPart,
    DepartmentsQuery,
    DoctorsQuery,
    Done,
    HisError,
    InvoicesQuery,
    Lane,
    NotDone,
    NotFound,
    Op,
    OpClass,
    PatientQuery,
    RegistrationState,
    Rejected,
    RejectReason,
    ReportQuery,
    ReportsQuery,
    SchedulesQuery,
    Sex,
    SlotsQuery,
    Unavailable,
)
from hospital.bootstrap import his_adapter
from hospital.his_check import probe
from tests.support.gnuhealth import DOCTOR, GnuHealth, gnuhealth, times, tomorrow, wire

pytestmark = pytest.mark.xdist_group("peer-gnuhealth")
CTX = Ctx(deadline_s=15.0)
Make = Callable[..., Gateway]
_days = iter(tomorrow() + timedelta(days=30 + at) for at in range(1000))


@pytest.fixture(scope="module")
def server() -> Iterator[GnuHealth]:
    found = gnuhealth()
    if isinstance(found, str):
        pytest.skip(found)
    yield found
    found.thaw()


@pytest.fixture
def make_his(server: GnuHealth) -> Iterator[Make]:
    made: list[Gateway] = []

    def build(step: Callable[[str], None] | None = None, guard: GuardOptions | None = None, **more: object) -> Gateway:
        options = OPTIONS.model_validate({**server.options, **more})
        made.append(Gateway(make(options, step) if step else make(options), guard))
        return made[-1]

    yield build
    for his in made:
        his.close()


def key() -> str:
    return uuid.uuid4().hex


def place(server: GnuHealth, count: int = 1, hour: int = 9, minutes: int = 5) -> tuple[str, list[str], date]:
    """Free appointments on a day of their own: our schedule id, slot ids, the day."""
    day = next(_days)
    ids = server.free(times(day, hour, count, minutes))
    letter = "m" if hour < 12 else "a"
    return f"{DOCTOR}:{day:%Y%m%d}:{letter}", [str(it) for it in ids], day


def order(where: tuple[str, list[str], date], at: int = 0, who: str = "DEMO0000", op_key: str = "") -> BookingOrder:
    return BookingOrder(op_key or key(), who, "", where[0], where[1][at])


def bearing(server: GnuHealth, op_key: str) -> list[dict[str, Any]]:
    return server.rows([["comments", "like", f"%{op_key}%"]], ["state", "patient"])


# ---------------------------------------------------------------- reads


def test_people_are_found_by_puid_card_and_id_number_with_their_names_whole(make_his: Make, server: GnuHealth) -> None:
    server.person("RARE0009", "𠮷", "䶮", "110101199002030049")
    his = make_his()
    found = his.ask(PatientQuery(id_no="110101199002030049"), CTX).value
    assert (found.patient_id, found.name, found.sex, found.birth_date) == (
        "RARE0009",
        "𠮷䶮",
        Sex.FEMALE,
        date(1990, 2, 3),
    )
    assert his.ask(PatientQuery(card_no="RARE0009"), CTX).value == found
    assert his.ask(PatientQuery(patient_id="RARE0009"), CTX).value == found
    with pytest.raises(NotFound):
        make_his(card_is_puid=False).ask(PatientQuery(card_no="RARE0009"), CTX)
    with pytest.raises(NotFound):
        his.ask(PatientQuery(id_no="110101199002030057"), CTX)


def test_departments_are_the_specialties_somebody_has(make_his: Make, server: GnuHealth) -> None:
    [specialty] = server.call(
        "model.gnuhealth.specialty.search_read", [["code", "=", "ANATOMY"]], 0, 1, None, ["name"], {}
    )
    server.call("model.gnuhealth.hp_specialty.create", [{"healthprof": DOCTOR, "specialty": specialty["id"]}], {})
    his = make_his()
    assert [it.name for it in his.ask(DepartmentsQuery(), CTX).value] == [specialty["name"]]
    [doctor] = his.ask(DoctorsQuery(department_code=str(specialty["id"])), CTX).value
    assert (doctor.code, doctor.name) == (str(DOCTOR), "示范医生")


def test_a_lab_test_is_flagged_by_its_limits_and_warnings(make_his: Make) -> None:
    his = make_his()
    [summary] = his.ask(ReportsQuery(patient_id="DEMO0000"), CTX).value
    assert (summary.report_no, summary.name) == ("TEST001", "COMPLETE BLOOD COUNT")
    found = his.ask(ReportQuery(patient_id="DEMO0000", report_no="TEST001"), CTX).value
    assert [it.name for it in found.items] == ["HGB", "RBC", "HCT", "MCV", "MCH", "MCHC"]
    hgb = next(it for it in found.items if it.name == "HGB")
    assert (hgb.value, hgb.unit, hgb.low, hgb.high, hgb.flag) == ("24", "g/dL", "11", "16", AbnormalFlag.HIGH)
    assert {it.flag for it in found.items} == {AbnormalFlag.HIGH}
    with pytest.raises(NotFound):
        his.ask(ReportQuery(patient_id="DEMO0002", report_no="TEST001"), CTX)
    with pytest.raises(NotFound):  # nobody validated it
        make_his(released="validated").ask(ReportQuery(patient_id="DEMO0000", report_no="TEST001"), CTX)


def test_a_stay_is_in_ward_and_bed_and_a_planned_one_is_none(make_his: Make) -> None:
    his = make_his()
    stay = his.ask(AdmissionQuery(admission_no="INPAC001"), CTX).value
    assert (stay.patient.patient_id, stay.ward_name, stay.status) == (
        "DEMO0000",
        "内科一病区",
        AdmissionStatus.ADMITTED,
    )
    assert stay.discharged_at is None  # what GNU Health holds is the day it expects
    assert stay.admitted_at == datetime(2026, 11, 23, 8, 25, 47, tzinfo=SHANGHAI)  # 00:25:47 UTC
    assert his.ask(AdmissionsQuery(patient_id="DEMO0000"), CTX).value == (stay,)
    with pytest.raises(NotFound):
        his.ask(AdmissionQuery(admission_no="INPAC003"), CTX)


def test_an_invoice_is_exact_with_its_lines(make_his: Make) -> None:
    [found] = make_his().ask(InvoicesQuery(patient_id="DEMO0001"), CTX).value
    assert (found.invoice_no, found.total_fen, found.self_paid_fen) == ("1", 1100, 1100)
    assert [(it.name, it.quantity, it.price_fen, it.amount_fen) for it in found.items] == [("静脉采血", 2, 550, 1100)]
    assert make_his().ask(InvoicesQuery(patient_id="DEMO0002"), CTX).value == ()


def test_a_time_after_midnight_belongs_to_the_chinese_day(make_his: Make, server: GnuHealth) -> None:
    day = next(_days)
    [row] = server.free([datetime(day.year, day.month, day.day, 0, 30, tzinfo=SHANGHAI)])  # the day before, in UTC
    his = make_his()
    [schedule] = his.ask(SchedulesQuery(from_day=day, to_day=day), CTX).value
    assert (schedule.day, schedule.day_part, schedule.total, schedule.left) == (day, DayPart.MORNING, 1, 1)
    [slot] = his.ask(SlotsQuery(schedule_id=schedule.schedule_id), CTX).value
    booked = his.do(BookingOrder(key(), "DEMO0000", "", schedule.schedule_id, slot.slot_id), CTX)
    assert (booked.slot_id, booked.day, booked.starts_at) == (
        str(row),
        day,
        datetime(day.year, day.month, day.day, 0, 30, tzinfo=SHANGHAI),
    )
    assert booked in his.ask(AppointmentsQuery(patient_id="DEMO0000", from_day=day, to_day=day), CTX).value
    assert (
        his.ask(
            AppointmentsQuery(patient_id="DEMO0000", to_day=day - timedelta(1), from_day=day - timedelta(1)), CTX
        ).value
        == ()
    )


# ---------------------------------------------------------------- writes


def test_created_twice_gnu_health_sells_one_time_twice(server: GnuHealth) -> None:
    at = times(next(_days), 9, 1)[0]
    for patient in (4, 5):
        server.call(
            "model.gnuhealth.appointment.create",
            [{"patient": patient, "healthprof": DOCTOR, "state": "confirmed", "appointment_date": wire(at)}],
            {},
        )
    assert len(server.rows([["appointment_date", "=", wire(at)]], ["id"])) == 2


def test_twenty_people_at_one_free_appointment_are_one_booked_and_nineteen_refused(
    make_his: Make, server: GnuHealth
) -> None:
    where, gate = place(server), threading.Barrier(20)
    his = make_his(guard=GuardOptions(lanes=dict.fromkeys(Lane, 32)), pool_size=20)

    def book(at: int) -> Any:
        gate.wait(10)
        try:
            return his.do(order(where, who="DEMO0000" if at % 2 else "DEMO0002"), CTX)
        except HisError as failure:
            return getattr(failure, "reason", failure)

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(book, range(20)))
    assert Counter(it for it in got if isinstance(it, RejectReason)) == {RejectReason.SLOT_GONE: 19}, got
    [row] = server.rows([["id", "=", int(where[1][0])]], ["state", "comments"])
    assert row["state"] == "confirmed"
    assert row["comments"].count("palm book") == 1


def test_without_the_timestamp_the_last_of_them_takes_it_from_the_first(
    make_his: Make, server: GnuHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = place(server)
    his = make_his()
    tryton = his._adapter._tryton
    gate = threading.Barrier(2)

    def blind(model: str, record: dict[str, Any], values: dict[str, Any], deadline: float) -> None:
        gate.wait(10)
        tryton.call(f"model.{model}.write", [[record["id"]], values, {}], deadline, repeatable=False)

    monkeypatch.setattr(tryton, "write", blind)
    orders = [order(where, who=who) for who in ("DEMO0000", "DEMO0002")]

    def book(it: BookingOrder) -> None:
        with suppress(HisError):
            his.do(it, CTX)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(book, orders))
    assert (
        sum(bool(bearing(server, it.op_key)) for it in orders) == 1
    )  # both were let through, one is gone without a word


def test_one_given_back_is_free_again_and_remembers_who_had_it(make_his: Make, server: GnuHealth) -> None:
    his, where = make_his(), place(server)
    first = order(where)
    booked = his.do(first, CTX)
    assert his.do(first, CTX) == booked
    cancel = BookingCancel(key(), "DEMO0000", booked.appointment_no)
    assert his.resolve(cancel, CTX) == NotDone()
    with pytest.raises(NotFound):
        his.do(BookingCancel(key(), "DEMO0002", booked.appointment_no), CTX)
    assert his.do(cancel, CTX).number == booked.appointment_no
    assert his.do(cancel, CTX).number == booked.appointment_no
    assert his.ask(SlotsQuery(schedule_id=where[0]), CTX).value[0].left == 1
    second = his.do(order(where, who="DEMO0002"), CTX)
    assert second.appointment_no != booked.appointment_no
    found = his.resolve(first, CTX)
    assert isinstance(found, Done)
    assert (found.value.appointment_no, found.value.state) == (booked.appointment_no, RegistrationState.CANCELLED)
    assert isinstance(his.resolve(cancel, CTX), Done)


def test_one_who_has_come_cannot_give_it_back(make_his: Make, server: GnuHealth) -> None:
    his, where = make_his(), place(server)
    booked = his.do(order(where), CTX)
    server.call("model.gnuhealth.appointment.write", [int(where[1][0])], {"state": "checked_in"}, {})
    with pytest.raises(Rejected) as caught:
        his.do(BookingCancel(key(), "DEMO0000", booked.appointment_no), CTX)
    assert caught.value.reason is RejectReason.TOO_LATE


def test_hospital_his_check_finds_every_operation_well(server: GnuHealth) -> None:
    server.free(times(tomorrow(), 7, 1))
    chosen = {
        "query_patient": {"patient_id": "DEMO0000"},
        "list_reports": {"patient_id": "DEMO0000"},
        "list_admissions": {"patient_id": "DEMO0000"},
    }
    his = {"adapter": "gnuhealth", "options": server.options, "check": chosen}
    config = Config.model_validate({"secrets": {"data_key": "k"}, "his": his})
    adapter = his_adapter(config)
    found = list(probe(config, adapter))
    adapter.close()
    assert [it.line() for it in found if it.bad] == []
    assert {it.op for it in found if it.answer} >= {Op.LIST_DOCTORS, Op.LIST_SLOTS, Op.REPORT, Op.LIST_ADMISSIONS}


def test_it_says_what_it_cannot_do(make_his: Make) -> None:
    his = make_his()
    assert not his.capabilities & {Op.TOP_UP, Op.BALANCE, Op.REGISTER, Op.LOCK_SLOT, Op.SETTLE, Op.DAILY_STATEMENT}
    with pytest.raises(Unavailable, match="unsupported_text"):
        his.do(BookingOrder("50%_off", "DEMO0000", "", "1:20270101:m", "1"), CTX)


@pytest.mark.parametrize("at", ["write", "answered"])
def test_a_booking_killed_at_a_step_is_in_the_books_once_or_never_was(
    make_his: Make, server: GnuHealth, at: str
) -> None:
    where = place(server, 20)
    orders = [order(where, n) for n in range(20)]
    for wanted in orders:
        pid = os.fork()
        if pid == 0:
            try:
                adapter = make(
                    OPTIONS.model_validate(server.options),
                    lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == at else None,
                )
                adapter.do(wanted, Call(time.monotonic() + 10))
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    his = make_his()
    found = [his.resolve(wanted, CTX) for wanted in orders]
    assert [isinstance(it, Done) for it in found] == [at == "answered"] * 20
    assert [his.do(wanted, CTX).slot_id for wanted in orders] == where[1]  # sent again: none twice, none lost
    assert [len(bearing(server, wanted.op_key)) for wanted in orders] == [1] * 20


# ---------------------------------------------------------------- sessions and errors


def test_a_session_that_ended_is_begun_again_for_a_read(make_his: Make) -> None:
    his = make_his()
    his.ask(PatientQuery(patient_id="DEMO0000"), CTX)
    tryton = his._adapter._tryton
    tryton._session = "YWRtaW46MTpnb25l"
    assert his.ask(PatientQuery(patient_id="DEMO0000"), CTX).value.patient_id == "DEMO0000"


def test_a_write_with_an_ended_session_changes_nothing_and_says_so(make_his: Make, server: GnuHealth) -> None:
    ended: list[Gateway] = []

    def end(_step: str) -> None:
        ended[0]._adapter._tryton._session = "YWRtaW46MTpnb25l"

    where = place(server)
    ended.append(make_his(end))
    wanted = order(where)
    with pytest.raises(Unavailable, match="unauthorized"):
        ended[0].do(wanted, CTX)
    assert make_his().resolve(wanted, CTX) == NotDone()


def test_a_wrong_password_is_unauthorized(make_his: Make) -> None:
    with pytest.raises(Unavailable, match="unauthorized"):
        make_his(password="wrong").ask(PatientQuery(patient_id="DEMO0000"), CTX)


def test_business_errors_inside_http_200_keep_their_words(make_his: Make) -> None:
    tryton = make_his()._adapter._tryton
    with pytest.raises(Rejected) as caught:
        tryton.call(
            "model.gnuhealth.appointment.create", [[{"state": "confirmed", "patient": None}], {}], time.monotonic() + 10
        )
    assert caught.value.code == "UserError"
    assert "required" in caught.value.message


# ---------------------------------------------------------------- frozen


def test_fifty_bookings_sent_to_a_frozen_server_are_found_in_its_books_once_it_thaws(
    make_his: Make, server: GnuHealth
) -> None:
    count, deadline = 50, 12.0
    where = place(server, count, minutes=3)
    gate = threading.Barrier(count, action=server.freeze)
    freezing = make_his(
        lambda _: gate.wait(30) and None,
        GuardOptions(lanes=dict.fromkeys(Lane, 64), fail_max=1000, deadlines=dict.fromkeys(OpClass, 30.0)),
        pool_size=64,
    )
    orders = [order(where, at) for at in range(count)]

    def book(it: BookingOrder) -> tuple[str, float]:
        begun = time.monotonic()
        try:
            freezing.do(it, Ctx(deadline_s=deadline))
        except HisError as failure:
            return type(failure).__name__, time.monotonic() - begun
        return "done", time.monotonic() - begun

    try:
        with ThreadPoolExecutor(count) as pool:
            got = list(pool.map(book, orders))
    finally:
        server.thaw()
    assert {word for word, _ in got} == {"UnknownOutcome"}
    assert max(took for _, took in got) < deadline + 0.5
    his, left, until = make_his(), list(orders), time.monotonic() + 60
    while left and time.monotonic() < until:
        left = [it for it in left if not isinstance(his.resolve(it, CTX), Done)]
    assert left == []
    assert [len(bearing(server, it.op_key)) for it in orders] == [1] * count
    taken = server.rows([["id", "in", [int(it) for it in where[1]]]], ["state"])
    assert [it["state"] for it in taken] == ["confirmed"] * count


def test_a_naive_client_that_repeats_after_a_timeout_books_twice(server: GnuHealth) -> None:
    at = times(next(_days), 9, 1)[0]
    body = [{"patient": 4, "healthprof": DOCTOR, "state": "confirmed", "appointment_date": wire(at)}]
    server.call("model.res.user.get_preferences", True, {})
    server.freeze()
    try:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                server.call("model.gnuhealth.appointment.create", body, {}, timeout=0.5)
    finally:
        server.thaw()
    until = time.monotonic() + 20
    while len(server.rows([["appointment_date", "=", wire(at)]], ["id"])) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert len(server.rows([["appointment_date", "=", wire(at)]], ["id"])) == 2
