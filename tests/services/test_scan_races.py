"""The same code at two stations at once is accepted once; each station's list is pushed in its own order."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from store.port import NewScan, PassUse
from store.scans import ScanStore
from tests.services.conftest import Desk
from tests.support.together import at_once

CARD = "600000000017"


def together(work: list[Callable[[], Any]]) -> list[Any]:
    """Run all at once; the results."""
    return at_once(len(work), lambda number: work[number]())


def rounds(desk: Desk, service: Any, count: int) -> list[list[Mapping[str, Any]]]:
    """Each round one fresh code, held before eight scanners of two stations at the same moment."""
    row = desk.bind(CARD, "P0000001")
    out = []
    for _ in range(count):
        desk.clock.advance(30)
        code = desk.shown(row)
        out.append(together([
            lambda at=at, code=code: service.handle(desk.stations[at], desk.reading(code)) for at in ("C1", "C2") * 4
        ]))  # fmt: skip
    return out


def test_one_code_at_two_stations_from_eight_threads_is_identified_exactly_once(desk: Desk) -> None:
    for bodies in rounds(desk, desk.service, 20):
        counted = Counter(body["outcome"] for body in bodies)
        assert counted == {"identified": 1, "already_done": 3, "replayed": 4}
        winner = next(body for body in bodies if body["outcome"] == "identified")
        for body in bodies:
            assert ("patient" in body) == (body["station"] == winner["station"])
            if body is not winner:
                assert body["first_station"] == winner["station"] + " 号窗口"


class WithoutTheKey:
    """Control: a store that forgets which step of which pass was used."""

    def __init__(self, scans: ScanStore) -> None:
        self._scans = scans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scans, name)

    def commit(self, scan: NewScan) -> int | PassUse:
        return self._scans.commit(replace(scan, use=None))


def test_without_the_key_on_the_used_step_the_same_race_identifies_more_than_once(desk: Desk) -> None:
    service = desk.service_on(WithoutTheKey(desk.store.scans))  # type: ignore[arg-type]
    doubled = [bodies for bodies in rounds(desk, service, 5) if Counter(b["outcome"] for b in bodies)["identified"] > 1]
    assert doubled


def storm(desk: Desk) -> list[tuple[str, int]]:
    """Scans and notices at two stations from many threads; what was pushed, in the order it was pushed."""

    def scans(at: str) -> None:
        for n in range(25):
            desk.scan(str(600_000_000_000 + 17 * (13 + n)), at)

    def notices(at: str) -> None:
        for n in range(25):
            desk.service.tell(at, "notice", {"n": n})

    together([lambda at=at, job=job: job(at) for at in ("C1", "C2") for job in (scans, scans, notices)])
    return [(done.station, done.seq) for done in desk.done]


def test_scans_and_notices_of_a_station_are_pushed_in_the_order_of_their_numbers(desk: Desk) -> None:
    pushed = storm(desk)
    for at in ("C1", "C2"):
        assert [seq for station, seq in pushed if station == at] == list(range(1, 76))


class NoLock:
    """Control: nobody waits for anybody."""

    def __enter__(self) -> None:
        """Always free."""

    def __exit__(self, *_: object) -> None:
        """Never held."""


def test_without_the_order_lock_numbers_are_pushed_out_of_order(desk: Desk) -> None:
    class Free(dict[str, NoLock]):
        def __missing__(self, key: str) -> NoLock:
            return NoLock()

    def slow_half(done: Any) -> None:
        """A push takes a moment now and then, as a busy core makes it."""
        if done.seq % 2:
            time.sleep(0.002)
        desk.done.append(done)

    desk.service._order, desk.service._publish = Free(), slow_half  # type: ignore[assignment]
    for _ in range(20):
        desk.done.clear()
        pushed = [seq for station, seq in storm(desk) if station == "C1"]
        if pushed != sorted(pushed):
            return
    raise AssertionError("the control never raced")


def test_the_sweep_never_takes_an_event_that_was_stored_while_it_looked(desk: Desk) -> None:
    class Overtaken(ScanStore):
        def _delete(self, text: str, params: tuple[Any, ...]) -> int:
            if "station_event" in text:
                self.add_event("C1", "notice", {"n": 1}, desk.clock.now())
            return super()._delete(text, params)

    scans = Overtaken(desk.store.quick, desk.store.scans._vault)
    scans.prune(desk.clock.now() - timedelta(days=30))
    events = scans.events_after("C1", 0, 100)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(events) == len(desk.stations)
