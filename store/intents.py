"""Intents of writes to the HIS: one row each, moved only by guarded updates; payloads and answers sealed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import peewee as pw

from core.privacy import Undecryptable, Vault
from store.calls import add_call
from store.db import Db, rows
from store.models import at, ms
from store.port_his import (
    ASKED_STATES,
    FINAL_STATES,
    Change,
    Decision,
    HisCall,
    Intent,
    IntentState,
    NewIntent,
    NotStored,
    OpKeyReused,
)

log = logging.getLogger(__name__)
_SELECT = (
    "SELECT op_key, op, payload_sealed, patient_id, actor, state, created_ms, sent_ms, tries, next_try_ms, first_not_done_ms,"
    " silent_ms, why, answer_sealed, refusal_sealed, settled_ms, decided_by, decided_why_sealed, his_txn_no FROM his_intent"
)
_BEGIN = (
    "INSERT INTO his_intent (op_key, op, payload_sealed, payload_hash, patient_id, actor, state, created_ms, sent_ms,"
    " tries, next_try_ms, why, lease_owner, lease_ms, decided_by, his_txn_no)"
    " VALUES (?, ?, ?, ?, ?, ?, 'sending', ?, ?, 0, ?, '', '', 0, '', '')"
    " ON CONFLICT (op_key) DO UPDATE SET state = 'sending', sent_ms = excluded.sent_ms, why = '',"
    " next_try_ms = excluded.next_try_ms, lease_owner = '', lease_ms = 0"
    " WHERE his_intent.state = 'unsent' AND his_intent.payload_hash = excluded.payload_hash"
)
_DUE = (
    "SELECT op_key FROM his_intent WHERE state IN ('sending', 'unknown', 'manual')"
    " AND next_try_ms <= ? AND lease_ms < ? ORDER BY next_try_ms, op_key LIMIT 1"
)
_CLAIM = "UPDATE his_intent SET lease_owner = ?, lease_ms = ? WHERE op_key = ? AND next_try_ms <= ? AND lease_ms < ?"
_RELEASE = "UPDATE his_intent SET lease_owner = '', lease_ms = 0, next_try_ms = ? WHERE op_key = ? AND lease_owner = ?"
_AGAIN = (
    "UPDATE his_intent SET state = 'sending', sent_ms = ?, next_try_ms = ?, tries = 0, first_not_done_ms = NULL"
    " WHERE op_key = ? AND state = 'unknown' AND lease_owner = ?"
)
_HURRY = (
    "UPDATE his_intent SET silent_ms = ?, tries = 0,"
    " next_try_ms = CASE WHEN next_try_ms > ? THEN ? ELSE next_try_ms END WHERE state = 'unknown'"
)
_DECIDE = (
    "UPDATE his_intent SET state = ?, settled_ms = ?, decided_by = ?, decided_why_sealed = ?, his_txn_no = ?,"
    " next_try_ms = NULL WHERE op_key = ? AND state IN ('unknown', 'manual')"
)
_COUNTS = (
    "SELECT state, count(*) FROM his_intent WHERE state IN ('sending', 'unsent', 'unknown', 'manual') GROUP BY state"
)


@contextmanager
def stored() -> Iterator[None]:
    """The database's own failures as NotStored."""
    try:
        yield
    except (pw.PeeweeException, sqlite3.Error) as exc:
        raise NotStored(f"the database failed: {type(exc).__name__}") from exc


