"""The soap adapter against a server nobody here wrote (npm soap), and against WSDLs: the vendor's and a typed one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.ids import new_id
from his.gateway import Gateway
from his.port import (
    BalanceQuery,
    CardApplication,
    Ctx,
    DepartmentsQuery,
    Done,
    HealthQuery,
    IdType,
    NotDone,
    NotFound,
    PatientQuery,
    Sex,
    Unavailable,
)
from his.soap import SoapAdapter, SoapOptions
from tests.support.soap_peer import TOKEN, TYPED, TYPED_WSDL, SoapPeer, start_soap

NAMES = ["王小明", "\U00020bb7田\u4dae", '<Tom & "Jerry\'s">', "]]>&#65;&amp;", "a\tb"]
Make = Callable[..., SoapAdapter]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoapPeer]:
    started = start_soap(tmp_path_factory.mktemp("soap"))
    if isinstance(started, str):
        pytest.skip(started)
    yield started
    started.stop()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Adapters over a mapping (its text, or a bundled one's name), closed afterwards."""
    made: list[SoapAdapter] = []

    def adapter(mapping: str, **options: object) -> SoapAdapter:
        if "\n" in mapping:
            path = tmp_path / f"mapping{len(made)}.yaml"
            path.write_text(mapping, "utf-8")
            mapping = str(path)
        made.append(SoapAdapter(SoapOptions.model_validate({"token": TOKEN, "mapping": mapping, **options})))
        return made[-1]

    yield adapter
    for one in made:
        one.close()


def bundled(change: Callable[[str], str] = lambda text: text) -> str:
    """The text of renhe-soap, changed."""
    text = (Path(__file__).parents[2] / "his/vendors/renhe-soap.yaml").read_text("utf-8")
    return change(text)


ZEEP = bundled(lambda text: text.replace("  style: scalar\n", "  style: zeep\n", 1))


@pytest.mark.parametrize("style", ["ours", "zeep"])
@pytest.mark.parametrize("text", NAMES)
def test_every_character_arrives_and_comes_back_in_scalar_arguments(
    peer: SoapPeer, make: Make, text: str, style: str
) -> None:
    mapping = "renhe-soap" if style == "ours" else ZEEP
    found = Gateway(make(mapping, url=peer.url, wsdl=str(peer.wsdl))).ask(PatientQuery(card_no=text), Ctx())
    assert found.value.cards[0].card_no == text
    assert (peer.seen()[-1]["name"], peer.seen()[-1]["args"]) == ("GetPatientCardNo", {"cardNo": text})


@pytest.mark.parametrize("text", NAMES)
def test_every_character_arrives_and_comes_back_in_a_string_of_inner_xml(peer: SoapPeer, make: Make, text: str) -> None:
    his = Gateway(make("renhe-soap", url=peer.url))
    order = CardApplication(
        new_id(), text, Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, "990101198503120037", "19900000001"
    )
    made = his.do(order, Ctx())
    assert (made.card_no, made.patient.name) == ("C9", text)
    assert his.do(order, Ctx()) == made, "the second one is a duplicate, and found by its op_key"
    assert his.resolve(order, Ctx()) == Done(made)
    inner = peer.seen()[-4]["args"]["input"]
    assert inner.startswith(f"<Request><opKey>{order.op_key}</opKey><patientName>")


def test_a_write_never_sent_is_not_done_there_and_an_unknown_card_not_found(peer: SoapPeer, make: Make) -> None:
    his = Gateway(make("renhe-soap", url=peer.url))
    order = CardApplication(new_id(), "王", Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, "990101198503120037", "1")
    assert his.resolve(order, Ctx()) == NotDone()
    with pytest.raises(NotFound):
        his.ask(PatientQuery(card_no="nobody"), Ctx())
    assert his.ask(HealthQuery(), Ctx()).value.at is not None


def test_inner_xml_in_cdata_reads_as_escaped_does(peer: SoapPeer, make: Make) -> None:
    (department,) = Gateway(make("renhe-soap", url=peer.url)).ask(DepartmentsQuery(), Ctx()).value
    assert (department.code, department.name) == ("D1", "内科 & 外科")


def test_a_wrong_token_is_its_own_reason_for_reads_and_writes_alike(peer: SoapPeer, make: Make) -> None:
    his = Gateway(make("renhe-soap", url=peer.url, token="wrong"))
    with pytest.raises(Unavailable, match="unauthorized"):
        his.ask(PatientQuery(card_no="1"), Ctx())
    order = CardApplication(new_id(), "王", Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, "990101198503120037", "1")
    with pytest.raises(Unavailable, match="unauthorized"):
        his.do(order, Ctx())


# ------------------------------------------------------------------ typed services, written by zeep


def test_a_typed_service_is_called_as_its_wsdl_says(peer: SoapPeer, make: Make) -> None:
    his = Gateway(make(TYPED, url=peer.typed_url, wsdl=str(TYPED_WSDL)))
    found = his.ask(PatientQuery(card_no="\U00020bb7<&>"), Ctx()).value
    assert (found.patient_id, found.name, found.birth_date) == ("N1", "\U00020bb7田\u4dae <&>", date(1985, 3, 12))
    assert [card.card_no for card in found.cards] == ["\U00020bb7<&>", "C2"]
    assert his.ask(BalanceQuery("N1"), Ctx()).value.balance_fen == 1230
    with pytest.raises(NotFound):
        his.ask(PatientQuery(card_no="nobody"), Ctx())
    sent = peer.seen()[-3]["args"]
    assert sent == {"hospital": "H01", "query": {"key": "card", "value": "\U00020bb7<&>"}}


