"""Pings: one thread for all screens, spread over time, none for a screen that is gone."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass

from engineio.packet import PING, PONG, Packet
from engineio.server import Server
from engineio.socket import Socket

from web import pings
from web.pings import EARLIEST, Pinger


@dataclass
class Screen:
    """What a pinger needs of an engine.io socket."""

    name: int
    closing: bool = False
    closed: bool = False
    last_ping: float | None = None


def wait_until(condition, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_screens_that_came_together_are_pinged_apart_within_the_interval_and_by_one_thread() -> None:
    sent: list[tuple[float, str]] = []
    pinger = Pinger(1.0, lambda _: sent.append((time.monotonic(), threading.current_thread().name)))
    begun = time.monotonic()
    for n in range(200):
        pinger.schedule(Screen(n))
    wait_until(lambda: len(sent) == 200)
    after = sorted(at - begun for at, _ in sent)
    assert after[0] > EARLIEST - 0.05
    assert after[-1] < 1.0 + 0.5
    busiest = max(sum(low <= at < low + 0.1 for at in after) for low in after)
    assert busiest < 150, "two hundred at once is what the stock server does"
    assert {name for _, name in sent} == {"pings"}


def test_a_screen_that_is_gone_is_not_pinged_and_one_that_comes_later_is() -> None:
    sent: list[int] = []
    pinger = Pinger(0.05, lambda screen: sent.append(screen.name))
    gone, there = Screen(1), Screen(2)
    pinger.schedule(gone)
    gone.closed = True
    time.sleep(0.1)
    pinger.schedule(there)
    wait_until(lambda: sent == [2])
    assert gone.last_ping is None
    assert abs(there.last_ping - time.time()) < 5


def test_a_sooner_ping_does_not_wait_for_a_later_one() -> None:
    sent: list[int] = []
    pinger = Pinger(60.0, lambda screen: sent.append(screen.name))
    pinger.schedule(Screen(1))
    pinger._interval_s = 0.05
    pinger.schedule(Screen(2))
    wait_until(lambda: sent == [2])


def test_engine_io_starts_no_thread_for_a_pong_and_the_next_ping_comes() -> None:
    """Fails when engine.io moves what we reach into."""
    eio = Server(async_mode="threading", ping_interval=0.05)
    pings.install(eio)
    screen = Socket(eio, "sid")
    screen.schedule_ping()
    for turn in itertools.count(1):
        assert screen.queue.get(timeout=5).packet_type == PING, turn
        if turn == 5:
            break
        before = threading.active_count()
        screen.receive(Packet(PONG))
        assert threading.active_count() <= before
    ran = threading.Event()
    eio.start_background_task(ran.set).join(5)
    assert ran.is_set(), "everything else still gets its thread"
