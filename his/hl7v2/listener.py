"""MLLP in: a bounded server that answers a message only after its events are stored.

A crash between storing and answering makes the sender send again; the store drops what it has by (source, control id)
and the answer is AA. Who may connect is decided by address before a byte is read; a connection has one thread, a time
in which a message must be whole, and a size no message may pass.
"""

import ipaddress
import logging
import select
import socket
import threading
import time
from collections.abc import Callable

from his.hl7v2.answering import Answerer, Store
from his.hl7v2.framing import Framer, FrameTooLarge, frame
from his.hl7v2.options import ListenerOptions

log = logging.getLogger("his.hl7v2")
_CHUNK = 64 * 1024
_PAUSE_S = 0.5
_SEND_S = 10.0
"""A peer that does not take its acknowledgement for so long is gone."""


class MllpListener:
    """Listens from `start` to `stop`; see `Answerer` for what is answered."""

    def __init__(self, options: ListenerOptions, store: Store) -> None:
        self._options = options
        self._answerer = Answerer(options, store)
        self._networks = [ipaddress.ip_network(peer) for peer in options.peers]
        self._lock = threading.Lock()
        self._peers: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._server: socket.socket | None = None
        self._stopping = False

    @property
    def port(self) -> int:
        """Where it listens; of use when the option was 0."""
        assert self._server is not None
        return int(self._server.getsockname()[1])

    def start(self) -> None:
        """Listen; OSError when the address is taken or not ours."""
        family = socket.AF_INET6 if ":" in self._options.host else socket.AF_INET
        self._server = socket.create_server((self._options.host, self._options.port), family=family, backlog=16)
        self._spawn(self._accept, self._server)

    def stop(self) -> None:
        """Close everything; a message being stored is finished first, its answer may not go out."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        with self._lock:
            peers, threads = list(self._peers), list(self._threads)
        for peer in peers:
            _hang_up(peer)
        for thread in threads:
            thread.join(5)

    def _spawn(self, work: Callable[[socket.socket], None], sock: socket.socket) -> None:
        def run() -> None:
            try:
                work(sock)
            except Exception:
                log.exception("mllp: a connection ended badly")
            finally:
                with self._lock:
                    self._peers.discard(sock)
                    self._threads.discard(threading.current_thread())
                sock.close()

        thread = threading.Thread(target=run, name="mllp", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the listener itself must go on
            log.warning("mllp: closed a connection: there is no thread for it")
            with self._lock:
                self._peers.discard(sock)
                self._threads.discard(thread)
            sock.close()

    def _accept(self, server: socket.socket) -> None:
        while not self._stopping:
            try:
                if not select.select([server], [], [], 0.5)[0]:
                    continue
                peer, address = server.accept()
            except (OSError, ValueError) as exc:
                if self._stopping:
                    return
                log.warning("mllp: a connection could not be taken: %s", exc)  # such as too many open files
                time.sleep(_PAUSE_S)
                continue
            if not self._may(str(address[0])):
                log.warning("mllp: refused a connection from %s", address[0])
                peer.close()
                continue
            with self._lock:
                room = len(self._peers) < self._options.connections
                if room:
                    self._peers.add(peer)
            if room:
                self._spawn(self._serve, peer)
            else:
                log.warning("mllp: closed a connection from %s: %d are open", address[0], self._options.connections)
                peer.close()

    def _may(self, address: str) -> bool:
        who = ipaddress.ip_address(address.removeprefix("::ffff:").partition("%")[0])
        return any(who in network for network in self._networks)

    def _serve(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        framer = Framer(self._options.frame_cap_kib * 1024)
        until = time.monotonic() + self._options.idle_s
        while not self._stopping:
            was_open = framer.open
            try:
                peer.settimeout(max(0.001, until - time.monotonic()))
                data = peer.recv(_CHUNK)
                messages = framer.feed(data)
            except TimeoutError:
                log.warning("mllp: closed a %s connection", "slow" if framer.open else "silent")
                return
            except FrameTooLarge:
                log.warning("mllp: closed a connection: a message of more than %d KiB", self._options.frame_cap_kib)
                return
            except OSError:
                return
            if not data:
                return
            for message in messages:
                if not self._reply(peer, message):
                    return
            if messages or framer.open != was_open:  # noise and drips within a message prolong nothing
                until = time.monotonic() + (self._options.frame_s if framer.open else self._options.idle_s)

    def _reply(self, peer: socket.socket, message: bytes) -> bool:
        answers = self._answerer.answer(message)
        try:
            peer.settimeout(_SEND_S)
            peer.sendall(b"".join(map(frame, answers)))
        except OSError:
            return False
        return True


def _hang_up(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
