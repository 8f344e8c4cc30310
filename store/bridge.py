"""Clients of the bridge, scans they made elsewhere, codes they looked at, and the feed of all scans."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import peewee as pw

from core.privacy import Vault, token_hash
from store.db import Db, rows
from store.models import BridgeClientModel, at, ms
from store.port import FoundScan, Taken
from store.port_bridge import BridgeClient, Look
from store.scans import open_event

_FEED_STEP = 1000
"""Scans of one station numbered in one commit at most: a scan never waits long for a reader."""
_NEWS = (
    "SELECT id, last_seq, (SELECT COALESCE(MAX(f.station_seq), 0) FROM scan_feed f WHERE f.station = station.id)"
    " FROM station ORDER BY code"
)
_NUMBER = (
    "INSERT INTO scan_feed (station, station_seq, at_ms) SELECT station, seq, at_ms FROM station_event"
    " WHERE station = ? AND seq > ? AND kind = 'scan' ORDER BY seq LIMIT ?"
)
_FEED = (
    "SELECT f.seq, s.code, s.id, e.seq, e.body_sealed, c.patient_id, b.scan_id FROM scan_feed f"
    " JOIN station s ON s.id = f.station"
    " JOIN station_event e ON e.station = f.station AND e.seq = f.station_seq"
    " JOIN scan c ON c.id = e.scan_id"
    " LEFT JOIN bridge_scan b ON b.scan = c.id AND b.client = ?"
    " WHERE f.seq > ? AND f.seq <= ?{stations} ORDER BY f.seq LIMIT ?"
)
_FIRST_LOOK = (
    "SELECT id, at_ms FROM bridge_look WHERE client = ? AND pass_no = ? AND step = ? ORDER BY at_ms, id LIMIT 1"
)
_LOOK = (
    "INSERT INTO bridge_look (id, client, at_ms, outcome, code_class, pass_no, step, patient_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_CLAIM = (
    "INSERT INTO bridge_scan (scan, client, scan_id, content_index, at_ms) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (client, scan_id) DO NOTHING"
)
_OLD_LOOKS = "DELETE FROM bridge_look WHERE at_ms < ?"
_OLD_CLAIMS = (
    "DELETE FROM bridge_scan WHERE at_ms < ? AND NOT EXISTS"
    " (SELECT 1 FROM scan c JOIN station_event e ON e.station = c.station AND e.scan_id = c.id"
    " WHERE c.id = bridge_scan.scan)"
)
_OLD_NUMBERS = (
    "DELETE FROM scan_feed WHERE at_ms < ? AND seq < (SELECT MAX(seq) FROM scan_feed) AND NOT EXISTS"
    " (SELECT 1 FROM station_event e WHERE e.station = scan_feed.station AND e.seq = scan_feed.station_seq)"
)


class BridgeClientStore:
    """`store.port.BridgeClients` on peewee."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(self, client: BridgeClient, token: str) -> None:
        try:
            with self._db.write() as database:
                BridgeClientModel.insert(
                    id=client.id, name=client.name, token_hash=token_hash(token),
                    scopes=" ".join(sorted(client.scopes)), stations=" ".join(client.stations),
                    addresses=" ".join(client.addresses), created_ms=ms(client.created_at),
                ).execute(database)  # fmt: skip
        except pw.IntegrityError as exc:
            raise Taken(f"there is a bridge client {client.name} already; revoke it first") from exc

    def by_token(self, token: str) -> BridgeClient | None:
        hashed = token_hash(token)
        with self._db.read() as database:
            row = BridgeClientModel.select().where(BridgeClientModel.token_hash == hashed).dicts().first(database)
        # the index found a hash, which tells nothing of the token; compared again so that no collation decides
        return _client(row) if row and hmac.compare_digest(row["token_hash"], hashed) else None

    def all(self) -> list[BridgeClient]:
        with self._db.read() as database:
            found = BridgeClientModel.select().order_by(BridgeClientModel.name, BridgeClientModel.created_ms)
            return [_client(row) for row in found.dicts().execute(database)]

    def revoke(self, name: str, now: datetime) -> bool:
        with self._db.write() as database:
            ended = BridgeClientModel.update(revoked_ms=ms(now)).where(
                (BridgeClientModel.name == name) & BridgeClientModel.revoked_ms.is_null()
            )
            return bool(ended.execute(database))

    def used(self, client_id: str, now: datetime) -> None:
        with self._db.write() as database:
            BridgeClientModel.update(last_used_ms=ms(now)).where(BridgeClientModel.id == client_id).execute(database)


