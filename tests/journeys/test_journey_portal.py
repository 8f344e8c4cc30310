"""A patient's phone, in Chromium: sign in, bind, show the code, lose the signal, be scanned; read by two decoders."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect

from core.codes import passes
from services.scan import scanned_now
from store.port import BindingKind, StationKind
from tests.support.browser import chromium, violations
from tests.support.house import CARD, STAY, House, fields, his_sim, house, wechat_sim

__all__ = ["chromium", "his_sim", "house", "wechat_sim"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal-browser")]
SIZES = ((320, 568), (375, 667), (430, 932))


@pytest.fixture
def open_phone(chromium: Any, house: House) -> Iterator[Callable[..., Any]]:
    """Opens a page on a phone of a WeChat user; ``size`` and ``lang`` as chosen in the settings."""
    contexts: list[Any] = []

    def make(user: int = 1, *, sign_in: bool = True, size: str = "normal", **options: Any) -> Any:
        settings = {"viewport": {"width": 375, "height": 667}, "device_scale_factor": 2, **options}
        context = chromium.new_context(**settings)
        contexts.append(context)
        cookies = [{"name": "size", "value": size, "url": house.url}]
        context.add_cookies([*cookies, {"name": "wxsim_user", "value": str(user), "url": house.wechat.url}])
        page = context.new_page()
        page.set_default_timeout(10_000)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.faults = faults
        if sign_in:
            page.goto(f"{house.url}/portal/login")
            assert page.url.split("#")[0] == f"{house.url}/portal/"
        return page

    yield make
    for context in contexts:
        context.close()


def shown(page: Any) -> str:
    """The digits on the phone, without spaces."""
    return "".join(page.inner_text("#pass-digits").split())


def decoded(picture: bytes) -> dict[str, str]:
    """Every code a decoder finds in a screenshot, by symbology."""
    grey = np.array(Image.open(io.BytesIO(picture)).convert("L"))
    return {str(found.format): found.text for found in zxingcpp.read_barcodes(grey)}


def both_read(page: Any) -> None:
    """QR and Code128 on the page read as the digits under them."""
    for _ in range(3):
        before, picture, after = shown(page), page.screenshot(), shown(page)
        if before == after:
            break
    found = decoded(picture)
    assert sorted(found.values()) == [before, before], found
    assert len(found) == 2


def verdict(house: House, text: str, epoch: float) -> passes.Verdict:
    """What the server says of a code at a moment."""
    read = passes.parse(text)
    assert read is not None
    row = house.parts.store.scans.find_pass(read.pass_no)
    assert row is not None
    return passes.check(read, row.secret, passes.step_at(epoch)).verdict


ALL_LOOKS = [(scheme, size, scale) for scheme in ("light", "dark") for size in ("normal", "elder") for scale in (1, 2)]


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([("light", "normal", 1), ("dark", "elder", 2)], id="short"),
        pytest.param(ALL_LOOKS, id="all", marks=pytest.mark.soak),
    ],
)
def test_every_screenshot_of_a_code_page_decodes(
    house: House, open_phone: Callable[..., Any], looks: list[tuple[str, str, int]]
) -> None:
    card, stay = house.bind(1), house.bind(1, BindingKind.ADMISSION, STAY)
    for scheme, size, scale in looks:
        page = open_phone(color_scheme=scheme, device_scale_factor=scale, size=size)
        for path in (f"/portal/cards/{card}/ecard", f"/portal/admissions/{stay}/wristband"):
            page.goto(house.url + path)
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                both_read(page)
                assert page.locator("#pass-qr").bounding_box()["width"] >= 280
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.faults == []


def test_without_signal_the_codes_go_on_and_then_say_that_they_have_expired(
    house: House, open_phone: Callable[..., Any]
) -> None:
    card = house.bind(1)
    page = open_phone()
    page.clock.install(time="1999-12-31T23:59:00Z")  # the phone's own clock is wrong, and nobody asks it
    began = time.time()
    page.goto(f"{house.url}/portal/cards/{card}/ecard")
    page.context.set_offline(True)
    seen = set()
    ahead = 0.0
    while ahead < 570:
        page.clock.fast_forward(28_500)
        ahead += 28.5
        page.clock.run_for(500)
        ahead += 0.5
        text = shown(page)
        seen.add(text)
        assert verdict(house, text, time.time() + ahead) is passes.Verdict.VALID, ahead
        if ahead == 290:
            both_read(page)
    assert len(seen) >= 18
    page.clock.run_for(7000)
    note = page.inner_text("#pass-offline")
    assert re.search("手机没有信号,没关系:这个码在 [12] 分钟内仍可使用", note), note
    page.clock.fast_forward(90_000)
    page.clock.run_for(1000)
    assert page.locator("#pass-expired").is_visible()
    assert "已过期,请刷新" in page.inner_text("#pass-expired")
    assert not page.locator("#pass-qr").is_visible()
    assert page.locator("#pass-digits").text_content() == ""
    assert decoded(page.screenshot()) == {}
    page.context.set_offline(False)
    page.click("#pass-refresh")
    page.clock.run_for(3000)
    expect(page.locator("#pass-digits")).to_have_text(re.compile("^[0-9 ]{24}$"))
    assert verdict(house, shown(page), time.time()) is passes.Verdict.VALID
    assert time.time() - began < 60
    assert page.faults == []


def test_a_scan_turns_the_ring_into_a_tick_and_the_next_code_is_fresh(
    house: House, open_phone: Callable[..., Any]
) -> None:
    card = house.bind(1)
    station = house.parts.stations.add("C1", "一号窗口", StationKind.COUNTER)
    page = open_phone()
    page.goto(f"{house.url}/portal/cards/{card}/ecard")
    first = shown(page)

    def scan(text: str) -> str:
        return str(house.parts.scan.handle(station, scanned_now("S1", text, house.parts.clock))["outcome"])

    assert scan(first) == "identified"
    began = time.monotonic()
    page.wait_for_selector("#pass-tick", state="visible")
    assert time.monotonic() - began < 3
    assert "一号窗口" in page.inner_text("#pass-say")
    second = shown(page)
    assert second != first
    assert scan(second) == "identified"
    assert scan(first) == "already_done"
    assert page.locator("#pass-ring").is_hidden()


def test_a_card_unbound_elsewhere_disappears_from_the_phone(house: House, open_phone: Callable[..., Any]) -> None:
    card = house.bind(1)
    page = open_phone()
    page.goto(f"{house.url}/portal/cards/{card}/ecard")
    house.parts.cards.unbind(house.follower(1), BindingKind.CARD, card)
    page.wait_for_selector("#pass-ended", state="visible")
    assert "已解绑" in page.inner_text("#pass-ended")
    assert not page.locator("#pass-qr").is_visible()


def test_waking_up_fetches_fresh_codes_at_once(house: House, open_phone: Callable[..., Any]) -> None:
    card = house.bind(1)
    page = open_phone()
    page.goto(f"{house.url}/portal/cards/{card}/ecard")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    page.evaluate(hide % "true" + "document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_response(lambda r: r.url.endswith("/codes"), timeout=1000) as answer:
        page.evaluate(hide % "false" + "document.dispatchEvent(new Event('visibilitychange'))")
    assert answer.value.status == 200
    with page.expect_response(lambda r: r.url.endswith("/codes"), timeout=2000):
        page.click("#pass-refresh")
    expect(page.locator("#pass-say")).to_have_text("已刷新")


def test_everything_needed_works_with_javascript_off(house: House, open_phone: Callable[..., Any]) -> None:
    page = open_phone(java_script_enabled=False)
    page.goto(f"{house.url}/portal/bind")
    for name, value in fields(house.claim()).items():
        if name != "kind":
            page.fill(f"#{name}", value)
    page.click("#send")
    assert page.url.split("#")[0] == f"{house.url}/portal/cards"
    page.click("text=出示电子就诊卡")
    both_read(page)
    assert re.search(r"这个码在 \d\d:\d\d:\d\d 前有效", page.inner_text(".pass"))
    assert verdict(house, shown(page), time.time()) is passes.Verdict.VALID
    page.click("#pass-refresh")
    both_read(page)


def test_a_refused_binding_keeps_what_was_typed_in_the_fields_only(
    house: House, open_phone: Callable[..., Any]
) -> None:
    page = open_phone()
    page.goto(f"{house.url}/portal/bind")
    page.click("#send")
    page.wait_for_selector("#summary", state="visible")
    assert page.locator('[aria-invalid="true"]').count() == 4
    assert page.evaluate("document.activeElement.id") == "summary"
    claim = house.claim()
    for name, value in {"number": CARD, "name": claim.name, "id_no": claim.id_no, "phone": "19900000002"}.items():
        page.fill(f"#{name}", value)
    page.click("#send")
    expect(page.locator("#summary-say")).to_contain_text("不一致")
    assert page.input_value("#id_no") == claim.id_no
    assert page.locator('[aria-invalid="true"]').count() == 0
    page.context.set_offline(True)
    page.click("#send")
    expect(page.locator("#summary-say")).to_contain_text("手机没有信号")
    page.context.set_offline(False)
    page.fill("#phone", claim.phone)
    page.click("#send")
    page.wait_for_url("**/portal/cards")
    assert page.faults == []


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_pages_pass_axe_and_have_targets_a_thumb_can_hit(
    house: House, open_phone: Callable[..., Any], every: bool
) -> None:
    card, stay = house.bind(1), house.bind(1, BindingKind.ADMISSION, STAY)
    over = house.bind(1, BindingKind.ADMISSION, "2026000105")
    pages = [
        "/portal/", "/portal/cards", "/portal/admissions", "/portal/bind", "/portal/bind?kind=admission",
        f"/portal/cards/{card}/ecard", f"/portal/admissions/{stay}/wristband", f"/portal/admissions/{over}/wristband",
        f"/portal/cards/{card}/unbind", "/portal/settings", "/portal/nothing-here",
    ]  # fmt: skip
    for scheme, size, least in (("light", "normal", 44), ("dark", "normal", 44), ("dark", "elder", 60)):
        page = open_phone(color_scheme=scheme, size=size)
        for path in pages if every or scheme == "light" else pages[::4]:
            page.goto(house.url + path)
            assert violations(page) == [], (scheme, size, path)
            assert _small_targets(page, least) == [], (scheme, size, path)
            if size == "elder":
                assert _small_text(page, 18) == [], path
    page = open_phone()
    page.goto(f"{house.url}/portal/bind")
    page.click("#send")
    page.wait_for_selector("#summary", state="visible")
    assert violations(page) == []


def test_empty_pages_and_strangers_see_what_to_do_next(house: House, open_phone: Callable[..., Any]) -> None:
    stranger = open_phone(sign_in=False)
    stranger.goto(f"{house.url}/portal/")
    assert violations(stranger) == []
    stranger.click("text=微信登录")
    assert stranger.url.split("#")[0] == f"{house.url}/portal/"
    page = open_phone(user=6)
    for path, word in (
        ("/portal/", "绑定就诊卡"),
        ("/portal/cards", "绑定就诊卡"),
        ("/portal/admissions", "绑定住院信息"),
    ):
        page.goto(house.url + path)
        assert violations(page) == []
        assert page.locator("a.ph-btn--primary", has_text=word).is_visible()


def test_the_largest_text_fits_the_smallest_phone(house: House, open_phone: Callable[..., Any]) -> None:
    card = house.bind(1)
    page = open_phone(size="xxl", viewport={"width": 320, "height": 568})
    for path in ("/portal/", "/portal/cards", "/portal/bind", f"/portal/cards/{card}/ecard", "/portal/settings"):
        for lang in ("zh-CN", "en"):
            page.goto(f"{house.url}{path}?lang={lang}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, (path, lang)
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 30


def test_a_page_is_light(house: House, open_phone: Callable[..., Any]) -> None:
    card = house.bind(1)
    page = open_phone()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    loaded: list[float] = []
    session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    for path in ("/portal/", "/portal/bind", f"/portal/cards/{card}/ecard"):
        page.goto("about:blank")
        session.send("Network.clearBrowserCache")
        loaded.clear()
        page.goto(house.url + path)
        page.wait_for_timeout(400)
        assert 3 <= len(loaded) <= 6, path
        assert sum(loaded) <= 60 * 1024, path
        print(f"{path.replace(card, 'ID')}: {len(loaded)} requests, {sum(loaded) / 1024:.1f} KB")


def _small_targets(page: Any, least: int) -> list[str]:
    """Controls smaller than ``least`` px either way; links inside a sentence do not count."""
    found = page.evaluate(
        """least => Array.from(document.querySelectorAll('a, button, input:not([type=hidden]), select'))
        .filter(e => e.offsetParent !== null && !e.classList.contains('ph-skip'))
        .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
        .filter(([_, box]) => box.height < least - 0.5 || box.width < least - 0.5)
        .map(([html, box]) => html + ' ' + box.width + 'x' + box.height)""",
        least,
    )
    return [str(one) for one in found]


def _small_text(page: Any, least: float) -> list[str]:
    """Visible text under ``least`` px."""
    found = page.evaluate(
        """least => Array.from(document.querySelectorAll('body *'))
        .filter(e => e.offsetParent !== null && !e.closest('svg') && !e.classList.contains('ph-hidden'))
        .filter(e => Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim()))
        .filter(e => parseFloat(getComputedStyle(e).fontSize) < least)
        .map(e => e.textContent.trim().slice(0, 30) + ' ' + getComputedStyle(e).fontSize)""",
        least,
    )
    return [str(one) for one in found]
