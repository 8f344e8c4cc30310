"""What the simulated WeChat platform knows: users, single-use codes, access tokens, faults. No I/O.

Codes and messages as in WeChat's "global return codes" page: 40013 invalid appid, 40125 invalid appsecret,
40029 invalid code, 40163 code been used, 41008 missing code, 40001 invalid token, 40003 invalid openid,
48001 api unauthorized.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, field

CODE_LIFE_S = 300
TOKEN_LIFE_S = 7200
NICKNAMES = ("小明妈妈", "李建国", "木子", "Grace Chen", "阿强", "🌻向日葵", "老王", "晓雯")


@dataclass(frozen=True)
class Issued:
    """A code as handed out; ``born`` is monotonic seconds."""

    openid: str
    scope: str
    born: float


@dataclass
class Faults:
    """``mode``: ok, slow (waits ``seconds``, then answers), down (closes the connection), drip, rubbish, busy (-1)."""

    mode: str = "ok"
    seconds: float = 3.0


@dataclass
class Platform:
    """One service account and its followers."""

    app_id: str
    app_secret: str
    faults: Faults = field(default_factory=Faults)
    calls: dict[str, int] = field(default_factory=dict)
    _codes: dict[str, Issued] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _tokens: dict[str, Issued] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Remember that this was asked."""
        with self._lock:
            self.calls[what] = self.calls.get(what, 0) + 1

    def openid(self, user: int) -> str:
        """The same for the same user and account, as WeChat does it: 28 characters beginning with o."""
        digest = hashlib.sha256(f"{self.app_id}/{user}".encode()).hexdigest()
        return "o" + digest[:27]

    def authorise(self, user: int, scope: str) -> str:
        """A fresh single-use code for this user."""
        code = secrets.token_hex(16)
        with self._lock:
            self._codes[code] = Issued(self.openid(user), scope, time.monotonic())
        return code

    def access_token(self, app_id: str, secret: str, code: str, grant: str) -> dict[str, object]:
        """Answer of /sns/oauth2/access_token."""
        if app_id != self.app_id:
            return _error(40013, "invalid appid")
        if not secrets.compare_digest(secret, self.app_secret):
            return _error(40125, "invalid appsecret, view more at http://t.cn/RAEkdVq")
        if grant != "authorization_code":
            return _error(40002, "invalid grant_type")
        if not code:
            return _error(41008, "missing code")
        with self._lock:
            if code in self._used:
                return _error(40163, "code been used")
            issued = self._codes.pop(code, None)
            if issued is None or time.monotonic() - issued.born > CODE_LIFE_S:
                return _error(40029, "invalid code")
            self._used.add(code)
            token = secrets.token_urlsafe(48)
            self._tokens[token] = Issued(issued.openid, issued.scope, time.monotonic())
        return {
            "access_token": token,
            "expires_in": TOKEN_LIFE_S,
            "refresh_token": secrets.token_urlsafe(48),
            "openid": issued.openid,
            "scope": issued.scope,
        }

    def userinfo(self, token: str, openid: str) -> dict[str, object]:
        """Answer of /sns/userinfo."""
        issued = self._tokens.get(token)
        if issued is None or time.monotonic() - issued.born > TOKEN_LIFE_S:
            return _error(40001, "invalid credential, access_token is invalid or not latest")
        if issued.openid != openid:
            return _error(40003, "invalid openid")
        if issued.scope != "snsapi_userinfo":
            return _error(48001, "api unauthorized")
        name = NICKNAMES[int(openid[1:5], 16) % len(NICKNAMES)]
        return {"openid": openid, "nickname": name, "sex": 0, "province": "", "city": "", "country": "",
                "headimgurl": "", "privilege": []}  # fmt: skip


def _error(code: int, message: str) -> dict[str, object]:
    return {"errcode": code, "errmsg": f"{message}, rid: {secrets.token_hex(4)}-{secrets.token_hex(4)}"}