class IntentStore:
    """`store.port_his.Intents`. What must not be lost goes through `durable`; leases, which may be, through `quick`."""

    def __init__(self, durable: Db, quick: Db, vault: Vault) -> None:
        self._db, self._quick, self._vault = durable, quick, vault

    def begin(self, new: NewIntent) -> Intent | None:
        hashed = self._vault.index("his_body", new.payload)
        params = (
            new.op_key, new.op, self._seal(new.op_key, "payload", new.payload), hashed, new.patient_id,
            new.actor[:80], ms(new.at), ms(new.at), ms(new.next_try),
        )  # fmt: skip
        with stored(), self._db.write():
            if self._run(_BEGIN, params):
                return None
            kept = self._get(new.op_key)
            found = rows(self._db, "SELECT payload_hash FROM his_intent WHERE op_key = ?", (new.op_key,))
        if kept is None or found[0][0] != hashed:
            raise OpKeyReused(new.op_key)
        return kept

    def move(self, op_key: str, sources: Collection[IntentState], change: Change) -> bool:
        values: dict[str, Any] = {
            "state": change.state.value, "why": change.why and change.why[:80], "tries": change.tries,
            "answer_sealed": change.answer and self._seal(op_key, "answer", change.answer),
            "refusal_sealed": change.refusal and self._seal(op_key, "refusal", change.refusal),
            "next_try_ms": change.next_try and ms(change.next_try),
            "first_not_done_ms": change.first_not_done and ms(change.first_not_done),
            "silent_ms": change.silent_at and ms(change.silent_at),
            "settled_ms": ms(change.at) if change.state in FINAL_STATES else None,
        }  # fmt: skip
        values = {name: value for name, value in values.items() if value is not None}
        # whoever moves it is done with it; one that is not asked about any more is never due again
        settings = [f"{name} = ?" for name in values] + ["lease_owner = ''", "lease_ms = 0"]
        settings += [] if change.state in ASKED_STATES else ["next_try_ms = NULL"]
        marks = ", ".join("?" * len(sources))
        text = f"UPDATE his_intent SET {', '.join(settings)} WHERE op_key = ? AND state IN ({marks})"  # noqa: S608 - names
        with stored(), self._db.write():
            return bool(self._run(text, (*values.values(), op_key, *(state.value for state in sources))))

    def send_again(self, op_key: str, owner: str, at: datetime, next_try: datetime) -> bool:
        with stored(), self._db.write():
            return bool(self._run(_AGAIN, (ms(at), ms(next_try), op_key, owner)))

    def decide(self, op_key: str, decision: Decision) -> Intent | None:
        state = IntentState.DONE_BY_HAND if decision.done else IntentState.NOT_DONE
        sealed = self._seal(op_key, "decided_why", decision.why)
        params = (state.value, ms(decision.at), decision.by[:80], sealed, decision.his_txn_no[:80], op_key)
        with stored(), self._db.write():
            if not self._run(_DECIDE, params):
                return None
            kept = self._get(op_key)
            assert kept is not None
            line = HisCall(
                decision.at, kept.op, op_key, decision.by, kept.patient_id, "", "decided", state.value, 0.0, False, "{}"
            )
            add_call(self._db, self._vault, line)
        return kept

    def get(self, op_key: str) -> Intent | None:
        with stored(), self._db.read():
            return self._get(op_key)

    def claim(self, owner: str, now: datetime, until: datetime) -> Intent | None:
        now_ms = ms(now)
        while True:
            with stored(), self._quick.read():
                due = rows(self._quick, _DUE, (now_ms, now_ms))
            if not due:
                return None
            with stored(), self._quick.write():
                taken = self._quick.run(self._quick.sql(_CLAIM), (owner, ms(until), due[0][0], now_ms, now_ms)).rowcount
                if taken:
                    return self._get(due[0][0], self._quick)

    def release(self, op_key: str, owner: str, next_try: datetime) -> None:
        with stored(), self._quick.write():
            self._quick.run(self._quick.sql(_RELEASE), (ms(next_try), op_key, owner))

    def hurry(self, now: datetime) -> int:
        with stored(), self._quick.write():
            return int(self._quick.run(self._quick.sql(_HURRY), (ms(now), ms(now), ms(now))).rowcount)

    def listed(self, states: Collection[IntentState], limit: int) -> list[Intent]:
        marks = ", ".join("?" * len(states))
        text = f"{_SELECT} WHERE state IN ({marks}) ORDER BY created_ms, op_key LIMIT ?"
        with stored(), self._db.read():
            found = rows(self._db, text, (*(state.value for state in states), limit))
        return [self._intent(row) for row in found]

    def counts(self) -> Mapping[IntentState, int]:
        with stored(), self._db.read():
            return {IntentState(state): int(count) for state, count in rows(self._db, _COUNTS)}

    def _run(self, text: str, params: tuple[Any, ...]) -> int:
        return int(self._db.run(self._db.sql(text), params).rowcount)

    def _get(self, op_key: str, db: Db | None = None) -> Intent | None:
        found = rows(db or self._db, f"{_SELECT} WHERE op_key = ?", (op_key,))
        return self._intent(found[0]) if found else None

    def _intent(self, row: tuple[Any, ...]) -> Intent:
        key = row[0]
        return Intent(
            key, row[1], self._readable(key, "payload", row[2]), row[3], row[4], IntentState(row[5]), at(row[6]), at(row[7]),
            row[8], _at(row[9]), _at(row[10]), _at(row[11]), row[12], self._open(key, "answer", row[13]),
            self._open(key, "refusal", row[14]), _at(row[15]), row[16], self._readable(key, "decided_why", row[17]), row[18],
        )  # fmt: skip

    def _seal(self, op_key: str, column: str, text: str) -> bytes:
        return self._vault.seal(text, f"his_intent:{op_key}:{column}")

    def _readable(self, op_key: str, column: str, sealed: bytes | None) -> str:
        """As `_open`, "" for what is damaged: whoever claims the next intent, or lists all, must get past this one."""
        try:
            return self._open(op_key, column, sealed)
        except Undecryptable:
            log.error("his write op_key=%s: its %s cannot be opened", op_key, column)
            return ""

    def _open(self, op_key: str, column: str, sealed: bytes | None) -> str:
        return "" if sealed is None else self._vault.open(sealed, f"his_intent:{op_key}:{column}")


def _at(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else at(epoch_ms)
