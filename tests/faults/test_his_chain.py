"""The HIS slow, down or talking rubbish, through pty, supervisor, service and socket: said in time, well again alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.hub import HubHouse, cards
from tests.support.sims import HisSim

MakeHouse = Callable[..., HubHouse]
DEADLINE_S = 0.6


@pytest.mark.timeout(120)
def test_each_fault_is_said_within_its_deadline_and_the_next_scan_after_it_is_identified(
    make_house: MakeHouse, his: HisSim
) -> None:
    house = make_house(scan_deadline_ms=int(DEADLINE_S * 1000))
    scanner = house.add_scanner()
    house.start()
    house.await_device()
    screen = house.screen()
    screen.connect()
    known = iter(cards(200))
    for mode in ("slow", "hang", "drip", "reset", "html500", "garbage", "truncated", "down"):
        his.fault(mode, ms=5000 if mode == "slow" else 100)
        screen.poll(0)
        had, begun = len(screen.outcomes), time.monotonic()
        scanner.scan(next(known))
        screen.poll_until(lambda had=had: len(screen.outcomes) > had, 5)
        took = time.monotonic() - begun
        assert screen.outcomes[-1] == "his_unavailable", mode
        assert took < DEADLINE_S + 0.5, f"{mode}: {took:.2f} s to the screen"
        his.fault("none")
        begun = time.monotonic()
        while screen.outcomes[-1] != "identified":
            assert time.monotonic() - begun < 10, f"not well again after {mode}"
            had = len(screen.outcomes)
            scanner.scan(next(known))
            screen.poll_until(lambda had=had: len(screen.outcomes) > had, 5)
    assert screen.seqs == sorted(set(screen.seqs))


def test_the_lamp_of_the_his_goes_out_and_on_by_itself(make_house: MakeHouse, his: HisSim) -> None:
    house = make_house()
    house.start()
    screen = house.screen()
    screen.connect()

    def lamps() -> list[str]:
        return [body["state"] for kind, _, body in screen.seen if kind == "notice" and body["kind"] == "his"]

    his.fault("down")
    screen.poll_until(lambda: lamps() == ["offline"], 8)
    assert house.get("/readyz")[0] == 503
    his.fault("none")
    screen.poll_until(lambda: lamps() == ["offline", "online"], 12)
    assert house.get("/readyz")[0] == 200
    late = house.screen()
    assert late.connect()["snapshot"]["his"] == {"state": "online"}


def test_the_reader_never_waits_readings_queue_and_what_does_not_fit_is_said_to_be_too_fast(
    make_house: MakeHouse, his: HisSim
) -> None:
    house = make_house(scan_deadline_ms=2000)
    scanner = house.add_scanner()
    house.start()
    house.await_device()
    screen = house.screen()
    screen.connect()
    held = cards(100)
    his.fault("slow", ms=1200, ops=["query_patient"])
    begun = time.monotonic()
    scanner.burst(held, every=0.01)
    screen.poll_until(lambda: screen.outcomes.count("busy") >= len(held) - 66, 5)
    assert time.monotonic() - begun < 4, "a refusal comes at once, not after those before it"
    assert screen.outcomes.count("identified") < 5
    his.fault("none")
    screen.poll_until(lambda: len(screen.outcomes) == len(held), 10)
    counted = Counter(screen.outcomes)
    assert counted.keys() == {"identified", "busy"}
    assert counted["identified"] >= 64, "all that fitted were handled"
    assert screen.seqs == sorted(set(screen.seqs))
    in_order = [body["patient"]["card_last4"] for kind, _, body in screen.seen if body.get("outcome") == "identified"]
    assert in_order == [card[-4:] for card in held if card[-4:] in set(in_order)], "in the order they were held up"
    scanner.scan(held[-1])
    screen.poll_until(lambda: len(screen.outcomes) == len(held) + 1, 5)
    assert screen.outcomes[-1] == "identified", "what was refused may be held up again at once"
