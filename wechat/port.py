"""What the house asks of the WeChat platform: sign-in now; messages and menus come with their issues.

Errors (raised by every adapter, translated once at the adapter's edge):

    WechatError
    ├── WechatUnavailable(reason)   no usable answer; the person may try again
    └── CodeRefused(errcode)        a well-formed answer: this code signs nobody in; begin the sign-in anew
"""

from __future__ import annotations

from typing import Protocol

from core.errors import HospitalError


class WechatError(HospitalError):
    """Anything WeChat, or the way to it, can answer instead of a value."""


class WechatUnavailable(WechatError):
    """No usable answer. ``reason`` is a machine word: not_configured, timeout, unreachable, busy, bad_reply, http_NNN, errcode_N."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CodeRefused(WechatError):
    """WeChat refused the code: unknown, too old, or used before. ``errcode`` is its own number."""

    def __init__(self, errcode: int) -> None:
        super().__init__(f"code refused ({errcode})")
        self.errcode = errcode


class WechatOAuth(Protocol):
    """OAuth 2.0 of a WeChat service account; thread-safe."""

    def authorize_url(self, redirect_uri: str, state: str, scope: str = "snsapi_base") -> str:
        """Where to send the browser; WeChat sends it back to ``redirect_uri`` with ``code`` and ``state``. Raises WechatUnavailable."""

    def openid(self, code: str) -> str:
        """Exchange a single-use code for the openid. Raises CodeRefused, WechatUnavailable."""
