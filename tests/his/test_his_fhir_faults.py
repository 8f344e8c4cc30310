"""FHIR R4 over a bad line: each refusal and each fault is its own class, in time; a frozen server loses and doubles nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest

from his.fhir import OPTIONS, make
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import (
    BookingOrder,
    Ctx,
    Done,
    HealthQuery,
    HisError,
    Lane,
    NotDone,
    NotFound,
    OpClass,
    PatientQuery,
    Rejected,
    RejectReason,
    ReportQuery,
    ReportsQuery,
    SlotLock,
    Unavailable,
    UnknownOutcome,
)
from tests.support.fhir import FhirServer, plan, running, seed, tomorrow

pytestmark = pytest.mark.xdist_group("peer-fhir")
CTX = Ctx(deadline_s=3.0)
DAY = tomorrow()
SLOT = {
    "resourceType": "Slot", "id": "s1", "meta": {"versionId": "1"}, "status": "free",
    "schedule": {"reference": "Schedule/p1"}, "start": f"{DAY}T08:00:00+08:00", "end": f"{DAY}T08:10:00+08:00",
}  # fmt: skip
LOCK = SlotLock("k" * 32, "pat-1", f"p1:{DAY:%Y%m%d}:m", "s1")
READ = PatientQuery(card_no="600000000017")


def said(status: int, body: object, kind: str = "application/fhir+json") -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        kind.encode(),
        len(text),
        text,
    )


def outcome(code: str, words: str = "") -> dict[str, object]:
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "details": {"text": words}}],
    }


def name_of(error: HisError) -> str:
    reason = "" if isinstance(error, UnknownOutcome) else getattr(error, "reason", "")
    return f"{type(error).__name__}:{reason}".rstrip(":")


ANSWERS = [
    (200, outcome("not-found"), "NotFound", "NotFound"),
    (400, outcome("business-rule", "每人每天限一个号"), "Rejected:not_allowed", "Rejected:not_allowed"),
    (422, outcome("duplicate"), "Rejected:duplicate", "Rejected:duplicate"),
    (400, outcome("exception"), "Unavailable:his_exception", "UnknownOutcome"),
    (400, outcome("not-a-code"), "Unavailable:unmapped_code", "UnknownOutcome"),
    (401, outcome("login"), "Unavailable:unauthorized", "Unavailable:unauthorized"),
    (403, {}, "Unavailable:unauthorized", "Unavailable:unauthorized"),
    (404, {}, "Unavailable:http_404", "NotFound"),
    (410, {}, "Unavailable:http_410", "NotFound"),
    (400, b"<html>no</html>", "Unavailable:http_400", "UnknownOutcome"),
    (500, outcome("exception"), "Unavailable:http_500", "UnknownOutcome"),
    (500, b"<html>oops</html>", "Unavailable:http_500", "UnknownOutcome"),
    (302, {}, "Unavailable:http_302", "UnknownOutcome"),
    (200, b"<html>welcome</html>", "Unavailable:bad_reply", "UnknownOutcome"),
    (200, b'{"resourceType": "Bund', "Unavailable:bad_reply", "UnknownOutcome"),
    (200, b'{"resourceType":"Slot","x":NaN}', "Unavailable:bad_reply", "UnknownOutcome"),
    (200, {"resourceType": "Basic", "id": "1"}, "Unavailable:bad_reply", "UnknownOutcome"),
    (204, b"", "Unavailable:http_204", "UnknownOutcome"),
]


@pytest.fixture
def his_of() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def build(url: str, guard: GuardOptions | None = None, **more: object) -> Gateway:
        options = {"base_url": url, "card_no_system": "urn:test:card", **more}
        made.append(Gateway(make(OPTIONS.model_validate(options)), guard or GuardOptions(attempts=1)))
        return made[-1]

    yield build
    for his in made:
        his.close()


@pytest.mark.parametrize(("status", "body", "read", "_write"), ANSWERS)
def test_every_answer_to_a_read_has_its_class(
    make_peer: Any, his_of: Any, status: int, body: object, read: str, _write: str
) -> None:
    with pytest.raises(HisError) as caught:
        his_of(make_peer(said(status, body)).url).ask(READ, CTX)
    assert name_of(caught.value) == read


@pytest.mark.parametrize(("status", "body", "_read", "write"), ANSWERS)
def test_every_answer_to_a_write_has_its_class(
    make_peer: Any, his_of: Any, status: int, body: object, _read: str, write: str
) -> None:
    with pytest.raises(HisError) as caught:
        his_of(make_peer(said(200, SLOT), said(status, body)).url).do(LOCK, CTX)
    assert name_of(caught.value) == write


def test_a_rejection_carries_the_servers_own_words(make_peer: Any, his_of: Any) -> None:
    with pytest.raises(Rejected) as caught:
        his_of(make_peer(said(422, outcome("business-rule", "限号"))).url).ask(READ, CTX)
    assert (caught.value.code, caught.value.message) == ("business-rule", "限号")


def test_a_slot_that_changes_at_every_try_is_gone(make_peer: Any, his_of: Any) -> None:
    peer = make_peer(*[said(200, SLOT), said(412, outcome("conflict"))] * 3)
    with pytest.raises(Rejected) as caught:
        his_of(peer.url).do(LOCK, CTX)
    assert caught.value.reason is RejectReason.SLOT_GONE
    assert peer.asked == 6


def test_a_read_on_the_way_to_a_write_that_fails_has_changed_nothing(make_peer: Any, his_of: Any) -> None:
    with pytest.raises(Unavailable, match="http_500"):
        his_of(make_peer(said(500, {})).url).do(LOCK, CTX)


def test_a_server_without_versions_is_not_written_to(make_peer: Any, his_of: Any) -> None:
    peer = make_peer(said(200, {**SLOT, "meta": {}}))
    with pytest.raises(Unavailable):
        his_of(peer.url).do(LOCK, CTX)
    assert peer.asked == 1


@pytest.mark.parametrize("onward", ["http://127.0.0.2:1/fhir/DiagnosticReport?page=2", "//evil.example/x", "/other/DiagnosticReport?page=2",
                                    "https://127.0.0.1/x", "ftp://127.0.0.1/"])  # fmt: skip
def test_a_page_on_another_origin_is_never_asked_for(make_peer: Any, his_of: Any, onward: str) -> None:
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": onward}]}
    peer = make_peer(said(200, bundle))
    with pytest.raises(Unavailable, match="bad_reply"):
        his_of(f"{peer.url}/fhir", auth="bearer", token="secret-of-tests").ask(ReportsQuery(patient_id="p"), CTX)
    assert peer.asked == 1


@pytest.mark.parametrize("number", [".", ".."])
def test_a_report_number_that_leads_elsewhere_is_nobodys_and_not_asked_for(
    make_peer: Any, his_of: Any, number: str
) -> None:
    """A follower writes report numbers: `..` would ask for the server itself, and five of them would open the breaker."""
    peer = make_peer(said(200, {"resourceType": "CapabilityStatement"}))
    with pytest.raises(NotFound):
        his_of(peer.url).ask(ReportQuery("pat-1", number), CTX)
    assert peer.asked == 0


def test_a_search_that_counts_more_than_it_shows_is_incomplete(make_peer: Any, his_of: Any) -> None:
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": 3, "entry": []}
    with pytest.raises(Unavailable, match="truncated"):
        his_of(make_peer(said(200, bundle)).url).ask(ReportsQuery(patient_id="p"), CTX)


def test_an_id_number_and_a_card_number_stand_in_no_url(his_of: Any) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                with listener.accept()[0] as sock:
                    seen.append(sock.recv(65536))
                    sock.sendall(
                        said(200, {"resourceType": "Bundle", "type": "searchset"}).replace(
                            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1
                        )
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        for query in (PatientQuery(id_no="110101198001010037"), PatientQuery(card_no="600000000017")):
            with pytest.raises(NotFound):
                his_of(f"http://127.0.0.1:{listener.getsockname()[1]}").ask(query, CTX)
        thread.join(5)
    assert all(request.startswith(b"POST /Patient/_search HTTP/1.1\r\n") for request in seen)


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"auth": "bearer", "token": "t0k"}, b"Bearer t0k"),
        ({"auth": "basic", "user": "u", "password": "p"}, b"Basic dTpw"),
    ],
)
def test_it_says_who_it_is_and_asks_something_that_needs_a_login(
    his_of: Any, auth: dict[str, str], header: bytes
) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as sock:
                seen.append(sock.recv(65536))
                sock.sendall(said(200, {"resourceType": "Bundle", "type": "searchset"}))

        thread = threading.Thread(target=serve)
        thread.start()
        his_of(f"http://127.0.0.1:{listener.getsockname()[1]}/fhir", **auth).ask(HealthQuery(), CTX)
        thread.join(5)
    assert seen[0].startswith(b"GET /fhir/Organization?_count=1 HTTP/1.1\r\n")
    assert b"\r\nAuthorization: " + header + b"\r\n" in seen[0]
    assert b"\r\nAccept: application/fhir+json\r\n" in seen[0]


def test_a_capability_statement_is_enough_for_an_open_server(make_peer: Any, his_of: Any) -> None:
    peer = make_peer(said(200, {"resourceType": "CapabilityStatement"}))
    his_of(peer.url).ask(HealthQuery(), CTX)
    assert peer.asked == 1


# ---------------------------------------------------------------- a frozen server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirServer]:
    with running(tmp_path_factory.mktemp("fhir")) as found:
        if isinstance(found, str):
            pytest.skip(found)
        seed(found)
        yield found
        os.kill(found.proc.pid, signal.SIGCONT)


def test_fifty_bookings_sent_to_a_frozen_server_are_fifty_appointments_once_it_thaws(
    server: FhirServer, his_of: Any
) -> None:
    count, deadline = 50, 6.0
    ids = [slot for at in range(10) for slot in plan(server, f"frozen-{at}", DAY, 5)]
    orders = [
        BookingOrder(uuid.uuid4().hex, "pat-1", "", f"{slot.rpartition('-')[0]}:{DAY:%Y%m%d}:m", slot) for slot in ids
    ]
    gate = threading.Barrier(count, action=lambda: os.kill(server.proc.pid, signal.SIGSTOP))

    def step(name: str) -> None:
        if name == "slot":  # everything has been read; the writes go out to a server that stands still
            gate.wait(30)

    options = OPTIONS.model_validate({"base_url": server.url, "pool_size": 64})
    guard = GuardOptions(lanes=dict.fromkeys(Lane, 64), fail_max=1000, deadlines=dict.fromkeys(OpClass, 30.0))
    his = his_of(server.url)
    freezing = Gateway(make(options, step), guard)

    def book(order: BookingOrder) -> tuple[str, float]:
        begun = time.monotonic()
        try:
            freezing.do(order, Ctx(deadline_s=deadline))
        except HisError as failure:
            return name_of(failure), time.monotonic() - begun
        return "done", time.monotonic() - begun

    with ThreadPoolExecutor(count) as pool:
        got = list(pool.map(book, orders))
    assert {word for word, _ in got} == {"UnknownOutcome"}
    assert max(took for _, took in got) < deadline + 0.5
    freezing.close()
    os.kill(server.proc.pid, signal.SIGCONT)
    until, left, again = time.monotonic() + 60, list(orders), 0
    while left and time.monotonic() < until:
        found = {order: his.resolve(order, Ctx(deadline_s=5)) for order in left}
        left = [order for order in left if not isinstance(found[order], Done)]
        for order in left:
            if isinstance(
                found[order], NotDone
            ):  # node drops a request whose sender has hung up; the key makes it safe
                assert BookingOrder.op in his.dedups
                his.do(order, Ctx(deadline_s=5))
                again += 1
    assert left == []
    made = [it for it in server.all("Appointment") if it["slot"][0]["reference"].startswith("Slot/frozen-")]
    assert again < count  # some had landed
    assert len(made) == len({it["identifier"][0]["value"] for it in made}) == count


def test_a_naive_client_that_repeats_after_a_timeout_doubles(server: FhirServer) -> None:
    body = json.dumps({"resourceType": "Appointment", "status": "booked", "participant": [], "comment": "naive"})
    os.kill(server.proc.pid, signal.SIGSTOP)
    held: list[HTTPConnection] = []
    for _ in range(2):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=0.3)
        connection.request("POST", "/fhir/Appointment", body, {"Content-Type": "application/fhir+json"})
        held.append(connection)
        with pytest.raises(TimeoutError):
            connection.getresponse()
    os.kill(server.proc.pid, signal.SIGCONT)
    time.sleep(0.5)
    for connection in held:
        connection.close()
    assert sum(it.get("comment") == "naive" for it in server.all("Appointment")) == 2


def test_reads_of_a_frozen_server_end_in_time(server: FhirServer, his_of: Any) -> None:
    os.kill(server.proc.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with pytest.raises(Unavailable, match="timeout"):
            his_of(server.url).ask(READ, Ctx(deadline_s=0.5))
        assert time.monotonic() - begun < 1.5
    finally:
        os.kill(server.proc.pid, signal.SIGCONT)
