"""The soap adapter on the wire: what it sends to the byte, and what it makes of every kind of reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import SHANGHAI
from core.errors import ConfigError
from his.faults import Broken
from his.fixtures import load as load_fixtures
from his.fixtures import replay
from his.gateway import Gateway
from his.guard import GuardOptions
from his.mapping.load import VENDORS
from his.port import (
    Balance,
    BalanceQuery,
    Ctx,
    NotFound,
    Patient,
    PatientQuery,
    PayMethod,
    Rejected,
    RejectReason,
    TopUp,
    TopUpOrder,
    Unavailable,
    UnknownOutcome,
)
from his.soap import SoapAdapter, SoapOptions, xml
from tests.support.typed import fits

RARE = "\U00020bb7田\u4dae"
SMALL = """
vendor: small
transport: {namespace: "urn:his", header: {Auth: {token: {secret: token}}}, faults: {Denied: unauthorized, Busy: not_accepted}}
envelope: {code: returnCode, message: returnDesc, data: Items.Item}
codes: {ok: ["1"], not_found: ["0"], rejected: {"-1": other}, reason_path: errCode, unreasoned: exception,
        reasons: {BALANCE: balance_short}, shortfall: lackCost}
formats: {money: yuan}
tables: {Sex: {"1": male}}
types:
  Patient: {patient_id: patientNo, name: patientName, sex: sexCode, birth_date: birthday, cards: Cards.Card}
  PatientCard: {card_no: cardNo}
  Balance: {patient_id: patientNo, balance_fen: leftCost}
  TopUp: {his_txn_no: transNo, patient_id: patientNo, amount_fen: totCost}
operations:
  query_patient: {send: {operation: GetPatient}, request: {cardNo: $card_no, patientNo: $patient_id}}
  balance: {send: {operation: GetBalance}, request: {patientNo: $patient_id}}
  top_up:
    send: {operation: SaveCharge, style: input}
    request: {opKey: $op_key, patientNo: $patient_id, totCost: $amount_fen, tradeNo: $provider_trade_no}
"""
Say = Callable[..., bytes]
Make = Callable[..., SoapAdapter]


def wrapped(body: str, soap: str = "http://schemas.xmlsoap.org/soap/envelope/", encoding: str = "utf-8") -> str:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?><s:Envelope xmlns:s="{soap}"><s:Body>{body}</s:Body></s:Envelope>'
    )


def answered(inner: str, operation: str = "GetPatient", **how: str) -> str:
    """A whole reply; `inner` escaped in it."""
    held = f"<{operation}Result>{escape(inner)}</{operation}Result>"
    return wrapped(f'<{operation}Response xmlns="urn:his">{held}</{operation}Response>', **how)


def response(body: bytes | str, status: int = 200, media: str = "text/xml; charset=utf-8") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def patient(name: str = "王小明", cards: str = "<Card><cardNo>1</cardNo></Card>", head: str = "") -> str:
    return (
        f"<Response{head}><returnCode>1</returnCode><returnDesc>成功</returnDesc><Items><Item><patientNo>P1</patientNo>"
        f"<patientName>{escape(name)}</patientName><sexCode>1</sexCode><birthday>1985-03-12</birthday>"
        f"<Cards>{cards}</Cards></Item></Items></Response>"
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Adapters over SMALL with changes, closed afterwards."""
    made: list[SoapAdapter] = []

    def adapter(url: str = "http://127.0.0.1:9", change: tuple[str, str] = ("", ""), **options: object) -> SoapAdapter:
        path = tmp_path / f"small{len(made)}.yaml"
        path.write_text(SMALL.replace(*change, 1) if change[0] else SMALL, "utf-8")
        given = {"url": f"{url}/His.asmx", "mapping": str(path), "token": "s<e>&cret", **options}
        made.append(SoapAdapter(SoapOptions.model_validate(given)))
        return made[-1]

    yield adapter
    for one in made:
        one.close()


