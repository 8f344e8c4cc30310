"""The `views` adapter against a real PostgreSQL and a real MariaDB: who may do what, races, faults, characters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from his.faults import Broken, NotSent
from his.gateway import Gateway
from his.port import (
    AbnormalFlag,
    BookingOrder,
    CardApplication,
    CardKind,
    CardStatus,
    Ctx,
    DepartmentsQuery,
    Done,
    HealthQuery,
    HisError,
    IdType,
    NotFound,
    Op,
    PatientQuery,
    RegistrationOrder,
    Rejected,
    RejectReason,
    ReportQuery,
    ReportsQuery,
    Sex,
    StillUnknown,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)
from his.views import OPTIONS, make
from his.views.driver import Driver, SqlRefused, account
from his.views.mariadb import MariadbDriver
from his.views.postgresql import PostgresDriver
from his.views.sql import parse
from tests.support.tcp_proxy import TcpProxy
from tests.support.views_hospital import Hospital, start_hospital

pytestmark = pytest.mark.xdist_group("peer-views")
CTX = Ctx(deadline_s=5)
SHORT = Ctx(deadline_s=1)
NASTY = (
    "'; DROP TABLE his.patient; --", "\\'; DELETE FROM his.card; -- ", "' OR '1'='1", '" OR ""="', "%s %(name)s %", ":name",
    "\\", "縗' OR 1=1 -- ", "\u00bf' OR 1=1 #", "X'00'", "{$}", "*/ DROP TABLE his.card /*", "a\nb\r\tc", "\x1a",
)  # fmt: skip


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def _server(request: pytest.FixtureRequest) -> Iterator[Hospital]:
    started = start_hospital(request.param)
    if isinstance(started, str):
        pytest.skip(started)
    yield started
    started.stop()


@pytest.fixture
def hospital(_server: Hospital) -> Iterator[Hospital]:
    """The hospital, its slots free and its money back after each test."""
    yield _server
    for statement in (
        "UPDATE his.slot SET taken = CASE WHEN slot_id = 'S02-1' THEN 1 ELSE 0 END",
        "DELETE FROM his.registration WHERE reg_no <> 'R900'",
        "UPDATE his.patient SET balance = 200 WHERE patient_id = 'P0001'",
    ):
        _server.sql(statement)


@pytest.fixture
def make_his(hospital: Hospital) -> Iterator[Callable[..., Gateway]]:
    """Gateways on the hospital, closed afterwards."""
    made: list[Gateway] = []

    def build(**options: object) -> Gateway:
        given = {"read_url": hospital.read_url, "write_url": hospital.write_url, "mapping": hospital.mapping, **options}
        made.append(Gateway(make(OPTIONS.model_validate(given))))
        return made[-1]

    yield build
    for his in made:
        his.close()


@pytest.fixture
def his(make_his: Callable[..., Gateway]) -> Gateway:
    return make_his()


def order(op_key: str, **fields: Any) -> RegistrationOrder:
    return replace(RegistrationOrder(op_key, "P0001", "600000000001", "S01", "S01-1", 5000), **fields)


def driver(hospital: Hospital, url: str, *, read_only: bool) -> Driver:
    where = account(url, 5432, 4, 1.0, "off", None)
    return PostgresDriver(where) if hospital.kind == "postgresql" else MariadbDriver(where, read_only=read_only)


def owner_url(hospital: Hospital) -> str:
    """An account that may do everything, as a careless hospital would give it to us."""
    if hospital.kind == "postgresql":
        return hospital.read_url.replace("palm_read:read-only-of-tests", "palm:x")
    hospital.sql("GRANT ALL ON *.* TO 'mighty'@'127.0.0.1' IDENTIFIED BY 'x'")
    return hospital.read_url.replace("palm_read:read-only-of-tests", "mighty:x")


def through(proxy: TcpProxy, url: str) -> str:
    return url.replace(f":{urlsplit(url).port}/", f":{proxy.port}/")


@pytest.fixture
def proxy(hospital: Hospital) -> Iterator[TcpProxy]:
    made = TcpProxy(urlsplit(hospital.read_url).port or 0)
    yield made
    made.close()


def test_rows_become_typed_answers_and_unknown_codes_are_unknown(his: Gateway) -> None:
    odd = his.ask(PatientQuery(card_no="600000000005"), CTX).value
    assert (odd.cards[0].kind, odd.cards[0].status) == (CardKind.UNKNOWN, CardStatus.UNKNOWN)
    assert his.ask(PatientQuery(patient_id="P0006"), CTX).value.birth_date is None
    report = his.ask(ReportQuery("P0001", "L001"), CTX).value
    assert [item.flag for item in report.items] == [
        AbnormalFlag.HIGH, AbnormalFlag.NORMAL, AbnormalFlag.LOW, AbnormalFlag.UNDETERMINED,
    ]  # fmt: skip


def test_two_patients_with_one_id_number_are_ambiguous(his: Gateway) -> None:
    with pytest.raises(Rejected) as refused:
        his.ask(PatientQuery(id_no="990101200105050066"), CTX)
    assert refused.value.reason is RejectReason.AMBIGUOUS


def test_reports_that_are_not_released_or_somebody_elses_do_not_exist(his: Gateway) -> None:
    assert [one.report_no for one in his.ask(ReportsQuery("P0001"), CTX).value] == ["L001", "X001"]
    for patient_id, report_no in (("P0001", "L002"), ("P0002", "L001")):
        with pytest.raises(NotFound):
            his.ask(ReportQuery(patient_id, report_no), CTX)


def test_without_a_write_account_nothing_can_be_written(make_his: Callable[..., Gateway]) -> None:
    his = make_his(write_url=None)
    assert Op.REGISTER not in his.capabilities
    assert Op.QUERY_PATIENT in his.capabilities
    with pytest.raises(Unsupported):
        his.do(order("k-ro"), CTX)


def test_the_read_account_sees_no_base_table_and_cannot_write(hospital: Hospital) -> None:
    reader = driver(hospital, hospital.read_url, read_only=True)
    until = time.monotonic() + 5
    for sql in (
        "SELECT * FROM his.patient", "UPDATE his.patient SET balance = 0", "DELETE FROM his.card",
        "UPDATE palm.v_balance SET balance = 0", "INSERT INTO palm.v_card VALUES ('1', 'P0001', '01', '1', 'k')",
    ):  # fmt: skip
        with pytest.raises(Broken) as broken:
            reader.read([(parse(sql), {})], until)
        assert broken.value.reason == "unauthorized", sql
    reader.close()


def test_even_an_account_that_may_everything_reads_in_a_read_only_transaction(hospital: Hospital) -> None:
    mighty = driver(hospital, owner_url(hospital), read_only=True)
    until = time.monotonic() + 5
    update = parse("UPDATE his.patient SET balance = 0")
    harmless = parse("SELECT 1")
    for statements in ([(update, {})], [(harmless, {}), (update, {})]):
        with pytest.raises(Broken) as broken:
            mighty.read(statements, until)
        assert broken.value.reason == "unauthorized"
    mighty.close()
    # the control: the same account and statement outside of a read-only transaction
    writer = driver(hospital, owner_url(hospital), read_only=False)
    writer.write((parse("UPDATE his.patient SET balance = 0 WHERE patient_id = 'P0006'"), {}), until)
    writer.close()


def test_what_a_patient_types_is_data_wherever_it_goes(his: Gateway, hospital: Hospital) -> None:
    for number, text in enumerate(NASTY):
        with pytest.raises(NotFound):
            his.ask(PatientQuery(card_no=text), CTX)
        card = his.do(applicant(f"n{number}", f"名{text}"), CTX)
        assert his.ask(PatientQuery(card_no=card.card_no), CTX).value.name == f"名{text}".strip()
    assert hospital.sql("SELECT COUNT(*) FROM his.card WHERE op_key IS NULL") == [("6",)]


def applicant(op_key: str, name: str) -> CardApplication:
    return CardApplication(
        op_key, name, Sex.MALE, date(2000, 1, 1), IdType.ID_CARD, f"99010120000101{op_key}", "19900000009"
    )


@pytest.mark.parametrize("mode", ["NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,PIPES_AS_CONCAT"])
def test_no_sql_mode_of_the_server_makes_a_text_more_than_a_text(hospital: Hospital, mode: str) -> None:
    if hospital.kind != "mariadb":
        pytest.skip("sql_mode is MariaDB's")
    reader = driver(hospital, hospital.read_url, read_only=True)
    until = time.monotonic() + 5
    echo = parse("SELECT :text AS text, @@sql_mode AS mode")
    reader.read([(parse(f"SET SESSION sql_mode = '{mode}'"), {})], until)
    for text in NASTY:
        ((row,),) = reader.read([(echo, {"text": text})], until)
        assert row["text"] == text
        assert mode.partition(",")[0] in row["mode"]
    reader.close()


def sell(his: Gateway, make_order: Callable[[str], Any], times: int) -> list[str]:
    """How each of `times` attempts at once ended."""
    ends: list[str] = []
    gate = threading.Barrier(times)

    def attempt(number: int) -> None:
        gate.wait()
        try:
            his.do(make_order(f"r{number}"), Ctx(deadline_s=15))
        except Rejected as refused:
            ends.append(refused.reason)
        except HisError as failure:
            ends.append(type(failure).__name__)
        else:
            ends.append("sold")

    # lanes of the guard are for pages; here the race at the database is wanted
    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ends


def patient_lanes(make_his: Callable[..., Gateway], **options: object) -> Gateway:
    his = make_his(**{"pool_size": 16, **options})
    his.guard._lanes = dict.fromkeys(his.guard._lanes, threading.BoundedSemaphore(64))
    return his


def test_fifty_attempts_on_twenty_slots_sell_twenty(make_his: Callable[..., Gateway], hospital: Hospital) -> None:
    his = patient_lanes(make_his)
    ends = sell(his, lambda key: BookingOrder(key, "P0001", "600000000001", "S03", "S03-1"), 50)
    print(f"\n{hospital.kind}: 50 attempts, {ends.count('sold')} sold, {ends.count('slot_gone')} refused")
    assert (ends.count("sold"), ends.count(RejectReason.SLOT_GONE)) == (20, 30)
    assert hospital.sql("SELECT taken FROM his.slot WHERE slot_id = 'S03-1'") == [("20",)]
    assert hospital.sql("SELECT COUNT(*) FROM his.registration WHERE slot_id = 'S03-1'") == [("20",)]


def test_control_a_procedure_that_looks_before_it_writes_sells_too_many(
    make_his: Callable[..., Gateway], hospital: Hospital, tmp_path: Path
) -> None:
    his = patient_lanes(make_his, mapping=careless(hospital, tmp_path))
    ends = sell(his, lambda key: BookingOrder(key, "P0001", "600000000001", "S03", "S03-1"), 50)
    print(f"\n{hospital.kind}, careless: {ends.count('sold')} sold of 20")
    assert ends.count("sold") > 20


def careless(hospital: Hospital, tmp_path: Path) -> str:
    call = "palm.careless_take(:op_key, :patient_id, :schedule_id, :slot_id)"
    sql = f"SELECT ret_code, (made).* FROM {call}" if hospital.kind == "postgresql" else f"CALL {call}"
    return written(
        tmp_path,
        f"""
