"""Reports on a patient's phone, in Chromium: every look passes axe, the film shows, and what cannot show says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from store.port import BindingKind
from tests.journeys.test_journey_portal import _small_targets, _small_text, open_phone
from tests.support.browser import chromium, violations
from tests.support.house import STAY, House, wechat_sim
from tests.support.orthanc import Orthanc
from tests.support.reports import FILM, LAB, ULTRASOUND, film_house, film_sim, orthanc

__all__ = ["chromium", "film_house", "film_sim", "open_phone", "orthanc", "wechat_sim"]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("portal-browser")]


@pytest.fixture
def house(film_house: House) -> House:
    """The house `open_phone` opens: the one with films."""
    return film_house


def test_reports_pass_axe_in_every_look_and_fit_the_phone(house: House, open_phone: Callable[..., Any]) -> None:
    card, stay = house.bind(1), house.bind(1, BindingKind.ADMISSION, STAY)
    listed = f"/portal/cards/{card}/reports"
    pages = [listed, f"/portal/admissions/{stay}/reports", *(f"{listed}/{one}" for one in (LAB, FILM, ULTRASOUND))]
    for scheme, size, least in (
        ("light", "normal", 44),
        ("dark", "normal", 44),
        ("light", "elder", 60),
        ("dark", "xxl", 60),
    ):
        page = open_phone(color_scheme=scheme, size=size)
        for path in pages:
            page.goto(house.url + path)
            assert violations(page) == [], (scheme, size, path)
            assert _small_targets(page, least) == [], (scheme, size, path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, (scheme, size, path)
            if size != "normal":
                assert _small_text(page, 18) == [], path
        assert page.faults == []


def test_the_film_is_drawn_in_the_room_that_was_kept_for_it(house: House, open_phone: Callable[..., Any]) -> None:
    page = open_phone()
    page.goto(f"{house.url}/portal/cards/{house.bind(1)}/reports/{FILM}")
    picture = page.locator(".picture img")
    before = picture.bounding_box()
    picture.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.picture img').naturalWidth > 0")
    after = picture.bounding_box()
    assert (before["width"], before["height"]) == (after["width"], after["height"])
    assert picture.evaluate("it => it.currentSrc").endswith("w=1080")  # two pixels a point on this phone


def test_a_picture_that_does_not_come_is_replaced_by_a_sentence(
    house: House, open_phone: Callable[..., Any], orthanc: Orthanc
) -> None:
    page = open_phone()
    address = f"{house.url}/portal/cards/{house.bind(1)}/reports/{FILM}"
    page.context.request.get(address)  # the list of images is known now
    orthanc.freeze()
    try:
        page.goto(address)
        page.locator(".picture").scroll_into_view_if_needed()
        page.wait_for_selector("text=这幅图像现在看不了", timeout=10_000)
        assert not page.locator(".picture img").is_visible()
        assert page.locator("text=检查所见").is_visible()
        assert violations(page) == []
    finally:
        orthanc.thaw()


def test_from_home_to_a_result_in_two_touches_and_back(house: House, open_phone: Callable[..., Any]) -> None:
    house.bind(1)
    page = open_phone()
    page.goto(f"{house.url}/portal/")
    page.click("text=检查检验报告")
    page.click("text=血常规")
    assert page.locator(".flag", has_text="未判定").is_visible()
    page.click(".back")
    assert page.url.endswith("/reports")
