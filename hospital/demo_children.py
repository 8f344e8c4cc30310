"""The demo's simulators as child processes: started first and in parallel with our own imports, stopped last."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import ConfigError

APP_ID, APP_SECRET, HIS_TOKEN = "wx5f0e5f0e5f0e5f0e", "simulated-app-secret", "his-demo-token"
_READY_S = 20.0


@dataclass(frozen=True, slots=True)
class Started:
    """The ready files of the simulators, and the scanners' ports by station."""

    his: Path
    wechat: Path
    lines: dict[str, Path]
    scanners: dict[str, Path]


@dataclass
class Children:
    """The simulators: started together, stopped together."""

    folder: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> Path:
        """Start ``python -m simulators.NAME``; returns its ready file."""
        ready = self.folder / f"{name}-{len(self._running)}.ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", f"simulators.{name}", *arguments, "--ready-file", str(ready)]
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._running.append(
                subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            )
        return ready

    def wait(self, ready: Path) -> str:
        """The content of a ready file once its simulator has written it. Raises ConfigError."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            if ready.exists() and (text := ready.read_text(encoding="utf-8").strip()):
                return text
            if any(child.poll() is not None for child in self._running):
                break
            time.sleep(0.02)
        raise ConfigError(f"a simulator did not start; see the .log files in {self.folder}")

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to who has not gone after two seconds."""
        for child in self._running:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + 2
        for child in self._running:
            try:
                child.wait(max(0.05, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def start_all(self) -> Started:
        """HIS, WeChat and one scanner for each station of the demo."""
        folder = self.folder
        lines = {"C1": folder / "scanner-counter", "W1": folder / "scanner-ward"}
        return Started(
            his=self.start("his", "--db", str(folder / "his.db"), "--token", HIS_TOKEN),
            wechat=self.start("wechat", "--app-id", APP_ID, "--app-secret", APP_SECRET),
            lines=lines,
            scanners={code: self.start("scanner", "--link", str(link)) for code, link in lines.items()},
        )


@contextmanager
def simulators(folder: Path) -> Iterator[tuple[Children, Started]]:
    """The simulators of a demo in this folder, stopped at the end whatever happens. Raises ConfigError."""
    folder.mkdir(parents=True, exist_ok=True)
    children = Children(folder.resolve())
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise ConfigError(f"another demo runs in {folder}; stop it, or give this one its own --dir") from exc
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            yield children, children.start_all()
        except KeyboardInterrupt:
            pass  # Ctrl-C is how a demo ends
        finally:
            children.stop()
