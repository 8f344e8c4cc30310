"""HL7 v2 messages read and written: character sets, escapes, separators, times, and what cannot be read."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import hl7apy.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import SHANGHAI
from his.hl7v2.build import Draft, derived_id, escape, header
from his.hl7v2.events import flag
from his.hl7v2.message import BadMessage, Message, day, moment
from tests.support.hl7_corpus import FLAGS, corpus

SAMPLES = corpus()
HEAD = "MSH|^~\\&|A|B|C|D|20261124||ADT^A08|1|P|2.5"


def read(text: str, codec: str = "utf-8") -> Message:
    return Message.read(text.encode(codec))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_message_of_the_corpus_says_what_was_written(sample) -> None:
    message = Message.read(sample.raw)
    assert message.charset == sample.charset or sample.raw.isascii()
    said = {path: message.get(path) for path in sample.facts if "-" in path}
    assert said == {path: text for path, text in sample.facts.items() if "-" in path}


def test_result_flags_are_read_from_every_shape_and_never_guessed() -> None:
    for sample in SAMPLES:
        if "flag" in sample.facts:
            obx = Message.read(sample.raw).segments("OBX")[0]
            assert flag(obx) == sample.facts["flag"], sample.name
    assert {meaning for _, meaning in FLAGS} >= {"undetermined", "critical_high", "positive"}


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40), st.sampled_from(["utf-8", "gb18030"]))
def test_any_text_survives_writing_and_reading(text: str, charset: str) -> None:
    draft = Draft()
    declared = {"utf-8": "UNICODE UTF-8", "gb18030": "GB 18030-2000"}[charset]
    draft.add(
        "MSH", header(("ADT", "A08", "ADT_A01"), ("A", "B"), ("C", "D"), {10: "1", 11: "P", 12: "2.5", 18: declared})
    )
    draft.add("NTE", {1: "1", 3: text, 4: ("x", text), 5: [text, "y"]})
    raw = draft.encode(charset)
    assert b"\x0b" not in raw
    assert b"\x1c" not in raw
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    if expected == '""':
        expected = ""
    message = Message.read(raw)
    assert message.charset == charset
    nte = message.segments("NTE")[0]
    assert (nte.get(3), nte.get(4, 2), nte.get(5)) == (expected, expected, expected)


def test_what_we_write_is_read_by_another_parser() -> None:
    draft = Draft()
    draft.add("MSH", header(("ADT", "A04", "ADT_A01"), ("PALM", "H"), ("HIS", "H"), {10: "X1", 11: "P", 12: "2.5"}))
    draft.add("EVN", {1: "A04", 2: "20261124093000+0800"})
    draft.add("PID", {1: "1", 3: [("P1", "", "", "", "PI"), ("60", "", "", "", "HC")], 5: ("𠮷田", "䶮|^")})
    draft.add("PV1", {1: "1", 2: "O"})
    theirs = hl7apy.parser.parse_message(draft.encode("utf-8").decode(), find_groups=False)
    assert theirs.pid.pid_3[1].cx_1.to_er7() == "60"
    assert theirs.pid.pid_5.xpn_2.to_er7() == r"䶮\F\\S\\"[:-1]
    assert theirs.msh.msh_10.to_er7() == "X1"


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("UNICODE UTF-8", "utf-8", "𠮷䶮"), ("GB 18030-2000", "gb18030", "𠮷䶮"), ("GBK", "gb18030", "王明"),
        ("", "utf-8", "王明"), ("", "gb18030", "王明"), ("ASCII", "gb18030", "王明"), ("8859/1", "latin-1", "Müller"),
    ],
)  # fmt: skip
def test_the_character_set_is_the_declared_one_else_utf8_else_gb18030(declared: str, codec: str, name: str) -> None:
    message = read(f"{HEAD}|||||CHN|{declared}\rPID|1||P1||{name}\r", codec)
    assert message.get("PID-5") == name


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (f"{HEAD}|||||CHN|UNICODE UTF-8\rPID|1||P1||王明\r".encode("gb18030"), "charset"),
        (f"{HEAD}|||||CHN|UNICODE UTF-16\rPID|1\r".encode(), "charset"),
        (HEAD.encode() + b"\rPID|1||\xff\xff\r", "charset"),
        (b"", "no_header"),
        (b"PID|1", "no_header"),
        (b"MSH", "no_header"),
        (b"MSH|", "no_header"),
        (b"MSH|^^^^|A", "no_header"),
        (b"MSHaaaaaa", "no_header"),
        (HEAD.encode() + b"\rthis is no segment\r", "segments"),
        (HEAD.encode() + b"\rPIDx1\r", "segments"),
        (HEAD.encode() + b"\rNTE|1||" + b"|" * 200_000, "too_many_parts"),
    ],
    ids=range(12),
)
def test_what_cannot_be_read_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadMessage) as refused:
        Message.read(raw)
    assert refused.value.reason == reason


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_message_is_read_or_refused_and_nothing_else(sample, data: st.DataObject) -> None:
    raw = bytearray(sample.raw)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not raw:
            break
    try:
        message = Message.read(bytes(raw))
    except BadMessage:
        return
    for segment in message:
        for number in range(1, 30):
            assert isinstance(segment.get(number), str)


def test_escapes_are_replaced_and_unknown_ones_stay() -> None:
    message = read(
        rf"{HEAD}"
        "\r"
        r"NTE|1||a\F\b\S\c\T\d\R\e\E\f|\X41E78E8B\|\Zabc\|\.sp3\x|lone\ end|\.sp99999999999\|\H\b\N\c"
        "\r"
    )
    nte = message.segments("NTE")[0]
    assert [nte.get(n) for n in range(3, 10)] == [
        "a|b^c&d~e\\f",
        "A王",
        r"\Zabc" + "\\",
        "\n\n\nx",
        r"lone\ end",
        r"\.sp99999999999" + "\\",
        "bc",
    ]


def test_a_sender_cannot_ask_for_a_gigabyte_of_blank_lines() -> None:
    assert len(read(HEAD + "\r" + r"NTE|1||\.sp999999\ " + "\r").get("NTE-3")) < 100


def test_control_characters_cannot_leave_their_field() -> None:
    assert escape("a\x0bb\x1cc\rd\r\ne") == r"a\X0B\b\X1C\c\.br\d\.br\e"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20261124", datetime(2026, 11, 24, tzinfo=SHANGHAI)),
        ("202611240930", datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)),
        ("20261124093001.1234", datetime(2026, 11, 24, 9, 30, 1, tzinfo=SHANGHAI)),
        ("20261124013000+0000", datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)),
        ("20261123203000-0500", datetime(2026, 11, 23, 20, 30, tzinfo=timezone(timedelta(hours=-5)))),
        ("2026", None), ("20261340", None), ("yesterday", None), ("", None), ("20261124 0930", None),
        ("20261124093000+9999", None), ("20261124093000-2400", None),
    ],
)  # fmt: skip
def test_times_have_a_zone_or_are_shanghais(text: str, at: datetime | None) -> None:
    assert moment(text) == at


def test_a_birth_date_is_the_day_as_written() -> None:
    assert day("19850312235959-0800") == date(1985, 3, 12)
    assert day("1985") is None
    assert day("19850230") is None


def test_the_same_write_always_has_the_same_control_id() -> None:
    assert derived_id("top_up", "k1") == derived_id("top_up", "k1")
    assert len({derived_id(op, key) for op in ("top_up", "register") for key in ("k1", "k2")}) == 4
    assert len(derived_id("top_up", "k1")) == 20