def test_what_the_wsdl_has_no_place_for_is_not_sent(peer: SoapPeer, make: Make) -> None:
    before = len(peer.seen())
    for wrong in (TYPED.replace("{key: card, value:", "{keys: card, value:"), TYPED.replace("hospital: H01, ", "")):
        with pytest.raises(Unavailable, match="unmapped_value"):
            Gateway(make(wrong, url=peer.typed_url, wsdl=str(TYPED_WSDL))).ask(PatientQuery(card_no="1"), Ctx())
    with pytest.raises(Unavailable, match="unsupported_text"):
        Gateway(make(TYPED, url=peer.typed_url, wsdl=str(TYPED_WSDL))).ask(PatientQuery(card_no="\x00"), Ctx())
    assert len(peer.seen()) == before


def test_a_wsdl_is_fetched_from_the_service_itself(peer: SoapPeer, make: Make) -> None:
    adapter = make(TYPED, url=peer.typed_url, wsdl=f"{peer.typed_url}?wsdl")
    assert adapter.misdescribed() == []
    assert Gateway(adapter).ask(PatientQuery(card_no="1"), Ctx()).value.patient_id == "N1"
    assert adapter.misdescribed(offline=True) is None


# ------------------------------------------------------------------ the mapping against the WSDL


def test_the_bundled_mapping_is_what_the_wsdl_says(peer: SoapPeer, make: Make) -> None:
    assert make("renhe-soap", url=peer.url, wsdl=str(peer.wsdl)).misdescribed() == []
    assert make(TYPED, url=peer.typed_url, wsdl=str(TYPED_WSDL)).misdescribed() == []
    assert make("renhe-soap", url=peer.url).misdescribed() is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("operation: GetDeptInfo", "operation: GetDepInfo", "has no GetDepInfo; it has GetDeptInfo"),
        ("operation: GetOperState", "operation: GetOperStates", "resolve.send.operation"),
        ("hosCode: $campus_code~", "hospCode: $campus_code~", "GetDeptInfo has no argument hospCode; it has hosCode"),
        ("input: input", "input: inputXml", "has no argument inputXml; it has input"),
        ("namespace: http://tempuri.org/", "namespace: http://tempuri.org", "should be http://tempuri.org/"),
        ("input: input", "input: input\n  action: '{operation}'", "SOAPAction of GetDeptInfo should be"),
        ("input: input", "input: input\n  qualified: false", "transport.qualified"),
        ("input: input", "input: input\n  result: return", "the answer of GetDeptInfo has GetDeptInfoResult"),
    ],
)
def test_what_differs_from_the_wsdl_is_said_with_file_and_line(
    peer: SoapPeer, make: Make, old: str, new: str, said: str
) -> None:
    text = bundled(lambda text: text.replace(old, new))
    faults = make(text, url=peer.url, wsdl=str(peer.wsdl)).misdescribed() or []
    assert [fault for fault in faults if said in str(fault)], [str(fault) for fault in faults]
    assert all(fault.source.startswith("mapping") and fault.line for fault in faults)


def test_a_typed_service_needs_what_its_wsdl_requires(make: Make) -> None:
    text = TYPED.replace("hospital: H01, ", "")
    faults = make(text, url="http://127.0.0.1:9/x", wsdl=str(TYPED_WSDL)).misdescribed() or []
    assert [str(fault).rpartition(": ")[2] for fault in faults] == ["GetPatient needs the argument hospital"] * 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "<wsdl:types>",
            '<wsdl:import location="http://127.0.0.9/x.wsdl" namespace="urn:x"/><wsdl:types>',
            "127.0.0.9",
        ),
        (
            "<wsdl:types>",
            '<wsdl:import location="/etc/passwd" namespace="urn:x"/><wsdl:types>',
            "outside the WSDL's folder",
        ),
        (
            "<wsdl:types>",
            '<wsdl:import location="../x.wsdl" namespace="urn:x"/><wsdl:types>',
            "outside the WSDL's folder",
        ),
        ("<wsdl:definitions", '<!DOCTYPE d [<!ENTITY e SYSTEM "/etc/passwd">]><wsdl:definitions', "DOCTYPE"),
        ("<wsdl:types>", "<wsdl:types", "no WSDL that can be used"),
        ("wsdl/soap/", "wsdl/soap12/", "no service of SOAP 1.1"),
    ],
)
def test_a_wsdl_that_wants_other_places_or_is_none_is_refused_plainly(
    tmp_path: Path, make: Make, old: str, new: str, said: str
) -> None:
    path = tmp_path / "odd.wsdl"
    path.write_text(TYPED_WSDL.read_text("utf-8").replace(old, new, 1), "utf-8")
    adapter = make(TYPED, url="http://127.0.0.1:9/typed", wsdl=str(path))
    with pytest.raises(ConfigError, match=said):
        adapter.misdescribed()
    with pytest.raises(Unavailable, match="bad_wsdl"):
        Gateway(adapter).ask(PatientQuery(card_no="1"), Ctx())


def test_a_wsdl_that_cannot_be_fetched_is_said_and_a_typed_write_was_not_sent(make: Make) -> None:
    adapter = make(TYPED, url="http://127.0.0.1:9/typed", wsdl="http://127.0.0.1:9/typed?wsdl")
    with pytest.raises(ConfigError, match="refused"):
        adapter.misdescribed()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="refused"):
        Gateway(adapter).ask(PatientQuery(card_no="1"), Ctx(deadline_s=1.0))
    assert time.monotonic() - began < 1.5


def test_a_typed_operation_without_a_wsdl_is_a_fault_of_the_configuration(make: Make) -> None:
    with pytest.raises(ConfigError, match="name no wsdl"):
        make(TYPED, url="http://127.0.0.1:9/typed")
