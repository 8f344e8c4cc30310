"""Passes as scanners meet them, scans, and the stations' numbered event lists: the hot path, in plain SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import peewee as pw

from core.codes.passes import KINDS
from core.privacy import Vault
from store.db import Db, rows
from store.models import at, ms
from store.port import Event, FoundScan, NewScan, PassRow, PassUse

_PASS = (
    "SELECT p.pass_no, p.kind, p.secret_sealed, p.binding, b.scan_number_sealed, b.patient_id, p.revoked_ms,"
    " (SELECT max(u.step) FROM pass_use u WHERE u.pass_no = p.pass_no)"
    " FROM pass p JOIN binding b ON b.id = p.binding WHERE p.pass_no = ?"
)
_USE = (
    "SELECT s.code, s.name, u.scan_id, u.at_ms, s.id, e.seq, e.body_sealed FROM pass_use u JOIN station s ON s.id = u.station"
    " LEFT JOIN station_event e ON e.station = u.station AND e.scan_id = u.scan_id"
    " WHERE u.pass_no = ? AND u.step = ?"
)
_NEXT_SEQ = "UPDATE station SET last_seq = last_seq + 1 WHERE id = ? RETURNING last_seq"
_ADD_USE = "INSERT INTO pass_use (pass_no, step, station, scan_id, at_ms) VALUES (?, ?, ?, ?, ?)"
_ADD_SCAN = (
    "INSERT INTO scan (id, station, device, at_ms, outcome, code_class, pass_no, patient_id, took_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_EVENT = "INSERT INTO station_event (station, seq, kind, scan_id, at_ms, body_sealed) VALUES (?, ?, ?, ?, ?, ?)"
_SCAN = (
    "SELECT s.code, e.seq, s.id, e.body_sealed, c.patient_id FROM scan c JOIN station s ON s.id = c.station"
    " JOIN station_event e ON e.station = c.station AND e.scan_id = c.id WHERE c.id = ?"
)
_AFTER = (
    "SELECT e.seq, e.kind, s.id, e.body_sealed FROM station_event e JOIN station s ON s.id = e.station"
    " WHERE s.code = ? AND e.seq > ? ORDER BY e.seq LIMIT ?"
)
_RECENT = (
    "SELECT e.seq, e.kind, s.id, e.body_sealed FROM station_event e JOIN station s ON s.id = e.station"
    " WHERE s.code = ? AND e.kind = 'scan' ORDER BY e.seq DESC LIMIT ?"
)
_FIRST_KEPT = "SELECT seq FROM station_event WHERE station = ? AND at_ms >= ? ORDER BY seq LIMIT 1"
_DROP_EVENTS = "DELETE FROM station_event WHERE station = ? AND seq < ?"
_LAST_OF_PASS = (
    "SELECT c.at_ms, s.name, c.outcome FROM scan c JOIN station s ON s.id = c.station"
    " WHERE c.pass_no = ? ORDER BY c.at_ms DESC LIMIT 1"
)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _place(station: str, seq: int) -> str:
    return f"station_event:{station}:{seq}"


def open_event(vault: Vault, station: str, seq: int, sealed: bytes) -> dict[str, Any]:
    """The body of a station's event; ``station`` is its id."""
    return dict(json.loads(vault.open_bytes(sealed, _place(station, seq))))


def append_event(db: Db, vault: Vault, station: str, kind: str, body: Mapping[str, Any], now: datetime) -> int:
    """Append what is no scan to a station's list, inside `Db.write`; its seq. IndexError when there is no such station."""
    station_id = rows(db, "SELECT id FROM station WHERE code = ?", (station,))[0][0]
    seq = int(rows(db, _NEXT_SEQ, (station_id,))[0][0])
    sealed = vault.seal(_encode(body), _place(station_id, seq))
    db.run(db.sql(_ADD_EVENT), (station_id, seq, kind, None, ms(now), sealed))
    return seq


