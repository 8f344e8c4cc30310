"""One value of a reply as the house keeps it: text, numbers, money in fen, dates, codes. Raises Broken("bad_reply").

Values come as JSON, XML or SQL have them: a number may be written as text, a text code as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.clock import SHANGHAI
from his.faults import Broken
from his.mapping.tables import FALSE, TRUE

Read = Callable[[Any], Any]
NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
WALL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bad() -> Broken:
    """What an adapter says of a value it cannot read."""
    return Broken("bad_reply")


def text(value: Any) -> str:
    """Text, without the blanks that fixed columns are padded with; a number as it is written."""
    if type(value) is str:
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal, float)):
        return str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, str):
        return str(value).strip()
    raise bad()


def number(value: Any) -> Decimal:
    """An exact number; 1e5, NaN and thousands' commas are none."""
    if isinstance(value, bool):
        raise bad()
    written = value if type(value) is str else text(value)
    if not NUMBER.fullmatch(written.strip()):
        raise bad()
    return Decimal(written.strip())


def whole(least: int | None) -> Read:
    """A whole number, at least `least`."""

    def read(value: Any) -> int:
        if type(value) is int and abs(value) < 10**18:
            found = value
        else:
            exact = number(value)
            found = int(exact)
            if found != exact:
                raise bad()
        if least is not None and found < least:
            raise bad()
        return found

    return read


def fen(value: Any) -> int:
    """An amount written in yuan; more than two decimals that say something are no amount."""
    amount = number(value) * 100
    found = int(amount)
    if found != amount:
        raise bad()
    return found


def truth(table: dict[str, bool] | None, *, strict: bool) -> Read:
    """Yes or no by a table, else as people and machines write it. Anything else: None, or a bad reply when `strict`."""
    known = {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)} if table is None else table

    def read(value: Any) -> bool | None:
        if isinstance(value, bool) and table is None:
            return value
        found = known.get(text(value))
        if found is None and strict:
            raise bad()
        return found

    return read


def coded(table: dict[str, StrEnum], otherwise: StrEnum) -> Read:
    """A code by its table; an unlisted one is `otherwise`."""

    def read(value: Any) -> StrEnum:
        return table.get(value if type(value) is str else text(value), otherwise)

    return read


def day(formats: list[str]) -> Read:
    """A date by the first format that fits."""
    quick = "%Y-%m-%d" in formats

    def read(value: Any) -> date:
        if isinstance(value, date):
            return value.astimezone(SHANGHAI).date() if isinstance(value, datetime) and value.tzinfo else _date(value)
        written = text(value)
        if quick and DAY.fullmatch(written):
            found: date = _or_bad(date.fromisoformat, written)
            return found
        return _by_formats(written, formats).date()

    return read


def moment(formats: list[str]) -> Read:
    """A time by the first format that fits; without a zone it is Shanghai's wall time."""
    quick = "%Y-%m-%d %H:%M:%S" in formats

    def read(value: Any) -> datetime:
        if isinstance(value, datetime):
            return placed(value)
        written = text(value)
        if quick and WALL_TIME.fullmatch(written):
            found: datetime = _or_bad(datetime.fromisoformat, written)
            return found.replace(tzinfo=SHANGHAI)
        return placed(_by_formats(written, formats))

    return read


def placed(value: datetime) -> datetime:
    """An aware time of Shanghai."""
    if value.tzinfo is None:
        return value.replace(tzinfo=SHANGHAI)
    try:
        return value.astimezone(SHANGHAI)
    except (OverflowError, ValueError):
        raise bad() from None


def _date(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _or_bad(make: Callable[[str], Any], written: str) -> Any:
    try:
        return make(written)
    except ValueError:
        raise bad() from None


def _by_formats(written: str, formats: list[str]) -> datetime:
    for form in formats:
        try:
            if form in ("epoch_s", "epoch_ms"):
                if WHOLE.fullmatch(written):
                    return EPOCH + timedelta(milliseconds=int(written) * (1 if form == "epoch_ms" else 1000))
            else:
                return datetime.strptime(written, form)  # noqa: DTZ007 - the zone follows in `placed`
        except (ValueError, OverflowError):
            continue
    raise bad()
