"""npm packages as peers: installed once by name and version into the user's cache, or a word why not."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def installed(name: str, packages: Sequence[str]) -> Path | str:
    """The folder whose node_modules hold `packages` ("soap@1.13.0"), installing at first use; or the reason why not."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    at = base / "palm-hospital-tests" / name
    at.mkdir(parents=True, exist_ok=True)
    said = at / "installed.txt"
    with (at / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be installing the same
        if said.exists() and said.read_text("utf-8") == "\n".join(packages):
            return at
        cmd = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(at), *packages]
        try:
            done = subprocess.run(cmd, cwd=at, capture_output=True, text=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            return "npm did not finish within 240 s"
        if done.returncode:
            return f"npm cannot install {' '.join(packages)}"
        said.write_text("\n".join(packages), "utf-8")
    return at
