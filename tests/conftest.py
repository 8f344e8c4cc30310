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
    if config.getoption("--soak"):
        return
    skip = pytest.mark.skip(reason="heavy: run with --soak; a short version always runs")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(skip)
