"""A receiver whose answers a test writes: bytes, in pieces, late, wrong or never."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable


class Script:
    """Answers each message with what `answer` gives: pieces of bytes; None closes the connection."""

    def __init__(self, answer: Callable[[bytes], Iterable[bytes | None]], tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.port = int(self._server.getsockname()[1])
        self.messages: list[bytes] = []
        self.connections = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Script:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in list(self._threads):
            thread.join(15)
        self._server.close()

    def _spawn(self, work: Callable[..., None], *more: socket.socket) -> None:
        thread = threading.Thread(target=work, args=more, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._spawn(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        if self._tls is not None:
            peer.settimeout(5)
            try:
                peer = self._tls.wrap_socket(peer, server_side=True)
            except OSError:
                peer.close()
                return
        peer.settimeout(0.1)
        held = b""
        with peer:
            while not self._stop.is_set():
                try:
                    piece = peer.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not piece:
                    return
                held += piece
                while b"\x1c\r" in held:
                    message, _, held = held.partition(b"\x1c\r")
                    self.messages.append(message.lstrip(b"\x0b"))
                    if not self._say(peer, self.messages[-1]):
                        return

    def _say(self, peer: socket.socket, message: bytes) -> bool:
        for piece in self._answer(message):
            if piece is None or self._stop.is_set():
                return False
            try:
                peer.sendall(piece)
            except OSError:
                return False
        return True
