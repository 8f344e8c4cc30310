"""One Chromium for all screen tests; a fresh server, line and page for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.kiosk_ui.screens_server import TOKEN, ScreensServer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OpenScreen = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("no Chromium here: apt install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[ScreensServer]:
    server = ScreensServer()
    yield server
    server.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of; empty at the end of every test unless the test empties it."""
    return []


def open_page(
    browser: Browser,
    server: ScreensServer,
    complaints: list[str],
    station: str = "C1",
    *,
    size: tuple[int, int] = (1280, 800),
    dark: bool = False,
    paired: bool = True,
    address: str = "",
) -> Page:
    """A page in a context of its own, greeted by the server when paired."""

    def note(message: ConsoleMessage) -> None:
        expected = "WebSocket connection to" in message.text or "status of 403" in message.text
        expected = expected or message.location["url"].endswith("/screens-static/icon.svg")  # a tab icon cut short
        if message.type in {"error", "warning"} and not expected:
            complaints.append(f"{message.text} {message.location['url']}")

    theme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, reduced_motion="reduce"
    )
    if paired:
        context.add_init_script(f"localStorage.setItem('screen-token:{station}', '{TOKEN}')")
    page = context.new_page()
    page.set_default_timeout(8000)
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/screens/{station}{address}")
    if paired:
        page.wait_for_selector("#lamps .ph-lamp--on")
        page.wait_for_selector("body > svg[hidden]", state="attached")
    return page


@pytest.fixture
def open_screen(browser: Browser, server: ScreensServer, complaints: list[str]) -> Iterator[OpenScreen]:
    pages = []

    def open_(*args: Any, **kwargs: Any) -> Page:
        pages.append(open_page(browser, server, complaints, *args, **kwargs))
        return pages[-1]

    yield open_
    for page in pages:
        page.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def desk(browser: Browser) -> Iterator[tuple[Page, ScreensServer]]:
    """One counter screen with its server, for tests that only add scans to it: opening one each costs a second."""
    server, complaints = ScreensServer(), list[str]()
    page = open_page(browser, server, complaints)
    yield page, server
    page.context.close()
    server.close()
    assert complaints == []
