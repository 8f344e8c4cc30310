"""What the rest adapter puts on the wire and takes from it: charsets, forms, signatures, places, statuses."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from his.adapter import Call
from his.faults import Broken, NotSent
from his.port import BookingOrder, NotFound, Op, PatientQuery, Rejected
from his.rest import RestAdapter, RestOptions
from his.rest.wire import tree

Make = Callable[..., Any]
QUERY = PatientQuery(patient_id="P1")
BASE = """
vendor: test
envelope: {code: code, data: data}
codes: {ok: ["0"]}
operations:
  query_patient: {request: {id: $patient_id, card: $card_no, no: $id_no}SEND}
transport: TRANSPORT
"""


def replied(
    text: str, charset: str = "utf-8", head: str = "application/json; charset=utf-8", status: str = "200 OK"
) -> bytes:
    body = text.encode(charset)
    return f"HTTP/1.1 {status}\r\nContent-Type: {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def found(name: str = "王小明") -> str:
    return json.dumps({"code": "0", "data": {"patient_id": "P1", "name": name}}, ensure_ascii=False)


@pytest.fixture
def adapter_on(tmp_path: Path) -> Callable[..., RestAdapter]:
    def make(url: str, transport: str = "{}", send: str = "", **options: Any) -> RestAdapter:
        path = tmp_path / "m.yaml"
        path.write_text(
            BASE.replace("TRANSPORT", transport).replace("SEND", f", send: {send}" if send else ""), "utf-8"
        )
        given = {"base_url": url, "mapping": str(path), "token": "t0k", "secrets": {"k": "s3cret"}, **options}
        return RestAdapter(RestOptions.model_validate(given))

    return make


def ask(adapter: RestAdapter, query: Any = QUERY) -> Any:
    try:
        return adapter.ask(query, Call(time.monotonic() + 5))
    finally:
        adapter.close()


def sent(peer: Any) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers by lower-case name, body of the last request."""
    head, _, body = peer.requests[-1].partition(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    return line, {k.lower(): v for k, _, v in (header.partition(": ") for header in headers)}, body


# ---------------------------------------------------------------- charsets


@pytest.mark.parametrize("charset", ["utf-8", "gb18030", "gbk", "gb2312"])
def test_a_reply_in_the_mappings_charset_keeps_every_character(make_peer: Make, adapter_on: Make, charset: str) -> None:
    wire = "utf-8" if charset == "utf-8" else "gb18030"
    peer = make_peer(replied(found("\U00020bb7田\u4dae"), wire, "text/html"))
    transport = f"{{reply_charset: {charset}}}"
    assert ask(adapter_on(peer.url, transport)).name == "\U00020bb7田\u4dae"


def test_gbk_that_says_it_is_utf8_is_a_bad_reply_and_never_nonsense(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found(), "gb18030", "application/json; charset=utf-8"))
    with pytest.raises(Broken, match="bad_reply"):
        ask(adapter_on(peer.url))


def test_utf8_where_gb_was_agreed_is_a_bad_reply_though_gb18030_could_read_it(
    make_peer: Make, adapter_on: Make
) -> None:
    text = found("王小明")
    assert "王小明" not in text.encode().decode("gb18030", "replace")  # the control: nonsense without an error
    assert json.loads(found("王小明王").encode().decode("gb18030"))["data"]["name"] != "王小明王"
    for name in ("王小明", "王小明王"):
        peer = make_peer(replied(found(name), "utf-8"))
        with pytest.raises(Broken, match="bad_reply"):
            ask(adapter_on(peer.url, "{reply_charset: gbk}"))


def test_a_byte_order_mark_before_the_json_is_passed_over(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied("\ufeff" + found()))
    assert ask(adapter_on(peer.url)).name == "王小明"


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDC00x", r"\u0000"])
def test_half_a_surrogate_pair_and_a_nul_are_no_text(make_peer: Make, adapter_on: Make, escape: str) -> None:
    peer = make_peer(
        replied(found("NAME").replace("NAME", escape)), replied(found("NAME").replace("NAME", r"\ud842\udfb7"))
    )
    with pytest.raises(Broken, match="bad_reply"):
        ask(adapter_on(peer.url))
    assert ask(adapter_on(peer.url)).name == "\U00020bb7"


def test_the_option_overrules_the_mappings_charset(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found(), "gb18030"))
    assert ask(adapter_on(peer.url, charset="gb18030")).name == "王小明"


