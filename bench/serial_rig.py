"""What the serial soak drives: a supervisor on real ptys, and the scanner simulator as a process."""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.port import DeviceConfig, DeviceState, Reading, StateChange
from devices.serial.driver import SerialDriver
from devices.supervisor import Supervisor
from simulators.scanner.lines import PtyLine

ROOT = Path(__file__).resolve().parents[1]


class Rig:
    """A running supervisor; readings with the time their sink was called."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.readings: list[tuple[float, Reading]] = []
        self.states: list[StateChange] = []
        self.lines: list[PtyLine] = []
        self.supervisor = Supervisor(
            {"serial": SerialDriver},
            lambda reading: self.readings.append((time.monotonic(), reading)),
            self.states.append,
        )

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        for line in self.lines:
            line.unplug()
        self._folder.cleanup()

    def pty(self, name: str = "scanner") -> PtyLine:
        line = PtyLine(self.folder / name)
        line.plug()
        self.lines.append(line)
        return line

    def online(self, *configs: DeviceConfig) -> None:
        self.supervisor.apply(configs)
        for config in configs:
            self.wait_for(config.code, DeviceState.ONLINE)

    def wait(self, condition: Callable[[], Any], seconds: float = 10.0) -> float:
        """Wait until it holds; seconds it took, or `seconds` when in vain."""
        begun = time.monotonic()
        while not condition() and time.monotonic() - begun < seconds:
            time.sleep(0.001)
        return time.monotonic() - begun

    def wait_for(self, device: str, state: DeviceState, seconds: float = 10.0) -> float:
        return self.wait(lambda: self.supervisor.states()[device].state is state, seconds)


def serial(code: str, port: object, **options: Any) -> DeviceConfig:
    return DeviceConfig(code, "serial", {"port": str(port), **options})


def footprint() -> tuple[int, int]:
    """Threads and open descriptors of this process."""
    gc.collect()
    return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class SimulatedScanner:
    """The scanner simulator in a process of its own, so that its sending costs the reader no GIL."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        ready = folder / f"ready-{time.monotonic_ns()}.json"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulators.scanner", "--ready-file", str(ready), *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while not ready.exists():
            if time.monotonic() > until:
                raise RuntimeError("the scanner simulator did not start")
            time.sleep(0.01)
        said = json.loads(ready.read_text("utf-8"))
        self.control, self.device = said["control"], said["device"]

    def order(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(self.control + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(5)