def _client(row: Mapping[str, Any]) -> BridgeClient:
    return BridgeClient(
        row["id"], row["name"], frozenset(row["scopes"].split()), tuple(row["stations"].split()),
        tuple(row["addresses"].split()), at(row["created_ms"]), _time(row["revoked_ms"]), _time(row["last_used_ms"]),
    )  # fmt: skip


def _time(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else at(epoch_ms)


class BridgeScanStore:
    """`store.port.BridgeScans`; ``db`` is the quick connection, as for scans."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def claim(self, client: str, scan_id: str, scan: str, content: str, now: datetime) -> tuple[str, bool]:
        index = self._vault.index("bridge_scan", content)
        with self._db.write():
            self._db.run(self._db.sql(_CLAIM), (scan, client, scan_id, index, ms(now)))
            ours, kept = rows(
                self._db, "SELECT scan, content_index FROM bridge_scan WHERE client = ? AND scan_id = ?",
                (client, scan_id),
            )[0]  # fmt: skip
        return ours, kept == index

    def note(self, look: Look) -> tuple[str, datetime] | None:
        pass_no, step = look.shown or (None, None)
        with self._db.write(serial=f"look:{look.client}"):
            first = rows(self._db, _FIRST_LOOK, (look.client, pass_no, step)) if look.shown else []
            self._db.run(
                self._db.sql(_LOOK),
                (look.id, look.client, ms(look.at), look.outcome, look.code_class, pass_no, step, look.patient_id),
            )
        return (first[0][0], at(first[0][1])) if first else None

    def feed(
        self, client: str, since: int, limit: int, stations: Sequence[str]
    ) -> tuple[list[tuple[int, FoundScan, str]], int]:
        top = self._number()
        only = f" AND s.code IN ({', '.join('?' * len(stations))})" if stations else ""
        with self._db.read():
            found = rows(self._db, _FEED.format(stations=only), (client, since, top, *stations, limit))
        scans = [
            (number, FoundScan(code, seq, open_event(self._vault, station, seq, sealed), patient_id), own or "")
            for number, code, station, seq, sealed, patient_id, own in found
        ]
        return scans, scans[-1][0] if len(scans) == limit else top

    def _number(self) -> int:
        """Number what came since somebody last asked; the greatest number.

        One station's events are committed in the order of their seq, and numberings one after another, so nothing is
        ever numbered below what a reader has been given.
        """
        with self._db.read():
            news = any(last > top for _, last, top in rows(self._db, _NEWS))
        if news:
            with self._db.write(serial="scan_feed"):
                for station, last, top in rows(self._db, _NEWS):
                    if last > top:
                        self._db.run(self._db.sql(_NUMBER), (station, top, _FEED_STEP))
        with self._db.read():
            return int(rows(self._db, "SELECT COALESCE(MAX(seq), 0) FROM scan_feed")[0][0])

    def prune(self, before: datetime) -> int:
        """The newest number stays, so that numbers never begin again; a claim stays as long as its scan's event."""
        gone = 0
        for text in (_OLD_LOOKS, _OLD_CLAIMS, _OLD_NUMBERS):
            with self._db.write() as database:
                gone += int(database.execute_sql(self._db.sql(text), (ms(before),)).rowcount)
        return gone
