"""The in-process bus: events are past-tense dataclasses, a listener's failure never reaches another."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

log = logging.getLogger(__name__)
E = TypeVar("E")


class Bus:
    """Calls each listener of an event's exact type, in order of subscription, on the publisher's thread."""

    def __init__(self) -> None:
        self._listeners: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, event: type[E], listener: Callable[[E], None]) -> None:
        """Call ``listener`` for each event of this type."""
        self._listeners[event].append(listener)

    def publish(self, event: object) -> None:
        """Hand ``event`` to its listeners; one that raises is logged and the rest still hear it."""
        for listener in self._listeners.get(type(event), ()):
            try:
                listener(event)
            except Exception:
                log.exception("listener %r failed for %s", listener, type(event).__name__)
