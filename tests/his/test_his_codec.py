"""Port values as JSON: exactly themselves again; and what may be written down of them names nobody."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import SHANGHAI
from his.masking import masked
from his.port import (
    BY_OP,
    COMMANDS,
    CardApplication,
    Command,
    IdType,
    Op,
    Patient,
    PatientQuery,
    PayMethod,
    Sex,
    TopUpOrder,
    answer_type,
    decode,
    decode_answer,
    encode,
)
from his.port.codec import fields

KINDS = list(BY_OP.values())
ORDER = TopUpOrder("k1", "P1", "600000000017", 1000, PayMethod.WECHAT, "T1", datetime(2026, 11, 24, tzinfo=SHANGHAI))
PERSONS = {
    "id_no",
    "phone",
    "guardian_id_no",
    "guardian_name",
    "card_no",
    "wristband_no",
    "admission_no",
    "insurance_auth_no",
}
CANARY = "7310987654321098"


def values(hint: Any, texts: Mapping[str, st.SearchStrategy[str]] | None = None) -> st.SearchStrategy[Any]:
    """Any value of a type hint of the port; `texts`: strategies for the string fields of these names."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (one for one in args if one is not type(None))
        return st.none() | values(inner, texts)
    if origin is tuple:
        return st.lists(values(args[0], texts), max_size=3).map(tuple)
    if dataclasses.is_dataclass(hint):
        own = {
            name: texts[name] if texts and name in texts and kind in (str, str | None) else values(kind, texts)
            for name, kind in fields(hint)
        }
        if hint.__name__ in ("PatientQuery", "AdmissionQuery"):
            return st.sampled_from(list(own)).flatmap(lambda key: st.builds(hint, **{key: own[key].filter(bool)}))
        return st.builds(hint, **own)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if hint is datetime:
        zones = st.just(SHANGHAI) | st.integers(-720, 840).map(lambda m: timezone(timedelta(minutes=m)))
        # from 1992 on: China had summer time before, and Python holds a doubled hour equal to nothing in another zone
        return st.datetimes(datetime(1992, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001
    if hint is date:
        return st.dates()
    if hint is Decimal:
        return st.decimals(allow_nan=False, allow_infinity=False)
    return {str: st.text(max_size=12), int: st.integers(), bool: st.booleans()}[hint]


def same_types(one: Any, other: Any) -> bool:
    """Equal is not enough: 1 == True, and Decimal("1.0") == Decimal("1.00")."""
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same_types, one, other))
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same_types(getattr(one, name), getattr(other, name)) for name, _ in fields(type(one))
        )
    return type(one) is type(other) and str(one) == str(other) if isinstance(one, Decimal) else type(one) is type(other)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.op.value)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_question_command_and_answer_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    asked = data.draw(values(kind))
    back = decode(BY_OP[kind.op], encode(asked))
    assert back == asked
    assert same_types(asked, back)
    assert encode(back) == encode(asked)
    answer = data.draw(values(answer_type(kind)))
    again = decode_answer(kind, encode(answer))
    assert again == answer
    assert same_types(answer, again)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.op.value)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_personal_value_survives_masking(kind: type[Any], data: st.DataObject) -> None:
    canaries = dict.fromkeys(PERSONS, st.just(CANARY) | st.just(f"张{CANARY}三"))
    canaries["reason"] = canaries["note"] = st.just(f"给 {CANARY} 退号")
    for hint in (kind, answer_type(kind)):
        assert CANARY not in masked(data.draw(values(hint, canaries)))


def test_names_and_birthdays_of_patients_are_masked_and_those_of_the_staff_are_not() -> None:
    applied = CardApplication(
        "k", "王小明", Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, "990101198503120037", "19900000001", "王大明"
    )
    text = masked(applied)
    for gone in ("王小明", "990101198503120037", "19900000001", "王大明", "03-12"):
        assert gone not in text
    for kept in ("王*明", "0037", "0001", "1985-**-**"):
        assert kept in text
    assert "王小明" not in masked(Patient("P1", "王小明", Sex.MALE, None, "1", "2"))
    assert '"op_key":"k1"' in masked(ORDER)
    assert '"patient_id":"P1"' in masked(ORDER)


def test_every_field_that_is_personal_is_among_those_the_canary_stood_in() -> None:
    """Control of the canary test: a new personal field must be added to it."""
    seen: set[str] = set()

    def walk(hint: Any) -> None:
        for arg in typing.get_args(hint):
            walk(arg)
        if dataclasses.is_dataclass(hint):
            seen.update(one.name for one in dataclasses.fields(hint) if one.metadata.get("personal"))
            for _, inner in fields(typing.cast("type[Any]", hint)):
                walk(inner)

    for kind in KINDS:
        walk(kind)
        walk(answer_type(kind))
    assert {"id_no", "phone"} <= seen <= PERSONS


def test_what_is_something_else_is_a_value_error() -> None:
    good = encode(ORDER)
    for wrong in (
        "", "[]", "null", "{}", good.replace("1000", '"1000"'), good.replace("1000", "true"),
        good.replace("wechat", "shells"), good.replace("+08:00", ""), good.replace('"op_key"', '"opkey"'), "[" * 100_000,
    ):  # fmt: skip
        with pytest.raises(ValueError):
            decode(TopUpOrder, wrong)


def test_a_naive_time_and_a_foreign_thing_are_not_written() -> None:
    with pytest.raises(ValueError):
        encode(dataclasses.replace(ORDER, paid_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    with pytest.raises(TypeError):
        encode(dataclasses.replace(ORDER, amount_fen=1.5))  # type: ignore[arg-type]


def test_every_command_has_an_op_key_and_says_whether_money_was_taken() -> None:
    assert all(issubclass(one, Command) and "op_key" in dict(fields(one)) for one in COMMANDS)
    assert {one.op for one in COMMANDS if one.money} == {Op.TOP_UP, Op.REFUND, Op.SETTLE, Op.PAY_PREPAYMENT}
    assert decode(PatientQuery, encode(PatientQuery(card_no="6"))) == PatientQuery(card_no="6")
