"""Tryton's JSON-RPC from a scripted peer: each answer its class, sessions, and flags by limits. No GNU Health needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from his.gateway import Gateway
from his.gnuhealth import OPTIONS, make
from his.gnuhealth.records import flag
from his.guard import GuardOptions
from his.port import AbnormalFlag, BookingOrder, Ctx, HealthQuery, HisError, NotDone, Unavailable

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
    return f"{type(error).__name__}:{getattr(error, 'reason', '')}".rstrip(":")


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
