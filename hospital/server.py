"""How the service listens: gunicorn's threads, behind a gate that no half-sent request passes."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import selectors
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker

SPARE_THREADS = 32
"""Threads beyond one per screen: pages, scans made elsewhere, health checks."""
_LOOK = 64 * 1024
_HEADER_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_UNTOLD = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)


_LINGER_S = 2.0


class _Conn(TConn):
    """A connection; ``looked`` bytes were there at the last look, ``piecemeal`` when a thread must wait for the rest."""

    looked = -1
    piecemeal = False

    def __init__(self, worker: GatedWorker, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(worker.cfg, sock, client, server)
        self._worker = worker

    def close(self, graceful: bool = False) -> None:
        """gunicorn lingers in the poller's thread, where one client that does not close would hold up all others."""
        if not (graceful and self._worker.linger(self)):
            super().close()


class GatedWorker(ThreadWorker):
    """A connection gets a thread only once its request is all there, headers and body.

    gunicorn gives a thread to every connection that has sent a byte, so 40 half-sent requests starve 20 threads
    for good. Here the poller peeks (MSG_PEEK, and SO_RCVLOWAT so that it wakes only for what is missing) until the
    request is complete, and drops a client that takes longer than ``header_deadline_s``. A body too large to look
    at, or of a length nobody told, is read by a thread, which waits that long for each piece of it.
    """

    header_deadline_s = 10.0
    on_stop: Callable[[], None] = staticmethod(lambda: None)
    """Ends what would keep its thread for ever: the screens' connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[_Conn] = deque()

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        # not in the signal handler itself: the interrupted thread may hold the locks this needs
        threading.Thread(target=self.on_stop, daemon=True).start()

    # Ctrl-C in a terminal reaches the worker too; it ends what is under way like SIGTERM does
    handle_quit = handle_exit

    def accept(self, listener: Any) -> None:
        try:
            sock, address = listener.accept()
        except OSError:
            return
        self.nr_conns += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait_for_headers(_Conn(self, sock, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait_for_headers(conn)

    def _wait_for_headers(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.header_deadline_s
        if not self._ready(conn):
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self._more(conn))

    def _more(self, conn: Any) -> None:
        if conn in self.pending_conns and self._ready(conn):
            self.pending_conns.remove(conn)

    def _ready(self, conn: Any) -> bool:
        """Hand the connection to a thread when there is a whole request to read, or nothing more to wait for."""
        try:
            seen = conn.sock.recv(_LOOK, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            seen = b""
        missing = _missing(seen) if seen else 0
        if missing > 0 and len(seen) + missing <= _LOOK and not self._hung_up(conn, len(seen)):
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + missing)
            return False
        if conn.sock.fileno() in self.poller.get_map():
            self.poller.unregister(conn.sock)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if missing:
            seconds, fraction = divmod(self.header_deadline_s, 1)
            timeout = struct.pack("ll", int(seconds), int(fraction * 1e6))
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        conn.sock.setblocking(True)
        conn.data_ready, conn.looked, conn.piecemeal = True, -1, bool(missing)
        self.enqueue_req(conn)
        return True

    @staticmethod
    def _hung_up(conn: Any, seen: int) -> bool:
        """Whether the rest will never come; asked only when woken for nothing new, else the poller would spin."""
        if seen > conn.looked:
            conn.looked = seen
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Never wait in a thread for the rest of a body nobody read."""
        return False if conn.piecemeal else bool(super()._keepalive_after(conn, keepalive))

    def linger(self, conn: _Conn) -> bool:
        """Send FIN and let the client read the answer and close, at most two seconds, on the poller; False if gone."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self._drain(conn))
        except (OSError, ValueError, KeyError, RuntimeError):  # closed already, or the poller is
            return False
        conn.timeout = time.monotonic() + _LINGER_S
        self._lingering.append(conn)
        return True

    def _drain(self, conn: _Conn) -> None:
        try:
            if conn.sock.recv(_LOOK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._lingering.remove(conn)
        self._let_go(conn)

    def _let_go(self, conn: _Conn) -> None:
        self.poller.unregister(conn.sock)
        conn.close()

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        while self._lingering and self._lingering[0].timeout <= now:
            self._let_go(self._lingering.popleft())


def _missing(seen: bytes) -> int:
    """Bytes still to come before the request can be read to its end (at least); -1 when nobody told the length."""
    end = seen.find(_HEADER_END)
    if end < 0:
        return 1
    head = seen[: end + 2]
    if _UNTOLD.search(head):
        return -1
    length = _LENGTH.search(head)
    return max(0, end + len(_HEADER_END) + int(length[1]) - len(seen)) if length else 0


class Server(BaseApplication):
    """One worker process with many threads; ``make`` builds the app inside that process.

    Args:
        make: called in the worker, after the fork: threads, sockets and databases must not cross it.
        on_stop: called when the worker is told to stop, before it waits for requests under way.
        on_exit: called when the worker has stopped.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        on_stop: Callable[[], None],
        on_exit: Callable[[], None],
        *,
        bind: str,
        threads: int,
        header_deadline_s: float,
    ) -> None:
        self._make, self._on_exit, self._bind, self._threads = make, on_exit, bind, threads
        GatedWorker.header_deadline_s = header_deadline_s
        GatedWorker.on_stop = staticmethod(on_stop)
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": [self._bind],
            "worker_class": "hospital.server.GatedWorker",
            "workers": 1,
            "threads": self._threads,
            "worker_connections": self._threads + 1000,
            "keepalive": 15,
            "graceful_timeout": 3,
            "timeout": 30,
            "proc_name": "hospital",
            "loglevel": "warning",
            "accesslog": None,
            "worker_exit": self._leave,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make()

    def _leave(self, _arbiter: Any, worker: Any) -> None:
        """End the worker for good: Python would wait for the threads of the screens, which end with their screens."""
        self._on_exit()
        if worker.pid != os.getpid():  # gunicorn's master asks too, for a worker it lost
            return
        leaving = sys.exc_info()[1]
        code = leaving.code if isinstance(leaving, SystemExit) and isinstance(leaving.code, int) else 0
        logging.shutdown()
        os._exit(code & 0xFF)


def lower_priority(by: int) -> None:
    """Let the hub's scans go before this process's pages when both want the same core.

    A page's thread that wakes under SCHED_BATCH does not push a running scan aside. Measured with the portal saturated
    on two cores (bench/loaded), medians of seven and six short runs: scan p95 2.4 ms with, 3.7 ms without.
    """
    os.nice(by)
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then pages are only nice
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
