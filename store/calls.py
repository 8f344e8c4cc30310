"""The append-only log of calls to the HIS; triggers of migration 0002 hold it, not this code."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import peewee as pw

from core.privacy import Vault
from store.db import Db, rows
from store.models import at, ms
from store.port_his import HisCall, NotStored

_COLUMNS = "at_ms, op, op_key, actor, patient_id, lane, outcome, code, took_ms, resolving, asked, answered, body_hash"
_ADD = f"INSERT INTO his_call ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608 - fixed names and marks
_BATCH = 1000
_MIN_KEEP_MS = 30 * 24 * 3600 * 1000


class CallStore:
    """`store.port_his.HisCalls` on the quick connection.

    A write's line is added just before its outcome is committed durably, and the sync of that commit covers what was
    written to the same WAL before it: the line costs no sync of its own and is as safe as the outcome.
    """

    def __init__(self, db: Db, vault: Vault) -> None:
        self._db, self._vault = db, vault

    def add(self, calls: Sequence[HisCall]) -> None:
        try:
            with self._db.write():
                for call in calls:
                    add_call(self._db, self._vault, call)
        except (pw.PeeweeException, sqlite3.Error) as exc:
            raise NotStored(f"the database failed: {type(exc).__name__}") from exc

    def latest(self, limit: int, op_key: str = "") -> list[HisCall]:
        where, params = ("WHERE op_key = ? ", (op_key,)) if op_key else ("", ())
        text = f"SELECT {_COLUMNS} FROM his_call {where}ORDER BY id DESC LIMIT ?"  # noqa: S608 - fixed names
        with self._db.read():
            found = rows(self._db, text, (*params, limit))
        return [_call(row) for row in found]

    def prune(self, before: datetime) -> int:
        """In short transactions, oldest first: nobody waits for the broom."""
        edge = min(ms(before), ms(datetime.now(before.tzinfo)) - _MIN_KEEP_MS - 1000)
        text = self._db.sql(
            "DELETE FROM his_call WHERE id IN (SELECT id FROM his_call WHERE at_ms < ? ORDER BY at_ms LIMIT ?)"
        )
        gone = 0
        while True:
            with self._db.write():
                dropped = int(self._db.run(text, (edge, _BATCH)).rowcount)
            gone += dropped
            if dropped < _BATCH:
                return gone


def _call(row: tuple[Any, ...]) -> HisCall:
    at_ms, op, op_key, actor, patient_id, lane, outcome, code, took, resolving, asked, answered, body = row
    return HisCall(
        at(at_ms), op, op_key, actor, patient_id, lane, outcome, code, took, bool(resolving), asked, answered, body
    )


def add_call(db: Db, vault: Vault, call: HisCall) -> None:
    """Append one line; inside `Db.write` only."""
    body_hash = vault.index("his_body", call.body) if call.body else ""
    db.run(
        db.sql(_ADD),
        (ms(call.at), call.op, call.op_key, call.actor[:80], call.patient_id[:64], call.lane, call.outcome,
         call.code[:80], call.ms, call.resolving, call.asked, call.answered, body_hash),
    )  # fmt: skip