@pytest.fixture
def asking(make: Make, make_peer: Callable[..., Any]) -> Callable[..., tuple[Gateway, Any]]:
    """A gateway on a peer that says these replies, one after the other."""

    def start(*scripts: bytes, change: tuple[str, str] = ("", ""), **options: object) -> tuple[Gateway, Any]:
        peer = make_peer(*scripts)
        return Gateway(make(peer.url, change, **options), GuardOptions(attempts=1, fail_max=10_000)), peer

    return start


def order(trade_no: str = "T1") -> TopUpOrder:
    return TopUpOrder("k1", "P1", "1", 1234, PayMethod.WECHAT, trade_no, datetime(2026, 11, 24, 8, tzinfo=SHANGHAI))


# ------------------------------------------------------------------ what is sent


def test_a_scalar_call_is_one_envelope_with_header_action_and_escaped_arguments(asking: Any) -> None:
    his, peer = asking(response(answered(patient(cards="<Card><cardNo>&lt;1&gt;</cardNo></Card>"))))
    his.ask(PatientQuery(card_no="<1>"), Ctx())
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /His.asmx HTTP/1.1\r\n")
    assert b'SOAPAction: "urn:hisGetPatient"\r\n' in head
    assert b"Content-Type: text/xml; charset=utf-8\r\n" in head
    assert body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
        '<soap:Header><Auth xmlns="urn:his"><token>s&lt;e&gt;&amp;cret</token></Auth></soap:Header>'
        '<soap:Body><GetPatient xmlns="urn:his"><cardNo>&lt;1&gt;</cardNo></GetPatient></soap:Body></soap:Envelope>'
    )


def test_a_call_of_inner_xml_is_escaped_once_more(asking: Any) -> None:
    done = "<R><returnCode>1</returnCode><Items><Item><transNo>H1</transNo><patientNo>P1</patientNo><totCost>12.34</totCost></Item></Items></R>"
    his, peer = asking(
        response(answered(done, "SaveCharge")), change=("style: input", "style: input, input: xmlIn, root: Req")
    )
    assert his.do(order(f"<&>\r{RARE}"), Ctx()).amount_fen == 1234
    inner = (
        "<Req><opKey>k1</opKey><patientNo>P1</patientNo><totCost>12.34</totCost><tradeNo>&lt;&amp;&gt;&#13;"
        + RARE
        + "</tradeNo></Req>"
    )
    assert f"<xmlIn>{escape(inner)}</xmlIn>".encode() in peer.requests[0]


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ('version: "1.2"', (b"soap+xml; charset=utf-8; action=\"urn:hisGetPatient\"", b"http://www.w3.org/2003/05/soap-envelope")),
        ("qualified: false", (b'<m:GetPatient xmlns:m="urn:his"><cardNo>1</cardNo></m:GetPatient>',)),
        ('action: "urn:x#{operation}"', (b'SOAPAction: "urn:x#GetPatient"',)),
        ('action: ""', (b'SOAPAction: ""',)),
        ("headers: {X-App: {secret: token}}", (b"X-App: s<e>&cret\r\n",)),
        ("charset: gbk", (b"charset=gbk", b'encoding="gbk"')),
    ],
)  # fmt: skip
def test_the_transport_says_how_an_envelope_is_written(
    asking: Any, transport: str, expected: tuple[bytes, ...]
) -> None:
    his, peer = asking(
        response(answered(patient())), change=('namespace: "urn:his"', f'namespace: "urn:his", {transport}')
    )
    his.ask(PatientQuery(card_no="1"), Ctx())
    assert [part for part in expected if part not in peer.requests[0]] == []
    if "1.2" in transport:
        assert b"SOAPAction" not in peer.requests[0]


def test_what_gbk_cannot_hold_travels_as_a_reference_and_the_rest_in_gbk(asking: Any) -> None:
    change = ('namespace: "urn:his"', 'namespace: "urn:his", charset: gbk')
    his, peer = asking(response(answered(patient(cards=f"<Card><cardNo>王{RARE}</cardNo></Card>"))), change=change)
    his.ask(PatientQuery(card_no=f"王{RARE}"), Ctx())
    assert "<cardNo>王".encode("gbk") + b"&#134071;" in peer.requests[0]


