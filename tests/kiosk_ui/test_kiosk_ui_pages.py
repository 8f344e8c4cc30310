"""The screens' pages without a browser, and the shared look: contrast, equal dark blocks, icons that exist, honest sums."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.kiosk_ui.screens_server import CODE, TOKEN, ScreensServer

ROOT = Path(__file__).resolve().parents[2]
TOKENS = (ROOT / "web/static/look/tokens.css").read_text()
SPRITE = (ROOT / "web/static/look/icons.svg").read_text()
GROUNDS = [
    *[(ink, ground) for ink in ("ink", "ink-2", "info", "ok", "warn", "stop", "down") for ground in ("page", "card")],
    *[(tone, f"{tone}-bg") for tone in ("info", "ok", "warn", "stop", "down")],
    *[("ink", f"{tone}-bg") for tone in ("info", "ok", "warn", "stop", "down")],
    *[("on-band", f"{tone}-band") for tone in ("info", "ok", "warn", "stop", "down")],
    ("on-brand", "brand"),
    ("on-brand", "brand-press"),
    ("brand", "card"),
]


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))


LIGHT = colours(TOKENS[TOKENS.index(":root {") : TOKENS.index("@media")])
DARK_BY_SYSTEM = colours(TOKENS[TOKENS.index("@media") : TOKENS.index("/* The same values")])
DARK_BY_HAND = colours(TOKENS[TOKENS.index(':root[data-theme="dark"] {') : TOKENS.index("/* Elder")])


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, LIGHT | DARK_BY_HAND], ids=["light", "dark"])
def test_every_text_colour_stands_out_from_its_ground(theme):
    weak = {pair: contrast(theme[pair[0]], theme[pair[1]]) for pair in GROUNDS}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", [LIGHT, LIGHT | DARK_BY_HAND], ids=["light", "dark"])
def test_body_text_reaches_the_elder_contrast(theme):
    assert min(contrast(theme["ink"], theme[ground]) for ground in ("page", "card")) >= 7


def test_dark_by_system_and_dark_by_hand_are_the_same():
    assert DARK_BY_SYSTEM == DARK_BY_HAND
    assert set(DARK_BY_HAND) <= set(LIGHT)


def test_every_icon_named_on_a_page_is_in_the_sprite():
    have = set(re.findall(r'<symbol id="([\w-]+)"', SPRITE))
    named = set()
    for page in ROOT.glob("*/templates/**/*.html"):
        named |= set(re.findall(r"""\bicon\(["']([a-z0-9-]+)["']""", page.read_text()))
    script = "".join(path.read_text() for path in (ROOT / "kiosk_ui/static").glob("*.js"))
    named |= set(re.findall(r"""\bicon\("([a-z0-9-]+)"\)""", script))
    named |= set(re.findall(r"""\["(?:ok|info|warn|stop|down)", "([a-z0-9-]+)",""", script))
    assert len(named) > 15
    assert named - have == set()


def test_vendored_files_are_what_the_list_says():
    rows = re.findall(r"\| `([^`]+)` \| `([0-9a-f]{64})` \|", (ROOT / "web/static/vendor/README.md").read_text())
    assert len(rows) == 5
    for name, digest in rows:
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, name


@pytest.fixture(scope="module")
def client():
    server = ScreensServer()
    yield server.app.test_client()
    server.close()


def test_a_screens_page_holds_no_secret_and_no_inline_code(client):
    page = client.get("/screens/C1").get_data(as_text=True)
    assert TOKEN not in page
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", page)


@pytest.mark.parametrize("code", ["XX", "Q1", "%3Cscript%3E"])
def test_an_address_without_a_screen_says_so_and_is_404(client, code):
    answer = client.get(f"/screens/{code}")
    assert answer.status_code == 404
    assert "<script>" not in answer.get_data(as_text=True)


def test_pairing_takes_only_json_and_works_once(client):
    assert client.post("/screens/C1/pair", data={"code": CODE}).status_code == 400
    assert client.post("/screens/C1/pair", json=["x"]).status_code == 400
    assert client.post("/screens/XX/pair", json={"code": CODE}).status_code == 404
    answer = client.post("/screens/C1/pair", json={"code": CODE.lower()})
    assert answer.json == {"token": TOKEN}
    assert answer.headers["Cache-Control"] == "no-store"
    again = client.post("/screens/C1/pair", json={"code": CODE})
    assert again.status_code == 403
    assert again.json["error"]["code"] == "pairing.bad_code"


def test_too_many_tries_say_how_long_to_wait(client):
    answer = client.post("/screens/C1/pair", json={"code": "MANY-2345"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "300")
