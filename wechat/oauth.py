"""WeChat sign-in on wechatpy, with what wechatpy 1.8.18 lacks: a total deadline and one error class a fault.

Found in wechatpy 1.8.18: requests are made without any timeout, a refused connection escapes as
requests.ConnectionError, and a body that is no JSON as ValueError; its client keeps the last user's tokens, so one
client serves one call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests
from wechatpy.exceptions import WeChatOAuthException
from wechatpy.oauth import WeChatOAuth as Client

from core.config import Wechat
from wechat.port import CodeRefused, WechatUnavailable

log = logging.getLogger(__name__)

REFUSED_CODES = frozenset({40029, 40163, 41008, 42003})
"""WeChat's global return codes for: invalid code, code been used, missing code, code expired."""
CALLS_AT_ONCE = 8
"""A WeChat that hangs may hold this many threads; further sign-ins are told so at once."""


class WechatOAuthClient:
    """`wechat.port.WechatOAuth` on wechatpy. ``timeout_ms`` counts for a whole exchange, to the last byte."""

    def __init__(self, config: Wechat) -> None:
        self._app_id, self._app_secret = config.app_id, config.app_secret.get_secret_value()
        self._api_base = config.api_base.rstrip("/") + "/"
        self._open_base = config.open_base.rstrip("/") + "/connect/"
        self._timeout_s = config.timeout_ms / 1000
        self._slots = threading.BoundedSemaphore(CALLS_AT_ONCE)

    def authorize_url(self, redirect_uri: str, state: str, scope: str = "snsapi_base") -> str:
        if not self._app_id:
            raise WechatUnavailable("not_configured")
        client = self._client(redirect_uri, scope, quote(state, safe=""))
        return str(client.authorize_url)

    def openid(self, code: str) -> str:
        if not code or len(code) > 512:
            raise CodeRefused(41008)
        if not self._slots.acquire(blocking=False):
            raise WechatUnavailable("busy")
        answer: list[str | Exception] = []
        worker = threading.Thread(target=self._exchange, args=(code, answer), daemon=True, name="wechat-oauth")
        worker.start()
        worker.join(self._timeout_s)
        # requests counts its timeout per read, so an answer that drips is given up here
        got = answer[0] if answer else WechatUnavailable("timeout")
        if isinstance(got, Exception):
            if isinstance(got, WechatUnavailable):
                log.warning("wechat sign-in failed: %s", got.reason)
            raise got
        return got

    def _exchange(self, code: str, answer: list[str | Exception]) -> None:
        try:
            answer.append(self._ask(code))
        except (CodeRefused, WechatUnavailable) as exc:
            answer.append(exc)
        finally:
            self._slots.release()

    def _ask(self, code: str) -> str:
        """The openid. Causes are cut (`from None`): requests' messages hold the URL, and that holds the secret."""
        client = self._client("", "snsapi_base", "")
        try:
            with client._http as http:  # noqa: SLF001 - wechatpy offers no other place for a timeout
                http.request = _with_timeout(http.request, self._timeout_s)
                reply = client.fetch_access_token(code)
        except WeChatOAuthException as exc:
            raise _translated(exc) from None
        except requests.Timeout:
            raise WechatUnavailable("timeout") from None
        except requests.RequestException:
            raise WechatUnavailable("unreachable") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WechatUnavailable("bad_reply") from None
        openid = reply.get("openid")
        if not isinstance(openid, str) or not 1 <= len(openid) <= 128:
            raise WechatUnavailable("bad_reply")
        return openid

    def _client(self, redirect_uri: str, scope: str, state: str) -> Client:
        client = Client(self._app_id, self._app_secret, redirect_uri, scope, state)
        client.API_BASE_URL, client.OAUTH_BASE_URL = self._api_base, self._open_base
        return client


def _with_timeout(send: Callable[..., Any], timeout_s: float) -> Callable[..., Any]:
    def request(**kwargs: Any) -> Any:
        return send(**{"timeout": timeout_s, "allow_redirects": False, **kwargs})

    return request


def _translated(exc: WeChatOAuthException) -> CodeRefused | WechatUnavailable:
    if exc.errcode is None:
        status = getattr(exc.response, "status_code", 0)
        return WechatUnavailable(f"http_{status}")
    if exc.errcode in REFUSED_CODES:
        return CodeRefused(int(exc.errcode))
    return WechatUnavailable(f"errcode_{exc.errcode}")