def test_a_header_may_have_a_namespace_of_its_own_and_a_declaration_stand_before_inner_xml(asking: Any) -> None:
    change = ("header: {Auth: {token: {secret: token}}}", 'declaration: true, header: {"{urn:wss}Security": {User: u}}')
    his, peer = asking(response("", 500), change=change)
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())
    assert b'<Security xmlns="urn:wss"><User>u</User></Security>' in peer.requests[0]
    assert b'<input>&lt;?xml version="1.0" encoding="utf-8"?&gt;&lt;Request&gt;' in peer.requests[0]


def test_the_query_of_an_address_is_kept(make: Make, make_peer: Callable[..., Any]) -> None:
    peer = make_peer(response(answered(patient())))
    path = make().mapper.loaded.path
    adapter = SoapAdapter(
        SoapOptions.model_validate({"url": f"{peer.url}/a.cls?CfgItem=1", "mapping": str(path), "token": "t"})
    )
    Gateway(adapter).ask(PatientQuery(card_no="1"), Ctx())
    adapter.close()
    assert peer.requests[0].startswith(b"POST /a.cls?CfgItem=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("text", ["\x00", "a\x0bb", "\ud800", "\ufffe"])
def test_a_text_that_xml_cannot_hold_is_not_sent(asking: Any, text: str) -> None:
    his, peer = asking()
    with pytest.raises(Unavailable, match="unsupported_text"):
        his.ask(PatientQuery(card_no=text), Ctx())
    with pytest.raises(Unavailable, match="unsupported_text"):
        his.do(order(text), Ctx())
    assert peer.connected == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("operation: GetPatient", "operation: Get Patient"), "operations.query_patient.send.operation"),
        (("operation: GetPatient,", "operation: 查询病人,"), "SOAPAction"),
        (("header: {Auth", "heder: {Auth"), "transport.heder"),
        (("{secret: token}", "{secret: nobody}"), "no secret called nobody"),
        (("header: {Auth", "header: {'a b'"), "no name of an element"),
        (("{Denied: unauthorized", "{Denied: fine"), "transport.faults.Denied"),
        (("style: input", "style: inputs"), "operations.top_up.send.style"),
        (("opKey: $op_key", "op Key: $op_key"), "operations.top_up.request.op Key: is no name of an element"),
    ],
)
def test_a_mistake_in_the_transport_is_said_with_key_and_line(make: Make, change: tuple[str, str], said: str) -> None:
    change = (change[0].rstrip(","), change[1].rstrip(","))
    with pytest.raises(ConfigError) as caught:
        make(change=change)
    assert said in str(caught.value)
    assert caught.value.line


# ------------------------------------------------------------------ what comes back


def lookup(asking: Any, reply: bytes, **options: object) -> Patient:
    his, _ = asking(reply, **options)
    found: Patient = his.ask(PatientQuery(patient_id="P1"), Ctx()).value
    return found


def held(inner: str) -> str:
    """A reply with that result, as it is."""
    result = f"<GetPatientResult>{inner}</GetPatientResult>"
    return wrapped(f'<GetPatientResponse xmlns="urn:his">{result}</GetPatientResponse>')


READABLE = {
    "escaped": answered(patient(RARE)),
    "in CDATA": held(f"<![CDATA[{patient(RARE)}]]>"),
    "in CDATA inside the text": answered(f"<![CDATA[{patient(RARE)}]]>"),
    "not escaped at all": held(patient(RARE)),
    "with a declaration of another charset": answered(f'<?xml version="1.0" encoding="gb2312"?>\n{patient(RARE)}'),
    "with comments and instructions": answered(f"<!-- a --><?x y?>{patient(RARE)}<!-- b -->"),
    "prefixed": answered(patient(RARE))
    .replace("<GetP", "<n:GetP")
    .replace("</GetP", "</n:GetP")
    .replace("xmlns=", "xmlns:n="),
    "SOAP 1.2": answered(patient(RARE), soap="http://www.w3.org/2003/05/soap-envelope"),
    "with a byte order mark": "\ufeff" + answered(patient(RARE)),
    "in a namespace": answered(patient(RARE, head=' xmlns="urn:inner"')),
    "with a long declaration": answered(patient(RARE)).replace(
        '"1.0" encoding="utf-8"', '"1.0"' + " " * 300 + 'encoding="gbk"'
    ),
    "with blanks between elements": answered(patient(RARE).replace("><", ">\r\n  <")),
    "with character references": answered(patient("&").replace("&amp;", "&#x20BB7;&#30000;&#x4DAE;")),
}


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE.keys())
def test_a_reply_reads_the_same_however_it_is_written(asking: Any, body: str) -> None:
    assert lookup(asking, response(body)).name == RARE


