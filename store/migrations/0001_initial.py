"""The first schema: stations, screens, devices, followers, bindings, passes, scans, sessions. A frozen copy."""

from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    FloatField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)


class StationModel(Model):
    id = CharField(26, primary_key=True)
    code = CharField(32, unique=True)
    name = CharField(80)
    kind = CharField(16)
    accepts = CharField(16)
    ward_code = CharField(32, default="")
    staff_only = BooleanField(default=False)
    last_seq = BigIntegerField(default=0)

    class Meta:
        table_name = "station"


class PairingModel(Model):
    code_index = CharField(32, primary_key=True)
    station = CharField(26)
    expires_ms = BigIntegerField()

    class Meta:
        table_name = "pairing"


class ScreenModel(Model):
    token_hash = CharField(64, primary_key=True)
    station = CharField(26, index=True)
    created_ms = BigIntegerField()
    revoked_ms = BigIntegerField(null=True)

    class Meta:
        table_name = "screen"


class DeviceModel(Model):
    id = CharField(26, primary_key=True)
    code = CharField(32, unique=True)
    name = CharField(80)
    driver = CharField(32)
    options = TextField()
    station = CharField(32, default="")
    enabled = BooleanField(default=True)
    revision = IntegerField(default=1)

    class Meta:
        table_name = "device"


class FollowerModel(Model):
    id = CharField(26, primary_key=True)
    openid_index = CharField(32, unique=True)
    openid_sealed = BlobField()
    created_ms = BigIntegerField()
    seen_ms = BigIntegerField()

    class Meta:
        table_name = "follower"


class BindingModel(Model):
    id = CharField(26, primary_key=True)
    follower = CharField(26)
    kind = CharField(16)
    number_index = CharField(32)
    number_sealed = BlobField()
    scan_number_sealed = BlobField()
    name_sealed = BlobField()
    patient_id = CharField(64)
    created_ms = BigIntegerField()
    ended_ms = BigIntegerField(null=True)

    class Meta:
        table_name = "binding"


class PassModel(Model):
    pass_no = CharField(10, primary_key=True)
    kind = CharField(2)
    secret_sealed = BlobField()
    binding = CharField(26, index=True)
    created_ms = BigIntegerField()
    revoked_ms = BigIntegerField(null=True)

    class Meta:
        table_name = "pass"


class PassUseModel(Model):
    pass_no = CharField(10)
    step = BigIntegerField()
    station = CharField(26)
    scan_id = CharField(26)
    at_ms = BigIntegerField()

    class Meta:
        table_name = "pass_use"
        primary_key = CompositeKey("pass_no", "step")


class ScanModel(Model):
    id = CharField(26, primary_key=True)
    station = CharField(26)
    device = CharField(32)
    at_ms = BigIntegerField()
    outcome = CharField(24)
    code_class = CharField(24)
    pass_no = CharField(10, null=True)
    patient_id = CharField(64, null=True)
    took_ms = FloatField()

    class Meta:
        table_name = "scan"
        indexes = ((("pass_no", "at_ms"), False),)


class StationEventModel(Model):
    station = CharField(26)
    seq = BigIntegerField()
    kind = CharField(16)
    scan_id = CharField(26, null=True)
    at_ms = BigIntegerField()
    body_sealed = BlobField()

    class Meta:
        table_name = "station_event"
        primary_key = CompositeKey("station", "seq")


class AttemptModel(Model):
    id = BigAutoField()
    attempt = CharField(26, index=True)
    scope = CharField(24)
    key_index = CharField(32)
    at_ms = BigIntegerField(index=True)

    class Meta:
        table_name = "attempt"
        indexes = ((("scope", "key_index", "at_ms"), False),)


class SessionModel(Model):
    token_hash = CharField(64, primary_key=True)
    data_sealed = BlobField()
    expires_ms = BigIntegerField(index=True)

    class Meta:
        table_name = "web_session"


class LoginStateModel(Model):
    state_hash = CharField(64, primary_key=True)
    session_hash = CharField(64)
    expires_ms = BigIntegerField()

    class Meta:
        table_name = "login_state"


def up(migrator: Any, db: Any) -> None:
    tables = [
        StationModel, PairingModel, ScreenModel, DeviceModel, FollowerModel, BindingModel, PassModel, PassUseModel,
        ScanModel, StationEventModel, AttemptModel, SessionModel, LoginStateModel,
    ]  # fmt: skip
    if isinstance(db, SqliteDatabase):  # one b-tree instead of two: a page less to write in a scan's commit
        for table in (PassUseModel, ScanModel, StationEventModel):
            table._meta.without_rowid = True
    with db.bind_ctx(tables):
        db.create_tables(tables, safe=False)
    db.execute_sql("CREATE UNIQUE INDEX binding_live ON binding (follower, kind, number_index) WHERE ended_ms IS NULL")
    db.execute_sql("CREATE UNIQUE INDEX pass_live ON pass (binding) WHERE revoked_ms IS NULL")


def down(migrator: Any, db: Any) -> None:
    for table in (
        "login_state", "web_session", "attempt", "station_event", "scan", "pass_use", "pass", "binding",
        "follower", "device", "screen", "pairing", "station",
    ):  # fmt: skip
        db.execute_sql(f"DROP TABLE {table}")
