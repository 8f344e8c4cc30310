"""The MLLP listener: AA only for what is stored, strangers and slow peers shut out, and kill -9 before the answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from his.hl7v2.answering import Reused
from his.hl7v2.listener import MllpListener
from his.hl7v2.message import Message
from his.hl7v2.options import ListenerOptions
from his.port import HisEvent
from hospital.bootstrap import build
from tests.support.hl7_corpus import corpus
from tests.support.mllp import PACKAGES, PEERS, ROOT, Plain, free_port, msa, process
from tests.support.npm import installed
from tests.support.our_mllp import config_for


def adt(control_id: str = "C1", event: str = "A01", patient: str = "P1", msh: str = "", **fields: str) -> bytes:
    said = {"app": "HIS", "processing": "P", "version": "2.5", **fields}
    return (
        f"MSH|^~\\&|{said['app']}|RENHE|PALM|H|20261124093000||ADT^{event}|{control_id}|{said['processing']}|{said['version']}{msh}\r"
        f"EVN|{event}|20261124093000\rPID|1||{patient}^^^HIS^PI||王^小明\rPV1|1|I|W01^3^05||||||||||||||||Z1\r"
    ).encode()


class Books:
    """A store in memory that remembers what it was given; `fail` makes it raise."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], HisEvent] = {}
        self.fail: Exception | None = None
        self.pause = 0.0

    def store(self, events: Sequence[HisEvent]) -> None:
        time.sleep(self.pause)
        if self.fail is not None:
            raise self.fail
        for event in events:
            self.events.setdefault((event.source, event.event_id), event)


@contextmanager
def listening(books: Books, **options: Any) -> Iterator[MllpListener]:
    listener = MllpListener(ListenerOptions(**{"port": 0, "peers": ("127.0.0.1",), **options}), books.store)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def say(books: Books) -> Iterator[Callable[[bytes], bytes]]:
    with listening(books) as listener:
        peer = Plain(listener.port)
        yield peer.ask
        peer.close()


# ---------------------------------------------------------------- what is answered


def test_a_stored_message_is_answered_aa_with_its_own_control_id(say, books: Books) -> None:
    answer = say(adt("C7"))
    assert msa(answer) == ("AA", "C7")
    assert list(books.events) == [("hl7:HIS@RENHE", "C7")]
    read = Message.read(answer)
    assert (read.get("MSH-3"), read.get("MSH-5"), read.get("MSH-6")) == ("PALM", "HIS", "RENHE")
    assert read.type == ("ACK", "A01")


def test_the_whole_corpus_is_answered_aa_split_anyhow(say, books: Books) -> None:
    """Every message of the corpus is for us but those with nothing in them to store."""
    answers = {sample.name: msa(say(sample.raw)) for sample in corpus()}
    assert {answer[0] for answer in answers.values()} == {"AA"}
    assert len(books.events) == len(answers)


def test_what_cannot_be_stored_now_is_ae_and_then_aa(say, books: Books) -> None:
    books.fail = OSError("disk full")
    assert msa(say(adt("C1"))) == ("AE", "C1")
    assert not books.events
    books.fail = None
    assert msa(say(adt("C1"))) == ("AA", "C1")


def test_a_control_id_used_again_for_something_else_is_ar(say, books: Books) -> None:
    books.fail = Reused()
    answer = say(adt("C1"))
    assert msa(answer) == ("AR", "C1")
    assert Message.read(answer).get("ERR-3") == "205"


@pytest.mark.parametrize(
    ("raw", "code", "control_id"),
    [
        (adt(event="A99"), "201", "C1"),
        (adt().replace(b"ADT^A01", b"MDM^T02"), "200", "C1"),
        (adt(processing="T"), "202", "C1"),
        (adt(version="3.0"), "203", "C1"),
        (adt(control_id=""), "101", ""),
        (adt(app=""), "101", "C1"),
        (adt(patient=""), "101", "C1"),
        (adt(patient="P" * 65), "102", "C1"),
        (adt().replace(b"Z1", b""), "101", "C1"),
        (adt(event="A40"), "101", "C1"),
        (adt().replace("王".encode(), b"\xff\xff"), "102", "C1"),
        (b"MSH|^~\\&|HIS", "202", ""),
        (b"nonsense", "102", ""),
        (b"", "102", ""),
    ],
)
def test_what_is_not_for_us_is_ar_with_its_reason_and_never_aa(
    say, books: Books, raw: bytes, code: str, control_id: str
) -> None:
    answer = say(raw)
    assert msa(answer) == ("AR", control_id)
    assert Message.read(answer).get("ERR-3") == code
    assert not books.events


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sending_applications": {"LIS"}}, adt()),
        ({"receiving_application": "OTHER"}, adt()),
        ({"processing_id": "T"}, adt()),
    ],
)
def test_applications_and_processing_ids_that_are_not_ours_are_ar(books: Books, options: dict, message: bytes) -> None:
    with listening(books, **options) as listener:
        peer = Plain(listener.port)
        assert msa(peer.ask(message))[0] == "AR"
        peer.close()
    assert not books.events