@pytest.mark.parametrize(
    ("cards", "numbers"),
    [("", []), ("\n  ", []), ("<Card><cardNo>1</cardNo></Card>", ["1"]),
     ("<Card><cardNo>1</cardNo></Card><Card><cardNo>2</cardNo></Card>", ["1", "2"]),
     ('<Card id="7" xsi:nil="false" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><cardNo>1</cardNo></Card>', ["1"])],
)  # fmt: skip
def test_no_one_and_several_rows_are_lists(asking: Any, cards: str, numbers: list[str]) -> None:
    assert [card.card_no for card in lookup(asking, response(answered(patient(cards=cards)))).cards] == numbers


def test_attributes_nil_and_mixed_content_have_their_places_in_the_tree() -> None:
    text = (
        '<R a="1" xmlns:x="urn:x" x:b="2"><n i:nil="true" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">x</n>'
        "<t>  a\n </t><e/><w k='v'>text</w><m>one<l/>two</m><r>1</r><r/><r><s>3</s></r></R>"
    )
    assert xml.tree(xml.parse(text)) == {
        "@a": "1", "@b": "2", "n": None, "t": "  a\n ", "e": "", "w": {"@k": "v", "#text": "text"},
        "m": {"l": "", "#text": "one"}, "r": ["1", "", {"s": "3"}],
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["gbk", "GB2312", "gb18030"])
def test_gbk_that_says_so_is_read_be_it_by_reference_or_in_four_bytes(asking: Any, encoding: str) -> None:
    body = answered(patient(f"王{RARE}"), encoding=encoding).encode("gb18030")
    assert lookup(asking, response(body)).name == f"王{RARE}"


def test_the_option_says_what_a_reply_does_not(asking: Any) -> None:
    body = answered(patient("王小明")).encode("gb18030")
    with pytest.raises(Unavailable, match="bad_reply"):
        lookup(asking, response(body))
    assert lookup(asking, response(body), charset="gb18030").name == "王小明"


DOCTYPE = '<!DOCTYPE x [<!ENTITY e "王">]>'
BAD = {
    "GBK that says UTF-8": answered(patient()).encode("gb18030"),
    "UTF-8 that says GBK": answered(patient(), encoding="gbk").encode(),
    "a charset nobody knows": answered(patient(), encoding="big5").encode(),
    "UTF-16": answered(patient(), encoding="utf-16").encode("utf-16"),
    "nothing": b"",
    "text": "成功".encode(),
    "JSON": b'{"code": "1"}',
    "HTML": b"<html><body>ok</body></html>",
    "half": answered(patient()).encode()[:-40],
    "two roots": (answered(patient()) + "<x/>").encode(),
    "half inside": answered(patient()[:-20]).encode(),
    "text inside": answered("系统错误").encode(),
    "two roots inside": answered(patient() + patient()).encode(),
    "nothing inside": answered("").encode(),
    "a control character": answered(patient("a\x01b")).encode(),
    "a reference to one": answered(patient("&").replace("&amp;", "&#1;")).encode(),
    "an entity of nobody": answered(patient("&").replace("&amp;", "&e;")).encode(),
    "a DOCTYPE": answered(patient()).replace("?>", "?>" + DOCTYPE, 1).encode(),
    "a DOCTYPE before all": (DOCTYPE + wrapped("<x/>")).encode(),
    "a DOCTYPE inside": answered(DOCTYPE + patient()).encode(),
    "a DOCTYPE inside CDATA": answered(f"<![CDATA[{DOCTYPE}{patient()}]]>").encode(),
    "a DOCTYPE inside, elements": answered(f"<!-- -->\n{DOCTYPE}{patient()}").encode(),
    "no body": wrapped("").encode(),
    "another operation": answered(patient(), "GetBalance").encode(),
    "no result": wrapped('<GetPatientResponse xmlns="urn:his"/>').encode(),
    "two results": wrapped("<R><GetPatientResult/><GetPatientResult/></R>").encode(),
    "another envelope": answered(patient(), soap="urn:soap").encode(),
    "too deep": answered("<a>" * 200 + "</a>" * 200).encode(),
    "no code": answered(patient().replace("returnCode", "code")).encode(),
    "no Items": answered("<R><returnCode>1</returnCode></R>").encode(),
    "empty Items": answered("<R><returnCode>1</returnCode><Items/></R>").encode(),
    "no name": answered(patient().replace("patientName", "name")).encode(),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_no_answer_is_unavailable_to_a_read_and_unknown_to_a_write(asking: Any, body: bytes) -> None:
    his, peer = asking(response(body), response(body.replace(b"GetPatient", b"SaveCharge")))
    with pytest.raises(Unavailable) as caught:
        his.ask(PatientQuery(patient_id="P1"), Ctx())
    assert caught.value.reason == "bad_reply"
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())
    assert peer.asked == 2


