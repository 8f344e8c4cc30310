"""Signing in with WeChat: nobody gets in by a state, code, openid or address that is not theirs."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.house import House, Phone


def begin(phone: Phone, target: str = "/portal/cards") -> str:
    """Start a sign-in; WeChat's answer: the callback address with code and state."""
    to_wechat = phone.get(f"/portal/login?next={target}", allow_redirects=False).headers["Location"]
    where = to_wechat.split("#", 1)[0] + f"&user={phone.user}"
    return phone.http.get(where, allow_redirects=False, timeout=5).headers["Location"]


def is_in(phone: Phone) -> bool:
    return phone.get("/portal/cards", allow_redirects=False).status_code == 200


def call(phone: Phone, address: str) -> requests.Response:
    return phone.http.get(address, allow_redirects=False, timeout=10)


def test_a_person_signs_in_and_comes_back_to_where_they_wanted(house: House) -> None:
    phone = house.phone(signed_in=False)
    wanted = phone.get("/portal/admissions", allow_redirects=False)
    assert wanted.headers["Location"] == "/portal/login?next=/portal/admissions"
    answer = call(phone, begin(phone, "/portal/admissions"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/portal/admissions")
    assert is_in(phone)


def test_only_the_base_scope_is_asked_for_and_our_own_address_given(house: House) -> None:
    phone = house.phone(signed_in=False)
    url = urlsplit(phone.get("/portal/login", allow_redirects=False).headers["Location"])
    query = parse_qs(url.query)
    assert query["scope"] == ["snsapi_base"]
    assert query["redirect_uri"] == [f"{house.url}/portal/wechat/callback"]
    assert len(query["state"][0]) >= 43


def test_a_missing_wrong_or_foreign_state_signs_nobody_in(house: House) -> None:
    for change in ("missing", "wrong", "foreign", "no session"):
        phone, victim = house.phone(2, signed_in=False), house.phone(3, signed_in=False)
        back = urlsplit(begin(phone))
        query = parse_qs(back.query)
        base = f"{house.url}{back.path}"
        code, state = query["code"][0], query["state"][0]
        if change == "foreign":
            begin(victim)
        answer = {
            "missing": lambda: call(phone, f"{base}?code={code}"),  # noqa: B023
            "wrong": lambda: call(phone, f"{base}?code={code}&state=x{state}"),  # noqa: B023
            "foreign": lambda: call(victim, f"{base}?code={code}&state={state}"),  # noqa: B023
            "no session": lambda: requests.get(f"{base}?code={code}&state={state}", allow_redirects=False, timeout=5),  # noqa: B023
        }[change]()
        assert answer.status_code == 400, change
        assert not is_in(phone), change
        assert not is_in(victim), change


def test_a_state_works_once(house: House) -> None:
    phone = house.phone(signed_in=False)
    back = begin(phone)
    before = phone.http.cookies.copy()
    assert call(phone, back).status_code == 303
    again = Phone(house.url, 1)
    again.http.cookies.update(before)
    assert call(again, back).status_code == 400
    assert not is_in(again)


def test_wechats_browser_may_call_twice(house: House) -> None:
    phone = house.phone(signed_in=False)
    back = begin(phone)
    assert call(phone, back).headers["Location"] == "/portal/cards"
    asked = house.wechat.calls()["/sns/oauth2/access_token"]
    assert call(phone, back).headers["Location"] == "/portal/cards"
    assert house.wechat.calls()["/sns/oauth2/access_token"] == asked


def test_a_used_code_signs_nobody_in(house: House) -> None:
    first, second = house.phone(signed_in=False), house.phone(signed_in=False)
    used = begin(first)
    call(first, used)
    state = parse_qs(urlsplit(begin(second)).query)["state"][0]
    code = parse_qs(urlsplit(used).query)["code"][0]
    assert call(second, f"{house.url}/portal/wechat/callback?code={code}&state={state}").status_code == 400
    assert not is_in(second)


def test_an_openid_in_the_address_or_a_cookie_is_nothing(house: House) -> None:
    house.bind(1)
    follower = house.follower(1)
    openid = house.parts.store.followers.get(follower)
    assert openid is not None
    for name in ("openid", "follower", "user", "session"):
        phone = house.phone(5, signed_in=False)
        for value in (openid.openid, follower):
            phone.http.cookies.set(name, value)
            phone.http.cookies.set("hospital", value)
            answer = phone.get(f"/portal/cards?{name}={value}", allow_redirects=False)
            assert answer.status_code == 303
            assert "/portal/login" in answer.headers["Location"]
            state = parse_qs(urlsplit(begin(phone)).query)["state"][0]
            call(phone, f"{house.url}/portal/wechat/callback?state={state}&openid={value}")
            assert not is_in(phone)


def test_wechat_away_is_said_and_the_house_stays_up(house: House) -> None:
    phone = house.phone(signed_in=False)
    back = begin(phone)
    house.wechat.fault("down")
    try:
        answer = call(phone, back)
    finally:
        house.wechat.fault("ok")
    assert answer.status_code == 503
    assert "微信暂时没有回应" in answer.text
    assert not is_in(phone)
    phone.sign_in()
    assert is_in(phone)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "/portal/\\..\\//evil", "/portal//../../x",
        "javascript:alert(1)", "/portalx", "/admin/", "/portal/%0d%0aSet-Cookie:x=1", "/portal/\r\nX:1", "\t//evil", "",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_house_after_signing_in(house: House, target: str) -> None:
    phone = house.phone(signed_in=False)
    to_wechat = phone.get("/portal/login", params={"next": target}, allow_redirects=False).headers["Location"]
    back = phone.http.get(to_wechat.split("#", 1)[0], allow_redirects=False, timeout=5).headers["Location"]
    ended = call(phone, back).headers["Location"]
    assert ended.startswith("/portal/")
    assert "\\" not in ended
    assert ".." not in ended
    assert "\n" not in ended


def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(house: House) -> None:
    phone = house.phone()
    thief = Phone(house.url, 1)
    thief.http.cookies.update(phone.http.cookies)
    assert is_in(thief)
    assert phone.post("/portal/logout", allow_redirects=False).status_code == 303
    assert not is_in(thief)
    assert not is_in(phone)


def test_the_token_changes_at_sign_in(house: House) -> None:
    phone = house.phone(signed_in=False)
    back = begin(phone)
    before = phone.http.cookies["hospital"]
    call(phone, back)
    assert phone.http.cookies["hospital"] != before
