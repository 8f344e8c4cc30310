"""What the HIS last said, for lists that may be shown again: bounded, in memory only, dropped when we write.

An entry is fresh for the query's `fresh_s` and given without asking; afterwards, and up to `stale_s`, it is what a
page shows with its 更新时间 while the HIS is silent. One caller asks for an entry, the others wait for that answer.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from his.port import Command, Ctx, Fetched, HisError, NotFound, Query, Rejected, Unavailable

R = TypeVar("R")
PATIENCE_S = 1.0
"""How long a page that has an old copy waits for another page's question before it shows that copy."""
_BY = ("patient_id", "schedule_id")
"""Fields by which a write touches what was read: the patient's own lists, and the schedule it took a slot of."""


@dataclass(slots=True)
class _Entry:
    fetched: Fetched[Any]
    since: float  # monotonic
    expired: bool = False


@dataclass(slots=True)
class _Asking:
    """Somebody is asking; `failure` is what came of it, for those who waited."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    failure: Unavailable | None = None


@dataclass(slots=True, eq=False)
class _UnderWay:
    """A question whose answer is not here yet; `forgotten` when the HIS said meanwhile that it has changed."""

    query: Query[Any]
    forgotten: bool = False


class Cache:
    """Thread-safe. `size` entries at most, the least recently used go first."""

    def __init__(self, now: Callable[[], datetime], size: int = 4096) -> None:
        self._now, self._size = now, size
        self._lock = threading.Lock()
        self._entries: OrderedDict[Query[Any], _Entry] = OrderedDict()
        self._asking: dict[Query[Any], _Asking] = {}
        self._under_way: set[_UnderWay] = set()
        self._changes = 0
        """Writes and events so far: an answer asked for before one of them may be older than it."""

    def fetch(self, query: Query[R], ctx: Ctx, ask: Callable[[], R]) -> Fetched[R]:
        """A fresh copy, else the answer of `ask`, else (when `ctx` allows it) an old copy marked stale."""
        if (fresh := self._fresh(query)) is not None:
            return fresh
        if not query.fresh_s:
            return self._ask(query, ctx, ask)
        with self._lock:
            asking = self._asking.setdefault(query, _Asking())
        patience = PATIENCE_S if ctx.stale_ok and self._is_old(query) else ctx.deadline_s
        if not asking.turn.acquire(timeout=max(0.0, patience)):
            return self._old(query, ctx, Unavailable("busy"))
        try:
            if asking.failure is not None:  # the one we waited for got no answer: one question is enough
                return self._old(query, ctx, asking.failure)
            fresh = self._fresh(query)
            return fresh if fresh is not None else self._ask(query, ctx, ask)
        finally:
            with self._lock:
                if self._asking.get(query) is asking:
                    del self._asking[query]
            asking.turn.release()

    def touch(self, command: Command[Any]) -> None:
        """After a write: what it may have changed is asked for again; old copies stay for a silent HIS."""
        keys = {(name, getattr(command, name)) for name in _BY if hasattr(command, name)}
        with self._lock:
            self._changes += 1
            for query, entry in self._entries.items():
                if any((name, getattr(query, name, None)) in keys for name in _BY) or query.op == "list_schedules":
                    entry.expired = True

    def forget(self, *, patient_id: str = "", schedule_id: str = "") -> None:
        """After word from the HIS: what it said of this patient or schedule is not shown again, not even as old.

        Lists of many schedules are asked for again; their old copies stay for a silent HIS.
        """
        gone = {("patient_id", patient_id), ("schedule_id", schedule_id)} - {("patient_id", ""), ("schedule_id", "")}
        with self._lock:
            self._changes += 1
            for query, entry in list(self._entries.items()):
                if any((name, getattr(query, name, None)) in gone for name in _BY):
                    del self._entries[query]
                elif schedule_id and query.op == "list_schedules":
                    entry.expired = True
            for one in self._under_way:
                if any((name, getattr(one.query, name, None)) in gone for name in _BY):
                    one.forgotten = True

    def _fresh(self, query: Query[R]) -> Fetched[R] | None:
        if not query.fresh_s:
            return None
        with self._lock:
            entry = self._entries.get(query)
            if entry is None or entry.expired or time.monotonic() - entry.since >= query.fresh_s:
                return None
            self._entries.move_to_end(query)
            return entry.fetched

    def _ask(self, query: Query[R], ctx: Ctx, ask: Callable[[], R]) -> Fetched[R]:
        under_way = _UnderWay(query)
        with self._lock:
            changes = self._changes
            self._under_way.add(under_way)
        try:
            fetched = Fetched(ask(), self._now())
            self._keep(under_way, fetched, changes)
            return fetched
        except Unavailable as failure:
            with self._lock:
                if (asking := self._asking.get(query)) is not None:
                    asking.failure = failure
            return self._old(query, ctx, failure)
        except (NotFound, Rejected):  # a withdrawn report must not come back as an old copy once the HIS is silent
            with self._lock:
                self._entries.pop(query, None)
            raise
        finally:
            with self._lock:
                self._under_way.discard(under_way)

    def _keep(self, under_way: _UnderWay, fetched: Fetched[Any], changes: int) -> None:
        """`changes`: how many there were when it was asked for."""
        query = under_way.query
        with self._lock:
            if under_way.forgotten:
                return
            self._entries[query] = _Entry(fetched, time.monotonic(), expired=self._changes != changes)
            self._entries.move_to_end(query)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def _is_old(self, query: Query[Any]) -> bool:
        with self._lock:
            entry = self._entries.get(query)
        return entry is not None and time.monotonic() - entry.since <= query.stale_s

    def _old(self, query: Query[R], ctx: Ctx, failure: HisError) -> Fetched[R]:
        with self._lock:
            entry = self._entries.get(query)
        if not ctx.stale_ok or entry is None or time.monotonic() - entry.since > query.stale_s:
            raise failure
        return replace(entry.fetched, stale=True)
