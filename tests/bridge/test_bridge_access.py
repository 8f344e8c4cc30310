"""Who may call the bridge, how often, and how it says no: problem+json everywhere, nothing of the request in it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.bridge.conftest import CARD, SCOPES, Bridge, problem

ROUTES = [
    ("POST", "/v1/codes/resolve", "codes:resolve", {"code": CARD}),
    ("POST", "/v1/scans", "scans:write", {}),
    ("GET", "/v1/scans", "scans:read", None),
    ("POST", "/v1/events", "events:write", {"event_id": "E"}),
]
every_route = pytest.mark.parametrize(("method", "path", "scope", "body"), ROUTES, ids=lambda v: str(v)[:20])
SECRET = "110105199003078515"
"""An ID number with a right check character; whatever holds it must not be repeated."""


# ---------------------------------------------------------------- tokens


@every_route
def test_without_a_token_nothing_is_answered(bridge: Bridge, method: str, path: str, scope: str, body: Any) -> None:
    answer = bridge.call(method, path, "", json=body)
    problem(answer, 401, "token.missing")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="hospital bridge"'


@every_route
@pytest.mark.parametrize("token", ["x", "A" * 43, "Ä", "a b c", "x" * 5000])
def test_a_wrong_token_is_refused(bridge: Bridge, method: str, path: str, scope: str, body: Any, token: str) -> None:
    answer = bridge.call(method, path, token.encode().decode("latin-1"), json=body)
    problem(answer, 401, "token.wrong")
    assert "invalid_token" in answer.headers["WWW-Authenticate"]


@every_route
def test_a_revoked_token_is_refused_from_the_next_call_on(
    bridge: Bridge, method: str, path: str, scope: str, body: Any
) -> None:
    token = bridge.client("gone", scope)
    assert bridge.call(method, path, token, json=body).status_code in (200, 422)
    bridge.parts.bridge_clients.revoke("gone")
    problem(bridge.call(method, path, token, json=body), 401, "token.wrong")


@every_route
def test_a_token_without_the_scope_is_refused(bridge: Bridge, method: str, path: str, scope: str, body: Any) -> None:
    token = bridge.client("little", *(one for one in SCOPES if one != scope))
    answer = bridge.call(method, path, token, json=body)
    assert scope in problem(answer, 403, "token.scope")["detail"]
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_a_token_in_the_address_or_as_basic_is_no_token(bridge: Bridge) -> None:
    problem(bridge.call("GET", f"/v1/scans?token={bridge.token}", ""), 401, "token.missing")
    basic = {"Authorization": f"Basic {bridge.token}"}
    problem(bridge.call("GET", "/v1/scans", "", headers=basic), 401, "token.missing")


def test_a_token_works_only_from_its_addresses(bridge: Bridge) -> None:
    problem(bridge.call("GET", "/v1/scans", bridge.client("far", addresses=["10.0.0.0/8"])), 403, "token.address")
    near = bridge.client("near", addresses=["10.0.0.0/8", "127.0.0.1"])
    assert bridge.call("GET", "/v1/scans", near).status_code == 200


def test_many_wrong_tokens_are_told_to_wait_and_the_right_one_is_still_taken(bridge: Bridge) -> None:
    answers = [bridge.call("GET", "/v1/scans", f"wrong{n}") for n in range(35)]
    assert Counter(answer.status_code for answer in answers) == {401: 30, 429: 5}
    problem(answers[-1], 429, "token.too_many")
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 600
    assert bridge.call("GET", "/v1/scans").status_code == 200


def test_wrong_tokens_beyond_the_limit_take_no_turn_at_the_database(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter is one serial transaction, which patients who bind a card wait for too."""
    attempts, counted = bridge.parts.store.attempts, []
    reserve = attempts.reserve
    monkeypatch.setattr(attempts, "reserve", lambda *given: (counted.append(1), reserve(*given))[1])
    answers = [bridge.call("GET", "/v1/scans", f"wrong{n}") for n in range(60)]
    assert Counter(answer.status_code for answer in answers) == {401: 30, 429: 30}
    assert len(counted) == 31
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 600


