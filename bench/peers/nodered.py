"""Node-RED as a peer: installed once from npm into the user's cache; one flow, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench import kit

VERSIONS = ("node-red@4.1.15", "node-red-node-serialport@2.0.3")


class UnavailableError(RuntimeError):
    """Node-RED cannot be had here; the text says why in a word."""


def home() -> Path:
    """Where the npm packages are kept between runs, outside the repo."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "palm-hospital-bench" / "nodered"


def install() -> Path:
    """The folder with node_modules, installing on first use; UnavailableError when it cannot be had."""
    if not shutil.which("node"):
        raise UnavailableError("node is not installed")
    at = home()
    files = ("node-red/red.js", "node-red-node-serialport/package.json")
    wanted = [at / "node_modules" / name for name in files]
    if all(p.exists() for p in wanted):
        return at
    if not shutil.which("npm"):
        raise UnavailableError("npm is not installed")
    at.mkdir(parents=True, exist_ok=True)
    cmd = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(at), *VERSIONS]
    try:
        done = subprocess.run(cmd, cwd=at, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError("npm did not finish within 240 s") from None
    if done.returncode or not all(p.exists() for p in wanted):
        raise UnavailableError(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    return at


def _settings(port: int) -> str:
    return f"""module.exports = {{
  uiHost: "127.0.0.1", uiPort: {port}, httpAdminRoot: false, flowFile: "flows.json", credentialSecret: false,
  telemetry: {{enabled: false, updateNotification: false}}, diagnostics: {{enabled: false}},
  logging: {{console: {{level: "info", metrics: false, audit: false}}}},
}};
"""


def _flow(tty: str, his: str) -> list[dict[str, object]]:
    """The flow a Node-RED user would draw; `persist` is the request node's keep-alive switch."""
    ask = "const code = msg.payload.trim(); return {code, payload: {card_no: code}};"
    tell = "return {payload: JSON.stringify({code: msg.code, patient: msg.payload.data})};"
    return [
        {"id": "t", "type": "tab", "label": "scan"},
        {"id": "p", "type": "serial-port", "name": "scanner", "serialport": tty, "serialbaud": "115200",
         "databits": "8", "parity": "none", "stopbits": "1", "waitfor": "",
         "dtr": "none", "rts": "none", "cts": "none", "dsr": "none",
         "newline": "\\r", "bin": "false", "out": "char", "addchar": "", "responsetimeout": "10000"},
        {"id": "i", "z": "t", "type": "serial in", "name": "", "serial": "p", "wires": [["f"]]},
        {"id": "f", "z": "t", "type": "function", "func": ask, "outputs": 1, "wires": [["h"]]},
        {"id": "h", "z": "t", "type": "http request", "method": "POST", "ret": "obj", "paytoqs": "ignore",
         "url": his, "persist": True, "headers": [], "wires": [["g"]]},
        {"id": "g", "z": "t", "type": "function", "func": tell, "outputs": 1, "wires": [["o"]]},
        {"id": "l", "type": "websocket-listener", "path": "/scan", "wholemsg": "false"},
        {"id": "o", "z": "t", "type": "websocket out", "name": "", "server": "l", "client": "", "wires": []},
    ]  # fmt: skip


class NodeRed:
    """A running Node-RED: `port`, websocket path `/scan`, `pid`; `stop()` also removes its user folder."""

    def __init__(self, tty: str, his: str) -> None:
        at = install()
        self.port = kit.free_port()
        self._dir = Path(tempfile.mkdtemp(prefix="nodered-"))
        (self._dir / "settings.js").write_text(_settings(self.port))
        (self._dir / "flows.json").write_text(json.dumps(_flow(tty, his)))
        (self._dir / "package.json").write_text('{"name": "bench", "version": "0.0.1", "private": true}')
        (self._dir / "node_modules").symlink_to(at / "node_modules")
        red = at / "node_modules" / "node-red" / "red.js"
        argv = ["node", str(red), "--userDir", str(self._dir)]
        self.child = kit.Child(argv, {"HOME": str(self._dir)}, self._dir)
        self.pid = self.child.pid
        try:
            self.child.expect(r"serial port .* opened", 60)
            kit.wait_tcp(self.child, self.port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self._dir, ignore_errors=True)
