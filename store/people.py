"""Followers, their bindings and the passes of those; personal fields are sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.codes.passes import PassKind, new_pass_no, new_secret
from core.ids import new_id
from core.privacy import Vault
from store.db import Db
from store.models import BindingModel, FollowerModel, PassModel, at, ms
from store.port import Binding, BindingKind, Follower, PassRow


class FollowerStore:
    """`store.port.Followers` on peewee."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def seen(self, openid: str, now: datetime) -> Follower:
        index = self._vault.index("openid", openid)
        with self._db.write(serial="follower") as database:
            row = FollowerModel.select().where(FollowerModel.openid_index == index).dicts().first(database)
            if row is not None:
                FollowerModel.update(seen_ms=ms(now)).where(FollowerModel.id == row["id"]).execute(database)
                return Follower(row["id"], openid, at(row["created_ms"]))
            made = new_id()
            FollowerModel.insert(
                id=made, openid_index=index, openid_sealed=self._vault.seal(openid, f"follower:{made}:openid"),
                created_ms=ms(now), seen_ms=ms(now),
            ).execute(database)  # fmt: skip
            return Follower(made, openid, now)

    def get(self, follower_id: str) -> Follower | None:
        with self._db.read() as database:
            row = FollowerModel.select().where(FollowerModel.id == follower_id).dicts().first(database)
        if row is None:
            return None
        openid = self._vault.open(row["openid_sealed"], f"follower:{row['id']}:openid")
        return Follower(row["id"], openid, at(row["created_ms"]))


class BindingStore:
    """`store.port.Bindings` on peewee."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def add(self, binding: Binding, now: datetime) -> Binding:
        index = self._vault.index("number", binding.number)
        with self._db.write(serial=f"binding:{binding.follower_id}") as database:
            row = self._live(binding.follower_id, binding.kind).where(BindingModel.number_index == index)
            if (found := row.dicts().first(database)) is not None:
                return self._read(found)
            seal, key = self._vault.seal, f"binding:{binding.id}"
            BindingModel.insert(
                id=binding.id, follower=binding.follower_id, kind=binding.kind.value, number_index=index,
                number_sealed=seal(binding.number, f"{key}:number"),
                scan_number_sealed=seal(binding.scan_number or binding.number, f"{key}:scan_number"),
                name_sealed=seal(binding.name, f"{key}:name"), patient_id=binding.patient_id, created_ms=ms(now),
            ).execute(database)  # fmt: skip
        return binding

    def of(self, follower_id: str, kind: BindingKind) -> list[Binding]:
        with self._db.read() as database:
            found = self._live(follower_id, kind).order_by(BindingModel.created_ms, BindingModel.id)
            return [self._read(row) for row in found.dicts().execute(database)]

    def get(self, follower_id: str, binding_id: str) -> Binding | None:
        with self._db.read() as database:
            row = (
                BindingModel.select()
                .where(
                    (BindingModel.id == binding_id)
                    & (BindingModel.follower == follower_id)
                    & BindingModel.ended_ms.is_null()
                )
                .dicts()
                .first(database)
            )
        return self._read(row) if row else None

    def end(self, follower_id: str, binding_id: str, now: datetime) -> bool:
        with self._db.write() as database:
            ended = (
                BindingModel.update(ended_ms=ms(now))
                .where(
                    (BindingModel.id == binding_id)
                    & (BindingModel.follower == follower_id)
                    & BindingModel.ended_ms.is_null()
                )
                .execute(database)
            )
            if ended:
                live = (PassModel.binding == binding_id) & PassModel.revoked_ms.is_null()
                PassModel.update(revoked_ms=ms(now)).where(live).execute(database)
            return bool(ended)

    def pass_for(self, binding: Binding, now: datetime) -> PassRow:
        live = (PassModel.binding == binding.id) & PassModel.revoked_ms.is_null()
        with self._db.read() as database:
            row = PassModel.select().where(live).dicts().first(database)
        if row is None:
            row = self._make_pass(binding, now)
        return PassRow(
            row["pass_no"], PassKind(row["kind"]),
            self._vault.open_bytes(row["secret_sealed"], f"pass:{row['pass_no']}:secret"),
            binding.id, binding.scan_number or binding.number, binding.patient_id, revoked=False,
        )  # fmt: skip

    def _make_pass(self, binding: Binding, now: datetime) -> dict[str, Any]:
        live = (PassModel.binding == binding.id) & PassModel.revoked_ms.is_null()
        kind = PassKind.E_CARD if binding.kind is BindingKind.CARD else PassKind.E_WRISTBAND
        with self._db.write(serial=f"pass:{binding.id}") as database:
            if (row := PassModel.select().where(live).dicts().first(database)) is not None:
                return dict(row)
            number = new_pass_no()
            while PassModel.select().where(PassModel.pass_no == number).exists(database):
                number = new_pass_no()
            sealed = self._vault.seal(new_secret(), f"pass:{number}:secret")
            PassModel.insert(
                pass_no=number, kind=kind.value, secret_sealed=sealed, binding=binding.id, created_ms=ms(now)
            ).execute(database)
            return {"pass_no": number, "kind": kind.value, "secret_sealed": sealed}

    def _live(self, follower_id: str, kind: BindingKind) -> Any:
        return BindingModel.select().where(
            (BindingModel.follower == follower_id) & (BindingModel.kind == kind.value) & BindingModel.ended_ms.is_null()
        )

    def _read(self, row: Mapping[str, Any]) -> Binding:
        key = f"binding:{row['id']}"
        return Binding(
            row["id"], row["follower"], BindingKind(row["kind"]),
            self._vault.open(row["number_sealed"], f"{key}:number"), row["patient_id"],
            self._vault.open(row["name_sealed"], f"{key}:name"), at(row["created_ms"]),
            self._vault.open(row["scan_number_sealed"], f"{key}:scan_number"),
        )  # fmt: skip