def test_a_client_that_calls_too_often_waits_and_another_does_not(make_bridge: Callable[..., Bridge]) -> None:
    bridge = make_bridge(bridge={"requests_per_minute": 30})
    other = bridge.client("other")
    answers = [bridge.call("GET", "/v1/scans") for _ in range(40)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(limited) <= 10
    problem(limited[-1], 429, "rate.limited")
    assert bridge.call("GET", "/v1/scans", other).status_code == 200
    wait = int(limited[-1].headers["Retry-After"])
    assert 1 <= wait <= 3
    time.sleep(wait)
    assert bridge.call("GET", "/v1/scans").status_code == 200


def test_only_the_hash_of_a_token_is_kept(bridge: Bridge, log_lines: list[str]) -> None:
    bridge.call("GET", "/v1/scans")
    bridge.parts.store.checkpoint()
    kept = b"".join(path.read_bytes() for path in bridge.folder.iterdir())
    assert bridge.token.encode() not in kept
    assert not any(bridge.token in line for line in log_lines)
    (client,) = bridge.parts.bridge_clients.all()
    assert client.last_used_at is not None


def test_a_client_for_one_station_gets_no_other(bridge: Bridge) -> None:
    token = bridge.client("c1", stations=["C1"])
    assert bridge.post("/v1/codes/resolve", {"code": CARD, "station": "C1"}, token).status_code == 200
    bridge.resolve(CARD, "C2")
    for station in ("C2", "NOWHERE"):
        body = {"code": CARD, "station": station}
        problem(bridge.post("/v1/codes/resolve", body, token), 403, "station.not_yours")
        problem(bridge.post("/v1/scans", bridge.scan("a", station=station), token), 403, "station.not_yours")
        problem(bridge.call("GET", f"/v1/scans?station={station}", token), 403, "station.not_yours")
    assert {scan["station"] for scan in bridge.call("GET", "/v1/scans", token).json()["scans"]} == {"C1"}
    problem(bridge.post("/v1/codes/resolve", {"code": CARD, "station": "NOWHERE"}), 422, "station.unknown")
    bad = bridge.event("e", data={"station": "C2"})
    problem(bridge.post("/v1/events", bad, token), 403, "station.not_yours")


def test_calls_beyond_the_room_are_told_to_come_again_and_the_rest_answered(bridge: Bridge, his_process: Any) -> None:
    his_process.fault("slow", ms=1000)
    statuses: list[int] = []

    def ask() -> None:
        answer = bridge.app.test_client().post(
            "/bridge/v1/codes/resolve", json={"code": CARD}, headers={"Authorization": f"Bearer {bridge.token}"}
        )
        statuses.append(answer.status_code)
        assert answer.status_code == 200 or answer.headers["Retry-After"] == "1"

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {200: 16, 503: 8}


# ---------------------------------------------------------------- how it says no


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "", 404, "not_found"),
        ("GET", "/v2/scans", 404, "not_found"),
        ("GET", f"/v1/codes/{SECRET}", 404, "not_found"),
        ("POST", "/v1/scans/", 404, "not_found"),
        ("DELETE", "/v1/scans", 405, "method_not_allowed"),
        ("GET", "/v1/codes/resolve", 405, "method_not_allowed"),
        ("POST", "/docs", 405, "method_not_allowed"),
    ],
)
def test_no_address_and_no_method_are_problems_too(
    bridge: Bridge, method: str, path: str, status: int, code: str
) -> None:
    answer = bridge.call(method, path)
    assert SECRET not in json.dumps(problem(answer, status, code))
    assert (status == 405) == ("Allow" in answer.headers)


