"""A SOAP service that is slow, broken, hostile or gone: the right error class for reads and writes, in time, nothing fetched."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
import xml.sax
import xml.sax.handler
import xml.sax.xmlreader
from collections.abc import Callable, Iterator
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.clock import SHANGHAI
from core.ids import new_id
from his.gateway import Gateway
from his.port import Ctx, Done, NotDone, PatientQuery, PayMethod, TopUpOrder, Unavailable, UnknownOutcome
from his.soap import SoapAdapter, SoapOptions
from tests.support.his_wire import envelope
from tests.support.sims import HisSim, start_his

DEADLINE, GRACE = 0.6, 0.5
CARD = PatientQuery(card_no="600000000017")
BOMBS = ("entity_bomb", "entity_bomb_inner", "external_entity", "external_entity_inner")
STYLES = ("ours", "zeep")
Make = Callable[..., Gateway]


@pytest.fixture(scope="module")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    started = start_his(tmp_path_factory.mktemp("his"), soap=True)
    yield started
    started.stop()


@pytest.fixture
def sim(_process: HisSim) -> Iterator[HisSim]:
    """The simulator with its SOAP service, well again after each test."""
    yield _process
    _process.fault("none")


@pytest.fixture
def make(sim: HisSim, tmp_path: Path) -> Iterator[Make]:
    """Gateways over the service: our own envelopes, or those that zeep writes."""
    made: list[Gateway] = []

    def gateway(style: str = "ours", **options: object) -> Gateway:
        mapping = "renhe-soap"
        if style == "zeep":
            text = (Path(__file__).parents[2] / "his/vendors/renhe-soap.yaml").read_text("utf-8")
            mapping = str(tmp_path / "zeep.yaml")
            # zeep's way for everything of scalar arguments; a write goes through `input` as one argument of text
            Path(mapping).write_text(text.replace("  style: scalar\n", "  style: zeep\n", 1), "utf-8")
        given = {"url": sim.soap_url, "token": sim.token, "mapping": mapping, "wsdl": f"{sim.soap_url}?wsdl", **options}
        made.append(Gateway(SoapAdapter(SoapOptions.model_validate(given))))
        return made[-1]

    yield gateway
    for one in made:
        one.close()


def top_up(number: int = 21) -> TopUpOrder:
    return TopUpOrder(
        new_id(), f"P{number:07d}", str(600_000_000_000 + 17 * number), 1000, PayMethod.WECHAT, "T1",
        datetime.now(SHANGHAI).replace(microsecond=0),
    )  # fmt: skip


def read(his: Gateway) -> tuple[str, float]:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        his.ask(CARD, Ctx(deadline_s=DEADLINE))
    return caught.value.reason, time.monotonic() - began


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("mode", "reason"),
    [("hang", "timeout"), ("slow", "timeout"), ("drip", "timeout"), ("late", "timeout"), ("commit_then_hang", "timeout"),
     ("reset", "reset"), ("commit_then_reset", "reset"), ("html500", "http_500"), ("truncated", "truncated"),
     ("gbk", "bad_reply"), ("garbage", "bad_reply"), ("down", "refused"), ("wrong_record", "wrong_record"),
     *((mode, "bad_reply") for mode in BOMBS)],
)  # fmt: skip
def test_a_read_is_unavailable_with_its_own_reason_in_time_and_well_with_the_service(
    make: Make, sim: HisSim, mode: str, reason: str, style: str
) -> None:
    his = make(style)
    his.ask(CARD, Ctx())  # zeep has read the WSDL
    sim.fault(mode, ms=20 if mode == "drip" else 5000)
    why, took = read(his)
    assert why == reason
    assert took < DEADLINE + GRACE
    sim.fault("none")
    his.guard.reads.succeeded()
    assert his.ask(CARD, Ctx()).value.name == "王小明"


@pytest.mark.parametrize(
    ("mode", "booked"),
    [("hang", 0), ("slow", 1), ("drip", 1), ("reset", 0), ("html500", 0), ("truncated", 1), ("gbk", 1), ("garbage", 1),
     ("commit_then_hang", 1), ("commit_then_reset", 1), ("late", 1), ("wrong_sums", 1), ("wrong_record", 1),
     *((mode, 1) for mode in BOMBS)],
)  # fmt: skip
def test_a_write_that_was_sent_is_unknown_in_time_and_its_fate_is_found_afterwards(
    make: Make, sim: HisSim, mode: str, booked: int
) -> None:
    his, order = make(), top_up()
    his.ask(CARD, Ctx())
    sim.fault(mode, ms=20 if mode == "drip" else 1500, ops=["top_up"])
    began = time.monotonic()
    with pytest.raises(UnknownOutcome) as caught:
        his.do(order, Ctx(deadline_s=DEADLINE))
    assert time.monotonic() - began < DEADLINE + GRACE
    assert caught.value.op_key == order.op_key
    sim.fault("none")
    if mode == "late":
        assert his.resolve(order, Ctx()) == NotDone()
        time.sleep(1.5)
    found = his.resolve(order, Ctx())
    assert isinstance(found, Done if booked else NotDone)
    assert len(sim.ledger(op_key=order.op_key)["rows"]) == booked


def test_a_write_to_a_service_that_is_not_there_was_not_sent(make: Make, sim: HisSim) -> None:
    his, order = make(), top_up()
    his.ask(CARD, Ctx())
    sim.fault("down")
    with pytest.raises(Unavailable, match="refused"):
        his.do(order, Ctx(deadline_s=DEADLINE))
    sim.fault("none")
    assert his.resolve(order, Ctx()) == NotDone()


def test_a_service_that_books_twice_answers_as_if_once_and_the_ledger_shows_it(make: Make, sim: HisSim) -> None:
    his, order = make(), top_up()
    sim.fault("duplicate", ops=["top_up"])
    assert his.do(order, Ctx()).op_key == order.op_key
    assert len(sim.ledger(op_key=order.op_key)["rows"]) == 2


# ------------------------------------------------------------------ entities


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", BOMBS)
def test_an_entity_is_refused_within_a_tenth_of_a_second_and_nothing_is_fetched(
    make: Make, sim: HisSim, mode: str, style: str
) -> None:
    his = make(style)
    his.ask(CARD, Ctx())
    fetched = sim.calls("_entity")
    sim.fault(mode)
    took: list[float] = []
    for _ in range(5):
        why, seconds = read(his)
        his.guard.reads.succeeded()
        assert why == "bad_reply"
        took.append(seconds)
    assert statistics.median(took) < 0.1, took
    order = top_up()
    began = time.monotonic()
    with pytest.raises(UnknownOutcome):
        his.do(order, Ctx(deadline_s=DEADLINE))
    assert time.monotonic() - began < 0.1
    assert sim.calls("_entity") == fetched
    print(f"{mode} {style}: {statistics.median(took) * 1000:.1f} ms")


class Careless(xml.sax.handler.EntityResolver):
    """Fetches what it is told to; the file is not well-formed, so it is left out."""

    def resolveEntity(self, publicId: str | None, systemId: str) -> object:
        if systemId.startswith("http"):
            return systemId
        nothing = xml.sax.xmlreader.InputSource(systemId)
        nothing.setByteStream(io.BytesIO(b""))
        return nothing


def test_a_careless_reader_does_fetch_the_entity(sim: HisSim) -> None:
    """Control: the standard library's reader, told to follow external entities."""
    fetched = sim.calls("_entity")
    sim.fault("external_entity")
    connection = HTTPConnection(urlsplit(sim.soap_url).netloc, timeout=5)
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"http://tempuri.org/HelloWorld"'}
    with contextlib.closing(connection):
        connection.request("POST", urlsplit(sim.soap_url).path, envelope(sim, "HelloWorld", {}), headers)
        body = connection.getresponse().read()
    reader = xml.sax.make_parser()
    reader.setFeature(xml.sax.handler.feature_external_ges, True)
    reader.setEntityResolver(Careless())
    reader.parse(io.BytesIO(body))
    assert sim.calls("_entity") == fetched + 1


