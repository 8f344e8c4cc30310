"""Whether a value has the type its port promises, all the way down."""

import dataclasses
from datetime import datetime
from typing import Any, get_type_hints

from his.mapping.reading import kind_of


def fits(value: Any, hint: Any) -> bool:
    """True for exactly that type; a datetime must be aware."""
    kind = kind_of(hint)
    if value is None:
        return kind.optional
    if kind.base is tuple:
        return type(value) is tuple and all(fits(item, kind.item) for item in value)
    if dataclasses.is_dataclass(kind.base):
        hints = get_type_hints(kind.base)
        fields = dataclasses.fields(kind.base)
        return type(value) is kind.base and all(fits(getattr(value, one.name), hints[one.name]) for one in fields)
    return type(value) is kind.base and (kind.base is not datetime or value.tzinfo is not None)
