"""Sessions live on the server: what the cookie is, when it dies, when it is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask, session

from core.clock import SHANGHAI, SetClock
from core.privacy import Vault
from store.store import Store
from web import sessions
from web.sessions import ServerSession


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime.now(SHANGHAI))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'h.db'}", Vault(bytes(32)))
    yield made
    made.close()


def app_on(store: Store, clock: SetClock, url: str = "http://127.0.0.1:8000") -> Flask:
    app = Flask(__name__)
    app.secret_key = b"k" * 32
    sessions.init_app(app, store.sessions, clock, public_url=url, hours=12)

    def mine() -> ServerSession:
        return session._get_current_object()  # type: ignore[attr-defined,no-any-return]

    @app.get("/in/<who>")
    def sign_in(who: str) -> str:
        mine().sign_in(who)
        return "ok"

    @app.get("/out")
    def sign_out() -> str:
        mine().end()
        return "ok"

    @app.get("/who")
    def who() -> str:
        return str(session.get("follower", "nobody"))

    @app.get("/plain")
    def plain() -> str:
        return "ok"

    return app


def cookie_of(answer: object) -> str:
    return str(answer.headers.get("Set-Cookie", "")).split(";")[0].partition("=")[2]  # type: ignore[attr-defined]


def test_the_cookie_is_only_a_token_and_dies_everywhere_at_sign_out(store: Store, clock: SetClock) -> None:
    app = app_on(store, clock)
    phone, thief = app.test_client(), app.test_client()
    set_cookie = phone.get("/in/me").headers["Set-Cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie
    assert "me" not in set_cookie.split(";")[0].partition("=")[2].split(".")
    token = set_cookie.split(";")[0].partition("=")[2]
    thief.set_cookie("hospital", token)
    assert thief.get("/who").text == "me"
    gone = phone.get("/out")
    assert "Max-Age=0" in gone.headers["Set-Cookie"]
    assert thief.get("/who").text == "nobody"
    assert phone.get("/who").text == "nobody"


def test_signing_in_gives_a_new_token_so_a_planted_one_is_worth_nothing(store: Store, clock: SetClock) -> None:
    app = app_on(store, clock)
    phone, attacker = app.test_client(), app.test_client()
    first = cookie_of(phone.get("/in/nobody-yet"))
    attacker.set_cookie("hospital", first)
    second = cookie_of(phone.get("/in/me"))
    assert first != second
    assert attacker.get("/who").text == "nobody"
    made_up = app.test_client()
    made_up.set_cookie("hospital", "chosen-by-the-attacker")
    made_up.get("/in/me")
    attacker.set_cookie("hospital", "chosen-by-the-attacker")
    assert attacker.get("/who").text == "nobody"


def test_over_https_the_cookie_is_secure_and_bound_to_the_host(store: Store, clock: SetClock) -> None:
    answer = app_on(store, clock, "https://hospital.lan").test_client().get("/in/me")
    set_cookie = answer.headers["Set-Cookie"]
    assert set_cookie.startswith("__Host-hospital=")
    assert "Secure" in set_cookie
    assert "Path=/" in set_cookie
    assert "Domain" not in set_cookie


def test_a_session_in_use_stays_and_an_idle_one_ends(store: Store, clock: SetClock) -> None:
    phone = app_on(store, clock).test_client()
    phone.get("/in/me")
    for _ in range(4):
        clock.advance(11 * 3600)
        assert phone.get("/who").text == "me"
    clock.advance(12 * 3600 + 1)
    assert phone.get("/who").text == "nobody"


def test_reading_pages_write_at_most_once_a_minute(store: Store, clock: SetClock) -> None:
    phone = app_on(store, clock).test_client()
    phone.get("/in/me")
    for _ in range(3):
        clock.advance(15)
        assert "Set-Cookie" not in phone.get("/who").headers
    clock.advance(20)
    assert "Set-Cookie" in phone.get("/who").headers
    assert "Set-Cookie" not in phone.get("/who").headers


def test_a_page_that_asks_nothing_reads_no_session(store: Store, clock: SetClock) -> None:
    phone = app_on(store, clock).test_client()
    phone.get("/in/me")
    answer = phone.get("/plain")
    assert "Vary" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_a_slow_request_does_not_bring_a_signed_out_session_back(store: Store, clock: SetClock) -> None:
    app = app_on(store, clock)
    inside, go = threading.Event(), threading.Event()

    @app.get("/slow")
    def slow() -> str:
        session["touched"] = True
        inside.set()
        go.wait(5)
        return "ok"

    phone, other = app.test_client(), app.test_client()
    token = cookie_of(phone.get("/in/me"))
    other.set_cookie("hospital", token)
    thread = threading.Thread(target=lambda: other.get("/slow"))
    thread.start()
    assert inside.wait(5)
    phone.get("/out")
    go.set()
    thread.join()
    late = app.test_client()
    late.set_cookie("hospital", token)
    assert late.get("/who").text == "nobody"
    # control: a plain save brings it back
    store.sessions.save(token, {"follower": "me"}, clock.now() + timedelta(hours=1))
    assert late.get("/who").text == "me"
