"""What the HIS told us: each event once, and what stations are told by it in the same commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.privacy import Vault
from store.db import Db, rows
from store.models import at, ms
from store.port_bridge import NewHisEvent, StoredHisEvent
from store.scans import append_event

_ADD = (
    "INSERT INTO his_event (source, event_id, kind, at_ms, patient_id, ref, data_sealed, received_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, event_id) DO NOTHING RETURNING seq"
)
_KEPT = "SELECT seq, kind, at_ms, patient_id, ref, data_sealed FROM his_event WHERE source = ? AND event_id = ?"
_AFTER = (
    "SELECT seq, source, event_id, kind, at_ms, patient_id, ref, data_sealed FROM his_event"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)


class HisEventStore:
    """`store.port.HisEvents`; ``db`` is the durable connection: an acknowledged event is not sent again."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def add(self, events: Sequence[NewHisEvent], now: datetime) -> list[StoredHisEvent]:
        # one writer after another: their numbers become visible in order, and two batches cannot deadlock
        with self._db.write(serial="his_event"):
            return [self._add(event, now) for event in events]

    def _add(self, event: NewHisEvent, now: datetime) -> StoredHisEvent:
        added = rows(
            self._db, _ADD,
            (event.source, event.event_id, event.kind, ms(event.at), event.patient_id, event.ref,
             self._vault.seal(_encode(event.data), _place(event.source, event.event_id)), ms(now)),
        )  # fmt: skip
        if not added:
            return self._kept(event)
        told = tuple(
            (station, append_event(self._db, self._vault, station, name, body, now))
            for station, name, body in event.tells
        )
        return StoredHisEvent(int(added[0][0]), new=True, told=told)

    def _kept(self, event: NewHisEvent) -> StoredHisEvent:
        seq, *said, sealed = rows(self._db, _KEPT, (event.source, event.event_id))[0]
        same = tuple(said) == (event.kind, ms(event.at), event.patient_id, event.ref) and self._data(
            sealed, event.source, event.event_id
        ) == dict(event.data)
        return StoredHisEvent(int(seq), new=False, same=same)

    def after(self, seq: int, limit: int) -> list[tuple[int, NewHisEvent]]:
        with self._db.read():
            found = rows(self._db, _AFTER, (seq, limit))
        return [
            (number, NewHisEvent(source, name, kind, at(at_ms), patient_id, ref, self._data(sealed, source, name)))
            for number, source, name, kind, at_ms, patient_id, ref, sealed in found
        ]

    def last_seq(self) -> int:
        with self._db.read():
            return int(rows(self._db, "SELECT COALESCE(MAX(seq), 0) FROM his_event")[0][0])

    def prune(self, before: datetime) -> int:
        """The newest stays, so that numbers never begin again."""
        text = "DELETE FROM his_event WHERE received_ms < ? AND seq < (SELECT MAX(seq) FROM his_event)"
        with self._db.write() as database:
            return int(database.execute_sql(self._db.sql(text), (ms(before),)).rowcount)

    def _data(self, sealed: bytes, source: str, event_id: str) -> dict[str, Any]:
        return dict(json.loads(self._vault.open_bytes(sealed, _place(source, event_id))))


def _encode(data: Mapping[str, str | int]) -> str:
    return json.dumps(dict(data), ensure_ascii=False, separators=(",", ":"))


def _place(source: str, event_id: str) -> str:
    return f"his_event:{source}:{event_id}:data"
