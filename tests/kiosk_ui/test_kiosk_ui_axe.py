"""Accessibility of the screens by axe (WCAG 2.2 AA and best practice), in light and dark, wide, upright and narrow."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

AXE = (Path(__file__).resolve().parents[1] / "journeys/vendor/axe.min.js").read_text()
SIZES = [(1280, 800), (375, 720)]
LAST_OF_EACH_TONE = ("his_unavailable", "wrong_ward", "expired", "identified", "already_done")


def violations(page) -> list[str]:
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def too_small(page, least: int) -> list[str]:
    return page.evaluate(
        """least => [...document.querySelectorAll('button, a, input')].filter(node => {
            const box = node.getBoundingClientRect();
            return box.width && (box.width < least || box.height < least); }).map(node => node.outerHTML)""",
        least,
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_axe_finds_nothing_on_the_busy_counter_with_every_trouble_at_once(open_screen, server, size, dark):
    page = open_screen(size=size, dark=dark)
    for outcome in LAST_OF_EACH_TONE:
        server.scan(outcome)
    page.wait_for_selector(f"body[data-outcome={LAST_OF_EACH_TONE[-1]}]")
    server.send("device", {"device": "S1", "state": "failed", "reason": "gone"})
    page.wait_for_selector("#trouble")
    assert violations(page) == []
    server.line.cut()
    page.wait_for_selector("#offline:not([hidden])")
    assert too_small(page, 44) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_nothing_on_the_idle_counter(open_screen):
    assert violations(open_screen()) == []


def test_axe_finds_nothing_on_the_offline_upright_ward_screen(open_screen, server):
    page = open_screen("W1", size=(1080, 1920))
    server.scan("wrong_ward")
    page.wait_for_selector("#result .name")
    server.line.cut()
    page.wait_for_selector("#offline:not([hidden])")
    assert violations(page) == []


@pytest.mark.soak
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("station", ["C1", "W1"])
@pytest.mark.parametrize("size", [*SIZES, (1080, 1920)], ids=["wide", "narrow", "upright"])
def test_axe_finds_nothing_in_any_colour_at_any_size(open_screen, server, station, size, dark):
    page = open_screen(station, size=size, dark=dark)
    assert violations(page) == []
    for outcome in LAST_OF_EACH_TONE:
        server.scan(outcome)
        page.wait_for_selector(f"body[data-outcome={outcome}]")
        assert violations(page) == []


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_axe_finds_nothing_on_the_pairing_form_and_the_wrong_address(open_screen, server, complaints, size):
    page = open_screen(size=size, paired=False, dark=size[0] == 375)
    page.click("#pair-send")
    page.wait_for_selector("#pair-error:not([hidden])")
    assert violations(page) == []
    assert too_small(page, 44) == []
    page.goto(f"{server.url}/screens/none")
    assert violations(page) == []
    complaints[:] = [text for text in complaints if "404" not in text]
