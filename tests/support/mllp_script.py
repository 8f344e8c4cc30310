"""A receiver whose answers a test writes: bytes, in pieces, late, wrong or never."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI
from his.adapter import Call
from his.hl7v2 import OPTIONS, make
from his.port import PayMethod, RegistrationOrder, TopUpOrder
from tests.contracts.subject_hl7v2 import ANSWERS, OPERATIONS

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)
ORDER = RegistrationOrder("k1", "P0000021", "600000000357", "S1", "SL1", 1250, provider_trade_no="T1")
TOP_UP = TopUpOrder("k2", "P0000021", "600000000357", 1234, PayMethod.WECHAT, "W1", NOW)


def soon(seconds: float = 5.0) -> Call:
    return Call(time.monotonic() + seconds)


def adapter(port: int, **more: Any) -> Any:
    return make(
        OPTIONS(
            **{
                "host": "127.0.0.1",
                "port": port,
                "operations": OPERATIONS,
                "txn_no": "ZTX-1",
                "answers": ANSWERS,
                **more,
            }
        )
    )


def ack(message: bytes, code: str, *more: str, control_id: str | None = None) -> bytes:
    asked = message.split(b"\r")[0].decode("latin-1").split("|")
    head = f"MSH|^~\\&|HIS||PALM||20261124||ACK^{asked[8].split('^')[1]}|X1|P|2.5||||||UNICODE UTF-8"
    return framed("\r".join([head, f"MSA|{code}|{asked[9] if control_id is None else control_id}", *more]) + "\r")


def framed(text: str) -> bytes:
    return b"\x0b" + text.encode() + b"\x1c\r"


def rsp(message: bytes, status: str, *pids: str, code: str = "AA") -> bytes:
    control_id = message.split(b"\r")[0].decode().split("|")[9]
    return ack(message, code, f"QAK|{control_id}|{status}", "QPD|Q22", *pids)


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
