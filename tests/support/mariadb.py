"""A private MariaDB server for tests, from Debian's package; a word where it cannot be had."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class MariaDB:
    """A running server on loopback; root has no password on its socket."""

    port: int
    folder: Path
    _user: str | None
    options: tuple[str, ...] = ()
    """More of its command line; counts at the next start."""
    _proc: subprocess.Popen[bytes] | None = None

    def start(self) -> str | None:
        """Start it; why it did not come, or None."""
        self._proc = subprocess.Popen(
            [
                _program(), "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}",
                f"--log-error={self.folder / 'log'}", "--default-time-zone=+08:00", "--character-set-server=utf8mb4",
                "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M", "--skip-name-resolve",
                *self.options,
            ],
            user=self._user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until and self._proc.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                if sock.recv(1):
                    return None
            time.sleep(0.05)
        return (self.folder / "log").read_text("utf-8", "replace")[-300:]

    def run(self, sql: str) -> str:
        """Run SQL text (DELIMITER allowed) as root; its output, tab separated without a head."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.folder / 'socket'}", "-uroot", "-N", "--default-character-set=utf8mb4"],
            input=sql, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def freeze(self) -> None:
        """Stop every thread of it where it stands."""
        assert self._proc is not None
        self._proc.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._proc is not None
        self._proc.send_signal(signal.SIGCONT)

    def halt(self) -> None:
        """End the server, keep its data."""
        if self._proc is not None and self._proc.poll() is None:
            self.thaw()
            self._proc.terminate()
            try:
                self._proc.wait(20)
            except subprocess.TimeoutExpired:
                self._proc.kill()
                self._proc.wait()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_mariadb() -> MariaDB | str:
    """A server in a folder of its own, or the reason why there is none."""
    if _program() == "" or shutil.which("mariadb-install-db") is None or shutil.which("mariadb") is None:
        return "MariaDB is not installed (apt-get install mariadb-server)"
    user = "mysql" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="palm-maria-", dir="/tmp"))
    if user is not None:
        shutil.chown(folder, user)
        folder.chmod(0o755)
    done = subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ],
        user=user, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return f"mariadb-install-db failed: {done.stderr.strip()[-300:]}"
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    server = MariaDB(port, folder, user)
    if (said := server.start()) is not None:
        server.stop()
        return f"MariaDB did not start: {said}"
    return server


def _program() -> str:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin") or ""
