"""The MLLP client under the adapter: late, foreign, dripping, endless and missing answers; TLS; enhanced mode."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from his.faults import Broken, Duplicate, NotSent
from his.gateway import Gateway
from his.port import (
    Ctx,
    HealthQuery,
    NotFound,
    RegistrationCancel,
    Rejected,
    Unavailable,
)
from tests.support.certificate import self_signed
from tests.support.mllp_script import ORDER, TOP_UP, Script, ack, adapter, framed, soon


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
    cert, key = self_signed(tmp_path / "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Script(lambda m: [ack(m, "AA")], tls=context) as script:
        his = adapter(script.port, host="localhost", tls=True, ca_file=str(cert))
        assert his.do(ORDER, soon()).registration_no == "k1"
        his.close()
        stranger = adapter(script.port, host="localhost", tls=True)
        with pytest.raises(NotSent, match="tls"):
            stranger.do(ORDER, soon())


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