def test_other_doors_answer_errors_as_before(bridge: Bridge) -> None:
    answer = bridge.http.get(f"{bridge.url}/bridges", timeout=10)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b"{", {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b"\xff\xfe", {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b'{"code": NaN}', {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b"[" * 50_000, {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b"9" * 5000, {"Content-Type": "application/json"}, 400, "body.not_json"),
    (b'{"code": "1"}', {"Content-Type": "text/plain"}, 415, "body.type"),
    (b'{"code": "1"}', {}, 415, "body.type"),
    (b'{"code": "1"}', {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "body.type"),
    (b" " * (256 * 1024 + 1), {"Content-Type": "application/json"}, 413, "body.too_large"),
    (b"null", {"Content-Type": "application/json; charset=utf-8"}, 422, "body.invalid"),
    (b'"text"', {"Content-Type": "application/json"}, 422, "body.invalid"),
]


@pytest.mark.parametrize(("body", "headers", "status", "code"), BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("path", ["/v1/codes/resolve", "/v1/scans", "/v1/events"])
def test_a_body_that_is_no_fit_json_is_a_problem(
    bridge: Bridge, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    problem(bridge.call("POST", path, data=body, headers=headers), status, code)


def test_a_body_of_untold_length_is_cut_at_the_same_size(bridge: Bridge) -> None:
    endless = (b" " * 4096 for _ in range(100))
    answer = bridge.call("POST", "/v1/events", data=endless, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/codes/resolve", {}, "/code"),
        ("/v1/codes/resolve", {"code": 1}, "/code"),
        ("/v1/codes/resolve", {"code": ""}, "/code"),
        ("/v1/codes/resolve", {"code": "1" * 4097}, "/code"),
        ("/v1/codes/resolve", {"code": "1", "station": ["C1"]}, "/station"),
        ("/v1/codes/resolve", {"code": "1", SECRET: SECRET}, None),
        ("/v1/scans", {"text": SECRET, "raw_hex": "00"}, None),
        ("/v1/scans", {"scan_id": f"a/{SECRET}"}, "/scan_id"),
        ("/v1/scans", {"at": 1764000000}, "/at"),
        ("/v1/scans", {"at": "2026-11-24T09:30:12"}, "/at"),
        ("/v1/scans", {"at": "9999-12-31T23:59:59-12:00"}, "/at"),
        ("/v1/scans", {"raw_hex": "abc", "text": None}, "/raw_hex"),
        ("/v1/scans", {"device": "a\x00b"}, "/device"),
        ("/v1/events", {"kind": SECRET}, "/kind"),
        ("/v1/events", {"event_id": "a\x00"}, "/event_id"),
        ("/v1/events", {"data": {SECRET: 1}}, "/data"),
        ("/v1/events", {"data": {"queue_no": True}}, "/data"),
        ("/v1/events", {"data": {"queue_no": 2**60}}, "/data"),
        ("/v1/events", {"kind": "clinic_stopped", "ref": ""}, None),
        ("/v1/events", {"kind": "admitted", "patient_id": ""}, None),
    ],
)
def test_what_does_not_fit_is_named_by_its_member_and_not_repeated(
    bridge: Bridge, path: str, body: dict[str, Any], pointer: str | None
) -> None:
    whole = {"/v1/scans": bridge.scan("a"), "/v1/events": bridge.event("e")}.get(path, {})
    answer = bridge.post(path, {**whole, **body})
    said = problem(answer, 422, "body.invalid")
    assert pointer is None or pointer in [fault.get("pointer") for fault in said["errors"]]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "query", ["since=-1", "since=x", f"since={10**30}", "limit=0", "limit=501", "x=1", "since=1&since=2", "station="]
)
def test_a_query_that_does_not_fit_is_a_problem(bridge: Bridge, query: str) -> None:
    problem(bridge.call("GET", f"/v1/scans?{query}"), 422, "query.invalid")


def test_no_call_sets_a_cookie_or_needs_one(bridge: Bridge) -> None:
    for path in ("/v1/scans", "/v1/scans?lang=en", "/openapi.json?lang=en"):
        assert "Set-Cookie" not in bridge.call("GET", path).headers
    answer = bridge.call(
        "POST", "/v1/codes/resolve", json={"code": CARD}, headers={"Origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_unexpected_error_is_a_problem_with_a_number_and_tells_nothing(
    bridge: Bridge, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(bridge.parts.bridge_scans, "resolve", broken)
    answer = bridge.post("/v1/codes/resolve", {"code": SECRET})
    said = problem(answer, 500, "server_error")
    assert "disk" not in answer.text
    assert any(said["instance"] in line for line in log_lines)
    assert not any(SECRET in line for line in log_lines)
