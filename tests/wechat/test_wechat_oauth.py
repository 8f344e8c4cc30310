"""Sign-in against the simulated platform: codes, refusals, and every way WeChat can be away."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from wechatpy.oauth import WeChatOAuth

from core.config import Wechat
from tests.support.sim_wechat import APP_ID, APP_SECRET, WechatSim
from wechat.oauth import WechatOAuthClient
from wechat.port import CodeRefused, WechatUnavailable

BACK = "http://127.0.0.1:1/portal/wechat/callback"


def client(url: str, **changes: object) -> WechatOAuthClient:
    settings = {"app_id": APP_ID, "app_secret": APP_SECRET, "api_base": url, "open_base": url, "timeout_ms": 500}
    return WechatOAuthClient(Wechat.model_validate({**settings, **changes}))


@pytest.fixture
def sim(wechat_sim: WechatSim) -> Iterator[WechatSim]:
    yield wechat_sim
    wechat_sim.fault("ok")


def walk(url: str, user: int = 1) -> dict[str, list[str]]:
    """Follow the authorise address as WeChat's browser does; the query it comes back with."""
    answer = requests.get(url.split("#", maxsplit=1)[0] + f"&user={user}", allow_redirects=False, timeout=5)
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def test_a_code_gives_the_openid_of_who_holds_the_phone(sim: WechatSim) -> None:
    oauth = client(sim.url)
    came = walk(oauth.authorize_url(BACK, "st&te=/?"), user=3)
    assert came["state"] == ["st&te=/?"]
    first = oauth.openid(came["code"][0])
    assert len(first) == 28
    assert first == oauth.openid(walk(oauth.authorize_url(BACK, "s"), user=3)["code"][0])
    assert first != oauth.openid(walk(oauth.authorize_url(BACK, "s"), user=4)["code"][0])


def test_a_code_works_once(sim: WechatSim) -> None:
    oauth = client(sim.url)
    code = walk(oauth.authorize_url(BACK, "s"))["code"][0]
    oauth.openid(code)
    with pytest.raises(CodeRefused) as refused:
        oauth.openid(code)
    assert refused.value.errcode == 40163


@pytest.mark.parametrize("code", ["", "0" * 32, "x" * 600])
def test_a_code_nobody_gave_is_refused(sim: WechatSim, code: str) -> None:
    with pytest.raises(CodeRefused):
        client(sim.url).openid(code)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("down", "unreachable"),
        ("slow", "timeout"),
        ("drip", "timeout"),
        ("rubbish", "bad_reply"),
        ("busy", "errcode_-1"),
    ],
)
def test_every_fault_of_wechat_is_one_error_within_the_deadline(sim: WechatSim, mode: str, reason: str) -> None:
    sim.fault(mode, seconds=2.0)
    began = time.monotonic()
    with pytest.raises(WechatUnavailable) as away:
        client(sim.url).openid("c" * 32)
    assert away.value.reason == reason
    assert time.monotonic() - began < 1.2


def test_a_wrong_secret_is_our_fault_and_not_the_patients(sim: WechatSim) -> None:
    with pytest.raises(WechatUnavailable) as away:
        client(sim.url, app_secret="wrong").openid("c" * 32)
    assert away.value.reason == "errcode_40125"


def test_a_refused_connection_is_translated_and_without_the_wrapper_it_escapes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(WechatUnavailable) as away:
        client(url).openid("c" * 32)
    assert away.value.reason == "unreachable"
    assert away.value.__cause__ is None
    assert APP_SECRET not in str(away.value.__dict__)

    bare = WeChatOAuth(APP_ID, APP_SECRET, BACK)
    bare.API_BASE_URL = url + "/"
    with pytest.raises(requests.ConnectionError) as escaped, bare._http:
        bare.fetch_access_token("c" * 32)
    assert APP_SECRET in str(escaped.value)


def test_a_hanging_wechat_holds_only_so_many_threads(sim: WechatSim) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sim.fault("slow", seconds=1.5)
    oauth = client(sim.url)

    def reason(_: int) -> str:
        with pytest.raises(WechatUnavailable) as away:
            oauth.openid("c" * 32)
        return away.value.reason

    with ThreadPoolExecutor(24) as pool:
        reasons = list(pool.map(reason, range(24)))
    assert reasons.count("timeout") == 8
    assert reasons.count("busy") == 16


def test_without_an_app_id_there_is_no_sign_in() -> None:
    with pytest.raises(WechatUnavailable):
        client("http://127.0.0.1:1", app_id="").authorize_url(BACK, "s")


def test_the_platform_sends_nobody_to_a_host_that_is_not_registered(sim: WechatSim) -> None:
    url = client(sim.url).authorize_url("http://evil.example/", "s").split("#")[0]
    answer = requests.get(url, allow_redirects=False, timeout=5)
    assert answer.status_code == 200
    assert "10003" in answer.text


def test_userinfo_needs_the_wider_scope(sim: WechatSim) -> None:
    for scope, code in (("snsapi_base", 48001), ("snsapi_userinfo", None)):
        url = client(sim.url).authorize_url(BACK, "s", scope)
        query = {
            "appid": APP_ID,
            "secret": APP_SECRET,
            "code": walk(url)["code"][0],
            "grant_type": "authorization_code",
        }
        token = requests.get(f"{sim.url}/sns/oauth2/access_token", query, timeout=5).json()
        who = {"access_token": token["access_token"], "openid": token["openid"]}
        assert requests.get(f"{sim.url}/sns/userinfo", who, timeout=5).json().get("errcode") == code
