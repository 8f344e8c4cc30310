"""What the hospital can say instead of an answer, and how it reads its arguments (ValueError: exception, "-1")."""

import re
from datetime import date, datetime
from typing import Any

Data = dict[str, Any]
PAY_METHODS = ("01", "02", "03", "04", "05", "99")


class NoData(Exception):
    """The hospital holds no such thing."""


class Duplicate(Exception):
    """This op_key is booked already, with the same payload."""


class Refused(Exception):
    """The hospital says no: a reason word and a sentence; `shortfall_fen` where money is missing."""

    def __init__(self, reason: str, message: str, shortfall_fen: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.shortfall_fen = shortfall_fen


def text(asked: Data, key: str) -> str:
    """A text that has to be there."""
    value = asked.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(key)
    return value


def maybe(asked: Data, key: str) -> str:
    """A text, "" when absent."""
    value = asked.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(key)
    return value or ""


def count(asked: Data, key: str) -> int:
    """A whole number from 0; digits in a text will do."""
    value = asked.get(key)
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return int(value)
    if type(value) is not int or value < 0:
        raise ValueError(key)
    return value


def amount(asked: Data, key: str = "amount_fen") -> int:
    """Fen above 0."""
    value = asked.get(key)
    if type(value) is not int or value <= 0:
        raise ValueError(key)
    return value


def slot(asked: Data) -> int:
    """The slot's number, by `slot_id` or `slot_no`."""
    return count(asked, "slot_id" if "slot_id" in asked else "slot_no")


def pay_method(asked: Data) -> str:
    """A code of the table; whoever pays elsewhere than from the card names the transaction there."""
    method = text(asked, "pay_method")
    if method not in PAY_METHODS or (method not in ("01", "05") and not maybe(asked, "trade_no")):
        raise ValueError("pay_method")
    return method


def day(asked: Data, key: str) -> str | None:
    """YYYY-MM-DD or None."""
    value = maybe(asked, key)
    return date.fromisoformat(value).isoformat() if value else None


def moment(asked: Data, key: str) -> str:
    """A wall time that has to be there."""
    value = text(asked, key)
    datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 the hospital's own wall time
    return value
