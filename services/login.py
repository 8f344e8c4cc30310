"""Sign-in with WeChat: a single-use state tied to the browser's session, and the openid only from WeChat's server."""

from __future__ import annotations

from datetime import timedelta

from core.clock import Clock
from core.errors import Refusal
from core.ids import new_token
from store.port import Follower, Followers, Sessions
from wechat.port import CodeRefused, WechatOAuth, WechatUnavailable

STATE_LIFE = timedelta(minutes=10)


class LoginService:
    """Starts and finishes a sign-in; knows no cookies, only the session's token."""

    def __init__(self, followers: Followers, sessions: Sessions, wechat: WechatOAuth, clock: Clock) -> None:
        self._followers, self._sessions, self._wechat, self._clock = followers, sessions, wechat, clock

    def start(self, session_token: str, redirect_uri: str) -> str:
        """Where to send the browser. Raises Refusal ``login.off`` when no WeChat account is configured."""
        state = new_token()
        try:
            url = self._wechat.authorize_url(redirect_uri, state)
        except WechatUnavailable as exc:
            raise Refusal(
                "login.off",
                "微信登录还没有开通,请到窗口办理",
                "WeChat sign-in is not set up yet; please ask at a counter",
            ) from exc
        self._sessions.offer_state(state, session_token, self._clock.now() + STATE_LIFE)
        return url

    def finish(self, session_token: str, state: str, code: str) -> Follower:
        """Who signed in. Raises Refusal ``login.state``, ``login.code_refused``, ``login.unavailable``.

        The state is used up before WeChat is asked: a repeated call signs nobody in.
        """
        now = self._clock.now()
        if not session_token or not state or not self._sessions.take_state(state, session_token, now):
            raise _again("login.state")
        try:
            openid = self._wechat.openid(code)
        except CodeRefused as exc:
            raise _again("login.code_refused") from exc
        except WechatUnavailable as exc:
            raise Refusal(
                "login.unavailable",
                "微信暂时没有回应,还没有登录。请稍后再试",
                "WeChat does not answer; you are not signed in yet. Please try again in a moment",
                next_step="login",
            ) from exc
        return self._followers.seen(openid, now)


def _again(code: str) -> Refusal:
    return Refusal(
        code,
        "这次登录已失效,请重新登录",
        "This sign-in is no longer valid; please sign in again",
        next_step="login",
    )
