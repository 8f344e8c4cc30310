"""A small load generator: N kept-alive connections asking one page as fast as it is answered; for machines without wrk.

`python -m bench.peers.page_load PORT PATH CONNECTIONS`; runs until TERM, then prints `answers N errors M`.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys


class Asker:
    """One connection with one request under way."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html\r\n\r\n".encode()
        self.connect()

    def connect(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), 10)
        self.ask()

    def ask(self) -> None:
        self.buf = b""
        self.need = -1
        self.sock.sendall(self.request)

    def receive(self) -> int | None:
        """None while the answer is under way, else its status; 0 when the connection went away."""
        try:
            got = self.sock.recv(262144)
        except OSError:
            return 0
        if not got:
            return 0
        self.buf += got
        if self.need < 0 and (end := self.buf.find(b"\r\n\r\n")) >= 0:
            head = self.buf[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.need = end + 4 + size
        if self.need < 0 or len(self.buf) < self.need:
            return None
        return int(self.buf.split(b" ", 2)[1])


def main(port: int, path: str, connections: int) -> None:
    os.nice(10)  # it stands for phones elsewhere: it takes what this machine leaves over, not the service's share
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    answers = errors = 0
    poll = selectors.DefaultSelector()
    for _ in range(connections):
        asker = Asker(port, path)
        poll.register(asker.sock, selectors.EVENT_READ, asker)
    print("loading", flush=True)
    while not stop:
        for key, _ in poll.select(0.2):
            asker = key.data
            status = asker.receive()
            if status is None:
                continue
            closed = status == 0 or b"connection: close" in asker.buf[:1000].lower()
            answers += status > 0
            errors += not 200 <= status < 400
            if closed:
                poll.unregister(asker.sock)
                asker.sock.close()
                asker.connect()
                poll.register(asker.sock, selectors.EVENT_READ, asker)
            else:
                asker.ask()
    print("answers", answers, "errors", errors, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
