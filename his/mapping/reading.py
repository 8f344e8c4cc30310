"""Compiles how an answer is read: one closure a field, one a dataclass, made once from the types' own hints."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from core.placed import At
from his.faults import Broken
from his.mapping import scalars
from his.mapping.load import Loaded
from his.mapping.misfit import Misfit
from his.mapping.paths import MISSING, getter
from his.mapping.schema import Spec
from his.mapping.tables import house, unknown
from his.port import Admission, Patient, Registration, ResultItem, Schedule, Settlement

Reader = Callable[[Any, Any, Any], Any]
"""(place, whole reply, question) -> value. Raises Broken."""
EMPTY: tuple[Any, ...] = (None, [], {})
MAY_BE_EMPTY: dict[type, frozenset[str]] = {
    Admission: frozenset({"ward_code", "ward_name", "bed_no", "department", "doctor"}),
    Patient: frozenset({"id_no", "phone"}),
    Registration: frozenset({"schedule_id"}),
    ResultItem: frozenset({"value"}),
    Schedule: frozenset({"doctor_code", "doctor_name", "department_code"}),
    Settlement: frozenset({"settle_no", "invoice_no"}),
}
"""Texts without a default that a HIS may still not have; any other missing one is a bad reply."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type hint taken apart: `base` is a scalar type, an enum, a dataclass, or tuple with its `item`."""

    base: Any
    optional: bool = False
    item: Any = None


def kind_of(hint: Any) -> Kind:
    """`int | None` -> Kind(int, optional=True); `tuple[Slot, ...]` -> Kind(tuple, item=Slot)."""
    optional = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        optional = True
    if typing.get_origin(hint) is tuple:
        return Kind(tuple, optional, typing.get_args(hint)[0])
    return Kind(hint, optional)


