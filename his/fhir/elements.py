"""FHIR's element types as ours: text, codes, references, identifiers, times, money. Strict; a stray type is no value.

Source: HL7 FHIR R4 (4.0.1), datatypes.html and references.html.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from core.clock import SHANGHAI
from his.faults import Broken
from his.fhir.client import Resource

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
LOCAL = re.compile(r"([A-Za-z]{1,64})/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?", re.ASCII)


def text(data: Resource, key: str) -> str:
    """A string element, "" when it is absent or no string."""
    value = data.get(key)
    return value.strip() if isinstance(value, str) else ""


def required(data: Resource, key: str) -> str:
    """A string element that must be there."""
    found = text(data, key)
    if not found:
        raise Broken("bad_reply")
    return found


def objects(data: Resource, key: str) -> list[Resource]:
    """The objects of a repeating element."""
    value = data.get(key)
    return [cast("Resource", one) for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def one(data: Resource, key: str) -> Resource:
    """An object element, {} when it is absent or none."""
    value = data.get(key)
    return cast("Resource", value) if isinstance(value, dict) else {}


def codes(concept: Resource) -> list[str]:
    """The codes of a CodeableConcept, whatever their systems."""
    return [code for coding in objects(concept, "coding") if (code := text(coding, "code"))]


def words(concept: Resource) -> str:
    """A CodeableConcept for people: its text, else a display, else a code."""
    displays = [word for coding in objects(concept, "coding") if (word := text(coding, "display"))]
    return text(concept, "text") or next(iter([*displays, *codes(concept)]), "")


def reference(value: Resource) -> tuple[str, str]:
    """Type and id a Reference points to on this server; ("", "") when it points elsewhere or nowhere.

    An absolute reference counts as another server's: this house asks only one.
    """
    found = LOCAL.fullmatch(text(value, "reference"))
    return (found[1], found[2]) if found else ("", "")


def ref_id(value: Resource, kind: str) -> str:
    """The id `value` points to when it points to a `kind`, else ""."""
    found, resource_id = reference(value)
    return resource_id if found == kind else ""


def identifier(resource: Resource, system: str | None) -> str:
    """The resource's first value under `system` that is not marked old; "" without one."""
    if system is None:
        return ""
    return next((text(held, "value") for held in identifiers(resource, system) if text(held, "use") != "old"), "")


def identifiers(resource: Resource, system: str) -> Iterator[Resource]:
    """The resource's identifiers under `system` that have a value."""
    return (held for held in objects(resource, "identifier") if text(held, "system") == system and text(held, "value"))


def instant(data: Resource, key: str) -> datetime | None:
    """An instant, or a dateTime with its offset, in Shanghai; None when absent; Broken when it is neither."""
    value = text(data, key)
    if not value:
        return None
    if not INSTANT.fullmatch(value):
        raise Broken("bad_reply")
    try:
        return datetime.fromisoformat(value).astimezone(SHANGHAI)
    except (ValueError, OverflowError):
        raise Broken("bad_reply") from None


def moment(data: Resource, key: str) -> datetime | None:
    """As `instant`; a dateTime that is only a day is that day's beginning in Shanghai."""
    value = text(data, key)
    if DAY.fullmatch(value):
        found = day(value)
        return datetime(found.year, found.month, found.day, tzinfo=SHANGHAI) if found else None
    return instant(data, key)


def day(value: str) -> date | None:
    """A whole date; None for a partial or an impossible one."""
    try:
        return date.fromisoformat(value) if DAY.fullmatch(value) else None
    except ValueError:
        return None


def fen(money: Resource) -> int:
    """FHIR's Money (yuan as a decimal) in fen, exactly; Broken when it is no Money in CNY or splits a fen."""
    value = money.get("value")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Broken("bad_reply")
    if text(money, "currency") not in ("CNY", ""):
        raise Broken("unmapped_code")
    exact = Decimal(value)
    if not exact.is_finite() or exact.adjusted() > 12 or exact * 100 != int(exact * 100):
        raise Broken("bad_reply")
    return int(exact * 100)


def number(value: Any) -> str:
    """A JSON number as it was written, "" for anything else."""
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""
