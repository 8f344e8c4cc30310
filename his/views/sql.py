"""A statement of the mapping, such as `SELECT … WHERE card_no = :card_no`: found once, bound at every call.

Values never become part of the text: the drivers get the text with placeholders and the values beside it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from his.faults import NotSent

Value = str | int | bool | Decimal | date | datetime | None
Row = dict[str, Any]

_TOKEN = re.compile(
    r"""'(?:[^'\\]|''|\\.)*' | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | ::  # left alone
        | :(?P<name>[A-Za-z_]\w*) | (?P<percent>%)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSES_STATEMENT = re.compile(r";\s*\S", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` with `%(name)s` placeholders, as both drivers write them; `names` are what it needs."""

    text: str
    names: frozenset[str]

    def pick(self, values: Mapping[str, Value], codec: str) -> dict[str, Value]:
        """The values this statement needs (None where there is none), each text one that `codec` can hold.

        Raises NotSent("unsupported_text"): a character the HIS would turn into '?' is refused before anything is sent.
        """
        picked = {name: values.get(name) for name in self.names}
        for value in picked.values():
            if isinstance(value, str):
                _must_fit(value, codec)
        return picked


def parse(sql: str) -> Statement:
    """One statement with `:name` parameters; ValueError when it is empty or more than one.

    Text in quotes, comments and PostgreSQL's `::type` are left alone.
    """
    names: set[str] = set()

    def place(token: re.Match[str]) -> str:
        if (name := token["name"]) is not None:
            names.add(name)
            return f"%({name})s"
        return token[0].replace("%", "%%")

    text = _TOKEN.sub(place, sql.strip().removesuffix(";"))
    bare = _TOKEN.sub(lambda token: "" if token[0][0] in "'\"`-/" else token[0], sql)
    if not text or _CLOSES_STATEMENT.search(bare):
        raise ValueError("must be one SQL statement")
    return Statement(text, frozenset(names))


def _must_fit(text: str, codec: str) -> None:
    if "\0" in text:  # PostgreSQL holds no such character, MariaDB's client libraries stop at it
        raise NotSent("unsupported_text")
    if text.isascii():
        return
    if codec == "utf-8mb3":  # MySQL's old utf8, of three bytes at most
        if max(text) > "\uffff":
            raise NotSent("unsupported_text")
        codec = "utf-8"
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        raise NotSent("unsupported_text") from None