class Compiler:
    """Compiles the answers of one mapping; `question` is the class that is asked, for `asked`."""

    def __init__(self, loaded: Loaded, question: type[Any]) -> None:
        self._loaded = loaded
        self._mapping = loaded.mapping
        self._asked = {field.name for field in dataclasses.fields(question)}

    def one(self, kind: type[Any], spec: Spec, at: At) -> Reader:
        """A dataclass from an object at the place itself."""
        hints = typing.get_type_hints(kind)
        specs = {**self._mapping.types.get(kind.__name__, {}), **spec.fields}
        self._known(spec.fields, kind, at)
        readers: list[tuple[Reader, At, str]] = []
        for field in dataclasses.fields(kind):
            name = field.name
            named: At = (*at, "fields", name) if name in spec.fields else ("types", kind.__name__, name)
            named = named if name in specs else at
            read_one = self._field(kind, field, hints[name], specs.get(name, Spec()), named)
            readers.append((read_one, named, f"{kind.__name__}.{name}"))
        read_all = tuple(read_one for read_one, _, _ in readers)

        def read(place: Any, root: Any, asked: Any) -> Any:
            if not isinstance(place, dict):
                raise Misfit("bad_reply", self._loaded, at, f"{kind.__name__}: there is no object here")
            try:
                return kind(*[read_one(place, root, asked) for read_one in read_all])
            except Misfit:
                raise
            except Broken:
                raise _culprit(self._loaded, readers, place, root, asked) from None

        return read

    def rows(self, kind: type[Any], spec: Spec, at: At) -> Reader:
        """A tuple of dataclasses from a list at the place itself; one object counts as a list of one (XML)."""
        read_one = self.one(kind, spec, at) if dataclasses.is_dataclass(kind) else None
        counts = self.filter(spec, at)

        def read(place: Any, root: Any, asked: Any) -> Any:
            found = rows_in(place)
            if counts is not None:
                found = [row for row in found if counts(row, root, asked)]
            if read_one is None:
                return tuple(scalars.text(row) for row in found)
            return tuple([read_one(row, root, asked) for row in found])

        return read

    def filter(self, spec: Spec, at: At) -> Callable[[Any, Any, Any], bool] | None:
        """Which rows count; None when all do."""
        tests = [self._test(path, wanted, (*at, "where", path)) for path, wanted in spec.where.items()]
        if not tests:
            return None
        return lambda row, root, asked: all(test(row, root, asked) for test in tests)

    def fetch(self, spec: Spec, name: str, at: At) -> Reader:
        """The raw value a spec names, MISSING where there is none."""
        paths = spec.join or spec.first or [name if spec.path is None else spec.path]
        if sum((spec.path is not None, bool(spec.first), bool(spec.join))) > 1:
            raise self._loaded.wrong(at, "has more than one of path, first and join; keep one")
        if spec.asked is not None:
            self.must_ask(spec.asked, (*at, "asked"))
        supplied = spec.asked is not None or spec.const is not None
        if supplied and spec.path is None and not spec.first and not spec.join:
            return lambda *_: MISSING
        try:
            gets = [getter(path) for path in paths]
        except ValueError as exc:
            raise self._loaded.wrong(at, str(exc)) from exc
        if len(gets) == 1:
            return gets[0]
        empties = self.empties(spec)

        def several(place: Any, root: Any, _: Any) -> Any:
            found = [value for get in gets if not empties(value := get(place, root))]
            if spec.join:
                return spec.between.join(map(scalars.text, found)) if len(found) == len(gets) else MISSING
            return found[0] if found else MISSING

        return several

    def empties(self, spec: Spec) -> Callable[[Any], bool]:
        """Whether a value means that the HIS cannot supply it."""
        given = self._mapping.sentinels if spec.sentinels is None else spec.sentinels
        texts = frozenset(one for one in given if isinstance(one, str))
        numbers = frozenset(one for one in given if isinstance(one, (int, float)))

        def empty(value: Any) -> bool:
            if type(value) is str:
                return value.strip() in texts
            if value is MISSING or value is None:
                return True
            if isinstance(value, (list, dict)):
                return not value
            return type(value) is not bool and value in numbers

        return empty

    def must_ask(self, name: str, at: At) -> None:
        """ConfigError when the question has no such field."""
        if name not in self._asked:
            raise self._loaded.wrong(at, f"the question has no {name}; it has {', '.join(sorted(self._asked))}")

    def _known(self, fields: dict[str, Spec], kind: type[Any], at: At) -> None:
        known = [field.name for field in dataclasses.fields(kind)]
        for name in fields:
            if name not in known:
                fault = f"{kind.__name__} has no field {name}; it has {', '.join(known)}"
                raise self._loaded.wrong((*at, "fields", name), fault)

    def _field(self, owner: type[Any], field: Any, hint: Any, spec: Spec, at: At) -> Reader:
        kind = kind_of(hint)
        self._fits(field.name, kind, spec, at)
        fetch, empty = self.fetch(spec, field.name, at), self.empties(spec)
        absent = self._absent(owner, field, kind, spec, at)
        if kind.base is tuple or dataclasses.is_dataclass(kind.base):
            return self._nested(kind, spec, at, (fetch, empty, absent))
        convert = self._scalar(field.name, kind, spec, at)
        lenient = kind.base is date and kind.optional  # a birthday that no calendar has is unknown, not repaired

        def read(place: Any, root: Any, asked: Any) -> Any:
            value = fetch(place, root, asked)
            if empty(value):
                return absent(asked)
            try:
                found = convert(value)
            except Broken:
                if lenient:
                    return None
                raise
            return absent(asked) if found is None else found

        simple = spec.path if spec.path is not None else field.name
        supplied = spec.asked is not None or spec.const is not None
        if kind.base is str and not (spec.first or spec.join or supplied or "." in simple or simple == "$"):
            return self._plain_text(simple, read, spec)
        return read

    def _fits(self, name: str, kind: Kind, spec: Spec, at: At) -> None:
        """ConfigError for a key that has no meaning for this kind of field: it would be overlooked in silence."""
        nested = kind.base is tuple or dataclasses.is_dataclass(kind.base)
        coded = kind.base is bool or (isinstance(kind.base, type) and issubclass(kind.base, StrEnum))
        wrong = {
            "table": spec.table is not None and not coded,
            "money": spec.money is not None and not name.endswith("_fen"),
            "formats": bool(spec.formats) and kind.base not in (date, datetime),
            "min": spec.min is not None and kind.base is not int,
            "fields": bool(spec.fields) and not nested,
            "where": bool(spec.where) and kind.base is not tuple,
        }
        for key, misplaced in wrong.items():
            if misplaced:
                shown = kind.item.__name__ if kind.item is not None else kind.base.__name__
                raise self._loaded.wrong((*at, key), f"has no meaning for {name}, which is {shown}")

    def _plain_text(self, key: str, otherwise: Reader, spec: Spec) -> Reader:
        """The usual case without a detour: a text under its own key."""
        given = self._mapping.sentinels if spec.sentinels is None else spec.sentinels
        empty = frozenset(one for one in given if isinstance(one, str))

        def read(place: Any, root: Any, asked: Any) -> Any:
            value = place.get(key)
            if type(value) is str and (text := value.strip()) not in empty:
                return text
            return otherwise(place, root, asked)

        return read

    def _nested(self, kind: Kind, spec: Spec, at: At, found: tuple[Reader, Any, Any]) -> Reader:
        fetch, empty, absent = found
        many = kind.base is tuple
        inner = self.rows(kind.item, spec, at) if many else self.one(kind.base, spec, at)

        def read(place: Any, root: Any, asked: Any) -> Any:
            value = fetch(place, root, asked)
            if empty(value):
                # a list that is there and empty says that there are none
                return () if many and value is not MISSING else absent(asked)
            return inner(value, root, asked)

        return read

    def _absent(self, owner: type[Any], field: Any, kind: Kind, spec: Spec, at: At) -> Callable[[Any], Any]:
        """What a field is when the HIS cannot supply it."""
        value: Any = MISSING
        if spec.const is not None:
            value = self._const(kind, spec.const, (*at, "const"))
        elif field.default is not dataclasses.MISSING:
            value = field.default
        elif kind.optional:
            value = None
        elif isinstance(kind.base, type) and issubclass(kind.base, StrEnum):
            value = unknown(kind.base)
        elif kind.base is str and (spec.optional or field.name in MAY_BE_EMPTY.get(owner, ())):
            value = ""

        def absent(asked: Any) -> Any:
            if spec.asked is not None and (carried := getattr(asked, spec.asked)) not in ("", None):
                return carried
            if value is MISSING:
                raise Misfit("bad_reply", self._loaded, at, f"{owner.__name__}.{field.name} must be there and is not")
            return value

        return absent

    def _const(self, kind: Kind, const: Any, at: At) -> Any:
        try:
            if isinstance(kind.base, type) and issubclass(kind.base, StrEnum):
                return kind.base(const)
            return self._scalar("", kind, Spec(), at)(const)
        except (ValueError, Broken) as exc:
            raise self._loaded.wrong(at, f"{const!r} is no value of {getattr(kind.base, '__name__', '')}") from exc

    def _scalar(self, name: str, kind: Kind, spec: Spec, at: At) -> scalars.Read:
        base, formats = kind.base, self._mapping.formats
        if isinstance(base, type) and issubclass(base, StrEnum):
            return scalars.coded(self._table(base, spec, at), unknown(base))
        if base is int:
            in_yuan = name.endswith("_fen") and (spec.money or formats.money) == "yuan"
            return scalars.fen if in_yuan else scalars.whole(spec.min)
        makers: dict[Any, Callable[[], scalars.Read]] = {
            str: lambda: scalars.text,
            bool: lambda: scalars.truth(self._words(spec, at), strict=not kind.optional),
            Decimal: lambda: scalars.number,
            date: lambda: scalars.day(spec.formats or formats.date),
            datetime: lambda: scalars.moment(spec.formats or formats.datetime),
        }
        return makers[base]()

    def _table(self, kind: type[StrEnum], spec: Spec, at: At) -> dict[str, StrEnum]:
        given, where = spec.table, (*at, "table")
        if given is None:
            given, where = self._mapping.tables.get(kind.__name__), ("tables", kind.__name__)
        if given is None:
            return house(kind)
        table: dict[str, StrEnum] = {}
        for code, word in given.items():
            try:
                table[code] = kind(word)
            except ValueError as exc:
                fault = f"{word!r} is no {kind.__name__}; there are {', '.join(kind)}"
                raise self._loaded.wrong((*where, code), fault) from exc
        return table

    def _words(self, spec: Spec, at: At) -> dict[str, bool] | None:
        """A table of yes and no."""
        if spec.table is None:
            return None
        for code, word in spec.table.items():
            if word not in ("true", "false"):
                raise self._loaded.wrong((*at, "table", code), f'{word!r} is neither "true" nor "false"')
        return {code: word == "true" for code, word in spec.table.items()}

    def _test(self, path: str, wanted: Any, at: At) -> Callable[[Any, Any, Any], bool]:
        try:
            get = getter(path)
        except ValueError as exc:
            raise self._loaded.wrong(at, str(exc)) from exc
        empty = self.empties(Spec())

        def said(row: Any, root: Any) -> str:
            value = get(row, root)
            return "" if empty(value) else scalars.text(value)

        match wanted:
            case {"asked": str(name), **rest} if not rest:
                self.must_ask(name, at)
                return lambda row, root, asked: said(row, root) == str(getattr(asked, name))
            case {"present": bool(present), **rest} if not rest:
                return lambda row, root, _: (said(row, root) != "") is present
            case {"not": list(texts) | str(texts), **rest} if not rest:
                refused = frozenset([texts] if isinstance(texts, str) else map(str, texts))
                return lambda row, root, _: said(row, root) not in refused
            case list(texts):
                allowed = frozenset(map(str, texts))
                return lambda row, root, _: said(row, root) in allowed
            case str(only):
                return lambda row, root, _: said(row, root) == only
        raise self._loaded.wrong(
            at, "must be a text, a list of texts, {asked: field}, {not: texts} or {present: true}; numbers in quotes"
        )


def _culprit(loaded: Loaded, readers: list[tuple[Reader, At, str]], place: Any, root: Any, asked: Any) -> Broken:
    """Which field of an object could not be read."""
    for read_one, at, name in readers:
        try:
            read_one(place, root, asked)
        except Misfit as fault:
            return fault
        except Broken as fault:
            return Misfit(fault.reason, loaded, at, f"{name} is not written as it should be")
    return scalars.bad()


def rows_in(place: Any) -> list[Any]:
    """The rows at a place: a list, one object, or nothing. Raises Broken."""
    if isinstance(place, list):
        return place
    if place in EMPTY or place == "":
        return []
    if isinstance(place, dict):
        return [place]
    raise scalars.bad()