types:
  Appointment: {{appointment_no: reg_no, day: clinic_day, fee_fen: fee}}
operations:
  book:
    send: {{sql: "{sql}"}}
    envelope: {{code: ret_code}}
    codes: {{ok: ["0"], rejected: {{FULL: slot_gone}}}}
""",
    )


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mapping.yaml"
    path.write_text("vendor: test\nformats: {money: yuan}\ncodes: {empty: not_found}\n" + text, "utf-8")
    return str(path)


def test_the_same_op_key_twice_is_one_row_and_one_answer(his: Gateway, hospital: Hospital) -> None:
    first = his.do(order("same"), CTX)
    assert his.do(order("same"), CTX) == first
    assert hospital.sql("SELECT COUNT(*) FROM his.registration WHERE op_key = 'same'") == [("1",)]
    assert hospital.sql("SELECT taken FROM his.slot WHERE slot_id = 'S01-1'") == [("1",)]


def test_a_short_balance_says_how_much_is_missing(his: Gateway, hospital: Hospital) -> None:
    with pytest.raises(Rejected) as refused:
        his.do(order("poor", patient_id="P0002", card_no="600000000002"), CTX)
    assert (refused.value.reason, refused.value.shortfall_fen) == (RejectReason.BALANCE_SHORT, 4500)
    assert hospital.sql("SELECT taken FROM his.slot WHERE slot_id = 'S01-1'") == [("0",)]


def test_a_frozen_server_holds_nobody_and_what_it_took_is_found_once(his: Gateway, hospital: Hospital) -> None:
    his.ask(HealthQuery(), CTX)
    his.do(order("before"), CTX)  # both accounts are connected now
    hospital.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(Unavailable) as read:
            his.ask(PatientQuery(patient_id="P0001"), SHORT)
        read_took = time.monotonic() - started
        started = time.monotonic()
        with pytest.raises(UnknownOutcome) as write:
            his.do(order("frozen"), SHORT)
        write_took = time.monotonic() - started
        assert read.value.reason == "timeout"
        assert write.value.op_key == "frozen"
        print(f"\n{hospital.kind} frozen: read gave up after {read_took:.3f} s, write after {write_took:.3f} s")
        assert max(read_took, write_took) < 1.5
        started = time.monotonic()
        with pytest.raises(Unavailable):  # a connection that must be made first
            his.ask(PatientQuery(patient_id="P0001"), Ctx(deadline_s=3))
        assert time.monotonic() - started < 3.5
    finally:
        hospital.thaw()
    wait_for(lambda: isinstance(his.resolve(order("frozen"), CTX), Done))
    assert hospital.sql("SELECT COUNT(*) FROM his.registration WHERE op_key = 'frozen'") == [("1",)]
    assert hospital.sql("SELECT taken FROM his.slot WHERE slot_id = 'S01-1'") == [("2",)]


def test_fifty_writes_to_a_frozen_server_are_unknown_in_time_and_fifty_rows_afterwards(
    make_his: Callable[..., Gateway], hospital: Hospital
) -> None:
    his = patient_lanes(make_his, pool_size=50)
    hospital.sql("UPDATE his.patient SET balance = 9999 WHERE patient_id = 'P0001'")
    hospital.sql("UPDATE his.slot SET total = 60 WHERE slot_id = 'S01-1'")
    connect_all(his, hospital, 50)
    took: list[float] = []
    ends: list[str] = []
    gate = threading.Barrier(50)

    def attempt(number: int) -> None:
        gate.wait()
        started = time.monotonic()
        try:
            his.do(order(f"f{number}"), Ctx(deadline_s=2))
        except HisError as failure:
            ends.append(type(failure).__name__)
        took.append(time.monotonic() - started)

    hospital.freeze()
    try:
        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    finally:
        hospital.thaw()
    assert ends == ["UnknownOutcome"] * 50
    assert max(took) < 2.5
    started = time.monotonic()
    for number in range(50):
        wait_for(lambda: isinstance(his.resolve(order(f"f{number}"), CTX), Done), 60)  # noqa: B023 - called here
    print(
        f"\n{hospital.kind}: 50 unknown within {max(took):.2f} s, all found {time.monotonic() - started:.2f} s after it went on"
    )
    assert hospital.sql("SELECT COUNT(*) FROM his.registration WHERE op_key LIKE 'f%'") == [("50",)]
    assert hospital.sql("SELECT taken FROM his.slot WHERE slot_id = 'S01-1'") == [("50",)]
    hospital.sql("UPDATE his.slot SET total = 20 WHERE slot_id = 'S01-1'")


def connect_all(his: Gateway, hospital: Hospital, connections: int) -> None:
    """Open every connection of the write account's pool."""
    sleep = parse("SELECT pg_sleep(0.5)" if hospital.kind == "postgresql" else "SELECT SLEEP(0.5)")
    writer = his._adapter._write
    threads = [
        threading.Thread(target=writer.write, args=((sleep, {}), time.monotonic() + 20)) for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(writer._pool._idle) == connections


def test_a_procedure_that_is_slow_is_not_cut_in_half(hospital: Hospital) -> None:
    if hospital.kind != "mariadb":
        pytest.skip("PostgreSQL rolls the whole of it back")
    update = "UPDATE his.patient SET balance = balance + 1 WHERE patient_id = 'P0001'"
    body = f"BEGIN {update}; DO SLEEP(1); {update}; END"
    hospital.sql(f"DELIMITER //\nCREATE PROCEDURE palm.slow() {body} //\nDELIMITER ")
    writer = driver(hospital, hospital.write_url, read_only=False)
    with pytest.raises(Broken):
        writer.write((parse("CALL palm.slow()"), {}), time.monotonic() + 0.3)
    wait_for(lambda: hospital.sql("SELECT balance FROM his.patient WHERE patient_id = 'P0001'") == [("202.00",)], 5)
    writer.close()


def wait_for(ready: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_that_drips_does_not_outlive_the_deadline(
    make_his: Callable[..., Gateway], hospital: Hospital, proxy: TcpProxy
) -> None:
    his = make_his(read_url=through(proxy, hospital.read_url))
    his.ask(HealthQuery(), CTX)
    proxy.mode = "drip"
    for ctx in (SHORT, SHORT):  # on the open connection, then on a new one
        started = time.monotonic()
        with pytest.raises(Unavailable):
            his.ask(DepartmentsQuery(), ctx)
        assert time.monotonic() - started < 1.5


def test_a_line_cut_after_the_write_left_is_an_unknown_outcome_that_resolves(
    make_his: Callable[..., Gateway], hospital: Hospital, proxy: TcpProxy
) -> None:
    his = make_his(write_url=through(proxy, hospital.write_url))
    his.do(order("whole"), CTX)
    proxy.mode = "cut"
    with pytest.raises(UnknownOutcome):
        his.do(order("cut"), CTX)
    wait_for(lambda: isinstance(his.resolve(order("cut"), CTX), Done))
    assert hospital.sql("SELECT COUNT(*) FROM his.registration WHERE op_key = 'cut'") == [("1",)]


def test_nobody_there_means_that_nothing_was_sent(make_his: Callable[..., Gateway], hospital: Hospital) -> None:
    his = make_his(write_url=hospital.write_url.replace(f":{urlsplit(hospital.write_url).port}/", ":1/"))
    with pytest.raises(Unavailable) as nobody:
        his.do(order("nobody"), CTX)
    assert nobody.value.reason == "refused"
    his = make_his(write_url=hospital.write_url.replace("write-of-tests", "wrong"))
    if hospital.kind == "mariadb":  # the private PostgreSQL trusts everybody
        with pytest.raises(Unavailable) as stranger:
            his.do(order("stranger"), CTX)
        assert stranger.value.reason == "unauthorized"


def test_a_server_that_restarts_is_followed_without_our_restart(his: Gateway, hospital: Hospital) -> None:
    his.ask(HealthQuery(), CTX)
    his.do(order("old"), CTX)
    hospital.restart()
    assert his.do(order("new"), CTX).registration_no
    assert his.ask(PatientQuery(patient_id="P0001"), CTX).value.name == "王小明"


def test_a_statement_that_takes_too_long_is_stopped_on_the_server_too(hospital: Hospital) -> None:
    reader = driver(hospital, hospital.read_url, read_only=True)
    sleep = "pg_sleep(5)" if hospital.kind == "postgresql" else "SLEEP(5)"
    with pytest.raises(Broken) as late:
        reader.read([(parse(f"SELECT {sleep}"), {})], time.monotonic() + 0.5)
    assert late.value.reason == "timeout"
    running = {
        "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(5)%' AND pid <> pg_backend_pid()",
        "mariadb": "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(5)' AND command = 'Query'",
    }[hospital.kind]  # fmt: skip
    wait_for(lambda: hospital.sql(running) == [("0",)], 2)
    reader.close()


def test_rare_characters_go_round_whole(his: Gateway, hospital: Hospital) -> None:
    assert his.ask(PatientQuery(patient_id="P0003"), CTX).value.name == "𠮷田䶮"
    card = his.do(applicant("rare", "𠮷野䶮"), CTX)
    assert card.patient.name == "𠮷野䶮"
    assert his.ask(PatientQuery(card_no=card.card_no), CTX).value.name == "𠮷野䶮"
    assert hospital.sql("SELECT name FROM his.patient WHERE op_key = 'rare'") == [("𠮷野䶮",)]


@pytest.mark.parametrize("name", ["𠮷", "䶮"])
@pytest.mark.parametrize("charset", ["gbk", "latin-1", "utf-8mb3"])
def test_a_character_the_columns_cannot_hold_is_refused_before_anything_is_sent(
    make_his: Callable[..., Gateway], hospital: Hospital, name: str, charset: str
) -> None:
    if (name, charset) == ("䶮", "utf-8mb3"):
        pytest.skip("three bytes hold it")
    his = make_his(
        charset=charset, write_url=hospital.write_url.replace(f":{urlsplit(hospital.write_url).port}/", ":1/")
    )
    with pytest.raises(Unavailable) as refused:
        his.do(applicant("refuse", name), CTX)
    assert refused.value.reason == "unsupported_text"


def old_desk(tmp_path: Path, *, strict: bool, charset: str = "utf-8") -> str:
    return written(
        tmp_path,
        f"""
operations:
  create_card:
    send:
      sql: "CALL palm.{"strict_" if strict else ""}old_create_card(:op_key, :name)"
      charset: {charset}
    envelope: {{code: ret_code, message: ret_message}}
    codes: {{ok: ["0"], rejected: {{"1366": not_allowed}}}}
    answer: {{fields: {{patient: {{path: ".", fields: {{cards: ".", sex: {{const: unknown}}}}}}}}}}
    resolve:
      send: {{sql: "SELECT *, card_no AS patient_id FROM palm.v_old_card WHERE op_key = :op_key"}}
      envelope: {{}}
""",
    )


def test_a_gbk_column_never_keeps_a_question_mark_unnoticed(
    make_his: Callable[..., Gateway], hospital: Hospital, tmp_path: Path
) -> None:
    if hospital.kind != "mariadb":
        pytest.skip("PostgreSQL refuses such a text itself")
    lenient = make_his(mapping=old_desk(tmp_path, strict=False))
    assert lenient.do(applicant("o1", "王小明"), CTX).patient.name == "王小明"
    with pytest.raises(UnknownOutcome):  # stored as '?': not a success, and a person must look at it
        lenient.do(applicant("o2", "𠮷野"), CTX)
    assert hospital.sql("SELECT name FROM his.old_card WHERE op_key = 'o2'") == [("?野",)]
    assert lenient.resolve(applicant("o2", "𠮷野"), CTX) == StillUnknown("altered_text")
    named = make_his(mapping=old_desk(tmp_path, strict=False, charset="gbk"))
    with pytest.raises(Unavailable):
        named.do(applicant("o3", "䶮"), CTX)
    strict = make_his(mapping=old_desk(tmp_path, strict=True))
    with pytest.raises(Rejected) as refused:
        strict.do(applicant("o4", "䶮"), CTX)
    assert refused.value.reason is RejectReason.NOT_ALLOWED
    assert hospital.sql("SELECT COUNT(*) FROM his.old_card WHERE op_key IN ('o3', 'o4')") == [("0",)]


def test_gbk_views_are_read_as_they_are(his: Gateway, hospital: Hospital) -> None:
    if hospital.kind == "mariadb":
        kept = hospital.sql(
            "SELECT character_set_name FROM information_schema.columns WHERE table_schema='palm' AND table_name='v_department' AND column_name='dept_name'"
        )
        assert kept == [("gbk",)]
    assert [one.name for one in his.ask(DepartmentsQuery(), CTX).value] == ["心血管内科", "儿科", "骨科"]


def test_a_postgresql_in_an_old_encoding_refuses_what_it_cannot_hold(hospital: Hospital) -> None:
    if hospital.kind != "postgresql":
        pytest.skip("PostgreSQL only")
    hospital.sql("CREATE DATABASE euc ENCODING 'EUC_CN' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    old = driver(hospital, owner_url(hospital).replace("/postgres", "/euc"), read_only=False)
    until = time.monotonic() + 5
    old.write((parse("CREATE TABLE names (name text)"), {}), until)
    old.write((parse("INSERT INTO names VALUES (:name)"), {"name": "王"}), until)
    for name in ("𠮷", "䶮"):
        with pytest.raises(NotSent) as refused:
            old.write((parse("INSERT INTO names VALUES (:name)"), {"name": name}), until)
        assert refused.value.reason == "unsupported_text"
    assert old.read([(parse("SELECT name FROM names"), {})], until) == [[{"name": "王"}]]
    old.close()


def test_an_error_of_the_server_that_no_mapping_names_decides_nothing(
    make_his: Callable[..., Gateway], hospital: Hospital, tmp_path: Path
) -> None:
    writer = driver(hospital, hospital.write_url, read_only=False)
    with pytest.raises(SqlRefused):
        writer.write((parse("SELECT no_such_function()"), {}), time.monotonic() + 5)
    writer.close()
    his = make_his(mapping=written(tmp_path, 'operations: {cancel_booking: {send: {sql: "SELECT gone()"}}}'))
    from his.port import BookingCancel

    with pytest.raises(UnknownOutcome):
        his.do(BookingCancel("gone", "P0001", "R1"), CTX)
