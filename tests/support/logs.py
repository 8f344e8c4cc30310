"""What was logged during a test."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Everything logged by anybody during the test, before any redaction."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)
