"""Intents of writes to the HIS, and the append-only log of every call. A frozen copy.

`his_call` refuses UPDATE, and DELETE of anything younger than 30 days, whoever asks: `store.calls.CallStore.prune` can
take away old rows and nothing else can be taken away without dropping a trigger, which an audit of the schema shows.
"""

from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    FloatField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)

KEEP_MS = 30 * 24 * 3600 * 1000


class HisIntentModel(Model):
    op_key = CharField(32, primary_key=True)
    op = CharField(32)
    payload_sealed = BlobField()
    payload_hash = CharField(32)
    patient_id = CharField(64)
    actor = CharField(80)
    state = CharField(16)
    created_ms = BigIntegerField()
    sent_ms = BigIntegerField()
    tries = IntegerField(default=0)
    next_try_ms = BigIntegerField(null=True)
    first_not_done_ms = BigIntegerField(null=True)
    silent_ms = BigIntegerField(null=True)
    why = CharField(80, default="")
    answer_sealed = BlobField(null=True)
    refusal_sealed = BlobField(null=True)
    lease_owner = CharField(40, default="")
    lease_ms = BigIntegerField(default=0)
    settled_ms = BigIntegerField(null=True)
    decided_by = CharField(80, default="")
    decided_why_sealed = BlobField(null=True)
    his_txn_no = CharField(80, default="")

    class Meta:
        table_name = "his_intent"
        indexes = ((("state", "next_try_ms"), False),)


class HisCallModel(Model):
    id = BigAutoField()
    at_ms = BigIntegerField(index=True)
    op = CharField(32)
    op_key = CharField(32, index=True)
    actor = CharField(80)
    patient_id = CharField(64)
    lane = CharField(8)
    outcome = CharField(24)
    code = CharField(80)
    took_ms = FloatField()
    resolving = BooleanField()
    asked = TextField()
    answered = TextField()
    body_hash = CharField(32)

    class Meta:
        table_name = "his_call"


SQLITE = (
    (
        "CREATE TRIGGER his_call_no_update BEFORE UPDATE ON his_call"
        " BEGIN SELECT RAISE(ABORT, 'his_call is append-only'); END"
    ),
    (
        "CREATE TRIGGER his_call_no_delete BEFORE DELETE ON his_call"
        f" WHEN OLD.at_ms > CAST(strftime('%s', 'now') AS INTEGER) * 1000 - {KEEP_MS}"
        " BEGIN SELECT RAISE(ABORT, 'his_call is append-only'); END"
    ),
    # INSERT OR REPLACE deletes without asking the trigger above
    (
        "CREATE TRIGGER his_call_no_replace BEFORE INSERT ON his_call WHEN NEW.id IN (SELECT id FROM his_call)"
        " BEGIN SELECT RAISE(ABORT, 'his_call is append-only'); END"
    ),
)
POSTGRESQL = (
    (
        "CREATE FUNCTION his_call_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'DELETE' THEN IF OLD.at_ms <= extract(epoch FROM now()) * 1000 - {KEEP_MS} THEN RETURN OLD; END IF;"
        " END IF; RAISE EXCEPTION 'his_call is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    ),
    (
        "CREATE TRIGGER his_call_append_only BEFORE UPDATE OR DELETE ON his_call"
        " FOR EACH ROW EXECUTE FUNCTION his_call_append_only()"
    ),
    (
        "CREATE TRIGGER his_call_no_truncate BEFORE TRUNCATE ON his_call"
        " FOR EACH STATEMENT EXECUTE FUNCTION his_call_append_only()"
    ),
)


def up(migrator: Any, db: Any) -> None:
    tables = [HisIntentModel, HisCallModel]
    with db.bind_ctx(tables):
        db.create_tables(tables, safe=False)
    for statement in SQLITE if isinstance(db, SqliteDatabase) else POSTGRESQL:
        db.execute_sql(statement)


def down(migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE his_call")
    db.execute_sql("DROP TABLE his_intent")
    if not isinstance(db, SqliteDatabase):
        db.execute_sql("DROP FUNCTION his_call_append_only()")
