"""What may be written down of a call: the same shape as canonical JSON, nobody recognisable in it.

Personal fields keep their last four characters, names of patients their first and last, birth dates their year; free
text loses its long numbers. Ids that only the HIS and we know (patient_id, op_key, trade numbers) stay: an auditor
needs them.
"""

import dataclasses
from datetime import date
from functools import cache
from typing import Any

from core.privacy import mask_name, mask_number, redact
from his.port import CardApplication, Patient
from his.port.codec import dumps, fields, plain

_NAMES = frozenset({(Patient, "name"), (CardApplication, "name"), (CardApplication, "guardian_name")})
"""Names of patients; doctors, departments and medicines have names too."""
_NUMBERS = frozenset({"card_no", "wristband_no", "admission_no"})
"""What a scanner reads: whoever knows it can ask with it."""
_FREE_TEXT = frozenset({"reason", "note", "message"})


def masked(value: Any) -> str:
    """A question, a command or an answer as JSON without anybody's ID number, phone, card, name or birthday."""
    return dumps(_mask(value))


def _mask(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_mask(one) for one in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return plain(value)
    kind: Any = type(value)
    how = _masks(kind)
    return {name: _hide(mask, getattr(value, name)) for name, mask in how}


def _hide(mask: str, value: Any) -> Any:
    if value is None or mask == "open":
        return _mask(value)
    if mask == "birthday":
        return f"{value.year:04d}-**-**"
    hide = {"name": mask_name, "number": mask_number, "text": redact}[mask]
    return hide(value)


@cache
def _masks(kind: Any) -> tuple[tuple[str, str], ...]:
    personal = {field.name for field in dataclasses.fields(kind) if field.metadata.get("personal")}
    return tuple((name, _mask_of(kind, name, name in personal, hint)) for name, hint in fields(kind))


def _mask_of(kind: type[Any], name: str, personal: bool, hint: Any) -> str:
    if (kind, name) in _NAMES:
        return "name"
    if personal or name in _NUMBERS:
        return "number"
    if name == "birth_date" and hint in (date, date | None):
        return "birthday"
    return "text" if name in _FREE_TEXT and hint is str else "open"
