"""The re-read rule: a code held before the scanner is one scan; taken away and brought back it is two."""

import time

import pytest

from devices.reread import RereadRule


def sightings(rule: RereadRule, times: list[float], payload: bytes = b"8712") -> int:
    return sum(rule.is_new(payload, time) for time in times)


@pytest.mark.parametrize("window", [1.5, 2.5])
def test_a_code_held_for_30_seconds_is_one_scan(window: float) -> None:
    rule = RereadRule(window)
    assert sightings(rule, [index / 10 for index in range(300)]) == 1
    assert rule.suppressed == 299


@pytest.mark.parametrize(("window", "away", "scans"), [(1.5, 2.0, 2), (2.5, 2.0, 1), (2.5, 2.6, 2), (0.0, 0.1, 2)])
def test_a_code_brought_back_counts_again_after_the_absence(window: float, away: float, scans: int) -> None:
    assert sightings(RereadRule(window), [10.0, 10.0 + away]) == scans


def test_another_code_between_does_not_rearm_the_first() -> None:
    rule = RereadRule(2.5)
    assert [rule.is_new(code, at) for code, at in ((b"a", 0.0), (b"b", 0.5), (b"a", 1.0))] == [True, True, False]


def test_scan_again_rearms_one_code_or_all() -> None:
    rule = RereadRule(2.5)
    assert sightings(rule, [0.0, 0.1]) == 1
    rule.rearm(b"8712")
    assert rule.is_new(b"8712", 0.2)
    rule.rearm()
    assert rule.is_new(b"8712", 0.3)


def test_two_devices_never_share_what_they_saw() -> None:
    one, other = RereadRule(2.5), RereadRule(2.5)
    assert one.is_new(b"8712", 0.0)
    assert other.is_new(b"8712", 0.0)


def test_it_forgets_old_codes() -> None:
    rule = RereadRule(1.0)
    for index in range(5000):
        rule.is_new(str(index).encode(), float(index))
    assert len(rule._seen) == 1


def test_a_flood_of_codes_within_the_window_costs_no_more_a_code_than_a_few() -> None:
    """A rule that looked through all it remembers at each code once took most of a scan's time."""

    def seconds(count: int) -> float:
        rule, begun = RereadRule(2.5), time.process_time()
        for index in range(count):
            rule.is_new(str(index).encode(), 0.0)
        return time.process_time() - begun

    assert min(seconds(20_000) for _ in range(3)) < 0.5
