"""A screen's line: never waits for a screen, keeps the order, lets nothing between two halves of a frame."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from web.line import Line, event_frame


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