def test_two_patients_where_one_was_meant_are_ambiguous(asking: Any) -> None:
    one = re.search("<Item>.*</Item>", patient())
    assert one
    with pytest.raises(Rejected) as caught:
        lookup(asking, response(answered(patient().replace(one[0], one[0] * 2))))
    assert caught.value.reason is RejectReason.AMBIGUOUS


def test_a_refusal_keeps_its_words_and_a_failure_is_none(asking: Any) -> None:
    short = "<R><returnCode>-1</returnCode><returnDesc>余额不足</returnDesc><errCode>BALANCE</errCode><lackCost>1.05</lackCost></R>"
    his, _ = asking(
        response(answered(short, "SaveCharge")),
        response(answered("<R><returnCode>-1</returnCode><returnDesc>死锁</returnDesc></R>", "SaveCharge")),
        response(answered("<R><returnCode>0</returnCode></R>", "GetBalance")),
    )
    with pytest.raises(Rejected) as caught:
        his.do(order(), Ctx())
    refusal = caught.value
    assert (refusal.reason, refusal.message, refusal.shortfall_fen) == (RejectReason.BALANCE_SHORT, "余额不足", 105)
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())
    with pytest.raises(NotFound):
        his.ask(BalanceQuery("P1"), Ctx())


# ------------------------------------------------------------------ faults and statuses


def fault(text: str, code: str = "s:Server") -> str:
    return wrapped(f"<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></s:Fault>")


FAULT_12 = wrapped(
    "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:Odd</s:Value></s:Subcode></s:Code><s:Reason><s:Text>boom</s:Text></s:Reason></s:Fault>",
    soap="http://www.w3.org/2003/05/soap-envelope",
)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", [fault("boom"), FAULT_12], ids=["1.1", "1.2"])
def test_a_fault_says_that_the_service_failed_and_leaves_a_write_unknown(asking: Any, body: str, status: int) -> None:
    his, _ = asking(response(body, status), response(body, status))
    with pytest.raises(Unavailable, match="his_exception"):
        his.ask(BalanceQuery("P1"), Ctx())
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (fault("Access Denied"), "unauthorized"),
        (fault("x", "s:Denied"), "unauthorized"),
        (fault("Busy now"), "not_accepted"),
    ],
)
def test_a_fault_that_the_mapping_knows_as_not_accepted_changed_nothing(
    asking: Any, body: str, reason: str, status: int
) -> None:
    his, _ = asking(response(body, status), response(body, status))
    for call in (lambda: his.ask(BalanceQuery("P1"), Ctx()), lambda: his.do(order(), Ctx())):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.reason == reason


