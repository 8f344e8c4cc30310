"""How the service listens: gunicorn's threads, behind a gate that no half-sent request passes."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import TConn, ThreadWorker

SPARE_THREADS = 32
"""Threads beyond one per screen: pages, scans made elsewhere, health checks."""
_HEADERS_MAX = 64 * 1024
_HEADER_END = b"\r\n\r\n"


class GatedWorker(ThreadWorker):
    """A connection gets a thread only once its request headers are all there.

    gunicorn gives a thread to every connection that has sent a byte, so 40 half-sent requests starve 20 threads
    for good. Here the poller peeks (MSG_PEEK, and SO_RCVLOWAT so that it wakes only for more bytes) until the
    headers are complete, and drops a client that takes longer than ``header_deadline_s``.
    """

    header_deadline_s = 10.0
    on_stop: Callable[[], None] = staticmethod(lambda: None)
    """Ends what would keep its thread for ever: the screens' connections."""

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
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        self._wait_for_headers(conn)

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
            seen = conn.sock.recv(_HEADERS_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            seen = b""
        if seen and _HEADER_END not in seen and len(seen) < _HEADERS_MAX:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + 1)
            return False
        if conn.sock.fileno() in self.poller.get_map():
            self.poller.unregister(conn.sock)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        conn.sock.setblocking(True)
        conn.data_ready = True
        self.enqueue_req(conn)
        return True


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
    """Let the hub's scans go before this process's pages when both want the same core."""
    os.nice(by)
