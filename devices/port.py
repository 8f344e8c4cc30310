"""The scanners' port: what a reading, a device, its state and its driver are. No I/O happens here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from core.errors import HospitalError

# ------------------------------------------------------------------ errors
# DeviceError
# ├── DeviceUnavailable      try again later: unplugged, refused, timed out (state BACKOFF)
# │   └── DeviceBusy         somebody else holds it
# ├── DeviceLost             it was open and is gone (state BACKOFF)
# └── DeviceMisconfigured    trying again cannot help until somebody edits the options (state FAILED)


class DeviceError(HospitalError):
    """A device did not do its duty. `reason` is one plain sentence, `code` its dotted name."""

    default_code: ClassVar[str] = "device.error"

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code or self.default_code


class DeviceUnavailable(DeviceError):
    """The device cannot be opened now; the supervisor tries again."""

    default_code = "device.unavailable"


class DeviceBusy(DeviceUnavailable):
    """The device is there, but another program or another of our devices holds it."""

    default_code = "device.busy"


class DeviceLost(DeviceError):
    """The open device went away: unplugged, connection closed, worker process dead."""

    default_code = "device.lost"


class DeviceMisconfigured(DeviceError):
    """The options cannot work as they stand; only an edit helps."""

    default_code = "device.misconfigured"


# ------------------------------------------------------------------ nouns


@dataclass(frozen=True, slots=True)
class Reading:
    """One code read by one device.

    `raw` is the frame without terminators, `text` its characters without an AIM prefix. `t_read` is
    time.monotonic() in seconds at the frame's last byte; `at` the same moment, aware, Asia/Shanghai.
    `encoding` is "utf-8", "gb18030", or "unknown" when `text` is only a latin-1 stand-in for `raw`.
    """

    device: str
    raw: bytes
    text: str
    symbology: str | None
    t_read: float
    at: datetime
    encoding: str = "utf-8"


class DeviceState(StrEnum):
    """Where a device stands. The value is what the screens and the admin pages receive."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    ONLINE = "online"
    DEGRADED = "degraded"
    BACKOFF = "backoff"
    FAILED = "failed"


READING_STATES: Final = frozenset({DeviceState.ONLINE, DeviceState.DEGRADED})
WAITING_STATES: Final = frozenset({DeviceState.CONNECTING, DeviceState.BACKOFF})
STOPPED_STATES: Final = frozenset({DeviceState.DISABLED, DeviceState.FAILED})
TROUBLE_STATES: Final = frozenset({DeviceState.DEGRADED, DeviceState.BACKOFF, DeviceState.FAILED})


@dataclass(frozen=True, slots=True)
class StateChange:
    """A device entered `state` at `since` (aware): `reason` is one plain English sentence, `code` dotted."""

    device: str
    state: DeviceState
    reason: str
    code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """How one device is set up: its code (unique), its driver's name, and that driver's options."""

    code: str
    driver: str
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    revision: int = 1


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """What a device has done since the supervisor took it on; times are aware, None means never."""

    device: str
    last_byte_at: datetime | None
    last_scan_at: datetime | None
    scans: int
    suppressed: int
    reconnects: int
    bad_frames: int
    overflow: int
    waiting: int
    extra: Mapping[str, float] = field(default_factory=dict)


class Feedback(Enum):
    """What a scanner that can beep or blink should tell the person holding it."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    BUSY = "busy"


class Capability(StrEnum):
    """What a driver can do beyond reading."""

    FEEDBACK = "feedback"
    DISCOVER = "discover"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Applied:
    """The device's new configuration is in force; `restarted` says whether the device was touched."""

    device: str
    restarted: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The new configuration was refused; whatever ran before still runs."""

    device: str
    reason: str
    code: str


ApplyResult = Applied | Refused


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts: from `first`, doubling, to `cap`."""

    first: float = 0.05
    cap: float = 1.0


# ------------------------------------------------------------------ drivers


class DriverOptions(BaseModel):
    """Options every driver has; a driver's own options extend this. Titles and descriptions draw the form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reread_ms: int = Field(
        default=2500,
        ge=0,
        le=600_000,
        title="Ignore repeats for (ms)",
        description="A code counts again only after it was absent this long; 0 lets every repeat through.",
    )


class DriverHost(Protocol):
    """What the supervisor offers a running driver. Every method returns at once and never raises."""

    def reading(self, reading: Reading) -> None:
        """Hand over one reading; it is queued, never waited for."""

    def heard(self) -> None:
        """Say that the device gave a sign of life (bytes, a frame)."""

    def bad_frames(self, count: int) -> None:
        """Count frames that were broken and dropped."""

    def health(self, state: DeviceState, reason: str, code: str) -> None:
        """Report ONLINE or DEGRADED while running; repeating the present state and code does nothing."""

    def measure(self, name: str, value: float) -> None:
        """Keep a driver's own figure (fps, decode_p95_ms) for `DeviceStats.extra`."""


@runtime_checkable
class Driver(Protocol):
    """One device's driver. Built as `Class(device, options)`; building does no I/O.

    The supervisor calls open, read_loop, close in that order, any number of times, and
    close also after a failed open. Only `cancel` and `feedback` come from other threads.
    """

    options_model: ClassVar[type[DriverOptions]]
    capabilities: ClassVar[frozenset[Capability]]

    @property
    def resource(self) -> str:
        """Name what only one may hold (a node, host:port); two drivers alike are never open at once."""

    @property
    def backoff(self) -> Backoff:
        """How patiently to try again."""

    def open(self) -> None:
        """Acquire it within about 5 s, or raise DeviceUnavailable, DeviceBusy or DeviceMisconfigured."""

    def read_loop(self, host: DriverHost) -> None:
        """Block, handing readings to `host`, until `cancel`; raise DeviceLost or OSError when it is gone."""

    def cancel(self) -> None:
        """Make a present or future read_loop return within 0.5 s. Any thread, any number of times."""

    def feedback(self, kind: Feedback) -> bool:
        """Beep or blink; False when this device cannot. Never waits longer than 0.3 s, never raises."""

    def close(self) -> None:
        """Release everything (descriptors, processes) within 1 s. Safe twice; never raises."""


class DriverFactory(Protocol):
    """What the composition root registers under a driver's name: usually the Driver class itself."""

    @property
    def options_model(self) -> type[DriverOptions]:
        """The schema its options are checked against and its admin form is drawn from."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its drivers can do beyond reading."""

    def __call__(self, device: str, options: Any) -> Driver:
        """Build a driver for the device's code; `options` is an instance of `options_model`."""
