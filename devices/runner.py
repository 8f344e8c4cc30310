"""Keep one driver open and reading on its own thread: open, read, lose, wait, open again."""

import logging
import random
import threading
import time
from typing import Final

from devices.port import (
    DeviceConfig,
    DeviceError,
    DeviceLost,
    DeviceMisconfigured,
    DeviceState,
    Driver,
)
from devices.slot import Slot

log = logging.getLogger(__name__)

# A line that held this long, or read a code, has earned a quick first retry again.
_STEADY_S: Final = 2.0
_JITTER: Final = 0.2


class Runner:
    """One driver's thread. Build, `start`, and once only `stop`."""

    def __init__(self, config: DeviceConfig, driver: Driver, slot: Slot, *, opened: bool = False) -> None:
        self.config = config
        self.driver = driver
        self.resource = driver.resource
        self._slot = slot
        self._opened = opened
        self._stopping = threading.Event()
        self._attempt = 0
        self._thread = threading.Thread(target=self._run, name=f"device-{config.code}", daemon=True)

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begin to end; returns at once."""
        self._stopping.set()
        try:
            self.driver.cancel()
        except Exception:
            log.exception("device %s: the driver failed to cancel", self.config.code)

    def join(self, deadline: float) -> bool:
        """Wait for the end until monotonic `deadline`; False when the driver is still busy closing."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.warning("device %s: the driver does not end", self.config.code)
            return False
        return True

    def _run(self) -> None:
        try:
            self._live()
        finally:
            self._close()  # a driver handed over open may be stopped before its first life

    def _live(self) -> None:
        if not self._opened:
            self._slot.set_state(DeviceState.CONNECTING, "Opening the device.", "device.opening")
        while not self._stopping.is_set():
            trouble = self._one_life()
            if self._stopping.is_set():
                return
            if isinstance(trouble, DeviceMisconfigured):
                self._slot.set_state(DeviceState.FAILED, trouble.reason, trouble.code)
                return
            self._slot.set_state(DeviceState.BACKOFF, trouble.reason, trouble.code)
            self._stopping.wait(self._next_delay())

    def _one_life(self) -> DeviceError:
        """Open, read until it ends, close; says why it ended."""
        scans, born = self._slot.scans, None
        try:
            if not self._opened:
                self.driver.open()
            self._opened = False
            born = time.monotonic()
            self._slot.came_online()
            self.driver.read_loop(self._slot)
            return DeviceLost("The driver ended by itself.", "device.ended")
        except DeviceError as trouble:
            return trouble
        except OSError as trouble:  # pyserial lets both SerialException and bare OSError out
            return DeviceLost(f"The device failed ({trouble.strerror or type(trouble).__name__}).", "device.io")
        except Exception as fault:
            log.exception("device %s: fault in the driver", self.config.code)
            return DeviceLost(f"The driver has a fault ({type(fault).__name__}).", "device.driver_fault")
        finally:
            if born is not None and (time.monotonic() - born >= _STEADY_S or self._slot.scans > scans):
                self._attempt = 0
            self._close()

    def _close(self) -> None:
        try:
            self.driver.close()
        except Exception:
            log.exception("device %s: the driver failed to close", self.config.code)

    def _next_delay(self) -> float:
        """Seconds to wait: doubling to the cap, a little earlier at random so that ports do not retry in step."""
        patience = self.driver.backoff
        delay: float = min(patience.cap, patience.first * 2.0 ** min(self._attempt, 20))
        self._attempt += 1
        return delay * (1 - random.random() * _JITTER)
