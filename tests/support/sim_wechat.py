"""Starts the simulated WeChat platform as a real process, for the tests of every room."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
APP_ID, APP_SECRET = "wx5f0e5f0e5f0e5f0e", "simulated-app-secret"


@dataclass
class WechatSim:
    """A running `simulators.wechat`."""

    url: str
    proc: subprocess.Popen[bytes]

    def fault(self, mode: str, seconds: float = 3.0) -> None:
        """ok, slow, down, drip, rubbish, busy."""
        body = json.dumps({"mode": mode, "seconds": seconds}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_sim/faults", body), timeout=5) as answer:
            assert answer.status == 200

    def calls(self) -> Any:
        """How often each path was asked."""
        with urllib.request.urlopen(f"{self.url}/_sim/calls", timeout=5) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        """End it; safe to repeat."""
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                self.proc.kill()
        self.proc.wait()


def start_wechat(folder: Path) -> WechatSim:
    """Start it on a free port; ready when this returns."""
    ready = folder / "wechat.ready"
    command = [sys.executable, "-m", "simulators.wechat", "--app-id", APP_ID, "--app-secret", APP_SECRET]
    proc = subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not ready.exists() or not ready.read_text().strip():
        if proc.poll() is not None or time.monotonic() > until:
            proc.kill()
            proc.wait()
            raise RuntimeError(f"the WeChat simulator did not start (exit {proc.returncode})")
        time.sleep(0.01)
    return WechatSim(ready.read_text().strip(), proc)
