"""A PACS whose answers are kept: pictures in bounded memory, one question for many who wait, and rest for one that is down.

Keys are DICOM UIDs that came from the HIS; whoever asks has checked before whose report it was.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from his.port import PacsPort, StudyImage, Unavailable

T = TypeVar("T")
REST_S = 5.0
"""How long a PACS that did not answer is left alone."""
GONE = frozenset({"timeout", "connect_timeout", "refused", "reset", "unreachable", "unresolved"})
"""Failures of the PACS itself; one picture it cannot draw says nothing of the others."""
WAIT_S = 1.0
"""How long a page waits while others ask the PACS: a hung one must not take the threads that serve pages."""
LIST_BYTES = 300
"""What one listed image is taken to need in memory."""


@dataclass(slots=True)
class _Kept:
    value: Any
    size: int
    since: float


class KeepingPacs:
    """See `PacsPort`; thread-safe. `room`: bytes; `keep_s`: seconds an answer is given again; `calls`: at once."""

    def __init__(self, pacs: PacsPort, room: int, keep_s: float, calls: int = 4) -> None:
        self._pacs, self._room, self._keep_s = pacs, room, keep_s
        self._lane = threading.BoundedSemaphore(calls)
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._used = 0
        self._asking: dict[Hashable, threading.Lock] = {}
        self._rest_until = 0.0
        self._answered_at = 0.0

    def images(self, study_uid: str, deadline_s: float) -> tuple[StudyImage, ...]:
        """See `PacsPort`."""

        def ask(left_s: float) -> tuple[tuple[StudyImage, ...], int]:
            found = self._pacs.images(study_uid, left_s)
            return found, LIST_BYTES * len(found)

        return self._fetch(study_uid, deadline_s, ask)

    def picture(self, image: StudyImage, width: int, deadline_s: float) -> bytes:
        """See `PacsPort`."""

        def ask(left_s: float) -> tuple[bytes, int]:
            drawn = self._pacs.picture(image, width, left_s)
            return drawn, len(drawn)

        return self._fetch((image, width), deadline_s, ask)

    def close(self) -> None:
        """See `PacsPort`."""
        self._pacs.close()

    def _fetch(self, key: Hashable, deadline_s: float, ask: Callable[[float], tuple[T, int]]) -> T:
        """What `ask` answers within `deadline_s`; it is told the seconds that waiting for others has left of them."""
        until = time.monotonic() + deadline_s
        if (kept := self._fresh(key)) is not None:
            return cast("T", kept.value)
        with self._lock:
            if time.monotonic() < self._rest_until:
                raise Unavailable("breaker_open")
            turn = self._asking.setdefault(key, threading.Lock())
        if not turn.acquire(timeout=max(0.0, deadline_s)):
            raise Unavailable("busy")
        try:
            if (kept := self._fresh(key)) is not None:  # the one we waited for has it
                return cast("T", kept.value)
            with self._lock:
                if time.monotonic() < self._rest_until:
                    raise Unavailable("breaker_open")
            if not self._lane.acquire(timeout=min(WAIT_S, max(0.0, until - time.monotonic()))):
                raise Unavailable("busy")
            try:
                if (left_s := until - time.monotonic()) <= 0:
                    raise Unavailable("busy")
                return self._ask(key, lambda: ask(left_s))
            finally:
                self._lane.release()
        finally:
            with self._lock:
                if self._asking.get(key) is turn:
                    del self._asking[key]
            turn.release()

    def _ask(self, key: Hashable, ask: Callable[[], tuple[T, int]]) -> T:
        started = time.monotonic()
        try:
            value, size = ask()
        except Unavailable as failure:
            if failure.reason in GONE:
                with self._lock:
                    if self._answered_at < started:  # one slow picture, while others are drawn, is no PACS that is gone
                        self._rest_until = time.monotonic() + REST_S
            raise
        with self._lock:
            self._answered_at = time.monotonic()
            self._used += size - (old.size if (old := self._kept.pop(key, None)) is not None else 0)
            self._kept[key] = _Kept(value, size, time.monotonic())
            while self._used > self._room and self._kept:
                _, gone = self._kept.popitem(last=False)
                self._used -= gone.size
        return value

    def _fresh(self, key: Hashable) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or time.monotonic() - kept.since > self._keep_s:
                return None
            self._kept.move_to_end(key)
            return kept
