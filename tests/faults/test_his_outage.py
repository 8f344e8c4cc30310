"""A HIS that is gone for minutes while fifty people read their reports and the counter goes on scanning."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import requests

from core.clock import SHANGHAI
from core.ids import new_id, new_token
from his.port import Ctx, PatientQuery
from store.port import Binding, BindingKind
from tests.support.hub import HubHouse, cards
from tests.support.sims import HisSim

USERS = 50
PROBE_S, FAIL_MAX, PAGE_CALLS = 10.0, 5, 8
STALE = "医院系统暂时没有回应"
PAGE_DEADLINE_S = 8.0


@dataclass
class Reader:
    """One person who opens the report list again and again. `seen`: (when, seconds, status, stale)."""

    url: str
    cookie: str
    http: requests.Session = field(default_factory=requests.Session)
    seen: list[tuple[float, float, int, bool]] = field(default_factory=list)

    def look(self) -> tuple[float, float, int, bool]:
        begun = time.monotonic()
        answer = self.http.get(self.url, cookies={"hospital": self.cookie}, timeout=30)

        self.seen.append((begun, time.monotonic() - begun, answer.status_code, STALE in answer.text))
        return self.seen[-1]

    def read_on(self, until: threading.Event) -> None:
        while not until.wait(1.0):
            self.look()


def readers(house: HubHouse, patients: list[tuple[str, str]]) -> list[Reader]:
    """Signed in, each with a card bound; `patients`: (card number, patient id)."""
    made, now = [], datetime.now(SHANGHAI)
    with house.opened() as store:
        for number, patient_id in patients:
            follower = store.followers.seen(f"outage-{number}", now)
            binding = Binding(new_id(), follower.id, BindingKind.CARD, number, patient_id, "王小明", now, number)
            binding = store.bindings.add(binding, now)
            token = new_token()
            store.sessions.save(token, {"follower": follower.id, "csrf_token": "c"}, now + timedelta(hours=1))
            made.append(Reader(f"http://127.0.0.1:{house.port}/portal/cards/{binding.id}/reports", token))
    return made


@pytest.fixture
def at_work(make_house: Callable[..., HubHouse]) -> HubHouse:
    house = make_house(
        role="all",
        guard={
            "breaker_probe_ms": int(PROBE_S * 1000), "breaker_failures": FAIL_MAX, "page_calls": PAGE_CALLS,
            "report_ms": 3000, "read_ms": 3000,
        },
    )  # fmt: skip
    house.add_scanner()
    house.start()
    house.await_device()
    return house


@pytest.mark.parametrize("seconds", [26, pytest.param(300, marks=pytest.mark.soak)])
@pytest.mark.timeout(500)
def test_while_the_his_is_gone_pages_show_what_it_last_said_and_nobody_hammers_it(
    at_work: HubHouse, his: HisSim, seconds: int
) -> None:
    people = [(card, f"P{int(card[2:]) // 17:07d}") for card in cards(USERS)]
    crowd = readers(at_work, people)
    screen = at_work.screen()
    screen.connect()
    scanner = at_work.scanners["D-C1"]
    for reader in crowd:
        assert reader.look()[2:] == (200, False), "before the outage every list is fresh"

    stop = threading.Event()
    threads = [threading.Thread(target=reader.read_on, args=(stop,)) for reader in crowd]
    his.fault("hang")
    gone = time.monotonic()
    before = total(his)
    for thread in threads:
        thread.start()
    time.sleep(6)  # the first calls run into their deadline and open the breaker
    settled, then = total(his), time.monotonic()
    scans = []
    while time.monotonic() - gone < seconds:
        had, begun = len(screen.outcomes), time.monotonic()
        scanner.scan(people[len(scans) % USERS][0])
        screen.poll_until(lambda had=had: len(screen.outcomes) > had, 5)
        scans.append((screen.outcomes[-1], time.monotonic() - begun))
        time.sleep(0.5)
    asked, lasted = total(his) - settled, time.monotonic() - then

    his.fault("none")
    back = time.monotonic()
    scanned = 0.0
    while not scanned:
        had = len(screen.outcomes)
        scanner.scan(people[0][0])
        screen.poll_until(lambda had=had: len(screen.outcomes) > had, 5)
        if screen.outcomes[-1] == "identified":
            scanned = time.monotonic() - back
        assert time.monotonic() - back < 15, "scans are not back 15 s after the HIS"
        time.sleep(0.2)
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join(20)

    looks = [one for reader in crowd for one in reader.seen[1:]]
    during = [one for one in looks if gone < one[0] < back]
    late = [one for one in during if one[0] > then]
    fresh_again = min(one[0] for one in looks if one[0] > back and not one[3]) - back
    print(f"{len(during)} pages, slowest {max(one[1] for one in during):.2f} s, later {max(one[1] for one in late):.2f} s;"
          f" asked {settled - before} at first, then {asked} in {lasted:.0f} s;"
          f" back: scan {scanned:.1f} s, page {fresh_again:.1f} s")  # fmt: skip
    assert Counter(one[2] for one in looks) == Counter({200: len(looks)}), "no page failed, ever"
    assert all(one[3] for one in late), "every page says that it is old"
    assert max(one[1] for one in during) < PAGE_DEADLINE_S
    assert max(one[1] for one in late) < 4, "a page that met the probe waits for its deadline, no other waits"
    assert settled - before <= PAGE_CALLS + 8 + FAIL_MAX, "only what was under way at once was asked"
    assert asked <= lasted / PROBE_S + 1, "one probe in ten seconds"
    assert {outcome for outcome, _ in scans} == {"his_unavailable"}
    assert max(took for _, took in scans) < 1.5, "the counter is told within its own deadline, whatever the portal does"
    assert at_work.get("/screens/C1")[0] == 200
    assert fresh_again < 15
    assert scanned < 15


def total(his: HisSim) -> int:
    """Calls of every operation the HIS has received."""
    return sum(his.calls().values())


def test_the_people_of_this_test_are_who_their_cards_say(his: HisSim) -> None:
    from his.gateway import Gateway
    from his.rest import OPTIONS, make

    gateway = Gateway(make(OPTIONS.model_validate({"base_url": his.url, "token": his.token})))
    for card in cards(3):
        assert gateway.ask(PatientQuery(card_no=card), Ctx(5)).value.patient_id == f"P{int(card[2:]) // 17:07d}"
    gateway.close()
