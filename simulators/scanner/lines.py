"""The simulated scanner's line: a pty behind a lasting link, or a TCP port; both can be unplugged and plugged."""

import contextlib
import os
import pty
import select
import socket
import struct
import threading
import time
import tty
from pathlib import Path


class PtyLine:
    """A pseudo-terminal whose slave `link` points at, the way udev's by-path name does.

    The slave is kept open and raw here, so that settings survive between readers.
    """

    def __init__(self, link: Path) -> None:
        self.link = link
        self.node = ""
        self._master = self._slave = -1
        self._heard = bytearray()

    def plug(self) -> None:
        """Appear under a new node name."""
        if self._master >= 0:
            return
        spare: list[int] = []
        before = self.node
        while True:
            master, slave = pty.openpty()
            if os.ttyname(slave) != before:
                break
            spare += [master, slave]
        for fd in spare:
            os.close(fd)
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._master, self._slave, self.node = master, slave, os.ttyname(slave)
        fresh = self.link.with_name(f"{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.node)
        fresh.replace(self.link)

    def unplug(self, how: str = "") -> None:  # noqa: ARG002 - a cable knows one way only
        """Vanish: the link goes, readers get a hang-up."""
        if self._master < 0:
            return
        self.link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    @property
    def plugged(self) -> bool:
        return self._master >= 0

    @property
    def name(self) -> str:
        return str(self.link)

    def write(self, data: bytes) -> None:
        """Send; OSError when unplugged."""
        left = memoryview(data)
        while left:
            if self._master < 0:
                raise OSError("unplugged")
            _, ready, _ = select.select([], [self._master], [], 1.0)
            if not ready:
                raise OSError("nobody reads the line")
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(self._master, left) :]

    def heard(self) -> bytes:
        """What the host has sent since the last call."""
        with contextlib.suppress(OSError):
            while self._master >= 0 and select.select([self._master], [], [], 0)[0]:
                self._heard += os.read(self._master, 4096)
        data = bytes(self._heard)
        self._heard.clear()
        return data


class TcpLine:
    """A scanner behind a serial-to-network converter: a listening port, any number of hosts."""

    def __init__(self, greeting: bytes = b"", port: int = 0) -> None:
        self._greeting = greeting
        self._port = port
        self._listener: socket.socket | None = None
        self._clients: list[socket.socket] = []
        self._lock = threading.Lock()

    def plug(self) -> None:
        """Listen, on the same port as before."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._greeting:
                    client.sendall(self._greeting)
            with self._lock:
                self._clients.append(client)

    def unplug(self, how: str = "fin") -> None:
        """End every connection with a FIN, or with "rst", and stop listening unless `how` ends in "-keep"."""
        listener = self._listener
        if listener is not None and not how.endswith("-keep"):
            self._listener = None
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            if how.startswith("rst"):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    @property
    def plugged(self) -> bool:
        return self._listener is not None

    @property
    def clients(self) -> int:
        """How many hosts are connected."""
        return len(self._clients)

    @property
    def name(self) -> str:
        return f"socket://127.0.0.1:{self._port}"

    def write(self, data: bytes) -> None:
        """Send to every host."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(data)

    def heard(self) -> bytes:
        """What the hosts have sent since the last call."""
        data = b""
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    data += client.recv(4096, socket.MSG_DONTWAIT)
        return data


Line = PtyLine | TcpLine


def send_paced(line: Line, data: bytes, baud: int, chunks: list[int] | None = None) -> float:
    """Send at `baud` (10 bits a byte), in `chunks` of these sizes; monotonic time of the last byte's write."""
    sizes = iter(chunks or [len(data)])
    start, sent = time.monotonic(), 0
    while sent < len(data):
        part = data[sent : sent + max(1, next(sizes, len(data)))]
        sent += len(part)
        wait = start + sent * 10 / baud - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        line.write(part)
    return time.monotonic()
