"""Compiles what the codes of a reply mean for one operation; the same code may mean another thing elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.placed import At
from his.faults import Broken, Duplicate
from his.mapping import scalars
from his.mapping.load import Loaded
from his.mapping.misfit import Misfit
from his.mapping.paths import MISSING, Get, getter
from his.mapping.schema import Codes, Envelope, Meaning, Spec
from his.port import HisError, NotFound, Rejected, RejectReason

Open = Callable[[Any], Any]
"""Reply -> its data. Raises NotFound, Rejected, Duplicate, Broken."""


class Judge:
    """One operation's envelope and codes."""

    def __init__(
        self, loaded: Loaded, envelope: Envelope, codes: Codes, at: At, *, write: bool, many: bool = False
    ) -> None:
        """`many`: the answer is a list, and an empty one is an answer."""
        common = loaded.mapping.codes
        self._codes = merged(merged(common, loaded.mapping.write_codes) if write else common, codes)
        self._loaded, self._at = loaded, at
        self._code = self._get(envelope.code)
        self._message = self._get(envelope.message)
        self._data = self._get(envelope.data)
        self._reason = self._get(self._codes.reason_path)
        shortfall = self._codes.shortfall or Spec()
        self._shortfall = self._get(shortfall.path)
        self._in_yuan = (shortfall.money or loaded.mapping.formats.money) == "yuan"
        self._ok = frozenset(self._codes.ok or ())
        self._not_found = frozenset(self._codes.not_found or ())
        self._rejected = self._codes.rejected or {}
        self._duplicate = frozenset(self._codes.duplicate or ()) if write else frozenset()
        self._exception = frozenset(self._codes.exception or ())
        self._empty_is_nothing = self._codes.empty == "not_found" and not many
        if self._code is not None and not self._ok:
            raise loaded.wrong((*at, "codes"), "no code means ok; name those that do")
        self._apart(codes)

    def open(self, reply: Any) -> Any:
        """See `Open`."""
        if self._code is not None:
            code = self._code(reply, reply)
            if type(code) is not str or code not in self._ok:
                self._refuse(code, reply)
        data = None if self._data is None else self._data(reply, reply)
        if self._empty_is_nothing and (data is MISSING or data in (None, "", [], {})):
            raise NotFound
        return data

    def _refuse(self, code: Any, reply: Any) -> None:
        """Raise what a code means; return when it is ok after all."""
        if code is MISSING or code is None or isinstance(code, (dict, list)):
            raise Misfit("bad_reply", self._loaded, (*self._at, "envelope", "code"), "the reply has no code")
        word = scalars.text(code)
        if word in self._ok:
            return
        if word in self._not_found:
            raise NotFound
        if word in self._duplicate:
            raise Duplicate
        if word in self._rejected:
            raise self._rejection(word, reply)
        if word in self._exception:
            raise Broken("his_exception")
        raise Misfit("unmapped_code", self._loaded, (*self._at, "codes"), f'the code "{word[:40]}" stands in no list')

    def _rejection(self, code: str, reply: Any) -> HisError | Broken:
        reason: Meaning = self._rejected[code]
        said = self._text(self._reason, reply)
        if said:
            reason = (self._codes.reasons or {}).get(said, reason)
            reason = next((it for part, it in (self._codes.contains or {}).items() if part in said), reason)
        elif self._codes.unreasoned == "exception":
            reason = "exception"
        if reason == "not_found":
            return NotFound()
        if not isinstance(reason, RejectReason):
            return Broken("his_exception")
        return Rejected(code, self._text(self._message, reply) or "", reason, self._missing(reason, reply))

    def _missing(self, reason: RejectReason, reply: Any) -> int | None:
        """How much is missing on the card; the refusal stands even when that cannot be read."""
        if reason is not RejectReason.BALANCE_SHORT or self._shortfall is None:
            return None
        value = self._shortfall(reply, reply)
        try:
            return scalars.fen(value) if self._in_yuan else scalars.whole(0)(value)
        except Broken:
            return None

    def _text(self, get: Get | None, reply: Any) -> str | None:
        value = None if get is None else get(reply, reply)
        try:
            return None if value is None or value is MISSING else scalars.text(value)
        except Broken:
            return None

    def _get(self, path: str | None) -> Get | None:
        if path is None:
            return None
        try:
            return getter(path)
        except ValueError as exc:
            raise self._loaded.wrong(self._at, f"{path!r} {exc}") from exc

    def _apart(self, own: Codes) -> None:
        """One code with two meanings is a mistake in the file."""
        seen: dict[str, str] = {}
        for meaning in ("ok", "not_found", "rejected", "duplicate", "exception"):
            for code in getattr(own, meaning) or ():
                if code in seen:
                    fault = f'"{code}" means {seen[code]} and {meaning}; keep one'
                    raise self._loaded.wrong((*self._at, "codes", meaning), fault)
                seen[code] = meaning


def merged(base: Codes, own: Codes) -> Codes:
    """The mapping's codes with an operation's over them; a code the operation names loses its common meaning."""
    if not own.model_fields_set:
        return base
    named = {code for meaning in ("ok", "not_found", "duplicate", "exception", "rejected")
             for code in getattr(own, meaning, None) or ()}  # fmt: skip
    values = {name: getattr(base, name) for name in Codes.model_fields}
    for meaning in ("ok", "not_found", "duplicate", "exception"):
        values[meaning] = [code for code in values[meaning] or () if code not in named]
    values["rejected"] = {code: why for code, why in (values["rejected"] or {}).items() if code not in named}
    return Codes.model_construct(**{**values, **{name: getattr(own, name) for name in own.model_fields_set}})
