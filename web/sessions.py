"""Server-side sessions: the cookie holds a random token and nothing else; data live sealed in hospital.db.

A session is read at first use, so pages that ask nothing of it (and static files) cost no query, and it is
written when it changed or at most once a minute to push its end on. Signing in gets a new token; a session that was
ended is not brought back by a slower request.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin

from core.clock import Clock
from core.ids import new_token
from store.port import Sessions

SLIDE_S = 60
"""A session in use is written at most this often only to push its end on."""
ANONYMOUS_LIFE = timedelta(minutes=15)
"""Long enough to come back from WeChat."""
_SEEN = "_seen"


class ServerSession(SessionMixin):
    """The session of one request."""

    def __init__(self, store: Sessions, clock: Clock, cookie: str) -> None:
        self._store, self._clock, self._cookie = store, clock, cookie
        self._data: dict[str, Any] | None = None
        self._token = ""
        self._fresh = False
        self.ended = False
        self.modified = False
        self.accessed = False

    # ------------------------------------------------------------ what pages use

    def sign_in(self, follower_id: str, keep: dict[str, Any] | None = None) -> None:
        """Begin anew under a new token, so that a token planted before the sign-in is worth nothing."""
        self.end()
        # the CSRF secret is made here, so that showing a form later writes nothing
        self._data = {**(keep or {}), "follower": follower_id, "csrf_token": secrets.token_hex(20)}
        self._begin()

    def end(self) -> None:
        """Sign out: the token is dead from now on, wherever it was copied to."""
        self._load()
        if self._token and not self._fresh:
            self._store.drop(self._token)
        self._data, self._token, self.ended, self.modified = {}, "", True, True

    @property
    def token(self) -> str:
        """The session's token, made if there is none yet; a login state is tied to it."""
        self._load()
        if not self._token:
            self._begin()
        return self._token

    @property
    def known_token(self) -> str:
        """The token of a session that exists, else empty; never makes one."""
        self._load()
        return "" if self._fresh else self._token

    def _begin(self) -> None:
        self._token, self._fresh, self.modified, self.ended = new_token(), True, True, False

    # ------------------------------------------------------------ a mapping

    def __getitem__(self, key: str) -> Any:
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._load()[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self._load()[key]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(key for key in self._load() if key != _SEEN)

    def __len__(self) -> int:
        return len([key for key in self._load() if key != _SEEN])

    def _load(self) -> dict[str, Any]:
        self.accessed = True
        if self._data is None:
            found = self._store.load(self._cookie, self._clock.now()) if self._cookie else None
            self._data = found if found is not None else {}
            self._token = self._cookie if found is not None else ""
        return self._data

    # ------------------------------------------------------------ saving

    def save(self, signed_in_life: timedelta) -> timedelta | None:
        """Write when there is something to write. Returns the cookie's new life, or None to leave it alone."""
        if self._data is None or self.ended or not (self.modified or self._due()):
            return None
        if not self._token:
            self._begin()
        now = self._clock.now()
        life = signed_in_life if "follower" in self._data else ANONYMOUS_LIFE
        data = {**self._data, _SEEN: int(now.timestamp())}
        if self._fresh:
            self._store.save(self._token, data, now + life)
        elif not self._store.renew(self._token, data, now + life):
            return None
        return life

    def _due(self) -> bool:
        if not self._token or not self._data:
            return False
        return self._clock.epoch() - float(self._data.get(_SEEN, 0)) >= SLIDE_S


class StoreSessions(SessionInterface):
    """Flask's session interface on `store.port.Sessions`."""

    def __init__(self, store: Sessions, clock: Clock, *, secure: bool, life: timedelta) -> None:
        self._store, self._clock, self._secure, self._life = store, clock, secure, life
        self.cookie = "__Host-hospital" if secure else "hospital"

    def open_session(self, app: Flask, request: Request) -> ServerSession:  # noqa: ARG002 - Flask's signature
        """No query yet: see `ServerSession`."""
        return ServerSession(self._store, self._clock, request.cookies.get(self.cookie, ""))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:  # noqa: ARG002
        """Write and set the cookie, or forget it."""
        assert isinstance(session, ServerSession)
        if session.accessed:
            response.vary.add("Cookie")
        if session.ended:
            response.delete_cookie(self.cookie, path="/", secure=self._secure, httponly=True, samesite="Lax")
            return
        life = session.save(self._life)
        if life is not None:
            response.set_cookie(
                self.cookie, session.token, max_age=life, path="/", secure=self._secure, httponly=True, samesite="Lax"
            )  # fmt: skip


def init_app(app: Flask, sessions: Sessions, clock: Clock, *, public_url: str, hours: int) -> None:
    """Keep this app's sessions in the store; cookies are Secure and ``__Host-`` when ``public_url`` is https."""
    secure = public_url.startswith("https://")
    app.session_interface = StoreSessions(sessions, clock, secure=secure, life=timedelta(hours=hours))
