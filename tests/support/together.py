"""Threads that are let go at the same moment, for tests of races."""

import threading
from collections.abc import Callable
from typing import Any


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gave for 0 … count - 1, each on a thread of its own; the first error of any is raised here."""
    gate, got = threading.Barrier(count), [None] * count
    errors: list[BaseException] = []

    def run(number: int) -> None:
        gate.wait()
        try:
            got[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below, where the test sees it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return got
