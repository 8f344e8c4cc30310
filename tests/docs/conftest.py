"""What the tests of the documents share: the pages, their tables and fences, and a hub for the worked example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hub import HubHouse, house_on
from tests.support.sims import start_his


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., HubHouse]]:
    his = start_his(tmp_path)
    made: list[HubHouse] = []

    def make(**how: object) -> HubHouse:
        made.append(house_on(his, tmp_path / f"house{len(made)}", **how))
        return made[-1]

    yield make
    for house in made:
        house.close()
    his.stop()
