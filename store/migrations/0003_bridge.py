"""The bridge: clients and their tokens, events from the HIS, scans made elsewhere, looks, the feed. A frozen copy."""

from typing import Any

from peewee import BigAutoField, BigIntegerField, BlobField, CharField, Model, TextField


class BridgeClientModel(Model):
    id = CharField(26, primary_key=True)
    name = CharField(64)
    token_hash = CharField(64, unique=True)
    scopes = TextField()
    stations = TextField()
    addresses = TextField()
    created_ms = BigIntegerField()
    revoked_ms = BigIntegerField(null=True)
    last_used_ms = BigIntegerField(null=True)

    class Meta:
        table_name = "bridge_client"


class HisEventModel(Model):
    seq = BigAutoField()
    source = CharField(96)
    event_id = CharField(128)
    kind = CharField(24)
    at_ms = BigIntegerField()
    patient_id = CharField(64)
    ref = CharField(64)
    data_sealed = BlobField()
    received_ms = BigIntegerField(index=True)

    class Meta:
        table_name = "his_event"
        indexes = ((("source", "event_id"), True),)


class BridgeScanModel(Model):
    scan = CharField(26, primary_key=True)
    client = CharField(64)
    scan_id = CharField(64)
    content_index = CharField(32)
    at_ms = BigIntegerField(index=True)

    class Meta:
        table_name = "bridge_scan"
        indexes = ((("client", "scan_id"), True),)


class BridgeLookModel(Model):
    id = CharField(26, primary_key=True)
    client = CharField(64)
    at_ms = BigIntegerField(index=True)
    outcome = CharField(24)
    code_class = CharField(24)
    pass_no = CharField(10, null=True)
    step = BigIntegerField(null=True)
    patient_id = CharField(64, null=True)

    class Meta:
        table_name = "bridge_look"
        indexes = ((("client", "pass_no", "step"), False),)


class ScanFeedModel(Model):
    seq = BigAutoField()
    station = CharField(26)
    station_seq = BigIntegerField()
    at_ms = BigIntegerField(index=True)

    class Meta:
        table_name = "scan_feed"
        indexes = ((("station", "station_seq"), True),)


def up(migrator: Any, db: Any) -> None:
    tables = [BridgeClientModel, HisEventModel, BridgeScanModel, BridgeLookModel, ScanFeedModel]
    with db.bind_ctx(tables):
        db.create_tables(tables, safe=False)
    db.execute_sql("CREATE UNIQUE INDEX bridge_client_live ON bridge_client (name) WHERE revoked_ms IS NULL")


def down(migrator: Any, db: Any) -> None:
    for table in ("scan_feed", "bridge_look", "bridge_scan", "his_event", "bridge_client"):
        db.execute_sql(f"DROP TABLE {table}")
