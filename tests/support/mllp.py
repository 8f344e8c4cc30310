"""MLLP peers as processes, a proxy that cuts connections, and a plain socket that speaks MLLP."""

from __future__ import annotations

import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.npm import installed

PACKAGES = ("node-hl7-server@2.5.0", "node-hl7-client@3.2.0", "simple-hl7@3.3.0")
PEERS = Path(__file__).resolve().parent / "peers"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Receiver:
    """A running receiver and its book: `rows` (control id, our number) once for each id, `handled` with the resends."""

    port: int
    book: Path
    proc: subprocess.Popen[str]

    def rows(self) -> list[tuple[str, str]]:
        if not self.book.exists():
            return []
        return [tuple(line.split("\t")) for line in self.book.read_text("utf-8").splitlines()]  # type: ignore[misc]

    def handled(self) -> int:
        log = self.book.with_name(self.book.name + ".handled")
        return len(log.read_text("utf-8").splitlines()) if log.exists() else 0


@contextmanager
def receiver(kind: str, folder: Path) -> Iterator[Receiver | str]:
    """node-hl7-server, simple-hl7 or hl7apy on a free port; or the reason why not."""
    port, book = free_port(), folder / "book.tsv"
    if kind == "hl7apy":
        command = [sys.executable, str(PEERS / "mllp_hl7apy.py"), str(port), str(book)]
    else:
        modules = installed("mllp", PACKAGES)
        if isinstance(modules, str):
            yield modules
            return
        command = ["node", str(PEERS / "mllp_receiver.cjs"), str(modules / "node_modules"), kind, str(port), str(book)]
    with process(command) as proc:
        wait_tcp(port)
        yield Receiver(port, book, proc)


@contextmanager
def process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A child whose first line of output is "ready"; ended at the end."""
    proc = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert proc.stdout is not None
        assert proc.stdout.readline().strip() == "ready"
        yield proc
    finally:
        proc.kill()
        proc.wait()
        if proc.stdout is not None:
            proc.stdout.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_tcp(port: int, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class CuttingProxy:
    """TCP between two parties. `arm` makes it cut once: after so many bytes from the sender or of the answer.

    A cut resets both sides, so that what the kernel still holds is thrown away, as a dying firewall does.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._lock = threading.Lock()
        self._armed: tuple[str, int] | None = None
        self.cuts = 0
        self.connections = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def arm(self, side: str, after: int) -> None:
        """`side`: "up" (what the sender says) or "down" (the answer)."""
        with self._lock:
            self._armed = (side, after)

    def stop(self) -> None:
        self._stop.set()
        for thread in list(self._threads):
            thread.join(5)
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            if select.select([self._server], [], [], 0.1)[0]:
                near, _ = self._server.accept()
                self.connections += 1
                thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self._target))
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pairs = {near: ("up", far), far: ("down", near)}
        try:
            while not self._stop.is_set():
                for sock in select.select([near, far], [], [], 0.1)[0]:
                    side, other = pairs[sock]
                    data = sock.recv(65536)
                    if not data or not self._forward(side, other, data):
                        return
        except OSError:
            return
        finally:
            for sock in (near, far):
                sock.close()

    def _forward(self, side: str, other: socket.socket, data: bytes) -> bool:
        """False when the cut came."""
        with self._lock:
            armed = self._armed
            cut = armed is not None and armed[0] == side
            if cut and armed is not None and armed[1] > len(data):
                self._armed = (side, armed[1] - len(data))
                cut = False
            elif cut:
                self._armed = None
        other.sendall(data[: armed[1]] if cut and armed is not None else data)
        if cut:
            self.cuts += 1
            if random.random() < 0.5:
                time.sleep(0.01)  # now and then the far side has time to read what it got
            for sock in (other,):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        return not cut


class Plain:
    """A socket that speaks MLLP by hand."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 5, source_address=(source, 0))
        self._rest = b""

    def send(self, raw: bytes) -> None:
        self.sock.sendall(b"\x0b" + raw + b"\x1c\r")

    def receive(self, seconds: float = 5.0) -> bytes:
        """The next message; b"" at the end of the connection."""
        self.sock.settimeout(seconds)
        while b"\x1c\r" not in self._rest:
            try:
                piece = self.sock.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                return b""
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\x1c\r")
        return message.lstrip(b"\x0b")

    def ask(self, raw: bytes) -> bytes:
        self.send(raw)
        return self.receive()

    def close(self) -> None:
        self.sock.close()


def msa(ack: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    line = next(line for line in ack.split(b"\r") if line.startswith(b"MSA"))
    fields = line.decode().split("|")
    return fields[1], fields[2]
