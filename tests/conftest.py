"""What every test shares: heavy tests only on request."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the heavy tests too")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--soak"):
        os.environ["PALM_TESTS_SOAK"] = "1"  # for what is no test and no fixture: a peer that takes minutes to install


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _name_groups(config, items)
    if config.getoption("--soak"):
        return
    skip = pytest.mark.skip(reason="heavy: run with --soak; a short version always runs")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(skip)


def _name_groups(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make `xdist_group` hold: xdist 3.8 writes the group to `_nodeid`, which pytest 9.2 no longer reads.

    Without it tests of one group, and the peer they share, are spread over all workers.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")
