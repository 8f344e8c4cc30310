"""The bridge in a running hub: screens see what comes in, tokens end at once, kill -9 anywhere doubles and loses nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from core.clock import SHANGHAI
from core.ids import new_id, new_token
from hospital.app import create_app
from store.port import Accepts, Station, StationKind
from tests.bridge.conftest import CARD, Bridge, problem
from tests.support.hub import HubHouse, house_on, wait_for
from tests.support.sims import ROOT, HisSim

AT = "2026-11-24T09:30:12+08:00"
CALL = {"event_id": "E1", "kind": "queue_called", "at": AT, "data": {"queue_no": 17}}


@pytest.fixture
def make_house(tmp_path: Path, his_process: HisSim) -> Iterator[Callable[..., HubHouse]]:
    made: list[HubHouse] = []

    def make(**how: Any) -> HubHouse:
        house = house_on(his_process, tmp_path / f"house{len(made)}", **how)
        made.append(house)
        with house.opened() as store:
            store.stations.add(Station(new_id(), "Q1", "候诊屏", StationKind.QUEUE, Accepts.CARD))
            house.tokens["Q1"] = new_token()
            store.stations.add_token("Q1", house.tokens["Q1"], datetime.now(SHANGHAI))
        return house

    yield make
    for house in made:
        house.close()


def command(house: HubHouse, *words: str) -> subprocess.CompletedProcess[str]:
    """`hospital bridge clients …` beside the running hub."""
    line = [sys.executable, "-m", "hospital", "bridge", "clients", *words, "--config", str(house.config)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def client(house: HubHouse, name: str = "his") -> str:
    scopes = [
        word for scope in ("codes:resolve", "scans:write", "scans:read", "events:write") for word in ("--scope", scope)
    ]
    made = command(house, "add", name, *scopes, "--json")
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["token"])


def post(house: HubHouse, path: str, body: object, token: str) -> requests.Response:
    url = f"http://127.0.0.1:{house.port}/bridge/v1{path}"
    return requests.post(url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20)


def test_what_comes_in_over_the_bridge_is_on_the_screens_at_once_and_after_an_absence(
    make_house: Callable[..., HubHouse],
) -> None:
    house = make_house()
    house.start()
    token = client(house)
    counter, display = house.screen("C1"), house.screen("Q1")
    counter.connect()
    display.connect()
    resolved = post(house, "/codes/resolve", {"code": CARD, "station": "C1"}, token).json()
    counter.poll_until(lambda: counter.outcomes)
    _, seq, shown = counter.seen[-1]
    assert (seq, shown["scan_id"]) == (resolved["seq"], resolved["scan_id"])
    assert "his" not in shown
    assert post(house, "/events", CALL, token).json()["new"] == 1
    display.poll_until(lambda: display.seen)
    assert [(kind, body["queue_no"]) for kind, _, body in display.seen] == [("queue", 17)]
    display.cut()
    for n in range(5):
        post(house, "/events", {**CALL, "event_id": f"away{n}", "data": {"queue_no": 20 + n}}, token)
    display.connect()
    display.poll_until(lambda: len(display.seen) == 6)
    assert [body["queue_no"] for _, _, body in display.seen] == [17, 20, 21, 22, 23, 24]
    assert display.seqs == list(range(1, 7))
    assert CARD not in house.said()
    assert token not in house.said()


def test_the_command_line_makes_a_client_once_and_ends_it_within_five_seconds(
    make_house: Callable[..., HubHouse],
) -> None:
    house = make_house()
    house.start()
    token = client(house)
    assert post(house, "/events", CALL, token).status_code == 200
    again = command(house, "add", "his", "--scope", "scans:read")
    assert (again.returncode, "already" in again.stderr) == (2, True)
    listed = command(house, "list").stdout
    assert "his\tcodes:resolve" in listed
    assert token not in listed
    assert command(house, "revoke", "his").returncode == 0
    begun = time.monotonic()
    wait_for(lambda: post(house, "/events", CALL, token).status_code == 401, 5, "the token to die")
    assert time.monotonic() - begun < 5
    assert "revoked" in command(house, "list").stdout
    assert post(house, "/events", CALL, client(house)).json()["seen"] == 1, "a new token continues the numbers"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "a/b", "--scope", "scans:read"), "name is 1 to 56"),
        (("add", "a", "--scope", "scans:read", "--station", "C9"), "no station C9"),
        (("add", "a", "--scope", "scans:read", "--address", "10.1"), "an address is like"),
        (("revoke", "nobody"), "no live client is called nobody"),
        (("add", "a", "--scope", "everything"), "is not one of"),
        (("add", "a"), "Missing option"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_exit_2(
    make_house: Callable[..., HubHouse], words: tuple[str, ...], said: str
) -> None:
    done = command(make_house(), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_portal_of_its_own_has_no_bridge_and_says_so_in_its_way(bridge: Bridge) -> None:
    app = create_app(bridge.parts, "portal")
    answer = app.test_client().post("/bridge/v1/events", json={})
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


# ---------------------------------------------------------------- kill -9


def die_once(
    house: HubHouse, monkeypatch: pytest.MonkeyPatch, at: str, path: str, body: Any, *, naive: bool = False
) -> dict[str, Any]:
    """Send, die at the step, start again, send again; the second answer."""
    file = house.folder / "die"
    monkeypatch.setenv("DYING_FILE", str(file))
    monkeypatch.setenv("DYING_AT", at)
    if naive:
        monkeypatch.setenv("DYING_NAIVE", "1")
    house.start()
    token = client(house)
    file.touch()
    with pytest.raises(requests.ConnectionError):
        post(house, path, body, token)
    assert not file.exists(), "it died where it was told to"
    assert house.proc is not None
    house.proc.wait(10)
    house.start()
    answer = post(house, path, body, token)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


RUNNER = (str(Path(__file__).parent / "dying_hub.py"),)


@pytest.mark.parametrize(("at", "second"), [("before", "new"), ("after", "seen")])
def test_an_event_whose_answer_died_is_sent_again_and_called_once(
    make_house: Callable[..., HubHouse], monkeypatch: pytest.MonkeyPatch, at: str, second: str
) -> None:
    house = make_house(runner=RUNNER)
    assert die_once(house, monkeypatch, at, "/events", CALL)[second] == 1
    with house.opened() as store:
        assert len(store.his_events.after(0, 10)) == 1
    screen = house.screen("Q1")
    screen.last_seq = 0
    screen.connect()
    screen.poll_until(lambda: screen.seen)
    screen.poll(0.3)
    assert [body["queue_no"] for _, _, body in screen.seen] == [17], "the display has it, once, though nobody pushed it"


def test_without_the_key_the_event_whose_answer_died_is_called_twice(
    make_house: Callable[..., HubHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(runner=RUNNER)
    die_once(house, monkeypatch, "after", "/events", CALL, naive=True)
    assert [event.body["queue_no"] for event in house.events("Q1")] == [17, 17]


@pytest.mark.parametrize("at", ["before", "after"])
def test_a_scan_whose_answer_died_is_sent_again_and_shown_once(
    make_house: Callable[..., HubHouse], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    house = make_house(runner=RUNNER)
    scan = {"scan_id": "a", "station": "C1", "device": "ws1", "text": CARD, "at": datetime.now(SHANGHAI).isoformat()}
    answer = die_once(house, monkeypatch, at, "/scans", scan)
    assert (answer["outcome"], answer["seq"], answer["scan_id"]) == ("identified", 1, "a")
    assert len([event for event in house.events() if event.kind == "scan"]) == 1


def test_without_the_claim_the_scan_whose_answer_died_is_shown_twice(
    make_house: Callable[..., HubHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(runner=RUNNER)
    scan = {"scan_id": "a", "station": "C1", "device": "ws1", "text": CARD, "at": datetime.now(SHANGHAI).isoformat()}
    die_once(house, monkeypatch, "after", "/scans", scan, naive=True)
    assert len([event for event in house.events() if event.kind == "scan"]) == 2


def test_a_wrong_token_problem_is_the_same_from_the_real_server(make_house: Callable[..., HubHouse]) -> None:
    house = make_house()
    house.start()
    problem(post(house, "/events", CALL, "wrong"), 401, "token.wrong")
    slow = requests.get(f"http://127.0.0.1:{house.port}/bridge/nothing", timeout=10)
    problem(slow, 404, "not_found")


def test_a_client_that_drips_its_body_is_cut_off_and_others_are_answered(make_house: Callable[..., HubHouse]) -> None:
    """Twenty of them, one more than the bridge has places; each sends a byte now and then, for ever."""
    house = make_house()
    house.start()
    token = client(house)
    head = (
        f"POST /bridge/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    dripping = [socket.create_connection(("127.0.0.1", house.port), timeout=30) for _ in range(20)]
    begun = time.monotonic()
    try:
        for line in dripping:
            line.sendall(head)
        answered = [post(house, "/events", CALL, token).status_code]
        while time.monotonic() - begun < 9:
            for line in dripping:
                with contextlib.suppress(OSError):
                    line.sendall(b"1\r\n \r\n")
            time.sleep(0.5)
        wait_for(lambda: post(house, "/events", CALL, token).status_code == 200, 8, "a place to be free")
        assert answered[0] in (200, 503)
    finally:
        for line in dripping:
            line.close()
    assert house.get("/healthz")[0] == 200


def test_a_body_in_chunks_is_taken_and_one_without_end_is_not(make_house: Callable[..., HubHouse]) -> None:
    house = make_house()
    house.start()
    url, token = f"http://127.0.0.1:{house.port}/bridge/v1/events", client(house)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    pieces = (json.dumps(CALL)[n : n + 7].encode() for n in range(0, len(json.dumps(CALL)), 7))
    assert requests.post(url, data=pieces, headers=headers, timeout=20).json()["new"] == 1
    endless = (b" " * 4096 for _ in range(200))
    problem(requests.post(url, data=endless, headers=headers, timeout=20), 413, "body.too_large")
    large = [{**CALL, "event_id": f"L{n}", "data": {"queue_no": n, "note": "长" * 300}} for n in range(100)]
    assert len(json.dumps(large, ensure_ascii=False).encode()) > 64 * 1024
    body = json.dumps(large, ensure_ascii=False).encode()
    assert requests.post(url, data=body, headers=headers, timeout=20).json()["new"] == 100


def test_a_client_that_repeats_what_got_no_answer_loses_and_doubles_nothing_over_four_kills(
    make_house: Callable[..., HubHouse],
) -> None:
    house = make_house()
    house.start()
    token = client(house)
    statuses: Counter[str] = Counter()
    over = threading.Event()

    def send(path: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            with contextlib.suppress(requests.RequestException):
                answer = post(house, path, body, token)
                if answer.status_code == 200:
                    return dict(answer.json())
            time.sleep(0.02)

    def work() -> None:
        n = 0
        while not over.is_set():
            call = send("/events", {**CALL, "event_id": f"N{n}", "data": {"queue_no": n}})
            statuses["new"] += call["new"]
            statuses["seen"] += call["seen"]
            now = datetime.now(SHANGHAI).isoformat()
            send("/scans", {"scan_id": f"N{n}", "station": "C1", "device": "ws1", "text": CARD, "at": now})
            n += 1
        statuses["sent"] = n

    worker = threading.Thread(target=work)
    worker.start()
    for pause in (0.31, 0.47, 0.22, 0.53):
        time.sleep(pause)
        house.kill()
        house.start()
    time.sleep(0.5)
    over.set()
    worker.join()
    sent = statuses["sent"]
    assert sent > 20
    assert [event.body["queue_no"] for event in house.events("Q1") if event.kind == "queue"] == list(range(sent))
    assert len([event for event in house.events("C1") if event.kind == "scan"]) == sent
    with house.opened() as store:
        assert len(store.his_events.after(0, 10_000)) == sent
    assert statuses["new"] + statuses["seen"] == sent
