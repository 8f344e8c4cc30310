"""A private PostgreSQL cluster for tests, from Debian's package; None with a word where it cannot be had."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cluster:
    """A running cluster on loopback."""

    url: str
    folder: Path
    _bin: Path

    def stop(self) -> None:
        """Stop it and remove its folder."""
        _as_postgres([str(self._bin / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop"])
        shutil.rmtree(self.folder, ignore_errors=True)


def start_cluster() -> Cluster | str:
    """A cluster in a folder of its own, or the reason why there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    programs = found[-1].parent
    if os.getuid() == 0 and not _has_postgres_user():
        return "PostgreSQL does not run as root and there is no user postgres"
    folder = Path(tempfile.mkdtemp(prefix="palm-pg-", dir="/tmp"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", _free_port()
    if (
        said := _as_postgres([str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "palm", "-E", "UTF8"])
    ) is not None:
        return f"initdb failed: {said}"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    start = [str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"]
    if (said := _as_postgres(start)) is not None:
        return f"PostgreSQL did not start: {said}"
    return Cluster(f"postgresql://palm@127.0.0.1:{port}/postgres", folder, programs)


def _as_postgres(command: list[str]) -> str | None:
    """Run it as the user postgres when we are root; its complaint, or None."""
    user = "postgres" if os.getuid() == 0 else None
    done = subprocess.run(
        command, user=user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return None if done.returncode == 0 else done.stderr.strip()[-300:]


def _has_postgres_user() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
