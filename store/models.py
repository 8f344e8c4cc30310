"""The tables of hospital.db as peewee models, unbound: every query names its database.

Times are milliseconds since the epoch (`at_ms`): one integer type on every engine, no zone to lose.
`*_index` columns are blind indexes, `*_sealed` columns are encrypted (core.privacy.Vault).
"""

from __future__ import annotations

from datetime import datetime

import peewee as pw

from core.clock import SHANGHAI


def ms(at: datetime) -> int:
    """Epoch milliseconds of an aware datetime."""
    return round(at.timestamp() * 1000)


def at(epoch_ms: int) -> datetime:
    """Aware datetime, Asia/Shanghai."""
    return datetime.fromtimestamp(epoch_ms / 1000, SHANGHAI)


class StationModel(pw.Model):
    """A counter, ward, kiosk or queue display; ``last_seq`` numbers its events."""

    id = pw.CharField(26, primary_key=True)
    code = pw.CharField(32, unique=True)
    name = pw.CharField(80)
    kind = pw.CharField(16)
    accepts = pw.CharField(16)
    ward_code = pw.CharField(32, default="")
    staff_only = pw.BooleanField(default=False)
    last_seq = pw.BigIntegerField(default=0)

    class Meta:
        table_name = "station"


class PairingModel(pw.Model):
    """A one-time pairing code, kept as a blind index."""

    code_index = pw.CharField(32, primary_key=True)
    station = pw.CharField(26)
    expires_ms = pw.BigIntegerField()

    class Meta:
        table_name = "pairing"


class ScreenModel(pw.Model):
    """A paired screen: the hash of its token."""

    token_hash = pw.CharField(64, primary_key=True)
    station = pw.CharField(26, index=True)
    created_ms = pw.BigIntegerField()
    revoked_ms = pw.BigIntegerField(null=True)

    class Meta:
        table_name = "screen"


class DeviceModel(pw.Model):
    """A scanner as set up; ``options`` is JSON checked by its driver."""

    id = pw.CharField(26, primary_key=True)
    code = pw.CharField(32, unique=True)
    name = pw.CharField(80)
    driver = pw.CharField(32)
    options = pw.TextField()
    station = pw.CharField(32, default="")
    enabled = pw.BooleanField(default=True)
    revision = pw.IntegerField(default=1)

    class Meta:
        table_name = "device"


class FollowerModel(pw.Model):
    """A WeChat user."""

    id = pw.CharField(26, primary_key=True)
    openid_index = pw.CharField(32, unique=True)
    openid_sealed = pw.BlobField()
    created_ms = pw.BigIntegerField()
    seen_ms = pw.BigIntegerField()

    class Meta:
        table_name = "follower"


class BindingModel(pw.Model):
    """A card or stay of one follower; one live binding per follower, kind and number."""

    id = pw.CharField(26, primary_key=True)
    follower = pw.CharField(26)
    kind = pw.CharField(16)
    number_index = pw.CharField(32)
    number_sealed = pw.BlobField()
    scan_number_sealed = pw.BlobField()
    name_sealed = pw.BlobField()
    patient_id = pw.CharField(64)
    created_ms = pw.BigIntegerField()
    ended_ms = pw.BigIntegerField(null=True)

    class Meta:
        table_name = "binding"


class PassModel(pw.Model):
    """A pass; the secret is sealed."""

    pass_no = pw.CharField(10, primary_key=True)
    kind = pw.CharField(2)
    secret_sealed = pw.BlobField()
    binding = pw.CharField(26, index=True)
    created_ms = pw.BigIntegerField()
    revoked_ms = pw.BigIntegerField(null=True)

    class Meta:
        table_name = "pass"


class PassUseModel(pw.Model):
    """One step of a pass is accepted once: the primary key is the guard."""

    pass_no = pw.CharField(10)
    step = pw.BigIntegerField()
    station = pw.CharField(26)
    scan_id = pw.CharField(26)
    at_ms = pw.BigIntegerField()

    class Meta:
        table_name = "pass_use"
        primary_key = pw.CompositeKey("pass_no", "step")


class ScanModel(pw.Model):
    """The scan ledger: who was seen where, when, with what outcome; never the code itself."""

    id = pw.CharField(26, primary_key=True)
    station = pw.CharField(26)
    device = pw.CharField(32)
    at_ms = pw.BigIntegerField()
    outcome = pw.CharField(24)
    code_class = pw.CharField(24)
    pass_no = pw.CharField(10, null=True)
    patient_id = pw.CharField(64, null=True)
    took_ms = pw.FloatField()

    class Meta:
        table_name = "scan"
        indexes = ((("pass_no", "at_ms"), False),)


