"""The screens in a real browser: every outcome, nothing lost or doubled, offline, forgetting, pairing, sound, language."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page

from core.outcomes import Outcome
from tests.kiosk_ui.screens_server import CODE, TOKEN, ZONE, ScreensServer

pytestmark = pytest.mark.browser

TONES = {
    "ok": {"identified", "checked_in"},
    "info": {"already_done"},
    "stop": {"forged", "replayed", "unknown_code", "wrong_station", "wrong_ward", "discharged"},
    "down": {"his_unavailable", "his_unknown"},
}
SEEN = "[...document.querySelectorAll('#recent .scan')].map(row => Number(row.dataset.seq)).reverse()"


def tone_of(outcome: str) -> str:
    return next((tone for tone, members in TONES.items() if outcome in members), "warn")


def wait_until(page: Page, expression: str, wanted: object) -> None:
    """Poll from outside: the page's own CSP forbids Playwright's wait_for_function to poll within."""
    deadline = time.monotonic() + 8
    while (found := page.evaluate(expression)) != wanted:
        assert time.monotonic() < deadline, found
        page.wait_for_timeout(25)


def wait_for_scans(page: Page, seqs: list[int]) -> None:
    wait_until(page, SEEN, seqs)


def test_each_outcome_has_its_colour_an_icon_and_a_word_of_its_own(desk):
    page, server = desk
    words = set()
    for outcome in Outcome:
        server.scan(outcome)
        page.wait_for_selector(f"body[data-outcome={outcome}]")
        band = page.locator("#result .ph-band")
        assert f"ph-band--{tone_of(outcome)}" in (band.get_attribute("class") or ""), outcome
        assert band.locator("use").get_attribute("href").split("#")[1]
        words.add((band.locator(".word").inner_text(), band.locator(".word-second").inner_text()))
    assert len(words) == len(Outcome)


def test_an_outcome_the_page_does_not_know_never_looks_like_success(desk):
    page, server = desk
    server.send("scan", {"scan_id": "x", "at": datetime.now(ZONE).isoformat(), "outcome": "brand_new"})
    page.wait_for_selector("body[data-outcome=brand_new]")
    assert "ph-band--down" in page.locator("#result .ph-band").get_attribute("class")


def test_a_repeated_scan_shows_when_and_where_it_was_first_seen(desk):
    page, server = desk
    server.scan("already_done", first_scan=datetime.now(ZONE).replace(hour=0, minute=0, second=7).isoformat())
    page.wait_for_selector("body[data-outcome=already_done]")
    assert page.locator(".first").inner_text() == "首次扫码 00:00:07, C1"


def test_the_patient_card_says_name_sex_age_card_and_next_step(desk):
    page, server = desk
    server.scan("identified")
    page.wait_for_selector("body[data-outcome=identified] .name")
    text = page.locator("#result").inner_text()
    for part in ("王*明", "男", "46 岁", "尾号 4821", "门诊", "请核对姓名后办理"):
        assert part in text


def test_text_from_the_server_is_never_parsed_as_html(desk):
    page, server = desk
    patient = {"name": "<img src=x onerror=alert(1)>", "sex": "male", "age": 3, "kind": "outpatient"}
    server.scan("identified", patient=patient)
    page.wait_for_selector(".name >> text=<img")
    assert page.locator("#stage img").count() == 0


def test_the_list_holds_ten_scans_at_most_and_each_is_acknowledged(desk):
    page, server = desk
    seqs = [server.scan("identified") for _ in range(14)]
    wait_for_scans(page, seqs[-10:])
    deadline = time.monotonic() + 3
    while server.acks[-14:] != seqs and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert server.acks[-14:] == seqs


def test_a_doubled_event_is_dropped(desk):
    page, server = desk
    before = [server.scan("identified") for _ in range(10)]
    server.repeat(before[-1])
    server.repeat(before[3])
    wait_for_scans(page, [*before[1:], server.scan("expired")])


def test_after_a_cut_the_screen_gets_what_it_missed_once_and_in_order(open_screen, server):
    page = open_screen()
    server.overlap = 3  # the server repeats what the screen has already seen: the screen must not show it twice
    for cut in range(3):
        server.scan("identified")
        wait_for_scans(page, list(range(1, 3 * cut + 2)))
        server.line.cut()
        page.wait_for_selector("#offline:not([hidden])")
        server.scan("expired")
        server.scan("checked_in")
        server.line.mend()
        wait_for_scans(page, list(range(1, 3 * cut + 4)))
        assert server.hellos[-1]["last_seq"] == 3 * cut + 1
    page.wait_for_selector("#offline", state="hidden")


def test_a_server_whose_numbers_began_anew_is_followed(open_screen, server):
    for _ in range(5):
        server.scan("expired")
    page = open_screen()
    wait_for_scans(page, [1, 2, 3, 4, 5])
    server.line.cut()
    page.wait_for_selector("#offline:not([hidden])")
    server.events.clear()
    server.line.mend()
    page.wait_for_selector("#offline", state="hidden")
    server.scan("identified")
    wait_for_scans(page, [1])


def test_the_offline_banner_comes_within_a_second_of_the_cut(open_screen, server):
    page = open_screen()
    started = time.monotonic()
    server.line.cut()
    page.wait_for_selector("#offline:not([hidden])")
    assert time.monotonic() - started <= 1.0
    external = page.evaluate(
        "[...document.querySelectorAll('use')].filter(u => u.getAttribute('href')[0] !== '#').length"
    )
    assert external == 0, "an icon that has to be fetched is missing when it is needed"
    assert page.locator("#lamps .ph-lamp--off").first.inner_text().split() == ["服务器", "断开"]


@pytest.mark.soak
def test_a_hung_server_is_noticed_within_eleven_seconds(open_screen, server):
    page = open_screen()
    started = time.monotonic()
    server.line.freeze()
    page.wait_for_selector("#offline:not([hidden])", timeout=15_000)
    assert time.monotonic() - started <= 11.0
    server.line.mend()


def test_the_offline_banner_goes_within_four_seconds_of_the_servers_return(open_screen, server):
    page = open_screen()
    server.line.cut()
    page.wait_for_selector("#offline:not([hidden])")
    page.wait_for_timeout(800)
    server.line.mend()
    started = time.monotonic()
    page.wait_for_selector("#offline", state="hidden")
    assert time.monotonic() - started <= 4.0


class TestForgetting:
    """With one second in place of sixty."""

    @pytest.fixture
    def server(self):
        server = ScreensServer(keep_seconds=1)
        yield server
        server.close()

    def test_no_patient_text_is_left_once_the_screen_is_idle_again(self, open_screen, server):
        page = open_screen()
        server.scan("identified")
        page.wait_for_selector("#result .name")
        page.wait_for_selector("body[data-state=idle]")
        assert page.locator("#idle").is_visible()
        left = page.content() + page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        for secret in ("王*明", "4821", "46 岁"):
            assert secret not in left
        wait_for_scans(page, [1])

    def test_the_name_goes_on_time_also_while_the_line_is_cut(self, open_screen, server):
        page = open_screen()
        server.scan("identified")
        page.wait_for_selector("text=王*明")
        server.line.cut()
        page.wait_for_selector("body[data-state=idle]")
        assert "王*明" not in page.content()

    def test_a_reloaded_page_lists_old_scans_without_their_names(self, open_screen, server):
        server.scan("identified", at=datetime.now(ZONE) - timedelta(seconds=30))
        page = open_screen()
        wait_for_scans(page, [1])
        assert page.locator("body").get_attribute("data-state") == "idle"
        assert "王*明" not in page.content()


def test_a_reloaded_page_shows_the_answer_that_is_still_fresh(open_screen, server):
    server.scan("identified", at=datetime.now(ZONE) - timedelta(seconds=5))
    page = open_screen()
    page.wait_for_selector("#result .name")


def test_device_and_his_lamps_follow_the_server(desk):
    page, server = desk
    server.send("device", {"device": "S1", "state": "failed", "reason": "port gone"})
    page.wait_for_selector("#trouble >> text=扫码器没有连上")
    assert "故障" in page.locator("#lamps").inner_text()
    server.send("notice", {"kind": "his", "state": "offline", "say": {}})
    page.wait_for_selector("#trouble >> text=医院系统没有回应")
    server.send("device", {"device": "S1", "state": "online", "reason": ""})
    server.send("notice", {"kind": "his", "state": "online", "say": {}})
    page.wait_for_selector("#trouble", state="detached")


def test_a_printed_code_pairs_the_screen_and_the_token_stays_in_this_browser(open_screen, server):
    page = open_screen(paired=False)
    page.fill("#pair-code", "abcd2345")
    assert page.input_value("#pair-code") == CODE
    page.press("#pair-code", "Enter")
    page.wait_for_selector("#idle")
    assert page.evaluate("localStorage.getItem('screen-token:C1')") == TOKEN
    page.wait_for_selector("#lamps .ph-lamp--on")
    assert server.hellos == [{"station": "C1", "token": TOKEN, "last_seq": None}]


def test_a_link_with_the_code_in_its_fragment_pairs_by_itself_and_forgets_the_code(open_screen, server):
    page = open_screen(paired=False, address=f"#pair={CODE}")
    page.wait_for_selector("#idle")
    assert CODE not in page.url


@pytest.mark.parametrize(
    ("code", "said"), [("ZZZZ9999", "重新打印"), ("MANY2345", "5 分钟后"), ("ABC", "8 位字母和数字")]
)
def test_a_refused_pairing_says_why_and_keeps_the_form(open_screen, server, complaints, code, said):
    page = open_screen(paired=False)
    page.fill("#pair-code", code)
    page.click("#pair-send")
    page.wait_for_selector(f"#pair-error >> text={said}")
    assert page.locator("#pair-code").get_attribute("aria-invalid") == "true"
    complaints[:] = [text for text in complaints if "429" not in text]


def test_a_refused_hello_shows_the_reason_and_a_retry_brings_the_screen_back(open_screen, server):
    page = open_screen()
    server.refuse = {"code": "screen.revoked", "zh": "这块屏幕的配对已撤销", "en": "Pairing revoked"}
    server.line.cut()
    server.line.mend()
    page.wait_for_selector("#pair-error >> text=已撤销")
    assert not page.locator("#stage").is_visible()
    server.refuse = None
    page.click("#pair-retry")
    page.wait_for_selector("#idle")


def test_each_class_of_outcome_has_its_sound_once_somebody_touched_the_page(open_screen, server):
    page = open_screen()
    page.evaluate(
        """() => { window.notes = []; const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (at) {
            window.notes.push(Math.round(this.frequency.value)); start.call(this, at); } }"""
    )
    server.scan("identified")
    page.wait_for_selector("#result .name")
    assert page.evaluate("notes") == []
    assert "点一下开启声音" in page.locator("#sound").inner_text()
    page.click("#sound")
    page.wait_for_selector("#sound[data-state=on]")
    tunes = {}
    for outcome in ("identified", "expired", "forged", "his_unavailable", "busy"):
        page.evaluate("notes.length = 0")
        server.scan(outcome)
        page.wait_for_selector(f"body[data-outcome={outcome}]")
        wait_until(page, "notes.length > 1", True)
        tunes[outcome] = tuple(page.evaluate("notes"))
    assert len(set(tunes.values())) == 4
    assert tunes["busy"] == tunes["his_unavailable"]
    page.click("#sound")
    page.wait_for_selector("#sound[data-state=off]")


def test_english_is_complete_and_stays_chosen(open_screen, server):
    page = open_screen()
    server.scan("expired")
    page.wait_for_selector("#result .word")
    page.click("#language")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator(".word").inner_text() == "Expired"
    assert "Scan again" in page.locator(".next").inner_text() or "scan again" in page.locator(".next").inner_text()
    page.reload()
    page.wait_for_selector("#recent-title >> text=Last 10 scans")


@pytest.mark.parametrize(("station", "asks"), [("W1", "请扫患者腕带"), ("K1", "请把电子就诊卡对准扫码口")])
def test_ward_and_kiosk_fill_the_screen_with_the_answer(open_screen, server, station, asks):
    page = open_screen(station)
    assert asks in page.locator("#idle").inner_text()
    server.scan("wrong_ward")
    page.wait_for_selector("#result .name")
    box = page.locator("#result").bounding_box()
    assert box["width"] == 1280
    assert box["height"] >= 700
    assert page.locator("#recent").count() == 0
    assert page.locator("#result").evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(179, 38, 30)"
