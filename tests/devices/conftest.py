"""A supervisor over real lines for the device tests, and a check that nothing is left behind."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.port import ApplyResult, DeviceConfig, DeviceState, Reading, StateChange
from devices.replay import ReplayDriver
from devices.serial.driver import SerialDriver
from devices.supervisor import Supervisor
from simulators.scanner.lines import PtyLine


class Rig:
    """A running supervisor and what came out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.readings: list[Reading] = []
        self.seen_at: list[float] = []
        self.states: list[StateChange] = []
        self.overflowed: list[Reading] = []
        self.before_sink: Callable[[Reading], None] = lambda _: None
        self.lines: list[PtyLine] = []
        self.supervisor = Supervisor(
            {"serial": SerialDriver, "replay": ReplayDriver}, self._sink, self.states.append, self.overflowed.append
        )

    def _sink(self, reading: Reading) -> None:
        self.before_sink(reading)
        self.seen_at.append(time.monotonic())
        self.readings.append(reading)

    @property
    def texts(self) -> list[str]:
        return [reading.text for reading in self.readings]

    def pty(self, name: str = "scanner") -> PtyLine:
        line = PtyLine(self.folder / name)
        line.plug()
        self.lines.append(line)
        return line

    def apply(self, *configs: DeviceConfig) -> dict[str, ApplyResult]:
        return self.supervisor.apply(configs)

    def wait(self, condition: Callable[[], Any], seconds: float = 5.0) -> float:
        """Wait for it; the seconds it took, or a failure naming the states."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"waited {seconds} s in vain: {self.supervisor.states()}")
            time.sleep(0.001)
        return time.monotonic() - begun

    def wait_for(self, device: str, *states: DeviceState, seconds: float = 5.0) -> float:
        return self.wait(lambda: self.supervisor.states()[device].state in states, seconds)

    def online(self, *configs: DeviceConfig) -> None:
        self.apply(*configs)
        for config in configs:
            self.wait_for(config.code, DeviceState.ONLINE)

    def close(self) -> None:
        self.supervisor.stop()
        for line in self.lines:
            line.unplug()


def serial(code: str, port: object, **options: Any) -> DeviceConfig:
    return DeviceConfig(code, "serial", {"port": str(port), **options})


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as cheap as can be


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    rig = Rig(tmp_path)
    yield rig
    rig.close()
    left = [thread.name for thread in threading.enumerate() if thread not in threads and "device" in thread.name]
    assert left == []
    assert open_descriptors() <= descriptors