@pytest.mark.parametrize(
    ("accept", "application", "wanted"),
    [
        ("", "", ["AA"]), ("AL", "NE", ["CA"]), ("NE", "AL", ["AA"]), ("AL", "AL", ["CA", "AA"]),
        ("ER", "SU", ["AA"]), ("SU", "ER", ["CA"]),
    ],
)  # fmt: skip
def test_enhanced_mode_gets_the_acknowledgements_it_asks_for(
    books: Books, accept: str, application: str, wanted: list[str]
) -> None:
    with listening(books) as listener:
        peer = Plain(listener.port)
        peer.send(adt("E1", msh=f"|||{accept}|{application}"))
        assert [msa(peer.receive())[0] for _ in wanted] == wanted
        peer.send(adt("E2", msh="|||NE|NE"))
        assert msa(peer.ask(adt("E3"))) == ("AA", "E3")
        peer.close()
    assert {event_id for _, event_id in books.events} == {"E1", "E2", "E3"}


# ---------------------------------------------------------------- the wire


def test_two_messages_in_one_packet_are_both_answered_in_order(books: Books) -> None:
    with listening(books) as listener:
        peer = Plain(listener.port)
        peer.sock.sendall(b"".join(b"\x0b" + adt(name) + b"\x1c\r" for name in ("A", "B", "C")))
        assert [msa(peer.receive())[1] for _ in range(3)] == ["A", "B", "C"]
        peer.close()


def test_a_message_that_comes_byte_by_byte_is_answered(books: Books) -> None:
    with listening(books) as listener:
        peer = Plain(listener.port)
        for byte in b"\x0b" + adt("S1") + b"\x1c\r":
            peer.sock.sendall(bytes([byte]))
        assert msa(peer.receive()) == ("AA", "S1")
        peer.close()


def test_a_peer_that_is_not_listed_is_shut_out_unread(books: Books) -> None:
    with listening(books, peers=("127.0.0.2", "10.0.0.0/8")) as listener:
        stranger = Plain(listener.port)
        stranger.sock.sendall(b"\x0b")
        assert stranger.receive() == b""
        stranger.close()
        known = Plain(listener.port, source="127.0.0.2")
        assert msa(known.ask(adt()))[0] == "AA"
        known.close()


def test_a_message_over_the_cap_ends_the_connection(books: Books) -> None:
    with listening(books, frame_cap_kib=16) as listener:
        peer = Plain(listener.port)
        peer.sock.sendall(b"\x0b" + b"MSH|" + b"x" * 20_000)
        assert peer.receive() == b""
        peer.close()
        assert msa(fresh(listener.port, adt()))[0] == "AA"


def test_noise_without_an_end_ends_the_connection(books: Books) -> None:
    with listening(books, frame_cap_kib=16) as listener:
        peer = Plain(listener.port)
        peer.sock.sendall(b"GET / HTTP/1.1\r\n" * 2000)
        assert peer.receive() == b""
        peer.close()


def test_a_slow_loris_is_cut_off_and_nobody_waits_for_it(books: Books) -> None:
    with listening(books, frame_s=1, idle_s=2) as listener:
        loris, began = Plain(listener.port), time.monotonic()
        gone = threading.Event()

        def drip() -> None:
            loris.sock.sendall(b"\x0b")
            for byte in adt() * 10:
                try:
                    loris.sock.sendall(bytes([byte]))
                except OSError:
                    gone.set()
                    return
                time.sleep(0.05)

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert msa(fresh(listener.port, adt("quick")))[0] == "AA"
        assert loris.receive(5) == b""
        assert 0.5 < time.monotonic() - began < 3
        dripping.join(5)
        assert gone.is_set()
        loris.close()


def test_a_silent_connection_is_closed_and_noise_does_not_keep_it(books: Books) -> None:
    with listening(books, idle_s=1) as listener:
        peer, began = Plain(listener.port), time.monotonic()
        for _ in range(8):
            time.sleep(0.25)
            try:
                peer.sock.sendall(b"\r")
            except OSError:
                break
        assert peer.receive(3) == b""
        assert time.monotonic() - began < 4
        peer.close()


def test_more_connections_than_allowed_are_closed_and_room_comes_back(books: Books) -> None:
    with listening(books, connections=2) as listener:
        held = [Plain(listener.port) for _ in range(2)]
        assert [msa(peer.ask(adt()))[0] for peer in held] == ["AA", "AA"]
        third = Plain(listener.port)
        assert third.receive() == b""
        third.close()
        held.pop().close()
        until = time.monotonic() + 5
        while (answer := fresh(listener.port, adt("later"))) == b"" and time.monotonic() < until:
            time.sleep(0.05)
        assert msa(answer) == ("AA", "later")
        held.pop().close()


