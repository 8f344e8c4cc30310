"""Attempt counters, server-side sessions and single-use login states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from core.ids import new_id
from core.privacy import Vault, token_hash
from store.db import Db
from store.models import AttemptModel, LoginStateModel, SessionModel, ms
from store.port import Limit, Reserved


class AttemptStore:
    """`store.port.Attempts` on peewee: counted before the attempt is made, in one serial transaction."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def reserve(self, limits: Sequence[Limit], now: datetime) -> Reserved:
        attempt = new_id()
        with self._db.write(serial="attempt") as database:
            waits: list[int] = []
            for limit in limits:
                since = ms(now - limit.window)
                times = [
                    row[0]
                    for row in AttemptModel.select(AttemptModel.at_ms)
                    .where(
                        (AttemptModel.scope == limit.scope)
                        & (AttemptModel.key_index == self._index(limit))
                        & (AttemptModel.at_ms > since)
                    )
                    .order_by(AttemptModel.at_ms.desc())
                    .limit(limit.cap)
                    .tuples()
                    .execute(database)
                ]
                if len(times) >= limit.cap:
                    waits.append(times[-1] - since)
            if waits:
                return Reserved(allowed=False, retry_after=timedelta(milliseconds=max(waits)))
            for limit in limits:
                AttemptModel.insert(
                    attempt=attempt, scope=limit.scope, key_index=self._index(limit), at_ms=ms(now)
                ).execute(database)
            oldest = now - max(limit.window for limit in limits)
            AttemptModel.delete().where(
                (AttemptModel.at_ms < ms(oldest)) & (AttemptModel.scope << [limit.scope for limit in limits])
            ).execute(database)
        return Reserved(allowed=True, attempt_id=attempt)

    def settle(self, attempt_id: str, *, success: bool) -> None:
        if success:
            with self._db.write() as database:
                AttemptModel.delete().where(AttemptModel.attempt == attempt_id).execute(database)

    def _index(self, limit: Limit) -> str:
        return self._vault.index(f"attempt:{limit.scope}", limit.key)


class SessionStore:
    """`store.port.Sessions` on peewee."""

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def load(self, token: str, now: datetime) -> dict[str, Any] | None:
        hashed = token_hash(token)
        with self._db.read() as database:
            row = (
                SessionModel.select(SessionModel.data_sealed)
                .where((SessionModel.token_hash == hashed) & (SessionModel.expires_ms > ms(now)))
                .tuples()
                .first(database)
            )
        return dict(json.loads(self._vault.open(row[0], f"web_session:{hashed}:data"))) if row else None

    def save(self, token: str, data: Mapping[str, Any], expires_at: datetime) -> None:
        hashed = token_hash(token)
        sealed = self._vault.seal(json.dumps(dict(data)), f"web_session:{hashed}:data")
        with self._db.write() as database:
            SessionModel.insert(token_hash=hashed, data_sealed=sealed, expires_ms=ms(expires_at)).on_conflict(
                conflict_target=[SessionModel.token_hash],
                update={SessionModel.data_sealed: sealed, SessionModel.expires_ms: ms(expires_at)},
            ).execute(database)

    def renew(self, token: str, data: Mapping[str, Any], expires_at: datetime) -> bool:
        hashed = token_hash(token)
        sealed = self._vault.seal(json.dumps(dict(data)), f"web_session:{hashed}:data")
        with self._db.write() as database:
            changed = SessionModel.update(data_sealed=sealed, expires_ms=ms(expires_at)).where(
                SessionModel.token_hash == hashed
            )
            return bool(changed.execute(database))

    def drop(self, token: str) -> None:
        with self._db.write() as database:
            SessionModel.delete().where(SessionModel.token_hash == token_hash(token)).execute(database)

    def offer_state(self, state: str, session: str, expires_at: datetime) -> None:
        with self._db.write() as database:
            LoginStateModel.insert(
                state_hash=token_hash(state), session_hash=token_hash(session), expires_ms=ms(expires_at)
            ).execute(database)

    def take_state(self, state: str, session: str, now: datetime) -> bool:
        with self._db.write() as database:
            LoginStateModel.delete().where(LoginStateModel.expires_ms <= ms(now)).execute(database)
            taken = LoginStateModel.delete().where(
                (LoginStateModel.state_hash == token_hash(state))
                & (LoginStateModel.session_hash == token_hash(session))
            )
            return bool(taken.execute(database))

    def prune(self, now: datetime) -> int:
        """Drop expired sessions; how many."""
        with self._db.write() as database:
            return int(SessionModel.delete().where(SessionModel.expires_ms <= ms(now)).execute(database))