def test_a_form_is_encoded_in_its_charset_and_a_text_that_is_none_is_not_sent(
    make_peer: Make, adapter_on: Make
) -> None:
    peer = make_peer(replied(found()))
    transport = "{body: form, charset: gb2312, reply_charset: utf-8}"
    ask(adapter_on(peer.url, transport), PatientQuery(id_no="\U00020bb7田 &=1"))
    _, headers, body = sent(peer)
    assert dict(parse_qsl(body.decode("ascii"), encoding="gb18030")) == {"no": "\U00020bb7田 &=1"}
    assert headers["content-type"] == "application/x-www-form-urlencoded; charset=gb2312"
    with pytest.raises(NotSent, match="unsupported_text"):
        ask(adapter_on(peer.url, transport), PatientQuery(id_no="\ud800"))
    assert peer.asked == 1


# ---------------------------------------------------------------- ways


def test_a_get_with_a_place_in_its_path_and_the_rest_behind_it(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    ask(adapter_on(peer.url, "{method: GET, path: '/p/{id}/{op}', body: query}"), PatientQuery(patient_id="P/1 ?"))
    line, headers, body = sent(peer)
    assert (line, body) == ("GET /p/P%2F1%20%3F/query_patient HTTP/1.1", b"")
    assert "content-length" not in headers
    peer = make_peer(replied(found()))
    ask(adapter_on(peer.url, "{method: GET, body: query}"), PatientQuery(card_no="6 0"))
    assert sent(peer)[0] == "GET /api/query_patient?card=6+0 HTTP/1.1"


def test_a_place_the_question_does_not_fill_is_not_sent(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    with pytest.raises(NotSent, match="unmapped_value"):
        ask(adapter_on(peer.url, "{path: '/p/{id}'}"), PatientQuery(card_no="6"))
    assert peer.asked == 0


@pytest.mark.parametrize("number", [".", ".."])
def test_a_number_that_would_lead_elsewhere_in_the_path_is_not_sent(
    make_peer: Make, adapter_on: Make, number: str
) -> None:
    peer = make_peer(replied(found()))
    with pytest.raises(NotSent, match="unmapped_value"):
        ask(adapter_on(peer.url, "{path: '/p/{id}/x'}"), PatientQuery(patient_id=number))
    assert peer.asked == 0


def test_an_operation_may_go_its_own_way(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    ask(adapter_on(peer.url, "{}", "{path: /other, body: form}"))
    line, headers, body = sent(peer)
    assert line == "POST /other HTTP/1.1"
    assert (headers["content-type"], body) == ("application/x-www-form-urlencoded", b"id=P1")


def test_headers_are_texts_and_secrets(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    ask(adapter_on(peer.url, "{headers: {X-App: '7', X-Key: {secret: k}, X-Token: {secret: token}}}"))
    _, headers, _ = sent(peer)
    assert (headers["x-app"], headers["x-key"], headers["x-token"]) == ("7", "s3cret", "t0k")


def test_statuses_that_carry_replies_are_the_mappings_choice(make_peer: Make, adapter_on: Make) -> None:
    for status, transport, reason in (
        ("500 Oops", "{}", "http_500"), ("401 No", "{}", "unauthorized"), ("500 Oops", "{statuses: [200, 500]}", None),
    ):  # fmt: skip
        peer = make_peer(replied(found(), status=status))
        if reason is None:
            assert ask(adapter_on(peer.url, transport)).name == "王小明"
        else:
            with pytest.raises(Broken, match=reason):
                ask(adapter_on(peer.url, transport))


def test_a_his_whose_only_code_is_the_http_status_is_mapped_too(make_peer: Make, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        """
vendor: test
envelope: {code: http_status, data: body.0}
codes: {ok: ["200"], not_found: ["404"], rejected: {"409": ambiguous}}
transport: {statuses: [200, 404, 409], status_as: http_status}
operations: {query_patient: {request: {id: $patient_id}}}
""",
        "utf-8",
    )
    row = json.dumps([{"patient_id": "P1", "name": "某"}])
    peer = make_peer(
        replied(row), replied("", status="404 Not Found"), replied("{}", status="409 Conflict"), replied("")
    )
    adapter = RestAdapter(RestOptions.model_validate({"base_url": peer.url, "mapping": str(path)}))
    call = Call(time.monotonic() + 5)
    assert adapter.ask(QUERY, call).name == "某"
    for wanted in (NotFound, Rejected, Broken):
        with pytest.raises(wanted):
            adapter.ask(QUERY, call)
    adapter.close()


# ---------------------------------------------------------------- signatures


def test_md5_over_sorted_parameters_and_the_key(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    transport = (
        "{body: form, signing: {kind: md5, key: k, case: upper, nonce: {parameter: nonce}, timestamp: {parameter: ts}}}"
    )
    ask(adapter_on(peer.url, transport))
    form = dict(parse_qsl(sent(peer)[2].decode("ascii")))
    signature = form.pop("sign")
    assert re.fullmatch(r"\d{14}", form["ts"])
    assert re.fullmatch(r"\d{32}", form["nonce"])
    text = f"id=P1&nonce={form['nonce']}&ts={form['ts']}&key=s3cret"
    assert signature == hashlib.md5(text.encode()).hexdigest().upper()


def test_hmac_over_the_body_as_it_is_sent_goes_into_a_header(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(replied(found()))
    transport = """{signing: {kind: hmac-sha256, key: k, template: "{method}|{path}|{timestamp}|{body}", into: {header: X-Sign},
      timestamp: {header: X-Time}, timestamp_format: epoch_ms}}"""
    ask(adapter_on(peer.url, transport), PatientQuery(id_no="{key}王"))
    _, headers, body = sent(peer)
    text = f"POST|/api/query_patient|{headers['x-time']}|".encode() + body
    assert headers["x-sign"] == hmac.new(b"s3cret", text, hashlib.sha256).hexdigest()
    assert abs(int(headers["x-time"]) / 1000 - time.time()) < 60


def test_two_requests_are_never_signed_with_the_same_nonce(make_peer: Make, adapter_on: Make) -> None:
    peer = make_peer(*[replied(found())] * 5)
    adapter = adapter_on(peer.url, "{body: form, signing: {kind: sha256, key: k, nonce: {parameter: nonce}}}")
    for _ in range(5):
        adapter.ask(QUERY, Call(time.monotonic() + 5))
    adapter.close()
    nonces = {dict(parse_qsl(request.partition(b"\r\n\r\n")[2].decode()))["nonce"] for request in peer.requests}
    assert len(nonces) == 5


@pytest.mark.parametrize(
    ("transport", "key"),
    [
        ("{signing: {kind: md5, key: other}}", "transport.signing.key"),
        ("{signing: {kind: md5, key: k, template: '{bodies}'}}", "transport.signing.template"),
        ("{signing: {kind: md5, key: k, template: '{body}'}}", "transport.signing.template"),
        ("{signing: {kind: md4}}", "transport.signing.kind"),
        ("{headers: {X-Key: {secret: nobody}}}", "transport.headers.X-Key"),
        ("{headers: {X-Key: 7}}", "transport.headers.X-Key"),
        ("{path: api}", "transport.path"),
        ("{verb: GET}", "transport.verb"),
    ],
)
def test_a_wrong_transport_names_key_and_line(adapter_on: Make, transport: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter_on("http://127.0.0.1:1", transport)
    assert (caught.value.key, caught.value.line, caught.value.source) == (key, 7, "m.yaml")
    assert "s3cret" not in str(caught.value)


def test_a_write_is_sent_once_on_a_connection_the_peer_closes(make_peer: Make, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    text = BASE.replace("TRANSPORT", "{}").replace("SEND", "") + "  \n"
    path.write_text(text.replace("operations:", "operations:\n  book: {request: {key: $op_key}}"), "utf-8")
    peer = make_peer(replied(found()), b"")
    adapter = RestAdapter(RestOptions.model_validate({"base_url": peer.url, "mapping": str(path)}))
    assert adapter.capabilities == {Op.QUERY_PATIENT, Op.BOOK}
    adapter.ask(QUERY, Call(time.monotonic() + 5))
    with pytest.raises(Broken, match="reset"):
        adapter.do(BookingOrder("k", "P1", "6", "S1", "1"), Call(time.monotonic() + 5))
    adapter.close()
    assert peer.asked == 2


@settings(deadline=None)
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()) | st.just(b"[" * 9000),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_any_bytes_are_a_tree_or_a_bad_reply(body: bytes, charset: str) -> None:
    with suppress(Broken):
        json.dumps(tree(body, charset), default=str, ensure_ascii=False).encode("utf-8")
