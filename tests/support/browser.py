"""Chromium from Debian, driven by Playwright; skipped with a word where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parents[1] / "journeys" / "vendor" / "axe.min.js"
ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"


def launched() -> Iterator[Browser]:
    """A browser for a session of tests."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def axe_violations(page: Page) -> list[str]:
    """What axe finds wrong on this page (WCAG 2.2 AA and best practice), one line each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document, {iframes: false})).violations")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]


def keep(page: Page, name: str) -> None:
    """A screenshot among the test artefacts."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
