"""Questions, commands and answers as canonical JSON, and back to exactly what they were.

Canonical: keys sorted, no blanks, every field written. Dates as ISO 8601, datetimes with their offset, Decimals as
text so that no digit is lost, enums by value, tuples as lists. Read back by the type hints of the class.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from core.clock import SHANGHAI
from his.port.ops import answer_type

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def plain(value: Any) -> Any:
    """A port value as JSON knows it. ValueError for a naive datetime, TypeError for what no port type holds."""
    if value is None or type(value) in (str, int, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime of the port is aware")
        return value.astimezone(SHANGHAI).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name, _ in fields(type(value))}
    raise TypeError(f"{type(value).__name__} is no type of the port")


def dumps(tree: Any) -> str:
    """Canonical text of what `plain` made."""
    return _ENCODER.encode(tree)


def encode(value: Any) -> str:
    """Canonical JSON of a question, a command or an answer; the same value always gives the same text."""
    return dumps(plain(value))


def decode(kind: type[Any], text: str) -> Any:
    """What `encode` wrote of a value of the class `kind`, such as `BY_OP[op]`. ValueError when it is something else."""
    return _read(kind, text)


def decode_answer(kind: type[Any], text: str) -> Any:
    """What `encode` wrote of the answer to a question or command of the class `kind`."""
    return _read(answer_type(kind), text)


def _read(hint: Any, text: str) -> Any:
    try:
        return _reader(hint)(json.loads(text))
    except (TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as exc:
        raise ValueError(f"this is no {hint}") from exc


@cache
def fields(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """(name, type hint) of a port dataclass's fields, in order."""
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a JSON value becomes a value of this type hint."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (_reader(one) for one in args if one is not type(None))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        each = _reader(args[0])
        return lambda value: tuple(each(one) for one in _exactly(list, value))
    if dataclasses.is_dataclass(hint):
        return _object_reader(hint)
    if issubclass(hint, Enum):
        return typing.cast("Callable[[Any], Any]", hint)
    if hint is datetime:
        return _moment
    if hint is date:
        return date.fromisoformat
    if hint is Decimal:
        return lambda value: Decimal(_exactly(str, value))
    if hint in (str, int, bool):
        return lambda value: _exactly(hint, value)
    raise TypeError(f"{hint} is no type of the port")


def _object_reader(kind: Any) -> Callable[[Any], Any]:
    readers = {name: _reader(hint) for name, hint in fields(kind)}

    def read(value: Any) -> Any:
        return kind(**{name: readers[name](one) for name, one in _exactly(dict, value).items()})

    return read


def _exactly(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _moment(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise TypeError
    return at.astimezone(SHANGHAI)
