"""Stations, paired screens and devices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import peewee as pw

from core.ids import new_id
from core.privacy import Vault, token_hash
from store.db import Db
from store.models import DeviceModel, PairingModel, ScreenModel, StationModel, ms
from store.port import Accepts, Device, Station, StationKind, Taken


class StationStore:
    """`store.port.Stations` on peewee."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def add(self, station: Station) -> None:
        try:
            with self._db.write() as database:
                StationModel.insert(
                    id=station.id, code=station.code, name=station.name, kind=station.kind.value,
                    accepts=station.accepts.value, ward_code=station.ward_code, staff_only=station.staff_only,
                ).execute(database)  # fmt: skip
        except pw.IntegrityError as exc:
            raise Taken(f"there is a station {station.code} already") from exc

    def get(self, code: str) -> Station | None:
        with self._db.read() as database:
            row = StationModel.select().where(StationModel.code == code).dicts().first(database)
        return _station(row) if row else None

    def all(self) -> list[Station]:
        with self._db.read() as database:
            found = StationModel.select().order_by(StationModel.code).dicts().execute(database)
            return [_station(row) for row in found]

    def offer_pairing(self, code: str, pairing_code: str, expires_at: datetime) -> None:
        with self._db.write() as database:
            PairingModel.insert(
                code_index=self._vault.index("pairing", pairing_code), station=self._id(database, code),
                expires_ms=ms(expires_at),
            ).execute(database)  # fmt: skip

    def redeem_pairing(self, code: str, pairing_code: str, token: str, now: datetime) -> bool:
        with self._db.write() as database:
            station = self._id(database, code)
            used = (
                PairingModel.delete()
                .where(
                    (PairingModel.code_index == self._vault.index("pairing", pairing_code))
                    & (PairingModel.station == station)
                    & (PairingModel.expires_ms > ms(now))
                )
                .execute(database)
            )
            if used:
                _keep_token(database, station, token, now)
            return bool(used)

    def add_token(self, code: str, token: str, now: datetime) -> None:
        with self._db.write() as database:
            _keep_token(database, self._id(database, code), token, now)

    def token_holds(self, code: str, token: str) -> bool:
        with self._db.read() as database:
            return bool(
                ScreenModel.select()
                .join(StationModel, on=(ScreenModel.station == StationModel.id))
                .where(
                    (ScreenModel.token_hash == token_hash(token))
                    & (StationModel.code == code)
                    & ScreenModel.revoked_ms.is_null()
                )
                .exists(database)
            )

    def live_tokens(self) -> frozenset[tuple[str, str]]:
        with self._db.read() as database:
            found = (
                ScreenModel.select(StationModel.code, ScreenModel.token_hash)
                .join(StationModel, on=(ScreenModel.station == StationModel.id))
                .where(ScreenModel.revoked_ms.is_null())
            )
            return frozenset(found.tuples().execute(database))

    def revoke_tokens(self, code: str, now: datetime) -> int:
        with self._db.write() as database:
            station = self._id(database, code)
            return int(
                ScreenModel.update(revoked_ms=ms(now))
                .where((ScreenModel.station == station) & ScreenModel.revoked_ms.is_null())
                .execute(database)
            )

    def _id(self, database: pw.Database, code: str) -> str:
        row = StationModel.select(StationModel.id).where(StationModel.code == code).tuples().first(database)
        if row is None:
            raise LookupError(f"no station {code}")
        return str(row[0])


def _keep_token(database: pw.Database, station: str, token: str, now: datetime) -> None:
    ScreenModel.insert(token_hash=token_hash(token), station=station, created_ms=ms(now)).execute(database)


def _station(row: Mapping[str, Any]) -> Station:
    return Station(
        row["id"], row["code"], row["name"], StationKind(row["kind"]), Accepts(row["accepts"]),
        row["ward_code"], bool(row["staff_only"]),
    )  # fmt: skip


class DeviceStore:
    """`store.port.Devices` on peewee."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def add(self, device: Device) -> None:
        try:
            with self._db.write() as database:
                DeviceModel.insert(
                    id=device.id or new_id(), code=device.code, name=device.name, driver=device.driver,
                    options=json.dumps(dict(device.options), ensure_ascii=False), station=device.station,
                    enabled=device.enabled, revision=device.revision,
                ).execute(database)  # fmt: skip
        except pw.IntegrityError as exc:
            raise Taken(f"there is a device {device.code} already") from exc

    def all(self) -> list[Device]:
        with self._db.read() as database:
            found = DeviceModel.select().order_by(DeviceModel.code).dicts().execute(database)
            return [_device(row) for row in found]

    def get(self, code: str) -> Device | None:
        with self._db.read() as database:
            row = DeviceModel.select().where(DeviceModel.code == code).dicts().first(database)
        return _device(row) if row else None

    def change(self, code: str, options: Mapping[str, Any], *, enabled: bool, station: str) -> Device | None:
        with self._db.write() as database:
            DeviceModel.update(
                options=json.dumps(dict(options), ensure_ascii=False), enabled=enabled, station=station,
                revision=DeviceModel.revision + 1,
            ).where(DeviceModel.code == code).execute(database)  # fmt: skip
        return self.get(code)

    def remove(self, code: str) -> bool:
        with self._db.write() as database:
            return bool(DeviceModel.delete().where(DeviceModel.code == code).execute(database))


def _device(row: Mapping[str, Any]) -> Device:
    return Device(
        row["id"], row["code"], row["name"], row["driver"], json.loads(row["options"]), row["station"],
        bool(row["enabled"]), row["revision"],
    )  # fmt: skip
