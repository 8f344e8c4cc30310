"""What services ask of hospital.db: frozen rows and one Protocol per group of tables.

All times are aware datetimes (Asia/Shanghai). Personal fields arrive and leave in the clear; the store
seals them. Objects of a patient are only ever loaded through their follower.

Errors: `Taken` when a unique name is in use; NotFound is None, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from core.codes.passes import PassKind
from core.errors import HospitalError


class Taken(HospitalError):
    """Something with this unique name is there already."""


class StationKind(StrEnum):
    """Where a screen stands."""

    COUNTER = "counter"
    WARD = "ward"
    KIOSK = "kiosk"
    QUEUE = "queue"


class Accepts(StrEnum):
    """Which codes a station takes."""

    CARD = "card"
    WRISTBAND = "wristband"
    BOTH = "both"


class BindingKind(StrEnum):
    """What a patient keeps on the phone."""

    CARD = "card"
    ADMISSION = "admission"


@dataclass(frozen=True, slots=True)
class Station:
    """A counter, ward, kiosk or queue display."""

    id: str
    code: str
    name: str
    kind: StationKind
    accepts: Accepts
    ward_code: str = ""
    staff_only: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A scanner as IT set it up; ``station`` is the station's code, empty when not bound."""

    id: str
    code: str
    name: str
    driver: str
    options: Mapping[str, Any]
    station: str
    enabled: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Follower:
    """A WeChat user of this hospital."""

    id: str
    openid: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Binding:
    """A card or stay kept by one follower. ``number`` is the card or admission number, in the clear."""

    id: str
    follower_id: str
    kind: BindingKind
    number: str
    patient_id: str
    name: str
    created_at: datetime
    scan_number: str = ""
    """What a scanner would read from the printed thing: the card number, or the wristband number."""


@dataclass(frozen=True, slots=True)
class PassRow:
    """A pass and what it stands for; ``secret`` never leaves the server."""

    pass_no: str
    kind: PassKind
    secret: bytes
    binding_id: str
    number: str
    patient_id: str
    revoked: bool
    last_step: int | None = None
    """The latest step accepted so far, as `Scans.find_pass` found it: a later one was not used by then."""


@dataclass(frozen=True, slots=True)
class PassUse:
    """The first acceptance of one step of a pass."""

    station: str
    station_name: str
    scan_id: str
    at: datetime
    body: Mapping[str, Any]
    """The first scan's outcome as it was pushed."""


