"""The HL7 adapter: only AA and CA are a yes, each operation over a real peer, and receivers that behave badly."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from core.clock import SHANGHAI
from his.adapter import Call
from his.faults import Broken, Duplicate, NotSent
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
    RegistrationCancel,
    RegistrationOrder,
    Rejected,
    RejectReason,
    Sex,
    TopUpOrder,
    Unavailable,
    UnknownOutcome,
)
from tests.contracts.subject_hl7v2 import ANSWERS, OPERATIONS, start
from tests.support.mllp import receiver
from tests.support.mllp_script import Script

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)
ORDER = RegistrationOrder("k1", "P0000021", "600000000357", "S1", "SL1", 1250, provider_trade_no="T1")
TOP_UP = TopUpOrder("k2", "P0000021", "600000000357", 1234, PayMethod.WECHAT, "W1", NOW)


def soon(seconds: float = 5.0) -> Call:
    return Call(time.monotonic() + seconds)


def adapter(port: int, **more: Any) -> Any:
    return make(
        OPTIONS(
            **{
                "host": "127.0.0.1",
                "port": port,
                "operations": OPERATIONS,
                "txn_no": "ZTX-1",
                "answers": ANSWERS,
                **more,
            }
        )
    )


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


# ---------------------------------------------------------------- receivers by script


def ack(message: bytes, code: str, *more: str, control_id: str | None = None) -> bytes:
    asked = message.split(b"\r")[0].decode("latin-1").split("|")
    head = f"MSH|^~\\&|HIS||PALM||20261124||ACK^{asked[8].split('^')[1]}|X1|P|2.5||||||UNICODE UTF-8"
    return framed("\r".join([head, f"MSA|{code}|{asked[9] if control_id is None else control_id}", *more]) + "\r")


def framed(text: str) -> bytes:
    return b"\x0b" + text.encode() + b"\x1c\r"


def rsp(message: bytes, status: str, *pids: str, code: str = "AA") -> bytes:
    control_id = message.split(b"\r")[0].decode().split("|")[9]
    return ack(message, code, f"QAK|{control_id}|{status}", "QPD|Q22", *pids)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (lambda m: ack(m, "AE"), Broken),
        (lambda m: ack(m, "AR"), Broken),
        (lambda m: ack(m, "CE"), Broken),
        (lambda m: ack(m, "CR"), Broken),
        (lambda m: ack(m, "XX"), Broken),
        (lambda m: ack(m, ""), Broken),
        (lambda m: ack(m, "AE", "ERR|||FULL^no^L|E"), Rejected),
        (lambda m: ack(m, "AE", "ERR|||207^error^HL70357|E|FULL^no^L"), Rejected),
        (lambda m: ack(m, "AR", "ERR|PID^1^3^204&unknown&HL70357"), NotFound),
        (lambda m: ack(m, "AE", "ERR|||999^other^L|E"), Broken),
        (lambda m: framed("this is no HL7\r"), Broken),
        (lambda m: b"HTTP/1.1 400 Bad Request\r\n\r\n", Broken),
        (lambda m: b"", Broken),
        (lambda m: ack(m, "AA")[:-20], Broken),
    ],
)
def test_every_answer_but_aa_and_ca_is_an_error(answer: Callable[[bytes], bytes], failure: type[Exception]) -> None:
    with Script(lambda m: [answer(m), None]) as script:
        his = adapter(script.port)
        with pytest.raises(failure):
            his.do(ORDER, soon(1))
        his.close()


def test_already_done_is_a_duplicate_and_not_a_refusal() -> None:
    with Script(lambda m: [ack(m, "AE", "ERR|||205^dup^HL70357|E")]) as script:
        his = adapter(script.port, answers={"205": "already_done"})
        with pytest.raises(Duplicate):
            his.do(ORDER, soon())
        his.close()


def test_an_acknowledgement_of_another_message_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with Script(lambda m: [ack(m, "AE", control_id="OTHER"), ack(m, "AR", control_id=""), ack(m, "AA")]) as script:
        his = adapter(script.port)
        assert his.do(ORDER, soon()).registration_no == "k1"
        his.close()
    assert "dropped 2 acknowledgements" in caplog.text


def test_only_another_messages_acknowledgement_leaves_it_unknown() -> None:
    with Script(lambda m: [ack(m, "AA", control_id="OTHER")]) as script:
        his = adapter(script.port)
        with pytest.raises(Broken, match="timeout"):
            his.do(ORDER, soon(0.5))
        his.close()


def test_a_late_acknowledgement_is_never_taken_for_the_next_messages() -> None:
    late: list[bytes] = []

    def answer(message: bytes) -> list[bytes | None]:
        late.append(message)
        if len(late) == 1:
            time.sleep(0.6)
            return [ack(message, "AA")]
        return [ack(message, "AE", "ERR|||FULL^no^L|E")]

    with Script(answer) as script:
        his = adapter(script.port)
        with pytest.raises(Broken):
            his.do(ORDER, soon(0.3))
        with pytest.raises(Rejected):
            his.do(replace(ORDER, op_key="k7"), soon(3))
        his.close()
        assert script.connections == 2


def test_a_receiver_that_drips_cannot_outlive_the_deadline() -> None:
    def drip(message: bytes) -> Iterator[bytes | None]:
        for byte in ack(message, "AA"):
            time.sleep(0.1)
            yield bytes([byte])

    with Script(drip) as script:
        his = adapter(script.port)
        started = time.monotonic()
        with pytest.raises(Broken, match="timeout"):
            his.do(ORDER, soon(0.5))
        assert time.monotonic() - started < 1.0
        his.close()


def test_an_endless_answer_is_given_up_at_the_cap() -> None:
    with Script(lambda m: [b"\x0b" + b"x" * 200_000]) as script:
        his = adapter(script.port, frame_cap_kib=64)
        with pytest.raises(Broken, match="too_large"):
            his.do(ORDER, soon())
        his.close()


def test_what_never_left_is_not_sent() -> None:
    with Script(lambda m: []) as script:
        port = script.port
    his = adapter(port)
    with pytest.raises(NotSent, match="refused"):
        his.do(ORDER, soon())
    with pytest.raises(NotSent, match="refused"):
        his.ask(HealthQuery(), soon())
    with pytest.raises(Unavailable):
        Gateway(his).do(ORDER, Ctx(deadline_s=2))
    his.close()
    with pytest.raises(NotSent, match="closed"):
        his.do(ORDER, soon())


def test_one_message_is_in_flight_whoever_calls() -> None:
    inside, most = [0], [0]

    def answer(message: bytes) -> list[bytes | None]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return [ack(message, "AA")]

    with Script(answer) as script:
        his = adapter(script.port)
        keys = [f"t{n}" for n in range(20)]
        done: list[str] = []
        threads = [
            threading.Thread(
                target=lambda key=key: done.append(his.do(replace(ORDER, op_key=key), soon(10)).registration_no)
            )
            for key in keys
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        his.close()
        assert (sorted(done), most[0], script.connections) == (sorted(keys), 1, 1)


def test_who_waits_too_long_for_the_line_has_sent_nothing() -> None:
    with Script(lambda m: [time.sleep(1.0), ack(m, "AA")][1:]) as script:
        his = adapter(script.port)
        first = threading.Thread(target=lambda: his.do(ORDER, soon()))
        first.start()
        time.sleep(0.2)
        with pytest.raises(NotSent, match="busy"):
            his.do(replace(ORDER, op_key="k8"), soon(0.3))
        first.join()
        his.close()
        assert len(script.messages) == 1


def test_the_same_command_has_the_same_control_id_and_another_op_another() -> None:
    with Script(lambda m: [ack(m, "AA", "ZTX|1")]) as script:
        his = adapter(script.port)
        for command in (ORDER, ORDER, replace(ORDER, op_key="k6"), RegistrationCancel("k1", "P1", "R1")):
            his.do(command, soon())
        his.close()
        ids = [message.split(b"|")[9] for message in script.messages]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_message_says_its_character_set_and_numbers_where_the_guide_says() -> None:
    with Script(lambda m: [ack(m, "AA")]) as script:
        his = adapter(
            script.port, write_charset="gb18030", sending_facility="仁和", processing_id="T", visit_no="PV1-50"
        )
        his.do(RegistrationCancel("k5", "P1", "R1", "来不了|了"), soon())
        his.close()
        lines = script.messages[0].decode("gb18030").split("\r")
    msh = lines[0].split("|")
    assert (msh[3], msh[8], msh[10], msh[17]) == ("仁和", "ADT^A11^ADT_A09", "T", "GB 18030-2000")
    assert next(line for line in lines if line.startswith("PV1")).split("|")[50] == "R1"
    assert next(line for line in lines if line.startswith("ZPH")).split("|")[1::7] == ["k5", "来不了\\F\\了"]


def test_text_that_cannot_be_said_is_not_sent() -> None:
    with Script(lambda m: [ack(m, "AA")]) as script:
        his = adapter(script.port)
        with pytest.raises(NotSent, match="unsupported_text"):
            his.do(RegistrationCancel("k5", "P1", "R1", "\ud800"), soon())
        his.close()
        assert script.messages == []


def test_a_name_is_resolved_within_the_deadline_and_an_unknown_one_is_not_sent() -> None:
    with Script(lambda m: [ack(m, "AA")]) as script:
        his = adapter(script.port, host="localhost")
        assert his.do(ORDER, soon()).registration_no == "k1"
        his.close()
    nowhere = adapter(1, host="nowhere.invalid")
    with pytest.raises(NotSent):
        nowhere.do(ORDER, soon(1))


def test_over_tls_only_to_a_receiver_of_the_named_authority(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Script(lambda m: [ack(m, "AA")], tls=context) as script:
        his = adapter(script.port, host="localhost", tls=True, ca_file=str(cert))
        assert his.do(ORDER, soon()).registration_no == "k1"
        his.close()
        stranger = adapter(script.port, host="localhost", tls=True)
        with pytest.raises(NotSent, match="tls"):
            stranger.do(ORDER, soon())


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(SHANGHAI)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


# ---------------------------------------------------------------- enhanced mode


def test_in_commit_mode_the_commit_is_the_end() -> None:
    with Script(lambda m: [ack(m, "CA")]) as script:
        his = adapter(script.port, enhanced="commit")
        assert his.do(ORDER, soon()).registration_no == "k1"
        assert script.messages[0].split(b"\r")[0].split(b"|")[14:16] == [b"AL", b"NE"]
        with pytest.raises(Broken, match="timeout"):  # money: the commit names no number of the HIS
            his.do(TOP_UP, soon(0.4))
        his.close()


def test_with_both_a_commit_alone_proves_nothing() -> None:
    with Script(lambda m: [ack(m, "CA"), ack(m, "AA", "ZTX|7")]) as script:
        his = adapter(script.port, enhanced="both")
        assert his.do(TOP_UP, soon()).his_txn_no == "7"
        his.close()
    with Script(lambda m: [ack(m, "CA")]) as script:
        his = adapter(script.port, enhanced="both")
        with pytest.raises(Broken, match="timeout"):
            his.do(ORDER, soon(0.4))
        his.close()
    with Script(lambda m: [ack(m, "CA"), ack(m, "AE", "ERR|||FULL^no^L|E")]) as script:
        his = adapter(script.port, enhanced="both")
        with pytest.raises(Rejected):
            his.do(ORDER, soon())
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
