"""The SQL of a mapping, compiled: per operation its statement, its parts, and what may be bound."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.clock import SHANGHAI
from core.placed import At
from his.faults import Broken
from his.mapping import Loaded, Mapper
from his.port import BY_OP, Command, Op, Query
from his.views.sql import Row, Statement, Value, parse

Asked = Query[Any] | Command[Any]
Charset = Literal["utf-8", "utf-8mb3", "gb18030", "gbk", "latin-1"]


class PartSend(BaseModel):
    """Rows that belong to the operation's rows, such as a patient's cards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str = Field(description="Its SELECT.")
    by: str | None = Field(
        None, description="Column with the same name on both sides; left out: all of them belong to every row."
    )


def _short(given: Any) -> Any:
    return {"sql": given} if isinstance(given, str) else given


class Send(BaseModel):
    """`send` of an operation, and of how it is resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str = Field(
        description="One statement: SELECT from a view, or the call of one function or procedure. :name stands for a "
        "key of `request`, or a field of the question."
    )
    parts: dict[str, Annotated[PartSend, BeforeValidator(_short)]] = Field(
        {}, description="Reads: further SELECTs in the same transaction; their rows appear in each row under this name."
    )
    charset: Charset | None = Field(
        None, description="Writes: what the columns behind it can hold, when it is not what the options say."
    )


@dataclass(frozen=True, slots=True)
class Part:
    """See `PartSend`."""

    name: str
    statement: Statement
    by: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation, or how it is resolved."""

    statement: Statement
    parts: tuple[Part, ...]
    charset: Charset | None


def compile_plan(mapper: Mapper, op: Op, *, resolving: bool = False) -> Plan:
    """What `send` says. Raises ConfigError with key, file and line."""
    loaded = mapper.loaded
    given, at = mapper.resolve_send(op) if resolving else mapper.send(op)
    send = loaded.part(at, given, Send)
    if send.parts and issubclass(BY_OP[op], Command) and not resolving:
        raise loaded.wrong((*at, "parts"), "is for reads: a write is one call")
    known = _known(loaded, op, resolving=resolving)
    return Plan(
        _statement(loaded, send.sql, (*at, "sql"), known),
        tuple(
            Part(name, _statement(loaded, part.sql, (*at, "parts", name), known), part.by)
            for name, part in send.parts.items()
        ),
        send.charset,
    )


def _known(loaded: Loaded, op: Op, *, resolving: bool) -> frozenset[str]:
    operation = loaded.mapping.operations[op]
    requests = [operation.request]
    if resolving:
        own = operation.resolve if not isinstance(operation.resolve, bool) else None
        requests = [it.request for it in (own, loaded.mapping.resolve) if it is not None and it.request is not None]
    names = {name for request in requests for name in request}
    return frozenset(names | {field.name for field in dataclasses.fields(BY_OP[op])})  # type: ignore[arg-type]


def _statement(loaded: Loaded, sql: str, at: At, known: frozenset[str]) -> Statement:
    try:
        statement = parse(sql)
    except ValueError as exc:
        raise loaded.wrong(at, str(exc)) from exc
    if strangers := sorted(statement.names - known):
        fault = (
            f":{strangers[0]} is no key of `request` and no field of the question; there are {', '.join(sorted(known))}"
        )
        raise loaded.wrong(at, fault)
    return statement


def values_of(asked: Asked, request: Mapping[str, Any]) -> dict[str, Value]:
    """What may be bound: the question's own fields, and over them what the mapping's `request` makes of them."""
    fields = {field.name: getattr(asked, field.name) for field in dataclasses.fields(asked)}  # type: ignore[arg-type]
    return {name: _value(value) for name, value in {**fields, **request}.items()}


def _value(value: Any) -> Value:
    if isinstance(value, datetime):  # the database keeps the hospital's wall time
        return value.astimezone(SHANGHAI).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return ",".join(str(_value(one)) for one in value)
    if value is None or isinstance(value, (str, int, bool, Decimal, date)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be bound")


def plain(rows: list[Row]) -> list[Row]:
    """Rows as the mapping reads them: text, numbers, true, false, null, dates and times."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int, Decimal, date)):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, bytes):  # a column without a character set
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise Broken("bad_reply") from None
    return str(value)  # such as MariaDB's TIME


def joined(rows: list[Row], parts: tuple[Part, ...], found: list[list[Row]]) -> list[Row]:
    """Each row with the rows that belong to it."""
    for part, belonging in zip(parts, found, strict=True):
        for row in rows:
            by = part.by
            row[part.name] = belonging if by is None else [one for one in belonging if one.get(by) == row.get(by)]
    return rows
