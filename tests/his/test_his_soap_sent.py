"""What the soap adapter sends, to the byte; and mistakes of a mapping's transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import pytest

from core.errors import ConfigError
from his.gateway import Gateway
from his.port import Ctx, PatientQuery, Unavailable, UnknownOutcome
from his.soap import SoapAdapter, SoapOptions
from tests.support.small_soap import RARE, answered, order, patient, response

Make = Callable[..., SoapAdapter]


def test_a_scalar_call_is_one_envelope_with_header_action_and_escaped_arguments(soap_asking: Any) -> None:
    his, peer = soap_asking(response(answered(patient(cards="<Card><cardNo>&lt;1&gt;</cardNo></Card>"))))
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


def test_a_call_of_inner_xml_is_escaped_once_more(soap_asking: Any) -> None:
    done = "<R><returnCode>1</returnCode><Items><Item><transNo>H1</transNo><patientNo>P1</patientNo><totCost>12.34</totCost></Item></Items></R>"
    his, peer = soap_asking(
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
    soap_asking: Any, transport: str, expected: tuple[bytes, ...]
) -> None:
    his, peer = soap_asking(
        response(answered(patient())), change=('namespace: "urn:his"', f'namespace: "urn:his", {transport}')
    )
    his.ask(PatientQuery(card_no="1"), Ctx())
    assert [part for part in expected if part not in peer.requests[0]] == []
    if "1.2" in transport:
        assert b"SOAPAction" not in peer.requests[0]


def test_what_gbk_cannot_hold_travels_as_a_reference_and_the_rest_in_gbk(soap_asking: Any) -> None:
    change = ('namespace: "urn:his"', 'namespace: "urn:his", charset: gbk')
    his, peer = soap_asking(response(answered(patient(cards=f"<Card><cardNo>王{RARE}</cardNo></Card>"))), change=change)
    his.ask(PatientQuery(card_no=f"王{RARE}"), Ctx())
    assert "<cardNo>王".encode("gbk") + b"&#134071;" in peer.requests[0]


def test_a_header_may_have_a_namespace_of_its_own_and_a_declaration_stand_before_inner_xml(soap_asking: Any) -> None:
    change = ("header: {Auth: {token: {secret: token}}}", 'declaration: true, header: {"{urn:wss}Security": {User: u}}')
    his, peer = soap_asking(response("", 500), change=change)
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())
    assert b'<Security xmlns="urn:wss"><User>u</User></Security>' in peer.requests[0]
    assert b'<input>&lt;?xml version="1.0" encoding="utf-8"?&gt;&lt;Request&gt;' in peer.requests[0]


def test_the_query_of_an_address_is_kept(make_soap: Make, make_peer: Callable[..., Any]) -> None:
    peer = make_peer(response(answered(patient())))
    path = make_soap().mapper.loaded.path
    adapter = SoapAdapter(
        SoapOptions.model_validate({"url": f"{peer.url}/a.cls?CfgItem=1", "mapping": str(path), "token": "t"})
    )
    Gateway(adapter).ask(PatientQuery(card_no="1"), Ctx())
    adapter.close()
    assert peer.requests[0].startswith(b"POST /a.cls?CfgItem=1 HTTP/1.1\r\n")


@pytest.mark.parametrize("text", ["\x00", "a\x0bb", "\ud800", "\ufffe"])
def test_a_text_that_xml_cannot_hold_is_not_sent(soap_asking: Any, text: str) -> None:
    his, peer = soap_asking()
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
def test_a_mistake_in_the_transport_is_said_with_key_and_line(
    make_soap: Make, change: tuple[str, str], said: str
) -> None:
    change = (change[0].rstrip(","), change[1].rstrip(","))
    with pytest.raises(ConfigError) as caught:
        make_soap(change=change)
    assert said in str(caught.value)
    assert caught.value.line
