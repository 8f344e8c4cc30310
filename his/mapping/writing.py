"""Compiles what is sent: a template of constants and fields of the question, made once into closures.

{hospital: "H01", card: $card_no, day: {asked: from_day, formats: ["%Y%m%d"]}, clinic: $department_code~,
 fee: {asked: amount_fen, money: yuan}, sex: {asked: sex, table: {"0": male}}, key: {secret: app_key},
 lines: {asked: charge_nos, join: ","}, list: {asked: charge_nos, each: {no: $item}}}
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationError, model_validator

from core.clock import SHANGHAI
from core.placed import At, first_fault
from his.faults import NotSent
from his.mapping.load import Loaded
from his.mapping.reading import kind_of
from his.mapping.schema import Code, Money, Part, Scalar
from his.mapping.tables import house

Write = Callable[[Any], Any]
"""question -> wire value; LEFT_OUT when the key is not to be sent. Raises NotSent("unmapped_value")."""
LEFT_OUT: Any = object()


class Sent(Part):
    """One value of a request, where `$field` does not say enough."""

    asked: str | None = Field(None, description="The field of the question; None is not sent.")
    secret: str | None = Field(None, description="Or a secret by its name in the adapter's options.")
    now: bool = Field(False, description="Or the present time, written as formats say.")
    money: Money | None = Field(None, description="How an amount is written.")
    formats: list[str] = Field([], description="How a date or time is written; the first counts.")
    table: dict[Code, str] | None = Field(None, description="The HIS's codes and the house's words.")
    join: str | None = Field(None, description="Texts of a list as one text, with this between them.")
    each: Any = Field(None, description="A template for each text of a list; the text is $item.")
    optional: bool = Field(False, description="Not sent when empty.")
    empty: Scalar = Field(None, description="What is sent when the question does not say it.")

    @model_validator(mode="after")
    def _one_source(self) -> Sent:
        if (self.asked is not None) + (self.secret is not None) + self.now != 1:
            raise ValueError("needs exactly one of asked, secret and now")
        return self


_OWN = frozenset(Sent.model_fields)
_SOURCES = frozenset({"asked", "secret", "now"})


class Template:
    """Compiles the requests of one question class."""

    def __init__(self, loaded: Loaded, question: type[Any], secrets: Mapping[str, str]) -> None:
        self._loaded, self._secrets, self._formats = loaded, secrets, loaded.mapping.formats
        self._hints = typing.get_type_hints(question)
        self._fields = [field.name for field in dataclasses.fields(question)]
        self._constants: dict[str, Any] = {"op": question.op.value}

    def whole(self, template: dict[str, Any], at: At) -> Callable[[Any], dict[str, Any]]:
        """The request's parameters as a dict in the template's order."""
        parts = [(key, self._value(value, (*at, key))) for key, value in template.items()]

        def write(asked: Any) -> dict[str, Any]:
            sent = {}
            for key, part in parts:
                value = part(asked)
                if value is not LEFT_OUT:
                    sent[key] = value
            return sent

        return write

    def _value(self, given: Any, at: At) -> Write:
        if isinstance(given, str) and given.startswith("$$"):
            constant = given[1:]  # a text that begins with a dollar sign
            return lambda _: constant
        if isinstance(given, str) and given.startswith("$") and len(given) > 1:
            name = given[1:].removesuffix("~")
            if name in self._constants:
                constant = self._constants[name]
                return lambda _: constant
            return self._asked(Sent(asked=name, optional=given.endswith("~")), at)
        if isinstance(given, dict) and _SOURCES & given.keys() and given.keys() <= _OWN:
            return self._sent(given, at)
        if isinstance(given, dict):
            return self.whole({str(key): value for key, value in given.items()}, at)
        if isinstance(given, list):
            parts = [self._value(value, (*at, index)) for index, value in enumerate(given)]
            return lambda asked: [value for part in parts if (value := part(asked)) is not LEFT_OUT]
        return lambda _: given

    def _sent(self, given: dict[str, Any], at: At) -> Write:
        try:
            sent = Sent.model_validate(given)
        except ValidationError as exc:
            raise first_fault(exc, Sent, self._loaded.lines, self._loaded.source, at) from exc
        if sent.secret is not None:
            if sent.secret not in self._secrets:
                raise self._loaded.wrong(at, f"the adapter's options have no secret called {sent.secret}")
            secret = self._secrets[sent.secret]
            return lambda _: secret
        if sent.now:
            form = (sent.formats or self._formats.datetime)[0]
            return lambda _: written(datetime.now(SHANGHAI), form)
        return self._asked(sent, at)

    def _asked(self, sent: Sent, at: At) -> Write:
        name = sent.asked or ""
        if name == "item" and name not in self._fields:
            return lambda item: item
        if name not in self._fields:
            raise self._loaded.wrong(at, f"the question has no {name}; it has {', '.join(self._fields)}")
        convert = self._convert(name, sent, at)
        instead = LEFT_OUT if sent.empty is None else sent.empty
        optional = sent.optional or sent.empty is not None

        def write(asked: Any) -> Any:
            value = getattr(asked, name)
            if value is None or (optional and value in ("", ())):
                return instead
            return value if convert is None else convert(value)

        return write

    def _convert(self, name: str, sent: Sent, at: At) -> Write | None:
        kind = kind_of(self._hints[name])
        base = kind.base
        if base is tuple:
            return self._list(sent, at)
        if isinstance(base, type) and issubclass(base, StrEnum):
            return self._codes(base, sent, at)
        if base is int and name.endswith("_fen"):
            in_yuan = (sent.money or self._formats.money) == "yuan"
            return yuan if in_yuan else None
        if base is datetime:
            time_form = (sent.formats or self._formats.datetime)[0]
            return lambda value: written(value, time_form)
        if base is date:
            day_form = (sent.formats or self._formats.date)[0]
            return lambda value: written(value, day_form)
        return None

    def _list(self, sent: Sent, at: At) -> Write:
        if sent.join is not None:
            between = sent.join
            return lambda value: between.join(map(str, value))
        if sent.each is not None:
            part = self._value(sent.each, (*at, "each"))
            return lambda value: [part(item) for item in value]
        return list

    def _codes(self, kind: type[StrEnum], sent: Sent, at: At) -> Write:
        given = sent.table if sent.table is not None else self._loaded.mapping.tables.get(kind.__name__)
        codes: dict[str, str] = {}
        pairs = given.items() if given is not None else ((code, word.value) for code, word in _outward(kind))
        for code, word in pairs:
            if word not in [member.value for member in kind]:
                raise self._loaded.wrong(at, f"{word!r} is no {kind.__name__}; there are {', '.join(kind)}")
            codes.setdefault(word, code)

        def write(value: Any) -> str:
            try:
                return codes[value]
            except KeyError:
                raise NotSent("unmapped_value") from None

        return write


def _outward(kind: type[StrEnum]) -> list[tuple[str, StrEnum]]:
    """The house's codes with the national ones first: they are what a HIS without a table of its own takes."""
    table = house(kind)
    own = {member.value for member in kind}
    return sorted(table.items(), key=lambda pair: pair[0] in own)


def yuan(value: int) -> str:
    """1234 -> "12.34", exactly."""
    sign, rest = ("-" if value < 0 else ""), abs(value)
    return f"{sign}{rest // 100}.{rest % 100:02d}"


def written(value: date | datetime, form: str) -> str | int:
    """A date, or a time by Shanghai's clock, as the HIS writes it; epoch_s and epoch_ms are whole numbers."""
    if isinstance(value, datetime):
        local = value.astimezone(SHANGHAI)
        if form in ("epoch_s", "epoch_ms"):
            return round(local.astimezone(UTC).timestamp() * (1000 if form == "epoch_ms" else 1))
        value = local
    return value.strftime(form)
