"""Screens that stop reading are cut off and leave nothing behind, while a good screen misses nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.rawsio import RawWs
from tests.support.hub import HubHouse, Line, Screen, cards, wait_for

MakeHouse = Callable[..., HubHouse]


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stalled(house: HubHouse, count: int) -> list[Screen]:
    """Screens that said hello and will never read again."""
    screens = [house.screen(rcvbuf=2048) for _ in range(count)]
    for screen in screens:
        screen.connect()
    return screens


def feed_until_gone(house: HubHouse, good: Screen, before: tuple[int, int], seconds: float) -> float:
    """Scan on while the stalled are cut off; how long until threads and descriptors were back."""
    pid, scanner, known = house.worker(), house.scanners["D-C1"], cards(200)
    begun, n = time.monotonic(), 0
    while True:
        scanner.scan(known[n % 200])
        n += 1
        good.poll_until(lambda n=n: len(good.outcomes) == n, 5)
        now = threads_and_descriptors(pid)
        # pools may have grown by a thread and a HIS connection; twenty stalled screens would leave forty and more
        if now[0] <= before[0] + 4 and now[1] <= before[1] + 2:
            return time.monotonic() - begun
        assert time.monotonic() - begun < seconds, f"still {now} threads and descriptors, not {before}"
        good.poll(0.1)


def baseline(house: HubHouse, good: Screen) -> tuple[int, int]:
    """Threads and descriptors at rest: as many screens have come and gone as are to stall, so pools are filled."""
    pid = house.worker()
    screens = stalled(house, 40)
    full = threads_and_descriptors(pid)
    for screen in screens:
        screen.cut()
    wait_for(lambda: threads_and_descriptors(pid)[1] <= full[1] - 40, 15, "the screens that left to be let go")
    good.poll(0.5)
    return threads_and_descriptors(pid)


def test_twenty_stalled_and_twenty_silent_lines_are_cut_and_leave_nothing_while_a_good_screen_sees_all(
    make_house: MakeHouse,
) -> None:
    """Stalled: said hello and read no more. Silent: a WebSocket that never joins, and never answers a ping."""
    house = make_house(server={"screens": 64})
    house.add_scanner()
    house.start()
    house.await_device()
    good = house.screen()
    good.connect()
    before = baseline(house, good)
    memory = rss_mb(house.worker())
    screens = stalled(house, 20)
    silent = [RawWs(house.port, "/socket.io/?EIO=4&transport=websocket") for _ in range(20)]
    during = threads_and_descriptors(house.worker())
    assert during[1] >= before[1] + 40, "control: they are really connected"
    feed_until_gone(house, good, before, seconds=45)
    assert good.outcomes == ["identified"] * len(good.outcomes)
    assert rss_mb(house.worker()) < memory + 20
    for line in (*screens, *silent):
        line.cut() if isinstance(line, Screen) else line.close()


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_twenty_stalled_screens_for_ten_rounds_leave_nothing(make_house: MakeHouse) -> None:
    house = make_house()
    house.add_scanner()
    house.start()
    house.await_device()
    good = house.screen()
    good.connect()
    before = baseline(house, good)
    for _ in range(10):
        screens = stalled(house, 20)
        good.seen.clear()
        feed_until_gone(house, good, before, seconds=60)
        for screen in screens:
            screen.cut()


UNCUT = """
import web.hub
from hospital.cli import main
web.hub._cut = lambda environ: None
main()
"""


@pytest.mark.soak
def test_without_cutting_the_tcp_line_the_stalled_stay(make_house: MakeHouse) -> None:
    """Control: the ping timeout alone closes the WebSocket and leaves its threads and descriptors."""
    house = make_house(runner=("-c", UNCUT))
    house.add_scanner()
    house.start()
    house.await_device()
    good = house.screen()
    good.connect()
    good.poll(1)
    before = threads_and_descriptors(house.worker())
    screens = stalled(house, 20)
    with pytest.raises(AssertionError, match="threads and descriptors"):
        feed_until_gone(house, good, before, seconds=40)
    for screen in screens:
        screen.cut()


def test_a_connection_that_never_says_hello_makes_room_and_a_greeted_one_stays(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    good, stranger = house.screen(), Line(house.port)
    good.connect()

    def sent_away() -> bool:
        good.poll(0.1)
        list(stranger.poll(0.1))  # it answers pings: only the missing hello gives it away
        return bool(stranger.closed)

    try:
        wait_for(sent_away, 50, "the stranger to be sent away")
        assert good.connected
    finally:
        stranger.close()
        good.cut()
