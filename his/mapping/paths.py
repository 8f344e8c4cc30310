"""A path in a reply, compiled: `a.b.0.c` from a place, `.` the place itself, `$.a` from the whole reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MISSING: Any = object()
"""Nothing stands there; `null` and an empty element are something: they say that there is none."""
Get = Callable[..., Any]
"""(place, whole reply[, question]) -> value, or MISSING; the question is taken so that a getter serves as a reader as it is."""


def getter(path: str) -> Get:
    """See the module. ValueError when it is no path."""
    from_root = path == "$" or path.startswith("$.")
    rest = path[2:] if from_root else path
    if rest in ("", "."):
        if not from_root and path != ".":
            raise ValueError("is no path")
        return (lambda _, root, __=None: root) if from_root else (lambda node, _, __=None: node)
    keys = rest.split(".")
    if not all(keys):
        raise ValueError("is no path; write keys with single dots between them")
    if len(keys) == 1 and not from_root:
        key = keys[0]

        def one(node: Any, _: Any, __: Any = None) -> Any:
            return node.get(key, MISSING) if type(node) is dict else step(node, key)

        return one

    def many(node: Any, root: Any, _: Any = None) -> Any:
        place = root if from_root else node
        for key in keys:
            place = step(place, key)
            if place is MISSING:
                return MISSING
        return place

    return many


def step(place: Any, key: str) -> Any:
    """What stands at one key or list position; below something empty there is nothing: null."""
    if isinstance(place, dict):
        return place.get(key, MISSING)
    if isinstance(place, list) and key.isascii() and key.isdigit():
        return place[int(key)] if len(key) < 7 and int(key) < len(place) else MISSING
    return None if place is None or place in ("", []) else MISSING
