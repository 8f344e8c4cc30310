"""A HIS process for the whole folder, and hubs that are ended whatever a test did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hub import HubHouse, house_on
from tests.support.sims import HisSim, start_his


@pytest.fixture(scope="session")
def _his_of_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    sim = start_his(tmp_path_factory.mktemp("his"))
    yield sim
    sim.stop()


@pytest.fixture
def his(_his_of_hospital: HisSim) -> Iterator[HisSim]:
    _his_of_hospital.fault("none")
    yield _his_of_hospital
    _his_of_hospital.fault("none")


@pytest.fixture(scope="module")
def shared_houses(
    _his_of_hospital: HisSim, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., HubHouse]]:
    """Houses that all tests of a module share, since each takes its time to start."""
    made: list[HubHouse] = []

    def make(**how: object) -> HubHouse:
        made.append(house_on(_his_of_hospital, tmp_path_factory.mktemp("house"), **how))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture
def make_house(his: HisSim, tmp_path: Path) -> Iterator[Callable[..., HubHouse]]:
    made: list[HubHouse] = []

    def make(**how: object) -> HubHouse:
        made.append(house_on(his, tmp_path / f"house{len(made)}", **how))
        return made[-1]

    yield make
    for house in made:
        house.close()