class StationEventModel(pw.Model):
    """A station's numbered list of what its screens must show."""

    station = pw.CharField(26)
    seq = pw.BigIntegerField()
    kind = pw.CharField(16)
    scan_id = pw.CharField(26, null=True)
    at_ms = pw.BigIntegerField()
    body_sealed = pw.BlobField()

    class Meta:
        table_name = "station_event"
        primary_key = pw.CompositeKey("station", "seq")


class AttemptModel(pw.Model):
    """One counted attempt against one limit; a success is deleted."""

    id = pw.BigAutoField()
    attempt = pw.CharField(26, index=True)
    scope = pw.CharField(24)
    key_index = pw.CharField(32)
    at_ms = pw.BigIntegerField(index=True)

    class Meta:
        table_name = "attempt"
        indexes = ((("scope", "key_index", "at_ms"), False),)


class SessionModel(pw.Model):
    """A server-side session, by the hash of its cookie; the data are sealed."""

    token_hash = pw.CharField(64, primary_key=True)
    data_sealed = pw.BlobField()
    expires_ms = pw.BigIntegerField(index=True)

    class Meta:
        table_name = "web_session"


class LoginStateModel(pw.Model):
    """A single-use OAuth state, tied to the session that asked."""

    state_hash = pw.CharField(64, primary_key=True)
    session_hash = pw.CharField(64)
    expires_ms = pw.BigIntegerField()

    class Meta:
        table_name = "login_state"


class BridgeClientModel(pw.Model):
    """A program of the hospital that may call the bridge: the hash of its token; one live client per name."""

    id = pw.CharField(26, primary_key=True)
    name = pw.CharField(64)
    token_hash = pw.CharField(64, unique=True)
    scopes = pw.TextField()
    stations = pw.TextField()
    addresses = pw.TextField()
    created_ms = pw.BigIntegerField()
    revoked_ms = pw.BigIntegerField(null=True)
    last_used_ms = pw.BigIntegerField(null=True)

    class Meta:
        table_name = "bridge_client"


class HisEventModel(pw.Model):
    """What the HIS told us, once per source and event_id; ``seq`` is the order in which it was stored."""

    seq = pw.BigAutoField()
    source = pw.CharField(96)
    event_id = pw.CharField(128)
    kind = pw.CharField(24)
    at_ms = pw.BigIntegerField()
    patient_id = pw.CharField(64)
    ref = pw.CharField(64)
    data_sealed = pw.BlobField()
    received_ms = pw.BigIntegerField(index=True)

    class Meta:
        table_name = "his_event"
        indexes = ((("source", "event_id"), True),)


class BridgeScanModel(pw.Model):
    """A client's own scan_id for a scan of ours; ``content_index`` tells a repeat from a number used again."""

    scan = pw.CharField(26, primary_key=True)
    client = pw.CharField(64)
    scan_id = pw.CharField(64)
    content_index = pw.CharField(32)
    at_ms = pw.BigIntegerField(index=True)

    class Meta:
        table_name = "bridge_scan"
        indexes = ((("client", "scan_id"), True),)


class BridgeLookModel(pw.Model):
    """A code resolved without a station: the audit, and the client's memory of the passes it was shown."""

    id = pw.CharField(26, primary_key=True)
    client = pw.CharField(64)
    at_ms = pw.BigIntegerField(index=True)
    outcome = pw.CharField(24)
    code_class = pw.CharField(24)
    pass_no = pw.CharField(10, null=True)
    step = pw.BigIntegerField(null=True)
    patient_id = pw.CharField(64, null=True)

    class Meta:
        table_name = "bridge_look"
        indexes = ((("client", "pass_no", "step"), False),)


class ScanFeedModel(pw.Model):
    """One number over the scans of all stations, given when a client first asks, so that a scan costs no more."""

    seq = pw.BigAutoField()
    station = pw.CharField(26)
    station_seq = pw.BigIntegerField()
    at_ms = pw.BigIntegerField(index=True)

    class Meta:
        table_name = "scan_feed"
        indexes = ((("station", "station_seq"), True),)


ALL = (
    StationModel, PairingModel, ScreenModel, DeviceModel, FollowerModel, BindingModel, PassModel, PassUseModel,
    ScanModel, StationEventModel, AttemptModel, SessionModel, LoginStateModel,
    BridgeClientModel, HisEventModel, BridgeScanModel, BridgeLookModel, ScanFeedModel,
)  # fmt: skip
