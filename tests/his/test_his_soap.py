"""What the soap adapter makes of every kind of reply, and of any bytes at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from his.faults import Broken
from his.fixtures import load as load_fixtures
from his.fixtures import replay
from his.mapping.load import VENDORS
from his.port import (
    Balance,
    BalanceQuery,
    Ctx,
    NotFound,
    Patient,
    PatientQuery,
    Rejected,
    RejectReason,
    TopUp,
    Unavailable,
    UnknownOutcome,
)
from his.soap import SoapAdapter, SoapOptions, xml
from tests.support.small_soap import RARE, answered, order, patient, response, wrapped
from tests.support.typed import fits

Make = Callable[..., SoapAdapter]


def lookup(soap_asking: Any, reply: bytes, **options: object) -> Patient:
    his, _ = soap_asking(reply, **options)
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
def test_a_reply_reads_the_same_however_it_is_written(soap_asking: Any, body: str) -> None:
    assert lookup(soap_asking, response(body)).name == RARE


@pytest.mark.parametrize(
    ("cards", "numbers"),
    [("", []), ("\n  ", []), ("<Card><cardNo>1</cardNo></Card>", ["1"]),
     ("<Card><cardNo>1</cardNo></Card><Card><cardNo>2</cardNo></Card>", ["1", "2"]),
     ('<Card id="7" xsi:nil="false" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><cardNo>1</cardNo></Card>', ["1"])],
)  # fmt: skip
def test_no_one_and_several_rows_are_lists(soap_asking: Any, cards: str, numbers: list[str]) -> None:
    assert [card.card_no for card in lookup(soap_asking, response(answered(patient(cards=cards)))).cards] == numbers


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
def test_gbk_that_says_so_is_read_be_it_by_reference_or_in_four_bytes(soap_asking: Any, encoding: str) -> None:
    body = answered(patient(f"王{RARE}"), encoding=encoding).encode("gb18030")
    assert lookup(soap_asking, response(body)).name == f"王{RARE}"


def test_the_option_says_what_a_reply_does_not(soap_asking: Any) -> None:
    body = answered(patient("王小明")).encode("gb18030")
    with pytest.raises(Unavailable, match="bad_reply"):
        lookup(soap_asking, response(body))
    assert lookup(soap_asking, response(body), charset="gb18030").name == "王小明"


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
def test_what_is_no_answer_is_unavailable_to_a_read_and_unknown_to_a_write(soap_asking: Any, body: bytes) -> None:
    his, peer = soap_asking(response(body), response(body.replace(b"GetPatient", b"SaveCharge")))
    with pytest.raises(Unavailable) as caught:
        his.ask(PatientQuery(patient_id="P1"), Ctx())
    assert caught.value.reason == "bad_reply"
    with pytest.raises(UnknownOutcome):
        his.do(order(), Ctx())
    assert peer.asked == 2


def test_two_patients_where_one_was_meant_are_ambiguous(soap_asking: Any) -> None:
    one = re.search("<Item>.*</Item>", patient())
    assert one
    with pytest.raises(Rejected) as caught:
        lookup(soap_asking, response(answered(patient().replace(one[0], one[0] * 2))))
    assert caught.value.reason is RejectReason.AMBIGUOUS


def test_a_refusal_keeps_its_words_and_a_failure_is_none(soap_asking: Any) -> None:
    short = "<R><returnCode>-1</returnCode><returnDesc>余额不足</returnDesc><errCode>BALANCE</errCode><lackCost>1.05</lackCost></R>"
    his, _ = soap_asking(
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
def test_a_fault_says_that_the_service_failed_and_leaves_a_write_unknown(
    soap_asking: Any, body: str, status: int
) -> None:
    his, _ = soap_asking(response(body, status), response(body, status))
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
    soap_asking: Any, body: str, reason: str, status: int
) -> None:
    his, _ = soap_asking(response(body, status), response(body, status))
    for call in (lambda: his.ask(BalanceQuery("P1"), Ctx()), lambda: his.do(order(), Ctx())):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.reason == reason


def test_a_faults_words_are_told_to_the_mappings_author_without_numbers(make_soap: Make) -> None:
    with pytest.raises(Broken) as caught:
        make_soap().replay(BalanceQuery("P1"), fault("no patient 990101198503120037"))
    told = str(getattr(caught.value, "told", ""))
    assert "Server: no patient ******************" in told


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "unauthorized"), (403, "unauthorized"), (404, "http_404"), (500, "http_500"), (503, "http_503"), (202, "http_202"),
     (302, "http_302")],
)  # fmt: skip
@pytest.mark.parametrize("body", ["<html><h1>x</h1></html>", "<!DOCTYPE html><html/>", "", answered(patient())])
def test_any_other_status_is_no_answer_whatever_it_carries(
    soap_asking: Any, status: int, reason: str, body: str
) -> None:
    his, _ = soap_asking(response(body, status, "text/html"), response(body, status, "text/html"))
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
def test_any_bytes_give_a_typed_answer_or_an_error_of_the_house(
    soap_asking: Any, replies: list[tuple[bytes, int]]
) -> None:
    his, _ = soap_asking(*(response(body, status) for body, status in replies))
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
def test_every_name_of_any_script_is_read_as_it_was_written(make_soap: Make, name: str) -> None:
    if name.strip() in ("", "null") or any(ord(c) in (0xFFFE, 0xFFFF) for c in name):
        return
    adapter = make_soap()
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
