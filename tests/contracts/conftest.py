"""Every `subject_*.py` beside this file is a parameter of the whole suite."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.subject import Subject

NAMES = sorted(path.stem.removeprefix("subject_") for path in Path(__file__).parent.glob("subject_*.py"))


# one worker has all of a peer's tests, so that it starts once
@pytest.fixture(
    scope="package", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"peer-{name}")) for name in NAMES]
)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """One adapter with its peer, started once for all tests."""
    module = importlib.import_module(f"tests.contracts.subject_{request.param}")
    made: Subject = module.start(tmp_path_factory.mktemp(request.param))
    yield made
    made.his.close()
    made.close()


@pytest.fixture(autouse=True)
def _breakers_shut(subject: Subject) -> Iterator[None]:
    """A test that failed at an open breaker must not fail the next one too."""
    yield
    subject.his.guard.reads.succeeded()
    subject.his.guard.writes.succeeded()
