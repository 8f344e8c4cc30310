"""Half-sent requests take no thread: good ones are answered at once, the others are dropped at their deadline."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hub import HubHouse, wait_for

MakeHouse = Callable[..., HubHouse]
HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /screens/C1/pair HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n{"
DEADLINE_S = 2.0
THREADS = 33


@contextlib.contextmanager
def half_open(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections that have sent that much of a request and no more."""
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(socket.create_connection(("127.0.0.1", port), 5))
            made[-1].sendall(sent)
        yield made
    finally:
        for sock in made:
            sock.close()


def answered(port: int, timeout: float = 5.0) -> float:
    """Seconds one good request takes."""
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=timeout) as answer:
        assert answer.status == 200
    return time.monotonic() - begun


def dropped(sock: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection within so many seconds."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            if not sock.recv(4096):
                return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True
    return False


def drip(sock: socket.socket, seconds: float) -> None:
    """A byte now and then, until the line is gone or the time is up."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        sock.sendall(b"x")
        time.sleep(0.2)


def reply(sock: socket.socket) -> bytes:
    """One whole answer."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(4096)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += sock.recv(4096)
    return head


@pytest.fixture(scope="module")
def small(shared_houses: MakeHouse) -> HubHouse:
    """A hub with one screen's thread and the spare ones."""
    house = shared_houses(server={"screens": 1, "header_deadline_s": DEADLINE_S})
    house.start()
    return house


@pytest.mark.parametrize("sent", [HALF, BODY], ids=["headers", "body"])
def test_two_hundred_half_sent_requests_delay_nobody_and_are_dropped_at_their_deadline(
    small: HubHouse, sent: bytes
) -> None:
    with half_open(small.port, 200, sent) as lines:
        opened = time.monotonic()
        took = [answered(small.port) for _ in range(20)]
        assert max(took) < 1
        screen = small.screen()
        assert screen.connect()["ok"], "a screen gets in too"
        screen.cut()
        assert all(dropped(sock, 3 * DEADLINE_S) for sock in lines)
        assert time.monotonic() - opened < DEADLINE_S + 3
    assert answered(small.port) < 1


def test_a_request_that_drips_is_dropped_and_one_in_pieces_is_answered(small: HubHouse) -> None:
    with half_open(small.port, 1, HALF) as (dripping,), pytest.raises(ConnectionError):
        drip(dripping, DEADLINE_S + 3)
    body = json.dumps({"code": "AAAA-AAAA"}).encode()
    pieces = [
        b"POST /screens/C1/pa", b"ir HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n",
        b"Content-Length: %d\r" % len(body), b"\n\r\n", body[:5], body[5:],
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", small.port), 5) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.1)
        sock.settimeout(3)
        answer = b""
        while more := sock.recv(4096):
            answer += more
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"pairing.refused" in answer


def test_a_kept_alive_connection_serves_again_and_a_request_that_waits_for_leave_gets_it(small: HubHouse) -> None:
    with socket.create_connection(("127.0.0.1", small.port), 5) as sock:
        sock.settimeout(5)
        for _ in range(3):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reply(sock).startswith(b"HTTP/1.1 200")
            time.sleep(0.1)
        body = b'{"code": "AAAA-AAAA"}'
        sock.sendall(
            b"POST /screens/C1/pair HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert reply(sock).startswith(b"HTTP/1.1 403")


def test_a_body_too_large_to_look_at_is_dropped_when_it_stops_coming(small: HubHouse) -> None:
    head = (
        b"POST /screens/C1/pair HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
    )
    with half_open(small.port, THREADS + 10, head + b"x" * 1000) as lines:
        time.sleep(DEADLINE_S + 1)
        assert answered(small.port) < 1
        assert all(dropped(sock, 3 * DEADLINE_S) for sock in lines)


def test_clients_that_do_not_close_after_their_answer_delay_nobody(small: HubHouse) -> None:
    """gunicorn waits two seconds for each of them in the thread that accepts."""
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with half_open(small.port, 10, asked) as lines:
        assert all(reply(sock).startswith(b"HTTP/1.1 200") for sock in lines)
        assert max(answered(small.port) for _ in range(5)) < 1
        assert all(dropped(sock, 5) for sock in lines)
    assert answered(small.port) < 1


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_clients_that_hang_up_in_the_middle_are_let_go_at_once_and_cost_nothing(small: HubHouse) -> None:
    time.sleep(1)
    with half_open(small.port, 50, HALF) as lines:
        for sock in lines:
            sock.shutdown(socket.SHUT_WR)
        assert all(dropped(sock, 1) for sock in lines)
        before = cpu_seconds(small.worker())
        time.sleep(1)
        assert cpu_seconds(small.worker()) - before < 0.3


PLAIN = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_plain_gunicorn_with_as_many_threads_starves_and_waits_for_those_who_do_not_close(tmp_path: Path) -> None:
    """Control: the same 200 half-sent requests before gunicorn's own thread worker."""
    (tmp_path / "plain.py").write_text(PLAIN)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", str(THREADS), "-b", f"127.0.0.1:{port}",
        "--log-level", "critical", "plain:app",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=tmp_path)
    try:

        def up() -> bool:
            with contextlib.suppress(OSError):
                return answered(port) >= 0
            return False

        wait_for(up, 20, "plain gunicorn")
        with half_open(port, 3, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            time.sleep(0.3)
            with pytest.raises(TimeoutError):
                answered(port, timeout=1)
        with half_open(port, 200, HALF), pytest.raises(TimeoutError):
            answered(port, timeout=4)
    finally:
        server.terminate()
        try:
            server.wait(3)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