def test_a_faults_words_are_told_to_the_mappings_author_without_numbers(make: Make) -> None:
    with pytest.raises(Broken) as caught:
        make().replay(BalanceQuery("P1"), fault("no patient 990101198503120037"))
    told = str(getattr(caught.value, "told", ""))
    assert "Server: no patient ******************" in told


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "unauthorized"), (403, "unauthorized"), (404, "http_404"), (500, "http_500"), (503, "http_503"), (202, "http_202"),
     (302, "http_302")],
)  # fmt: skip
@pytest.mark.parametrize("body", ["<html><h1>x</h1></html>", "<!DOCTYPE html><html/>", "", answered(patient())])
def test_any_other_status_is_no_answer_whatever_it_carries(asking: Any, status: int, reason: str, body: str) -> None:
    his, _ = asking(response(body, status, "text/html"), response(body, status, "text/html"))
    with pytest.raises(Unavailable) as caught:
        his.ask(PatientQuery(patient_id="P1"), Ctx())
    assert caught.value.reason == reason
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())


# ------------------------------------------------------------------ whatever bytes

WHOLE = answered(patient(RARE))
PIECES = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"<", b"&", b"&amp;", b"]]>", b"<![CDATA[", b"<!DOCTYPE", b"&#0;", b"</Item>", b"\x00"])
)  # fmt: skip


@st.composite
def hurt(draw: Any) -> bytes:
    """A whole reply cut, doubled or with something put into it; or no reply at all."""
    whole = WHOLE.encode(draw(st.sampled_from(["utf-8", "gb18030"])))
    begin = draw(st.integers(0, len(whole)))
    end = draw(st.integers(begin, min(len(whole), begin + 40)))
    return draw(
        st.one_of(st.binary(max_size=400), st.just(whole[:begin] + draw(PIECES) + whole[end:]), st.just(whole[:begin]))
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(replies=st.lists(st.tuples(hurt(), st.sampled_from([200, 200, 200, 400, 500])), min_size=10, max_size=10))
def test_any_bytes_give_a_typed_answer_or_an_error_of_the_house(asking: Any, replies: list[tuple[bytes, int]]) -> None:
    his, _ = asking(*(response(body, status) for body, status in replies))
    for number in range(len(replies)):
        if number % 2:
            try:
                assert fits(his.do(order(), Ctx()), TopUp)
            except (NotFound, Rejected, UnknownOutcome):
                continue
        else:
            try:
                assert fits(his.ask(PatientQuery(patient_id="P1"), Ctx()).value, Patient)
            except (NotFound, Rejected, Unavailable):
                continue
    his.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_every_name_of_any_script_is_read_as_it_was_written(make: Make, name: str) -> None:
    if name.strip() == "" or any(ord(c) in (0xFFFE, 0xFFFF) for c in name):
        return
    adapter = make()
    body = answered(patient(name))
    assert adapter.replay(PatientQuery(patient_id="P1"), body).name == name.strip()
    assert fits(
        adapter.replay(
            BalanceQuery("P1"),
            answered(
                "<R><returnCode>1</returnCode><Items><Item><patientNo>P1</patientNo><leftCost>1</leftCost></Item></Items></R>",
                "GetBalance",
            ),
        ),
        Balance,
    )


# ------------------------------------------------------------------ recorded replies


def test_the_recorded_replies_of_the_bundled_mapping_are_read_as_expected_and_as_those_of_json() -> None:
    adapter = SoapAdapter(SoapOptions.model_validate({"url": "http://his.example/x.asmx", "token": "t"}))
    found = load_fixtures(VENDORS / "renhe-soap")
    assert [str(wrong) for one in found for wrong in replay(adapter, one)] == []
    both = {one.path.name for one in load_fixtures(VENDORS / "renhe-json")}
    assert both < {one.path.name for one in found}
    for name in both:
        of_json, of_soap = (load_one(VENDORS / mapping / name) for mapping in ("renhe-json", "renhe-soap"))
        assert of_soap == of_json
    adapter.close()


def load_one(path: Path) -> dict[str, Any]:
    """A fixture but for its reply."""
    held: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return {key: value for key, value in held.items() if key != "reply"}