@dataclass(frozen=True, slots=True)
class NewScan:
    """A scan about to be stored. ``use`` = (pass_no, step) when its code is used up by it."""

    scan_id: str
    station: Station
    device: str
    at: datetime
    outcome: str
    code_class: str
    ms: float
    body: Mapping[str, Any]
    pass_no: str | None = None
    patient_id: str | None = None
    use: tuple[str, int] | None = None
    text: str = ""
    """``body`` as JSON, when the caller has it already; encoding is a tenth of a scan's own work."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a station's numbered list."""

    seq: int
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``cap`` failures of ``key`` within ``window``."""

    scope: str
    key: str
    cap: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Reserved:
    """Outcome of reserving an attempt: allowed (settle it later), or how long to wait."""

    allowed: bool
    attempt_id: str = ""
    retry_after: timedelta = field(default_factory=timedelta)


class Stations(Protocol):
    """Stations, and the screens paired with them."""

    def add(self, station: Station) -> None:
        """Raises Taken."""

    def get(self, code: str) -> Station | None: ...

    def all(self) -> list[Station]: ...

    def offer_pairing(self, code: str, pairing_code: str, expires_at: datetime) -> None:
        """Keep a one-time pairing code for the station."""

    def redeem_pairing(self, code: str, pairing_code: str, token: str, now: datetime) -> bool:
        """Use the code up and keep ``token``; False when it is wrong, used or too old."""

    def add_token(self, code: str, token: str, now: datetime) -> None:
        """Keep a screen token made at the command line."""

    def token_holds(self, code: str, token: str) -> bool:
        """Whether this token is a live one of this station."""

    def live_tokens(self) -> frozenset[tuple[str, str]]:
        """(station code, `core.privacy.token_hash`) of every token that is not revoked."""

    def revoke_tokens(self, code: str, now: datetime) -> int:
        """End all tokens of the station; how many there were."""


class Devices(Protocol):
    """Scanners as set up."""

    def add(self, device: Device) -> None:
        """Raises Taken."""

    def all(self) -> list[Device]: ...

    def get(self, code: str) -> Device | None: ...

    def change(self, code: str, options: Mapping[str, Any], *, enabled: bool, station: str) -> Device | None:
        """Save a new revision."""

    def remove(self, code: str) -> bool: ...


class Followers(Protocol):
    """WeChat users."""

    def seen(self, openid: str, now: datetime) -> Follower:
        """The follower with this openid, made at the first login."""

    def get(self, follower_id: str) -> Follower | None: ...


class Bindings(Protocol):
    """Cards and stays, always through their follower."""

    def add(self, binding: Binding, now: datetime) -> Binding:
        """Keep it; when this follower holds the same number already, the existing one comes back."""

    def of(self, follower_id: str, kind: BindingKind) -> list[Binding]: ...

    def get(self, follower_id: str, binding_id: str) -> Binding | None: ...

    def end(self, follower_id: str, binding_id: str, now: datetime) -> bool:
        """Unbind: its passes are revoked in the same commit."""

    def pass_for(self, binding: Binding, now: datetime) -> PassRow:
        """The live pass of a binding, made at first use."""


@dataclass(frozen=True, slots=True)
class FoundScan:
    """A stored scan: its seq at its station, its outcome as pushed, whom it identified."""

    station: str
    seq: int
    body: Mapping[str, Any]
    patient_id: str | None


class Scans(Protocol):
    """Passes as scanners meet them, scans and the stations' event lists."""

    def find_pass(self, pass_no: str) -> PassRow | None: ...

    def find_use(self, pass_no: str, step: int) -> PassUse | None: ...

    def commit(self, scan: NewScan) -> int | PassUse | FoundScan:
        """Store scan, station event and used step in one commit.

        Returns the event's seq; or, when somebody used the step first, that use, and nothing is stored; or, when a
        scan with this id is there already, that scan.
        """

    def find_scan(self, scan_id: str) -> FoundScan | None:
        """A scan whose event is still kept."""

    def add_event(self, station: str, kind: str, body: Mapping[str, Any], now: datetime) -> int:
        """Append an event that is not a scan; returns its seq."""

    def last_seq(self, station: str) -> int: ...

    def events_after(self, station: str, seq: int, limit: int) -> list[Event]:
        """Events with a greater seq, oldest first."""

    def recent_scans(self, station: str, limit: int) -> list[Event]:
        """The latest scan events, newest first."""

    def last_of_pass(self, pass_no: str) -> tuple[datetime, str, str] | None:
        """(when, station name, outcome) of the latest scan of this pass, for the phone's tick."""

    def prune(self, before: datetime) -> int:
        """Drop events and used steps older than ``before``; how many."""


class Attempts(Protocol):
    """Counters against guessing; they survive a restart."""

    def reserve(self, limits: Sequence[Limit], now: datetime) -> Reserved:
        """Count one attempt against every limit before it is made, or say how long to wait."""

    def settle(self, attempt_id: str, *, success: bool) -> None:
        """A success is taken off the counters; a failure stays."""


class Sessions(Protocol):
    """Server-side sessions and single-use login states."""

    def load(self, token: str, now: datetime) -> dict[str, Any] | None: ...

    def save(self, token: str, data: Mapping[str, Any], expires_at: datetime) -> None: ...

    def renew(self, token: str, data: Mapping[str, Any], expires_at: datetime) -> bool:
        """Like `save`, but only while the session is there: a logout meanwhile is not undone."""

    def drop(self, token: str) -> None: ...

    def offer_state(self, state: str, session: str, expires_at: datetime) -> None:
        """Remember a login state for this session."""

    def take_state(self, state: str, session: str, now: datetime) -> bool:
        """True exactly once for a state offered to this very session."""
