"""What every test shares: heavy tests only on request."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the heavy tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    skip = pytest.mark.skip(reason="heavy: run with --soak; a short version always runs")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(skip)
