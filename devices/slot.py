"""What stays of a device while its driver comes and goes: state, figures, re-read rule, delivery."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.clock import SHANGHAI
from devices.delivery import Delivery, Sink
from devices.port import READING_STATES, TROUBLE_STATES, DeviceState, DeviceStats, Reading, StateChange
from devices.reread import RereadRule

log = logging.getLogger(__name__)

GARBLED: Final = "device.garbled"
_GARBLED_AFTER: Final = 3


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom the supervisor tells: readings, states, readings that found the queue full."""

    sink: Sink
    on_state: Callable[[StateChange], None]
    on_overflow: Callable[[Reading], None]


class Slot:
    """Satisfies `devices.port.DriverHost`. Figures are written by the device's reader thread alone."""

    def __init__(self, device: str, listeners: Listeners) -> None:
        self.device = device
        self._listeners = listeners
        self._delivery = Delivery(device, listeners.sink)
        self._reread = RereadRule(0.0)
        self._lock = threading.RLock()
        self._state = StateChange(device, DeviceState.DISABLED, "Not started yet.", "device.new", _now())
        self._last_byte: float | None = None
        self._last_scan: float | None = None
        self._scans = self._reconnects = self._bad = self._overflow = self._bad_in_a_row = 0
        self._was_online = False
        self._measures: dict[str, float] = {}

    # ------------------------------------------------------------ DriverHost

    def reading(self, reading: Reading) -> None:
        """Apply the re-read rule and queue; a full queue is counted and told, never silent."""
        self._last_byte = reading.t_read
        if self._bad_in_a_row:
            self._bad_in_a_row = 0
            if self._state.code == GARBLED:
                self.set_state(DeviceState.ONLINE, "Readable codes come again.", "device.online")
        if not self._reread.is_new(reading.raw, reading.t_read):
            return
        if self._delivery.put(reading):
            self._scans += 1
            self._last_scan = reading.t_read
            return
        # what was never handed on must count again when it is held before the scanner again
        self._reread.rearm(reading.raw)
        self.overflowed(reading)

    def heard(self) -> None:
        """Remember the sign of life."""
        self._last_byte = time.monotonic()

    def bad_frames(self, count: int) -> None:
        """Count them; several in a row without a code between say that the line settings are wrong."""
        self._bad += count
        self._bad_in_a_row += count
        if self._bad_in_a_row >= _GARBLED_AFTER:
            self.health(
                DeviceState.DEGRADED,
                "Bytes come but make no code: check baud rate, terminator and cable.",
                GARBLED,
            )

    def health(self, state: DeviceState, reason: str, code: str) -> None:
        """Take ONLINE or DEGRADED from a running driver."""
        if state in READING_STATES and self._state.state in READING_STATES:
            self.set_state(state, reason, code)

    def measure(self, name: str, value: float) -> None:
        """Keep the figure."""
        self._measures = {**self._measures, name: value}

    # ------------------------------------------------------------ for the supervisor and the runner

    @property
    def state(self) -> StateChange:
        """Where the device stands now."""
        return self._state

    def set_state(self, state: DeviceState, reason: str, code: str) -> None:
        """Enter a state; the same state for the same reason is neither told nor logged again."""
        with self._lock:
            if (state, code) == (self._state.state, self._state.code):
                return
            self._state = StateChange(self.device, state, reason, code, _now())
            level = logging.WARNING if state in TROUBLE_STATES else logging.INFO
            log.log(level, "device %s is %s: %s", self.device, state.value, reason)
            try:
                self._listeners.on_state(self._state)
            except Exception:
                log.exception("device %s: the state listener failed", self.device)

    def came_online(self) -> None:
        """Count the reconnect, if it is one."""
        self._reconnects += self._was_online
        self._was_online = True
        self._bad_in_a_row = 0
        self.set_state(DeviceState.ONLINE, "Ready to read.", "device.online")

    def overflowed(self, reading: Reading) -> None:
        """Count and tell a reading nobody will handle."""
        self._overflow += 1
        if self._overflow == 1:
            log.warning("device %s: readings come faster than they are handled", self.device)
        try:
            self._listeners.on_overflow(reading)
        except Exception:
            log.exception("device %s: the overflow listener failed", self.device)

    def set_reread(self, reread_ms: int) -> None:
        """Set the window of the re-read rule; what was seen stays seen."""
        self._reread.window_s = reread_ms / 1000

    def rearm(self) -> None:
        """Let the next sighting of any code count ("scan again")."""
        self._reread.rearm()

    @property
    def scans(self) -> int:
        """Readings queued for the sink so far."""
        return self._scans

    def stats(self) -> DeviceStats:
        """A snapshot of the figures."""
        return DeviceStats(
            device=self.device,
            last_byte_at=_wall(self._last_byte),
            last_scan_at=_wall(self._last_scan),
            scans=self._scans,
            suppressed=self._reread.suppressed,
            reconnects=self._reconnects,
            bad_frames=self._bad,
            overflow=self._overflow,
            waiting=self._delivery.waiting,
            extra=dict(self._measures),
        )

    def ask_to_stop(self) -> None:
        """Begin the end of the delivery."""
        self._delivery.ask_to_stop()

    def finish(self, deadline: float) -> None:
        """End the delivery by monotonic `deadline`; what was left over is told as overflow."""
        for reading in self._delivery.stop(deadline):
            self.overflowed(reading)


def _now() -> datetime:
    return datetime.now(SHANGHAI)


def _wall(moment: float | None) -> datetime | None:
    """The wall time of a monotonic moment."""
    return None if moment is None else _now() - timedelta(seconds=time.monotonic() - moment)
