"""The HTTP client against peers that bend the protocol: nothing half-read, nothing swapped, nothing endless."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from his.faults import Broken, NotSent
from his.gateway import Gateway
from his.http import HttpEndpoint, HttpOptions
from his.port import Ctx, PatientQuery, Unavailable
from his.rest import RestAdapter, RestOptions
from his.wire import parse_head
from tests.support.certificate import self_signed

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def post(endpoint: HttpEndpoint, seconds: float = 2.0, *, repeatable: bool = True) -> bytes:
    return endpoint.post("/x", b"{}", time.monotonic() + seconds, repeatable=repeatable).body


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (OK, b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n{ \n\r\n1\r\n}\r\n0\r\nT: x\r\n\r\n",
            b"{ \n}",
        ),
    ],
)
def test_what_http_allows_is_read(make_peer: Callable[..., Any], raw: bytes, body: bytes) -> None:
    peer = make_peer(raw)
    endpoint = HttpEndpoint(peer.url, {})
    assert post(endpoint) == body
    endpoint.close()


def test_a_body_without_length_ends_with_the_connection(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(b"HTTP/1.0 200 OK\r\n\r\n{}", OK, close_after=True)
    endpoint = HttpEndpoint(peer.url, {})
    assert [post(endpoint), post(endpoint)] == [b"{}", b"{}"]
    assert peer.connected == 2
    endpoint.close()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "bad_reply"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n{}", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 2\r\n\r\n{}", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "truncated"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "too_large"),
        (b"HTTP/1.1 200 OK\r\nConte", "reset"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 70_000, "too_large"),
    ],
)
def test_what_it_forbids_is_refused(make_peer: Callable[..., Any], raw: bytes, reason: str) -> None:
    peer = make_peer(raw, close_after=True)
    endpoint = HttpEndpoint(peer.url, {}, HttpOptions(body_cap=50_000))
    with pytest.raises(Broken, match=reason):
        post(endpoint)
    endpoint.close()


def test_a_second_answer_on_the_same_connection_is_never_given_to_the_next_caller(
    make_peer: Callable[..., Any],
) -> None:
    swapped = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsomebody"
    peer = make_peer(OK + swapped, OK, OK)
    endpoint = HttpEndpoint(peer.url, {})
    assert [post(endpoint) for _ in range(3)] == [b"{}"] * 3
    endpoint.close()


def test_an_answer_about_another_patient_is_refused(make_peer: Callable[..., Any]) -> None:
    data = {"patient_id": "P2", "name": "别人", "cards": [{"card_no": "600000000034"}]}
    body = json.dumps({"code": "0", "message": "", "data": data}).encode()
    peer = make_peer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": peer.url, "token": "t"})))
    with pytest.raises(Unavailable, match="wrong_record"):
        his.ask(PatientQuery(card_no="600000000017"), Ctx())
    his.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"code":"-1"}', "his_exception"),
        ('{"code":"77"}', "unmapped_code"),
        ('{"code":0,"data":{}}', "bad_reply"),
        ('{"code":"0","data":[]}', "bad_reply"),
        ("[]", "bad_reply"),
        ("[" * 5000, "bad_reply"),
        ("", "bad_reply"),
    ],
)
def test_replies_without_a_usable_answer_are_unavailable(make_peer: Callable[..., Any], body: str, reason: str) -> None:
    raw = body.encode()
    peer = make_peer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(raw), raw))
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": peer.url, "token": "t"})))
    with pytest.raises(Unavailable, match=reason):
        his.ask(PatientQuery(card_no="600000000017"), Ctx())
    his.close()


def test_replies_in_gb18030_are_read_as_such(make_peer: Callable[..., Any]) -> None:
    data = {"patient_id": "P3", "name": "𠮷田䶮", "cards": []}
    body = json.dumps({"code": "0", "data": data}, ensure_ascii=False).encode("gb18030")
    peer = make_peer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": peer.url, "token": "t", "charset": "gb18030"})))
    assert his.ask(PatientQuery(patient_id="P3"), Ctx()).value.name == "𠮷田䶮"
    his.close()


def test_a_kept_alive_connection_the_peer_closed_is_no_error_for_a_read(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(OK, OK, OK, close_after=True)
    endpoint = HttpEndpoint(peer.url, {})
    for _ in range(3):
        assert post(endpoint) == b"{}"
        time.sleep(0.02)
    assert (peer.asked, peer.connected) == (3, 3)
    endpoint.close()


def test_one_closed_while_our_request_is_under_way_is_repeated_for_a_read_and_only_for_a_read(
    make_peer: Callable[..., Any],
) -> None:
    peer = make_peer(OK, b"", OK)  # the second request is read, then the peer hangs up without a word
    endpoint = HttpEndpoint(peer.url, {})
    assert [post(endpoint), post(endpoint)] == [b"{}", b"{}"]
    assert peer.asked == 3
    endpoint.close()

    peer = make_peer(OK, b"", OK)  # the control: what the reader would see without the repeat
    endpoint = HttpEndpoint(peer.url, {})
    post(endpoint)
    with pytest.raises(Broken, match="reset"):
        post(endpoint, repeatable=False)
    assert peer.asked == 2
    endpoint.close()


def test_a_new_connection_that_dies_is_not_tried_twice(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(b"", OK)
    endpoint = HttpEndpoint(peer.url, {})
    with pytest.raises(Broken, match="reset"):
        post(endpoint)
    assert peer.asked == 1
    endpoint.close()


def test_a_peer_that_never_accepts_is_given_up_in_time(unused_backlog: str) -> None:
    endpoint = HttpEndpoint(unused_backlog, {}, HttpOptions(connect_s=0.2))
    started = time.monotonic()
    with pytest.raises((NotSent, Broken)):
        post(endpoint, 0.4)
    assert time.monotonic() - started < 0.6
    endpoint.close()


@pytest.fixture
def unused_backlog() -> Iterator[str]:

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    filling = []
    for _ in range(4):  # fill the queue; the kernel then ignores further SYNs
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        filling.append(sock)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for sock in (*filling, listener):
        sock.close()


def test_threads_beyond_the_pool_wait_their_turn_and_connections_are_reused(make_peer: Callable[..., Any]) -> None:
    peer = make_peer(*[OK] * 60)
    endpoint = HttpEndpoint(peer.url, {}, HttpOptions(pool_size=2))
    threads = [threading.Thread(target=lambda: [post(endpoint, 10) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peer.asked == 60
    assert peer.connected <= 2
    endpoint.close()


def test_https_trusts_the_named_authority_only_and_a_stalled_handshake_is_given_up(tmp_path: Path) -> None:
    ca_file, key_file = self_signed(tmp_path / "his.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ca_file, key_file)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"

    def serve() -> None:
        for _ in range(2):
            sock, _ = listener.accept()
            with suppress(OSError), sock, server.wrap_socket(sock, server_side=True) as secure:
                while secure.recv(65536):
                    secure.sendall(OK)

    thread = threading.Thread(target=serve)
    thread.start()
    trusting = HttpEndpoint(url, {}, HttpOptions(ca_file=str(ca_file)))
    assert [post(trusting), post(trusting)] == [b"{}", b"{}"]
    trusting.close()
    stranger = HttpEndpoint(url, {})
    with pytest.raises(NotSent, match="tls"):
        post(stranger)
    thread.join()
    started = time.monotonic()  # connected by the kernel, greeted by nobody
    with pytest.raises(NotSent, match="connect_timeout"):
        post(HttpEndpoint(url, {}, HttpOptions(ca_file=str(ca_file))), 0.3)
    assert time.monotonic() - started < 0.5
    listener.close()


def test_a_header_or_address_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="one line"):
        HttpEndpoint("http://his", {"X-Token": "a\r\nX-Admin: 1"})
    with pytest.raises(ValueError, match="base_url"):
        HttpEndpoint("file:///etc/passwd", {})


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
def test_any_bytes_as_a_head_are_read_or_refused(head: bytes) -> None:
    with suppress(Broken):
        status, _, headers = parse_head(head)
        assert 0 <= status <= 999
        assert all(name == name.strip().lower() for name in headers)
