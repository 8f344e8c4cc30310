"""Tryton's JSON-RPC from a scripted peer: each answer its class, sessions, and flags by limits. No GNU Health needed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest

from his.adapter import Call
from his.faults import Broken, NotSent
from his.gateway import Gateway
from his.gnuhealth import OPTIONS, make
from his.gnuhealth.records import flag
from his.guard import GuardOptions
from his.port import (
    AbnormalFlag,
    AdmissionQuery,
    AdmissionsQuery,
    AppointmentsQuery,
    BookingOrder,
    Ctx,
    DepartmentsQuery,
    DoctorsQuery,
    HealthQuery,
    HisError,
    InvoicesQuery,
    NotDone,
    PatientQuery,
    Query,
    ReportQuery,
    ReportsQuery,
    SchedulesQuery,
    SlotsQuery,
    Unavailable,
    UnknownOutcome,
    answer_type,
)
from his.wire import Response
from tests.support.spoil import spoilt
from tests.support.typed import fits

CTX = Ctx(deadline_s=2.0)
ORDER = BookingOrder("k" * 32, "P1", "", "1:20261125:m", "7")


def said(result: object = None, error: object = None, status: int = 200) -> bytes:
    body = json.dumps({"id": 1, **({"error": error} if error else {"result": result})}).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


def raw(text: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text)


LOGIN = said([1, "f" * 64])
ROW = {
    "id": 7, "name": None, "state": "free", "comments": None, "healthprof": 1, "patient.": None, "_timestamp": "1.5",
    "speciality": None, "create_date": None,
    "appointment_date": {"__class__": "datetime", "year": 2026, "month": 11, "day": 25, "hour": 1, "minute": 0, "second": 0},
}  # fmt: skip
TO_THE_WRITE = (LOGIN, said([]), said([{"id": 4, "puid": "P1", "party": 9}]), said([ROW]))


@pytest.fixture
def his_of() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def build(url: str) -> Gateway:
        options = OPTIONS.model_validate(
            {"base_url": url, "database": "health", "user": "u", "password": "secret-word"}
        )
        made.append(Gateway(make(options), GuardOptions(attempts=1)))
        return made[-1]

    yield build
    for his in made:
        his.close()


def name_of(error: HisError) -> str:
    reason = "" if isinstance(error, UnknownOutcome) else getattr(error, "reason", "")
    return f"{type(error).__name__}:{reason}".rstrip(":")


ANSWERS = [
    (said(error=["UserError", ["Bed is not available", "", None]]), "Rejected:other", "Rejected:other"),
    (said(error=["UserWarning", ["w1", "Sure?", ""]]), "Rejected:other", "Rejected:other"),
    (said(error=["LoginException", ["password"]]), "Unavailable:unauthorized", "Unavailable:unauthorized"),
    (said(error=["'gnuhealth.nope'", ""]), "Unavailable:his_exception", "UnknownOutcome"),
    (said(error="text"), "Unavailable:his_exception", "UnknownOutcome"),
    (raw(b"", 403), "Unavailable:unauthorized", "Unavailable:unauthorized"),
    (raw(b"<html>", 500), "Unavailable:http_500", "UnknownOutcome"),
    (raw(b"<html>welcome</html>"), "Unavailable:bad_reply", "UnknownOutcome"),
    (raw(b'{"id":1,"resu'), "Unavailable:bad_reply", "UnknownOutcome"),
    (raw(b"[]"), "Unavailable:bad_reply", "UnknownOutcome"),
    (
        raw(b'{"id":1,"result":{"__class__":"date","year":2026,"month":13,"day":1}}'),
        "Unavailable:bad_reply",
        "UnknownOutcome",
    ),
]


@pytest.mark.parametrize(("answer", "read", "_write"), ANSWERS)
def test_every_answer_to_a_read_has_its_class(
    make_peer: Any, his_of: Any, answer: bytes, read: str, _write: str
) -> None:
    with pytest.raises(HisError) as caught:
        his_of(make_peer(LOGIN, answer).url).ask(HealthQuery(), CTX)
    assert name_of(caught.value) == read


@pytest.mark.parametrize(("answer", "_read", "write"), ANSWERS)
def test_every_answer_to_a_write_has_its_class(
    make_peer: Any, his_of: Any, answer: bytes, _read: str, write: str
) -> None:
    with pytest.raises(HisError) as caught:
        his_of(make_peer(*TO_THE_WRITE, answer).url).do(ORDER, CTX)
    assert name_of(caught.value) == write


def test_a_record_that_changed_at_every_try_is_gone(make_peer: Any, his_of: Any) -> None:
    changed = said(error=["ConcurrencyException", "Records were modified in the meanwhile"])
    peer = make_peer(*TO_THE_WRITE, changed, said([ROW]), changed, said([ROW]), changed)
    with pytest.raises(HisError) as caught:
        his_of(peer.url).do(ORDER, CTX)
    assert name_of(caught.value) == "Rejected:slot_gone"


def test_a_record_without_a_timestamp_is_not_written(make_peer: Any, his_of: Any) -> None:
    row = {**ROW, "_timestamp": None}
    peer = make_peer(*TO_THE_WRITE[:-1], said([row]))
    with pytest.raises(HisError):
        his_of(peer.url).do(ORDER, CTX)
    assert peer.asked == 4


def test_a_session_is_begun_again_once_and_not_for_ever(make_peer: Any, his_of: Any) -> None:
    peer = make_peer(LOGIN, raw(b"", 401), LOGIN, raw(b"", 401), LOGIN)
    with pytest.raises(Unavailable, match="unauthorized"):
        his_of(peer.url).ask(HealthQuery(), CTX)
    assert peer.asked == 4


def test_a_key_that_only_contains_ours_is_not_ours(make_peer: Any, his_of: Any) -> None:
    row = {**ROW, "comments": f"palm book x{ORDER.op_key} P1"}
    peer = make_peer(LOGIN, said([row]))
    assert his_of(peer.url).resolve(ORDER, CTX) == NotDone()


def test_a_peer_that_never_answers_the_login_ends_in_time(make_peer: Any, his_of: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        his_of(make_peer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{").url).ask(HealthQuery(), Ctx(deadline_s=0.4))
    assert time.monotonic() - begun < 0.9


def test_the_password_is_in_no_repr() -> None:
    options = OPTIONS.model_validate({"base_url": "http://h", "database": "d", "user": "u", "password": "secret-word"})
    assert "secret-word" not in repr(options)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"result": 24.0, "lower_limit": 11.0, "upper_limit": 16.0, "warning": True}, AbnormalFlag.HIGH),
        ({"result": 3, "lower_limit": 11.0, "upper_limit": None, "warning": False}, AbnormalFlag.LOW),
        ({"result": 12.0, "lower_limit": 11.0, "upper_limit": 16.0, "warning": False}, AbnormalFlag.NORMAL),
        ({"result": 12.0, "lower_limit": 11.0, "upper_limit": 16.0, "warning": True}, AbnormalFlag.ABNORMAL),
        ({"result": 12.0, "lower_limit": None, "upper_limit": 16.0, "warning": False}, AbnormalFlag.UNDETERMINED),
        ({"result": None, "result_text": "阴性", "warning": False}, AbnormalFlag.UNDETERMINED),
        ({"result": True, "lower_limit": 0.0, "upper_limit": 0.5, "warning": False}, AbnormalFlag.UNDETERMINED),
        (
            {"result": 1.0, "result_text": "see", "lower_limit": 0.0, "upper_limit": 0.5, "warning": True},
            AbnormalFlag.ABNORMAL,
        ),
    ],
)
def test_a_result_is_flagged_by_its_limits_and_never_guessed_normal(
    line: dict[str, Any], expected: AbnormalFlag
) -> None:
    assert flag(line) is expected


PERSON = {"id": 9, "name": "患者0", "lastname": "测试", "mobile": "139", "phone": "", "alternative_ids": [3]}
WHO = {"id": 4, "puid": "P1", "gender": "m", "dob": {"__class__": "date", "year": 1960, "month": 1, "day": 1}, "deceased": False,
       "active": True, "party": 9, "party.": PERSON}  # fmt: skip
AT = {
    "__class__": "datetime",
    "year": 2026,
    "month": 11,
    "day": 22,
    "hour": 21,
    "minute": 8,
    "second": 4,
    "microsecond": 0,
}
BOOKS: dict[str, list[dict[str, Any]]] = {
    "gnuhealth.patient": [WHO],
    "gnuhealth.person_alternative_identification": [{"id": 3, "code": "110101196001010017"}],
    "gnuhealth.hp_specialty": [{"id": 1, "healthprof": 1, "specialty": 2, "specialty.": {"id": 2, "name": "Anatomy"}}],
    "gnuhealth.healthprofessional": [{"id": 1, "party.": PERSON}],
    "gnuhealth.appointment": [{**ROW, "name": "APP 1", "state": "confirmed", "appointment_date": AT, "patient.": WHO, "speciality": 2,
                               "create_date": AT, "speciality.": {"id": 2, "name": "Anatomy"}, "healthprof.": {"id": 1, "party.": PERSON}}],
    "gnuhealth.inpatient.registration": [{"id": 1, "name": "IN1", "state": "hospitalized", "hospitalization_date": AT,
                                          "discharge_date": AT, "bed.": {"id": 1, "rec_name": "12", "ward.": {"id": 2, "name": "一病区"}},
                                          "attending_physician.": {"id": 1, "party.": PERSON}, "patient.": WHO}],
    "gnuhealth.lab": [{"id": 1, "name": "T1", "state": "validated", "patient.": WHO, "test.": {"id": 2, "name": "CBC"}, "results": None,
                       "date_requested": AT, "done_date": AT, "validation_date": AT, "diagnosis": "x", "_timestamp": "1.5",
                       "pathologist.": {"id": 1, "party.": PERSON}}],
    "gnuhealth.lab.test.critearea": [{"id": 5, "name": "HGB", "result": 24.0, "result_text": None, "warning": True, "lower_limit": 11.0,
                                      "upper_limit": 16.0, "normal_range": None, "units.": {"id": 4, "name": "g/dL"}, "excluded": False}],
    "account.invoice": [{"id": 1, "number": "1", "invoice_date": {"__class__": "date", "year": 2026, "month": 11, "day": 23}, "party": 9,
                         "total_amount": {"__class__": "Decimal", "decimal": "320.1"}, "tax_amount": None, "patient": 4,
                         "currency.": {"id": 1, "code": "CNY"}}],
    "account.invoice.line": [{"id": 1, "invoice": 1, "type": "line", "description": "CT", "quantity": 2.0, "product.": None,
                              "unit.": {"id": 1, "symbol": "u"}, "unit_price": {"__class__": "Decimal", "decimal": "160.05"},
                              "amount": {"__class__": "Decimal", "decimal": "320.1"}}],
}  # fmt: skip
DAY = date(2026, 11, 23)
ASKED: list[Query[Any]] = [
    PatientQuery(patient_id="P1"), PatientQuery(id_no="110101196001010017"), DepartmentsQuery(), DoctorsQuery(),
    SchedulesQuery(DAY, DAY), SlotsQuery("1:20261123:m"), AppointmentsQuery("P1"), ReportsQuery("P1"), ReportQuery("P1", "T1"),
    AdmissionQuery(admission_no="IN1"), AdmissionsQuery("P1"), InvoicesQuery("P1"),
]  # fmt: skip


@pytest.mark.parametrize("query", ASKED, ids=lambda query: query.op.value)
def test_a_spoilt_answer_is_a_value_or_a_his_error(his_of: Any, query: Query[Any]) -> None:
    his, dice, good, clean = his_of("http://127.0.0.1:1"), random.Random(2026), 0, True
    tryton = his._adapter._tryton
    tryton._session = "x"

    def send(method: str, *_: object, **__: object) -> Response:
        body = json.dumps(
            {"id": 1, "result": BOOKS[method.removeprefix("model.").removesuffix(".search_read")]}
        ).encode()
        return Response(200, "application/json", body if clean or dice.random() < 0.4 else spoilt(body, dice))

    tryton._send = send
    assert fits(his._adapter.ask(query, Call(time.monotonic() + 5)), answer_type(type(query)))
    clean = False
    for _ in range(300):
        try:
            value = his._adapter.ask(query, Call(time.monotonic() + 5))
        except (HisError, Broken, NotSent):
            continue
        assert fits(value, answer_type(type(query)))
        good += 1
    assert 0 < good < 300
