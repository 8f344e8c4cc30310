"""A screen's line: never waits for a screen, keeps the order, lets nothing between two halves of a frame."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time

import pytest
from simple_websocket import ConnectionClosed

from web.line import Line, LineSocket, event_frame, short_text, still_owed


@pytest.fixture
def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def read(theirs: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += theirs.recv(65536)
    return got


def test_a_frame_goes_out_on_the_calling_thread_when_the_screen_reads(pair) -> None:
    ours, theirs = pair
    assert Line(ours).deliver(b"frame")
    assert theirs.recv(100) == b"frame"


def test_a_screen_that_does_not_read_costs_the_caller_no_time_and_loses_no_byte(pair) -> None:
    ours, theirs = pair
    line = Line(ours)
    frames = [b"%04d" % n + b"x" * 2000 for n in range(200)]
    begun = time.monotonic()
    taken = [line.deliver(frame) for frame in frames]
    assert time.monotonic() - begun < 0.5
    assert taken[0]
    assert not taken[-1]
    assert line.late > 100
    writer = threading.Thread(target=line.send, args=(b"ping",))
    writer.start()
    assert read(theirs, 200 * 2004 + 4) == b"".join(frames) + b"ping"
    writer.join(5)
    assert line.late == 0
    assert line.deliver(b"next")


def test_without_the_line_the_same_caller_would_wait_for_the_screen(pair) -> None:
    """The control: the plain blocking send that the stock transport uses does block here."""
    ours, _theirs = pair
    ours.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ours.sendall(b"x" * 2000 * 200)


def test_while_a_writer_is_stuck_events_wait_behind_it_in_order(pair) -> None:
    ours, theirs = pair
    line = Line(ours)
    big = b"P" * 300_000
    writer = threading.Thread(target=line.send, args=(big,))
    writer.start()
    time.sleep(0.1)
    assert [line.deliver(b"a"), line.deliver(b"b")] == [False, False]
    waker = threading.Thread(target=line.send, args=(b"noop",))
    waker.start()
    assert read(theirs, len(big) + 6) == big + b"abnoop"
    writer.join(5)
    waker.join(5)


def test_a_screen_that_is_gone_is_no_error_for_the_scan(pair) -> None:
    ours, theirs = pair
    theirs.close()
    line = Line(ours)
    assert line.deliver(b"frame")
    assert line.deliver(b"frame")


@pytest.mark.parametrize(("text", "head"), [("x" * 10, 2), ("x" * 200, 4), ("x" * 70_000, 10)])
def test_an_event_is_one_final_unmasked_text_frame_of_its_true_length(text: str, head: int) -> None:
    frame = event_frame("/screens", "scan", {"seq": 1, "say": text})
    assert frame[0] == 0x81
    body = frame[head:].decode()
    assert body.startswith('42/screens,["scan",{')
    size = frame[1]
    assert size == (len(body.encode()) if head == 2 else 126 if head == 4 else 127)
    if head > 2:
        assert int.from_bytes(frame[2:head], "big") == len(body.encode())


# ---------------------------------------------------------------- what comes in


def masked(data: bytes, opcode: int = 1, *, final: bool = True, mask: bytes = b"\x11\x92\x33\xf4") -> bytes:
    size = len(data)
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += struct.pack("!B", 0x80 | size)
    elif size < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


@pytest.fixture
def screen(pair) -> tuple[LineSocket, socket.socket]:
    ours, theirs = pair
    environ = {
        "gunicorn.socket": ours, "REQUEST_METHOD": "GET", "SERVER_NAME": "h", "SERVER_PORT": "1", "RAW_URI": "/",
        "PATH_INFO": "/", "QUERY_STRING": "", "HTTP_HOST": "h", "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade", "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "HTTP_SEC_WEBSOCKET_VERSION": "13", "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate",
    }  # fmt: skip
    line = LineSocket(environ)
    answer = theirs.recv(4096)
    assert b" 101 " in answer
    assert b"deflate" not in answer.lower()
    return line, theirs


def test_messages_come_whole_and_in_order_however_their_bytes_are_cut(screen) -> None:
    line, theirs = screen
    rng = random.Random(3)
    sent: list[str] = []
    wire = b""
    for n in range(400):
        text = f"4{n}" + "中a" * rng.choice((0, 1, 5, 20, 40, 60, 300, 30_000 if n % 40 == 0 else 2))
        if n % 7 == 3:
            data = text.encode()
            wire += masked(data[:5], final=False) + masked(b"hi", 9) + masked(data[5:], 0)
        else:
            wire += masked(text.encode(), mask=rng.randbytes(4))
        sent.append(text)

    def write() -> None:
        at = 0
        while at < len(wire):
            step = rng.choice((1, 2, 3, 7, 30, 200, 5000))
            theirs.sendall(wire[at : at + step])
            at += step
            if rng.random() < 0.2:
                time.sleep(0.0005)

    def swallow() -> None:
        with contextlib.suppress(OSError):  # the pongs; the socket is closed below
            while theirs.recv(65536):
                pass

    threads = [threading.Thread(target=run) for run in (write, swallow)]
    for thread in threads:
        thread.start()
    assert [line.receive() for _ in sent] == sent
    threads[0].join(5)
    theirs.shutdown(socket.SHUT_RDWR)
    threads[1].join(5)


def test_acks_are_taken_without_waking_anybody(screen) -> None:
    line, theirs = screen
    theirs.sendall(masked(b'42/screens,["ack",{"seq":5}]'))
    theirs.sendall(masked(b"3"))
    assert line.receive() == "3"


def test_a_screen_that_hangs_up_or_breaks_the_rules_is_closed(screen) -> None:
    line, theirs = screen
    theirs.sendall(masked(b"\xff\xfe"))
    with pytest.raises(ConnectionClosed):
        line.receive()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x81", masked(b"x" * 126), masked(b"ab", 2), masked(b"ab", final=False), masked(b"ab") + masked(b"c"),
     masked(b"ab")[:-1], b"\x81\x02ab", b"\xc1" + masked(b"ab")[1:], masked(b"\xff")],
)  # fmt: skip
def test_anything_but_one_short_whole_masked_text_is_left_to_wsproto(data: bytes) -> None:
    assert short_text(data) is None


def test_the_count_of_bytes_owed_finds_every_frames_beginning() -> None:
    frames = [masked(b"x" * size) for size in (0, 5, 125, 126, 300, 70_000)]
    wire = b"".join(frames)
    assert still_owed(wire, 0) == 0
    assert still_owed(wire[:-3], 0) == 3
    assert still_owed(b"abc" + frames[1], 3) == 0
    assert still_owed(b"abc", 10) == 7
    assert still_owed(wire + b"\x81", 0) is None
    assert still_owed(masked(b"x" * 300)[:3], 0) is None