def test_a_machine_without_room_for_a_connection_closes_it_and_goes_on(
    books: Books, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(books) as listener:
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name == "mllp":
                raise RuntimeError("can't start new thread")
            start(thread)

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            assert fresh(listener.port, adt()) == b""
        assert msa(fresh(listener.port, adt()))[0] == "AA"
    assert "no thread" in caplog.text


def test_a_slow_store_holds_up_only_its_own_peer(books: Books) -> None:
    books.pause = 0.5
    with listening(books) as listener:
        began = time.monotonic()
        threads = [threading.Thread(target=fresh, args=(listener.port, adt(f"T{n}"))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began < 2.5
    assert len(books.events) == 8


def test_stopping_ends_connections_and_frees_the_port(books: Books) -> None:
    with listening(books) as listener:
        port, peer = listener.port, Plain(listener.port)
        assert msa(peer.ask(adt()))[0] == "AA"
    assert peer.receive() == b""
    peer.close()
    with listening(books, port=port):
        assert msa(fresh(port, adt()))[0] == "AA"


def test_a_listener_without_peers_is_no_setting() -> None:
    for peers in ((), ("everybody",), ("10.0.0.1/8",)):
        with pytest.raises(ValidationError):
            ListenerOptions(peers=peers)


def fresh(port: int, raw: bytes) -> bytes:
    """One message over a connection of its own; b"" when it was closed on us."""
    peer = Plain(port)
    try:
        return peer.ask(raw)
    except ConnectionError:
        return b""
    finally:
        peer.close()


def test_nobodys_name_or_number_is_logged(say, books: Books, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    books.fail = OSError("disk full")
    say(adt("L1", patient="P7654321"))
    books.fail = None
    say(adt("L2", patient="P7654321"))
    say(adt("L3", patient="P7654321", event="A99"))
    assert "L1" in caplog.text
    assert "小明" not in caplog.text
    assert "7654321" not in caplog.text


def test_what_a_sender_wrote_cannot_begin_a_line_of_the_log(say, caplog: pytest.LogCaptureFixture) -> None:
    answer = say(adt(control_id="C1\\X0D0A\\2026-11-24 ERROR forged", event="A99\\X0A\\forged"))
    assert msa(answer)[0] == "AR"
    (line,) = [record.getMessage() for record in caplog.records if "answered" in record.getMessage()]
    assert line.isprintable()


# ---------------------------------------------------------------- senders nobody here wrote, and kill -9


MESSAGES = [adt(f"K{n}", "A08", f"P{n:07d}").decode() for n in range(12)]


@pytest.fixture(params=["node-hl7-client", "simple-hl7"])
def sender(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], subprocess.Popen[str]]:
    modules = installed("mllp", PACKAGES)
    if isinstance(modules, str):
        pytest.skip(modules)
    (tmp_path / "messages.json").write_text(json.dumps(MESSAGES), "utf-8")

    def run(port: int) -> subprocess.Popen[str]:
        script = str(PEERS / "mllp_sender.cjs")
        command = [
            "node",
            script,
            str(modules / "node_modules"),
            request.param,
            str(port),
            str(tmp_path / "messages.json"),
        ]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    return run


def through_a_kill(sender: Callable[[int], subprocess.Popen[str]], folder: Path, *more: str) -> list[list[str]]:
    """Our process dies once, after message 6 is stored and before it is answered; what the sender saw."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.our_mllp", str(port), str(folder), "6", *more]
    with process(command) as first:
        sending = sender(port)
        assert first.wait(60) == -9
        with process(command):
            out, _ = sending.communicate(timeout=60)
    return [line.split() for line in out.splitlines()]


def test_kill_9_between_storing_and_answering_doubles_nothing(sender, tmp_path: Path) -> None:
    said = through_a_kill(sender, tmp_path)
    assert [(row[0], row[1]) for row in said] == [(str(n), "AA") for n in range(len(MESSAGES))]
    assert sum(int(row[2]) for row in said) > len(MESSAGES), "the sender must have sent one again"
    parts = build(config_for(tmp_path, 0))
    stored = [event.event_id for _, event in parts.store.his_events.after(0, 100)]
    parts.close()
    assert Counter(stored) == Counter(f"K{n}" for n in range(len(MESSAGES)))


def test_control_a_store_without_the_key_doubles(sender, tmp_path: Path) -> None:
    said = through_a_kill(sender, tmp_path, "naive")
    assert {row[1] for row in said} == {"AA"}
    stored = Counter((tmp_path / "naive.txt").read_text("utf-8").split())
    assert stored["K5"] > 1
