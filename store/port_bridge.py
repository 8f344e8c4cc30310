"""What services keep of the bridge: its clients, the events the HIS sent, scans made elsewhere and the feed of all.

As in `store.port`: times are aware, personal fields are in the clear here and sealed by the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from store.port import FoundScan


@dataclass(frozen=True, slots=True)
class BridgeClient:
    """A program that may call the bridge. ``stations`` and ``addresses`` empty: no limit."""

    id: str
    name: str
    scopes: frozenset[str]
    stations: tuple[str, ...]
    addresses: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class BridgeClients(Protocol):
    """Clients of the bridge, and the hashes of their tokens."""

    def add(self, client: BridgeClient, token: str) -> None:
        """Raises Taken when a live client has this name."""

    def by_token(self, token: str) -> BridgeClient | None:
        """The client with this token, revoked or not."""

    def all(self) -> list[BridgeClient]: ...

    def revoke(self, name: str, now: datetime) -> bool:
        """False when no live client has this name."""

    def used(self, client_id: str, now: datetime) -> None:
        """Note that it called."""


@dataclass(frozen=True, slots=True)
class NewHisEvent:
    """An event to be stored, with what stations are told by it: (station code, event name, body)."""

    source: str
    event_id: str
    kind: str
    at: datetime
    patient_id: str
    ref: str
    data: Mapping[str, str | int]
    tells: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredHisEvent:
    """``new``: stored now; ``same``: what is stored says the same. ``told``: (station, seq) in order of ``tells``."""

    seq: int
    new: bool
    same: bool = True
    told: tuple[tuple[str, int], ...] = ()


class HisEvents(Protocol):
    """What the HIS told us of its own accord."""

    def add(self, events: Sequence[NewHisEvent], now: datetime) -> list[StoredHisEvent]:
        """All of them, and what they tell stations, in one durable commit; each (source, event_id) once."""

    def after(self, seq: int, limit: int) -> list[tuple[int, NewHisEvent]]:
        """Events with a greater seq, oldest first; none is ever added below one that was given."""

    def last_seq(self) -> int: ...

    def prune(self, before: datetime) -> int:
        """Drop events received before; how many."""


@dataclass(frozen=True, slots=True)
class Look:
    """A code resolved without a station; ``shown`` = (pass_no, step) of an accepted pass."""

    id: str
    client: str
    at: datetime
    outcome: str
    code_class: str
    shown: tuple[str, int] | None
    patient_id: str | None


class BridgeScans(Protocol):
    """Scans made elsewhere, looks, and the feed of all scans."""

    def claim(self, client: str, scan_id: str, scan: str, content: str, now: datetime) -> tuple[str, bool]:
        """(our id of the client's scan_id, whether its content is the same); the first claim decides both."""

    def note(self, look: Look) -> tuple[str, datetime] | None:
        """Keep a look; (id, time) of the first one this client had of the same ``shown``, if it is not this."""

    def feed(
        self, client: str, since: int, limit: int, stations: Sequence[str]
    ) -> tuple[list[tuple[int, FoundScan, str]], int]:
        """((cursor, scan, the client's own scan_id or ""), …) after the cursor, and the cursor to go on from."""

    def prune(self, before: datetime) -> int:
        """Drop what is older; how many."""
