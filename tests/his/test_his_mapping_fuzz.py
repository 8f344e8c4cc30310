"""Whatever tree a HIS sends, the mapper gives a typed answer or says what is wrong; never another exception."""

import dataclasses
import typing
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import SHANGHAI
from his.faults import Broken, Duplicate
from his.mapping import Mapper, read
from his.mapping.reading import kind_of
from his.port import BY_OP, COMMANDS, Done, NotDone, NotFound, Rejected, StillUnknown, answer_type
from tests.support.typed import fits

WRITES = {command.op for command in COMMANDS}
EVERY_OPERATION = """
vendor: everything under its own name
envelope: {code: code, message: message, data: data}
codes: {ok: ["0"], not_found: ["1"], rejected: {"2": other, "3": balance_short}, exception: ["-1"], duplicate: ["4"],
        reason_path: data.reason, contains: {号源: slot_gone}, shortfall: data.short}
formats: {date: ["%Y-%m-%d", "%Y%m%d"], datetime: ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", epoch_ms], money: MONEY}
sentinels: ["", -1, "-1", "null"]
resolve: {request: {key: $op_key}, state: {path: state, done: ["1"], not_done: ["0"]}}
types:
  Slot: {starts_at: {join: [day, time]}, schedule_id: {asked: schedule_id}}
  Report: {items: {where: {state: {present: true}}}}
operations:
"""
MAPPERS = [
    Mapper(read(
        EVERY_OPERATION.replace("MONEY", money)
        + "".join(f"  {op.value}: {{{'resolve: true' if op in WRITES else ''}}}\n" for op in BY_OP), "every.yaml",
    ))
    for money in ("fen", "yuan")
]  # fmt: skip
TEXTS = st.sampled_from(
    ["", "-1", "null", "0", "1", "12.34", "1e999", "2026-11-24", "2026-02-30", "2026-11-24 08:00:00", "20261124",
     "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "99999999999999999", "𠮷田䶮", "\ud800", "男", "H", "↑↑",
     "١٢", "NaN", " 1 "]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | TEXTS | st.text(max_size=6) | st.integers() | st.floats() | st.decimals()
NAMES = sorted({
    field.name for kind in BY_OP.values()
    for inner in (answer_type(kind), *typing.get_args(answer_type(kind)))
    if dataclasses.is_dataclass(inner) for field in dataclasses.fields(inner)
})  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "x"]), inner, max_size=8),
    max_leaves=20,
)


def question(kind: type[Any]) -> Any:
    """A question of that class with something in every field it must have."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        base = kind_of(typing.get_type_hints(kind)[field.name]).base
        if field.default is dataclasses.MISSING:
            values[field.name] = sample(base)
    if kind.__name__ in ("PatientQuery", "AdmissionQuery"):
        values["patient_id"] = "P1"
    return kind(**values)


def sample(base: Any) -> Any:
    if isinstance(base, type) and issubclass(base, StrEnum):
        return next(iter(base))
    if dataclasses.is_dataclass(base):
        return None
    return {
        str: "k1",
        int: 5,
        date: date(2026, 11, 24),
        tuple: ("F1",),
        datetime: datetime(2026, 11, 24, tzinfo=SHANGHAI),
    }[base]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(list(BY_OP)),
    st.sampled_from(MAPPERS),
    st.sampled_from(["0", 0, "1", "2", "3", "4", "-1", "77", None, []]),
    TREES,
    st.booleans(),
)
def test_any_tree_is_a_typed_answer_or_a_named_fault(op: Any, mapper: Mapper, code: Any, data: Any, bare: bool) -> None:
    asked = question(BY_OP[op])
    reply = data if bare else {"code": code, "message": "m", "data": data}
    try:
        value = mapper.answer(asked, reply)
    except (NotFound, Rejected, Broken, Duplicate):
        value = None
    else:
        assert fits(value, answer_type(BY_OP[op])), value
    if op in WRITES:
        try:
            found = mapper.resolution(asked, reply)
        except Broken:
            return
        assert isinstance(found, (Done, NotDone, StillUnknown))
        if isinstance(found, Done):
            assert fits(found.value, answer_type(BY_OP[op]))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(BY_OP)), st.data())
def test_an_answer_written_as_the_house_writes_it_is_read_back(op: Any, data: st.DataObject) -> None:
    hint = answer_type(BY_OP[op])
    asked = question(BY_OP[op])
    made = data.draw(values_of(kind_of(hint), asked))
    reply = {"code": "0", "data": wire(made)}
    mapper = Mapper(read(
        EVERY_OPERATION.replace("MONEY", "fen").split("types:")[0] + f"operations:\n  {op.value}: {{}}\n", "own.yaml"
    ))  # fmt: skip
    assert mapper.answer(asked, reply) == made


def values_of(kind: Any, asked: Any) -> st.SearchStrategy[Any]:
    """Answers of a type, within what a HIS could mean."""
    if kind.base is tuple:
        return st.lists(values_of(kind_of(kind.item), asked), max_size=3).map(tuple)
    if dataclasses.is_dataclass(kind.base):
        hints = typing.get_type_hints(kind.base)
        return st.builds(
            kind.base, **{f.name: values_of(kind_of(hints[f.name]), asked) for f in dataclasses.fields(kind.base)}
        )
    if isinstance(kind.base, type) and issubclass(kind.base, StrEnum):
        return st.sampled_from(kind.base)
    return {
        str: st.from_regex(r"[A-Za-z0-9𠮷䶮]{1,8}", fullmatch=True).filter(lambda text: text != "null"),
        int: st.integers(1, 10**12),
        bool: st.booleans(),
        Decimal: st.decimals(0, 1000, places=2),
        date: st.dates(date(1900, 1, 1)),
        datetime: st.datetimes(datetime(1901, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=SHANGHAI, fold=0)),  # noqa: DTZ001 - hypothesis wants it naive
    }[kind.base]


def wire(value: Any) -> Any:
    """A value as JSON would carry it under the mapping's formats."""
    if dataclasses.is_dataclass(value):
        return {field.name: wire(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [wire(item) for item in value]
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}".zfill(19)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, (Decimal, StrEnum)) else value


def test_a_request_can_be_written_for_every_question() -> None:
    everything = "".join(
        f"  {op.value}: {{request: {{{', '.join(f'{f.name}: ${f.name}' for f in dataclasses.fields(kind))}}}}}\n"
        for op, kind in BY_OP.items()
    )
    mapper = Mapper(read("vendor: all\ncodes: {ok: ['0']}\noperations:\n" + everything, "all.yaml"))
    for kind in BY_OP.values():
        asked = question(kind)
        sent = mapper.request(asked)
        assert sent.keys() == {f.name for f in dataclasses.fields(kind) if getattr(asked, f.name) is not None}
