"""Screens cut, servers killed with -9: what a screen saw is exactly what was stored, in order, once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hub import HubHouse, Screen, cards, wait_for

MakeHouse = Callable[..., HubHouse]


class Feed(threading.Thread):
    """Holds cards before the scanner, one every ``every`` seconds; ``gate`` shuts while no hub is there to read."""

    def __init__(self, house: HubHouse, count: int, every: float) -> None:
        super().__init__(daemon=True)
        known = cards(300)
        self._sim = house.scanners["D-C1"]
        self._texts = [known[n % len(known)] for n in range(count)]
        self._every = every
        self.sent = 0
        self.gate = threading.Event()
        self.gate.set()

    def run(self) -> None:
        for n, text in enumerate(self._texts):
            self.gate.wait()
            self._sim.scan(text)
            self.sent = n + 1
            time.sleep(self._every)


def assert_saw_exactly_what_was_stored(house: HubHouse, screen: Screen) -> None:
    """0 missed, 0 doubled, in order, each body as stored."""
    stored = [(event.kind, event.seq, {**event.body, "seq": event.seq}) for event in house.events()]
    assert [seq for _, seq, _ in stored] == list(range(1, len(stored) + 1)), "the list itself has no hole"
    assert screen.seqs == [seq for _, seq, _ in stored]
    assert screen.seen == stored


def cuts_while_scanning(house: HubHouse, events: int, cuts: int, kills: int, every: float) -> tuple[Screen, Screen]:
    """A careful screen and a forgetful one under the same cuts, ``kills`` of them kill -9; both caught up at the end."""
    careful, forgetful = house.screen(), house.screen(forgetful=True)
    careful.last_seq = 0
    dice = random.Random(2)
    feed = Feed(house, events, every)
    careful.connect()
    forgetful.connect()
    feed.start()
    kill_at = set(dice.sample(range(cuts), kills))
    for cut in range(cuts):
        while feed.sent < (cut + 0.5) * events / cuts and feed.is_alive():
            careful.poll(0.01)
            forgetful.poll(0)
        if cut in kill_at:
            house.kill()  # in the middle of the feed: what is on its way now is lost with the machine
            feed.gate.clear()
            house.start()
            house.await_device()
            feed.gate.set()
        else:
            careful.cut()
            forgetful.cut()
            time.sleep(dice.uniform(0, 3 * every))
        careful.reconnect()
        forgetful.reconnect()
    feed.join(120)
    wait_for(lambda: quiet(careful, forgetful), 30, "the last scan")
    return careful, forgetful


def quiet(*screens: Screen) -> bool:
    """Nothing new for half a second: the queue of the scanner is empty."""
    before = [len(screen.seen) for screen in screens]
    for screen in screens:
        screen.poll(0.25)
    return [len(screen.seen) for screen in screens] == before


def test_ten_cuts_and_two_kills_over_a_hundred_scans_miss_and_double_nothing(make_house: MakeHouse) -> None:
    house = make_house()
    house.add_scanner()
    house.start()
    house.await_device()
    careful, forgetful = cuts_while_scanning(house, events=100, cuts=10, kills=2, every=0.06)
    assert_saw_exactly_what_was_stored(house, careful)
    assert len(careful.outcomes) >= 90, "only what was on its way at a kill is not there"
    assert set(careful.outcomes) == {"identified"}
    assert len(forgetful.seqs) < len(careful.seqs), "control: without last_seq events are missed"


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_cuts_over_a_thousand_scans_miss_and_double_nothing(make_house: MakeHouse) -> None:
    house = make_house()
    house.add_scanner()
    house.start()
    house.await_device()
    careful, forgetful = cuts_while_scanning(house, events=1000, cuts=100, kills=20, every=0.1)
    assert_saw_exactly_what_was_stored(house, careful)
    assert len(careful.outcomes) >= 900
    assert len(forgetful.seqs) < len(careful.seqs), "control: without last_seq events are missed"


KILLED_BEFORE_PUSH = """
import os, signal, sys
from hospital.cli import main
from web.hub import Hub
def die(self, station, event, body, text=""):
    if event == "scan": os.kill(os.getpid(), signal.SIGKILL)
Hub.push = die
main()
"""


def test_a_scan_stored_but_not_pushed_before_kill_minus_nine_arrives_after_the_restart(make_house: MakeHouse) -> None:
    house = make_house(runner=("-c", KILLED_BEFORE_PUSH))
    scanner = house.add_scanner()
    house.start()
    house.await_device()
    screen = house.screen()
    screen.last_seq = 0
    screen.connect()
    dying = house.worker()
    scanner.scan(cards(1)[0])
    wait_for(lambda: not Path(f"/proc/{dying}").exists() or house.worker() != dying, 10, "the worker's death")
    house.kill()
    assert [event.kind for event in house.events()].count("scan") == 1
    assert "identified" not in screen.outcomes, "it was never pushed"
    house.runner = ("-m", "hospital")
    house.start()
    screen.reconnect()
    screen.poll_until(lambda: screen.outcomes == ["identified"])
    house.await_device()
    scanner.scan(cards(2)[1])
    screen.poll_until(lambda: screen.outcomes == ["identified"] * 2)
    assert_saw_exactly_what_was_stored(house, screen)


def test_a_killed_worker_is_replaced_and_everybody_is_back_within_five_seconds(make_house: MakeHouse) -> None:
    house = make_house()
    scanner = house.add_scanner()
    house.start()
    house.await_device()
    screens = [house.screen() for _ in range(10)]
    for screen in screens:
        screen.connect()
    killed = time.monotonic()
    os.kill(house.worker(), signal.SIGKILL)
    for screen in screens:
        screen.reconnect(10)
    assert time.monotonic() - killed < 5
    house.await_device()
    scanner.scan(cards(1)[0])
    for screen in screens:
        screen.poll_until(lambda screen=screen: screen.outcomes == ["identified"])


def test_when_only_the_master_is_killed_a_new_start_on_the_same_port_succeeds(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    screen = house.screen()
    screen.connect()
    orphan = house.worker()
    os.kill(house.proc.pid, signal.SIGKILL)
    house.proc.wait()
    wait_for(lambda: not Path(f"/proc/{orphan}").exists(), 10, "the orphan's end, although a screen is connected")
    house.start()
    assert screen.reconnect() < 5


def test_sigterm_ends_the_hub_in_time_with_screens_connected(make_house: MakeHouse) -> None:
    house = make_house()
    house.add_scanner()
    house.start()
    house.await_device()
    screens = [house.screen() for _ in range(5)]
    for screen in screens:
        screen.connect()
    assert house.stop() < 10
    assert "Traceback" not in house.said(), house.said()
