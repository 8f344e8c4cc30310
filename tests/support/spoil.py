"""JSON with some of its values replaced or left out: what a reader must bear without falling over."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, "", "x", "2026-13-99", "2026-11-25T08:00:00+99:00", "0001-01-01T00:00:00+14:00", "Patient/pat-2",
    "#x", [], {}, [None], [[]], {"x": 1}, "\ud800", "￿" * 50, 1e308,
    {"__class__": "Decimal", "decimal": "1e999999999"}, {"__class__": "Decimal"}, {"__class__": "date", "year": 1, "month": 1, "day": 1},
    {"__class__": "datetime", "year": 9999, "month": 12, "day": 31, "hour": 23, "minute": 0, "second": 0},
)  # fmt: skip


def spoilt(body: bytes, dice: random.Random) -> bytes:
    """One to three of its values otherwise; amounts now and then beyond all bounds."""
    tree = json.loads(body)
    for _ in range(dice.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            break
        holder, key = dice.choice(places)
        if dice.random() < 0.3:
            del holder[key]
        else:
            holder[key] = deepcopy(dice.choice(WRONG))
    return json.dumps(tree).replace("320.1", dice.choice(["1e999999999", "320.1", "1e-400", "-0.0"])).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)