# ------------------------------------------------------------------ what zeep alone would do


def test_zeep_by_itself_takes_an_error_page_for_a_refusal_and_a_drip_for_an_answer(make: Make, sim: HisSim) -> None:
    """Control: its own transport. Ours says http_500, and is back when the deadline is."""
    import zeep
    from zeep.transports import Transport

    with contextlib.closing(Transport(timeout=5, operation_timeout=DEADLINE).session) as session:
        transport = Transport(session=session, timeout=5, operation_timeout=DEADLINE)
        naive = zeep.Client(f"{sim.soap_url}?wsdl", transport=transport)
        token = naive.get_element("{http://tempuri.org/}Auth")(token=sim.token)
        sim.fault("html500")
        with pytest.raises(zeep.exceptions.Fault, match="Unknown fault"):
            naive.service.GetPatientCardNo(cardNo=CARD.card_no, _soapheaders=[token])
        sim.fault("drip", ms=2)
        began = time.monotonic()
        assert "P0000001" in naive.service.GetPatientCardNo(cardNo=CARD.card_no, _soapheaders=[token])
        assert time.monotonic() - began > 2 * DEADLINE
    sim.fault("none")
    his = make("zeep")
    his.ask(CARD, Ctx())
    sim.fault("drip", ms=2)
    why, took = read(his)
    assert (why, took < DEADLINE + GRACE) == ("timeout", True)
