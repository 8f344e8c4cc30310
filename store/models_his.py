"""The tables of writes and calls to the HIS, as `store.models`: unbound, times in epoch milliseconds."""

from __future__ import annotations

import peewee as pw


class HisIntentModel(pw.Model):
    """A write to the HIS: what was meant, and what came of it."""

    op_key = pw.CharField(32, primary_key=True)
    op = pw.CharField(32)
    payload_sealed = pw.BlobField()
    payload_hash = pw.CharField(32)
    patient_id = pw.CharField(64)
    actor = pw.CharField(80)
    state = pw.CharField(16)
    created_ms = pw.BigIntegerField()
    sent_ms = pw.BigIntegerField()
    tries = pw.IntegerField(default=0)
    next_try_ms = pw.BigIntegerField(null=True)
    first_not_done_ms = pw.BigIntegerField(null=True)
    silent_ms = pw.BigIntegerField(null=True)
    why = pw.CharField(80, default="")
    answer_sealed = pw.BlobField(null=True)
    refusal_sealed = pw.BlobField(null=True)
    lease_owner = pw.CharField(40, default="")
    lease_ms = pw.BigIntegerField(default=0)
    settled_ms = pw.BigIntegerField(null=True)
    decided_by = pw.CharField(80, default="")
    decided_why_sealed = pw.BlobField(null=True)
    his_txn_no = pw.CharField(80, default="")

    class Meta:
        table_name = "his_intent"
        indexes = ((("state", "next_try_ms"), False),)


class HisCallModel(pw.Model):
    """One call of the HIS, masked. Append-only: triggers refuse everything else (migration 0002)."""

    id = pw.BigAutoField()
    at_ms = pw.BigIntegerField(index=True)
    op = pw.CharField(32)
    op_key = pw.CharField(32, index=True)
    actor = pw.CharField(80)
    patient_id = pw.CharField(64)
    lane = pw.CharField(8)
    outcome = pw.CharField(24)
    code = pw.CharField(80)
    took_ms = pw.FloatField()
    resolving = pw.BooleanField()
    asked = pw.TextField()
    answered = pw.TextField()
    body_hash = pw.CharField(32)

    class Meta:
        table_name = "his_call"


ALL = (HisIntentModel, HisCallModel)
