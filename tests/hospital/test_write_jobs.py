"""When the jobs make haste: the lamp turns green, or a breaker closes; and not otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from his.port import Health, Unavailable
from hospital.write_jobs import HisWatch, WriteJobs


class Resolver:
    def __init__(self) -> None:
        self.hurried = self.rounds = 0

    def hurry(self) -> int:
        self.hurried += 1
        return 0

    def round(self) -> int:
        self.rounds += 1
        return 0


def parts() -> Any:
    guard = SimpleNamespace(reads=SimpleNamespace(open=False), writes=SimpleNamespace(open=False))
    return SimpleNamespace(his=SimpleNamespace(guard=guard, ask=lambda *_: Health()), resolver=Resolver())


def test_a_breaker_that_closes_makes_haste_once() -> None:
    made = parts()
    jobs = WriteJobs(made)
    for name in ("reads", "writes"):
        made.resolver.hurried = 0
        breaker = getattr(made.his.guard, name)
        for is_open in (False, True, True, False, False):
            breaker.open = is_open
            jobs._tick()
        assert made.resolver.hurried == 1
    assert made.resolver.rounds == 10


def test_a_lamp_that_turns_green_makes_haste_once() -> None:
    made = parts()
    watch = HisWatch(made, WriteJobs(made))

    def silent(*_: object) -> Health:
        raise Unavailable("timeout")

    for answer in [made.his.ask, silent, silent, made.his.ask, made.his.ask]:
        made.his.ask = answer
        watch._look()
    assert made.resolver.hurried == 1