class ScanStore:
    """`store.port.Scans`; ``db`` is the quick connection (synchronous NORMAL)."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault
        self._next_seq, self._add_use = db.sql(_NEXT_SEQ), db.sql(_ADD_USE)
        self._add_scan, self._add_event = db.sql(_ADD_SCAN), db.sql(_ADD_EVENT)

    def find_pass(self, pass_no: str) -> PassRow | None:
        with self._db.read():
            found = rows(self._db, _PASS, (pass_no,))
        if not found:
            return None
        number, kind, secret, binding, scan_number, patient_id, revoked, last_step = found[0]
        return PassRow(
            number, KINDS[kind], self._vault.open_bytes(secret, f"pass:{number}:secret"), binding,
            self._vault.open(scan_number, f"binding:{binding}:scan_number"), patient_id, revoked is not None, last_step,
        )  # fmt: skip

    def find_use(self, pass_no: str, step: int) -> PassUse | None:
        with self._db.read():
            found = rows(self._db, _USE, (pass_no, step))
        if not found:
            return None
        code, name, scan_id, at_ms, station, seq, sealed = found[0]
        body = self._open(station, seq, sealed) if sealed is not None else {}
        return PassUse(code, name, scan_id, at(at_ms), body)

    def commit(self, scan: NewScan) -> int | PassUse | FoundScan:
        try:
            return self._commit(scan)
        except (pw.IntegrityError, sqlite3.IntegrityError):
            if (done := self.find_scan(scan.scan_id)) is not None:
                return done
            used = self.find_use(*scan.use) if scan.use else None
            if used is None:
                raise
            return used

    def _commit(self, scan: NewScan) -> int:
        at_ms, station = ms(scan.at), scan.station.id
        with self._db.write():
            run = self._db.run
            if scan.use:
                run(self._add_use, (*scan.use, station, scan.scan_id, at_ms))
            seq = int(run(self._next_seq, (station,)).fetchone()[0])
            run(
                self._add_scan,
                (scan.scan_id, station, scan.device, at_ms, scan.outcome, scan.code_class, scan.pass_no,
                 scan.patient_id, scan.ms),
            )  # fmt: skip
            run(
                self._add_event,
                (station, seq, "scan", scan.scan_id, at_ms, self._seal(station, seq, scan.text or _encode(scan.body))),
            )
        return seq

    def find_scan(self, scan_id: str) -> FoundScan | None:
        with self._db.read():
            found = rows(self._db, _SCAN, (scan_id,))
        if not found:
            return None
        code, seq, station, sealed, patient_id = found[0]
        return FoundScan(code, seq, open_event(self._vault, station, seq, sealed), patient_id)

    def add_event(self, station: str, kind: str, body: Mapping[str, Any], now: datetime) -> int:
        with self._db.write():
            return append_event(self._db, self._vault, station, kind, body, now)

    def last_seq(self, station: str) -> int:
        with self._db.read():
            found = rows(self._db, "SELECT last_seq FROM station WHERE code = ?", (station,))
        return int(found[0][0]) if found else 0

    def events_after(self, station: str, seq: int, limit: int) -> list[Event]:
        return self._events(_AFTER, (station, seq, limit))

    def recent_scans(self, station: str, limit: int) -> list[Event]:
        return self._events(_RECENT, (station, limit))

    def _events(self, query: str, params: tuple[Any, ...]) -> list[Event]:
        with self._db.read():
            found = rows(self._db, query, params)
        return [Event(seq, kind, self._open(station, seq, sealed)) for seq, kind, station, sealed in found]

    def _seal(self, station: str, seq: int, text: str) -> bytes:
        return self._vault.seal(text, _place(station, seq))

    def _open(self, station: str, seq: int, sealed: bytes) -> dict[str, Any]:
        return open_event(self._vault, station, seq, sealed)

    def last_of_pass(self, pass_no: str) -> tuple[datetime, str, str] | None:
        with self._db.read():
            found = rows(self._db, _LAST_OF_PASS, (pass_no,))
        return (at(found[0][0]), found[0][1], found[0][2]) if found else None

    def prune(self, before: datetime) -> int:
        """Station by station and in short transactions: a scan never waits for the broom."""
        dropped = 0
        with self._db.read():
            stations = rows(self._db, "SELECT id, last_seq FROM station")
        for station, last_seq in stations:
            with self._db.read():
                kept = rows(self._db, _FIRST_KEPT, (station, ms(before)))
            # never beyond what was there when we looked: an event may be stored between the look and the broom
            dropped += self._delete(_DROP_EVENTS, (station, min(kept[0][0] if kept else last_seq + 1, last_seq + 1)))
        return dropped + self._delete("DELETE FROM pass_use WHERE at_ms < ?", (ms(before),))

    def _delete(self, text: str, params: tuple[Any, ...]) -> int:
        with self._db.write() as database:
            return int(database.execute_sql(self._db.sql(text), params).rowcount)
