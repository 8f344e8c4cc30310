"""The HL7 adapter: only AA and CA are a yes, each operation over a real peer, and receivers that behave badly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from his.faults import Broken
from his.gateway import Gateway
from his.hl7v2 import OPTIONS, make
from his.port import (
    BookingOrder,
    CardApplication,
    CardStatus,
    Ctx,
    Done,
    Health,
    HealthQuery,
    IdType,
    NotDone,
    NotFound,
    Op,
    PatientQuery,
    PayMethod,
    PrepaymentOrder,
    Rejected,
    RejectReason,
    Sex,
    Unavailable,
    UnknownOutcome,
)
from tests.contracts.subject_hl7v2 import start
from tests.support.mllp import receiver
from tests.support.mllp_script import NOW, ORDER, TOP_UP, Script, ack, adapter, rsp, soon

# ---------------------------------------------------------------- a hospital on hl7apy


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    subject = start(tmp_path_factory.mktemp("hl7"))
    yield subject.his
    subject.his.close()
    subject.close()


def test_a_card_is_issued_once_found_and_asked_for_by_the_id_number(hospital: Gateway) -> None:
    order = CardApplication(
        "kc1", "𠮷田䶮", Sex.FEMALE, date(1990, 1, 2), IdType.ID_CARD, "990101199001020028", "19900000002"
    )
    ctx = Ctx(deadline_s=5)
    assert hospital.resolve(order, ctx) == NotDone()
    made = hospital.do(order, ctx)
    assert (made.patient.name, made.patient.sex, made.patient.birth_date) == ("𠮷田䶮", Sex.FEMALE, date(1990, 1, 2))
    assert made.card_no == made.patient.cards[0].card_no
    assert hospital.resolve(order, ctx) == Done(made)
    with pytest.raises(Rejected) as refused:
        hospital.do(replace(order, op_key="kc2"), ctx)
    assert refused.value.reason is RejectReason.DUPLICATE


def test_a_passport_is_a_passport_and_no_id_number(hospital: Gateway) -> None:
    order = CardApplication("kp1", "Ann Lee", Sex.FEMALE, date(1990, 1, 2), IdType.PASSPORT, "E12345678", "19900000003")
    made = hospital.do(order, Ctx(deadline_s=5))
    assert made.patient.name == "Ann Lee"
    assert hospital.resolve(order, Ctx(deadline_s=5)) == Done(made)
    with pytest.raises(NotFound):
        hospital.ask(PatientQuery(id_no="E12345678"), Ctx(deadline_s=5))


def test_two_people_with_one_number_are_ambiguous(hospital: Gateway) -> None:
    with pytest.raises(Rejected) as refused:
        hospital.ask(PatientQuery(id_no="990101198503100010"), Ctx(deadline_s=5))
    assert refused.value.reason is RejectReason.AMBIGUOUS


def test_money_is_credited_under_the_hiss_own_number(hospital: Gateway) -> None:
    made = hospital.do(TOP_UP, Ctx(deadline_s=5))
    assert made.his_txn_no.startswith("TX")
    assert hospital.do(TOP_UP, Ctx(deadline_s=5)) == made
    stay = PrepaymentOrder("k3", "P0000021", "2026000101", 1, 5000, PayMethod.WECHAT, "W2", NOW)
    assert hospital.do(stay, Ctx(deadline_s=5)).amount_fen == 5000


def test_health_by_query_takes_nobody_for_an_answer(hospital: Gateway) -> None:
    port = hospital._adapter._options.port
    asking = adapter(port, health="query", keep_s=0)
    assert asking.ask(HealthQuery(), soon()) == Health()
    asking.close()


# ---------------------------------------------------------------- AA, AE, AR from receivers nobody here wrote


@pytest.mark.parametrize("kind", ["node-hl7-server", "simple-hl7", "hl7apy"])
@pytest.mark.parametrize("code", ["AE", "AR"])
def test_ae_and_ar_are_never_a_success(kind: str, code: str, tmp_path: Path) -> None:
    with receiver(kind, tmp_path) as peer:
        if isinstance(peer, str):
            pytest.skip(peer)
        order = replace(ORDER, op_key=f"no-{code}", provider_trade_no=f"{code}1")
        unlisted = Gateway(adapter(peer.port, keep_s=0))
        with pytest.raises(UnknownOutcome):
            unlisted.do(order, Ctx(deadline_s=5))
        unlisted.close()
        listed = Gateway(adapter(peer.port, keep_s=0, answers={code: "not_allowed"}))
        with pytest.raises(Rejected) as refused:
            listed.do(order, Ctx(deadline_s=5))
        assert (refused.value.code, refused.value.reason) == (code, RejectReason.NOT_ALLOWED)
        listed.close()


@pytest.mark.parametrize("kind", ["node-hl7-server", "simple-hl7"])
def test_a_receiver_that_never_answers_leaves_the_outcome_unknown_in_time(kind: str, tmp_path: Path) -> None:
    with receiver(kind, tmp_path) as peer:
        if isinstance(peer, str):
            pytest.skip(peer)
        his = Gateway(adapter(peer.port))
        started = time.monotonic()
        with pytest.raises(UnknownOutcome) as unknown:
            his.do(replace(ORDER, provider_trade_no="MUTE1"), Ctx(deadline_s=1))
        assert time.monotonic() - started < 1.5
        assert unknown.value.op_key == "k1"
        assert his.do(replace(ORDER, op_key="k9"), Ctx(deadline_s=5)).registration_no == "k9"
        his.close()


# ---------------------------------------------------------------- answers


PID = "PID|1||P1^^^HIS^PI~60^^^HIS^HC^^20200101^20991231~61^^^HIS^HC^^20200101^20210101~9901^^^GOV^NI||王^小明^^^^^L||198503120000|1|||||^PRN^CP^^86^^19900000001"


def test_a_patient_is_read_from_pid() -> None:
    with Script(lambda m: [rsp(m, "OK", PID)]) as script:
        his = adapter(script.port, listed_cards_active=True)
        found = his.ask(PatientQuery(card_no="60"), soon())
        his.close()
        assert b"@PID.3.1^60~@PID.3.5^HC" in script.messages[0]
    assert (found.patient_id, found.name, found.sex, found.birth_date) == ("P1", "王小明", Sex.MALE, date(1985, 3, 12))
    assert (found.id_no, found.phone) == ("9901", "19900000001")
    assert [(card.card_no, card.status) for card in found.cards] == [
        ("60", CardStatus.ACTIVE),
        ("61", CardStatus.CLOSED),
    ]


def test_a_card_without_a_status_is_unknown_unless_the_house_says_otherwise() -> None:
    with Script(lambda m: [rsp(m, "OK", PID)]) as script:
        his = adapter(script.port)
        assert his.ask(PatientQuery(card_no="60"), soon()).cards[0].status is CardStatus.UNKNOWN
        his.close()


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (lambda m: rsp(m, "NF"), NotFound),
        (lambda m: rsp(m, "OK"), NotFound),
        (lambda m: rsp(m, "OK", PID, PID), Rejected),
        (lambda m: rsp(m, "AE", PID), Broken),
        (lambda m: rsp(m, "AE", PID, code="AE"), Broken),
        (lambda m: rsp(m, "", PID), Broken),
        (lambda m: rsp(m, "OK", "PID|1||P1^^^HIS^PI"), Broken),
        (lambda m: rsp(m, "OK", "PID|1||||王^明"), Broken),
        (lambda m: ack(m, "AA", "QAK|someone-elses|OK", PID), Broken),
    ],
)
def test_an_answer_that_names_not_exactly_one_patient_is_none(
    answer: Callable[[bytes], bytes], failure: type[Exception]
) -> None:
    with Script(lambda m: [answer(m)]) as script:
        his = adapter(script.port)
        with pytest.raises(failure):
            his.ask(PatientQuery(patient_id="P1"), soon())
        his.close()


def test_another_patient_than_asked_for_is_refused_by_the_gateway() -> None:
    with Script(lambda m: [rsp(m, "OK", PID)]) as script:
        his = Gateway(adapter(script.port))
        with pytest.raises(Unavailable, match="wrong_record"):
            his.ask(PatientQuery(patient_id="P2"), Ctx(deadline_s=3))
        his.close()


def test_a_booking_without_its_number_or_time_is_unknown() -> None:
    order = BookingOrder("kb", "P1", "60", "S1", "SL1")
    for sch in ("SCH|kb||||||||||^^15^202612010900", "SCH|kb|AP1"):
        with Script(lambda m, sch=sch: [ack(m, "AA", sch)]) as script:
            his = adapter(script.port)
            with pytest.raises(Broken, match="bad_reply"):
                his.do(order, soon())
            his.close()
    with Script(lambda m: [ack(m, "AA", "SCH|kb|AP1", "RGS|1", "AIS|1||X|20261201090000")]) as script:
        his = adapter(script.port)
        made = his.do(order, soon())
        his.close()
    assert (made.appointment_no, made.day, made.starts_at.hour) == ("AP1", date(2026, 12, 1), 9)


# ---------------------------------------------------------------- what it claims


def test_it_claims_what_is_configured_and_nothing_it_cannot_prove() -> None:
    his = make(OPTIONS(host="h", port=1))
    assert his.capabilities == {Op.HEALTH, Op.QUERY_PATIENT}
    assert his.dedups == his.resolvable == frozenset()
    more = make(OPTIONS(host="h", port=1, operations={"create_card", "query_patient", "register"}, peer_dedups=True))
    assert more.resolvable == {Op.CREATE_CARD}
    assert more.dedups == {Op.CREATE_CARD, Op.REGISTER}
    with pytest.raises(ValidationError, match="txn_no"):
        OPTIONS(host="h", port=1, operations={"top_up"})
    with pytest.raises(ValidationError, match="query_patient"):
        OPTIONS(host="h", port=1, operations={"create_card"})
    with pytest.raises(ValidationError):
        OPTIONS(host="h", port=1, txn_no="PID3")
