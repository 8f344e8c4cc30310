"""Framers: every odd terminator, noise, halves of frames; never an exception, never more than 4 KiB kept."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.serial.framers import CAP, FixedFramer, Framer, IdleFramer, LineFramer, StxEtxFramer
from devices.serial.ssi import SsiFramer

MAKERS = {
    "any": LineFramer,
    "cr": lambda: LineFramer("cr"),
    "lf": lambda: LineFramer("lf"),
    "crlf": lambda: LineFramer("crlf"),
    "tab": lambda: LineFramer("tab"),
    "stx_etx": StxEtxFramer,
    "idle": lambda: IdleFramer(0.12),
    "fixed": lambda: FixedFramer(20),
    "ssi": SsiFramer,
}


def payloads(framer: Framer, data: bytes, now: float = 0.0) -> list[bytes]:
    return [frame.payload for frame in framer.feed(data, now)]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n"])
def test_each_line_ending_gives_one_frame_and_no_empty_one(end: bytes) -> None:
    framer = LineFramer()
    assert payloads(framer, b"one" + end + b"two" + end + b"three" + end) == [b"one", b"two", b"three"]
    assert framer.deadline is None


def test_mixed_endings_cut_at_any_byte_give_the_same_frames() -> None:
    data = b"\r\n111\r222\n\n333\r\n\r\n444\n"
    for cut in range(len(data)):
        framer = LineFramer()
        assert payloads(framer, data[:cut]) + payloads(framer, data[cut:]) == [b"111", b"222", b"333", b"444"]


def test_a_burst_of_three_cr_only_codes_gives_three_frames() -> None:
    assert payloads(LineFramer(), b"8701\r8702\r8703\r") == [b"8701", b"8702", b"8703"]


def test_crlf_keeps_a_line_feed_inside_a_code() -> None:
    framer = LineFramer("crlf")
    assert payloads(framer, b"a\nb\r") == []
    assert payloads(framer, b"\nc\r\n") == [b"a\nb", b"c"]


def test_an_80_ms_gap_inside_a_code_keeps_it_whole_50_of_50() -> None:
    for make in (LineFramer, lambda: IdleFramer(0.12)):
        whole = 0
        for index in range(50):
            framer, now = make(), 10.0
            code = f"8700000000000000{index:04d}".encode()
            frames = payloads(framer, code[: index % 19 + 1], now)
            now += 0.08
            assert framer.expire(now) == []
            frames += payloads(framer, code[index % 19 + 1 :] + b"\r", now)
            frames += [frame.payload for frame in framer.expire(now + 0.13)]
            whole += frames == [code]
        assert whole == 50


def test_half_a_code_is_dropped_and_counted_after_silence_and_never_glued_to_the_next() -> None:
    framer = LineFramer(stale_s=1.0)
    assert payloads(framer, b"8712345", 0.0) == []
    assert framer.expire(0.99) == []
    assert framer.expire(1.0) == []
    assert framer.bad == 1
    assert payloads(framer, b"8799\r", 3.0) == [b"8799"]


def test_without_the_silence_half_a_code_would_be_glued_to_the_next() -> None:
    """The control of the test above: what the guard guards against."""
    framer = LineFramer(stale_s=1.0)
    assert payloads(framer, b"8712345", 0.0) == []
    assert payloads(framer, b"8799\r", 3.0) == [b"87123458799"]


def test_too_long_a_line_is_dropped_once_and_the_next_one_is_read() -> None:
    framer = LineFramer()
    for _ in range(20):
        assert payloads(framer, b"x" * 1000) == []
        assert len(framer._buffer) <= CAP
    assert payloads(framer, b"tail\r8701\r") == [b"8701"]
    assert framer.bad == 1


def test_too_long_a_line_in_one_piece_is_dropped_too() -> None:
    framer = LineFramer()
    assert payloads(framer, b"x" * (CAP + 1) + b"\r8701\r") == [b"8701"]


def test_crlf_resyncs_even_when_the_terminator_is_cut_in_two() -> None:
    framer = LineFramer("crlf")
    assert payloads(framer, b"x" * 5000 + b"\r") == []
    assert payloads(framer, b"\n8701\r\n") == [b"8701"]


def test_stx_etx_ignores_what_stands_outside_and_restarts_at_a_new_stx() -> None:
    framer = StxEtxFramer()
    assert payloads(framer, b"noise\x028701\x03\r\n\x02half\x028702\x03") == [b"8701", b"8702"]
    assert framer.bad == 1
    assert payloads(framer, b"\x02" + b"x" * 5000 + b"\x03\x028703\x03") == [b"8703"]
    assert payloads(framer, b"\x02half", 1.0) == []
    framer.expire(2.5)
    assert payloads(framer, b"rest\x03\x028704\x03", 3.0) == [b"8704"]


def test_fixed_length_cuts_exactly_and_realigns_after_silence() -> None:
    framer = FixedFramer(4, stale_s=1.0)
    assert payloads(framer, b"11112222\r\n3333\n44") == [b"1111", b"2222", b"3333"]
    assert framer.expire(1.5) == []
    assert payloads(framer, b"5555", 2.0) == [b"5555"]


def test_idle_gives_the_frame_at_the_silence_and_drops_a_monster() -> None:
    framer = IdleFramer(0.05)
    assert payloads(framer, b"8701\r\n", 1.0) == []
    assert [frame.payload for frame in framer.expire(1.06)] == [b"8701"]
    assert payloads(framer, b"x" * 5000, 2.0) == []
    assert framer.expire(2.1) == []
    assert framer.bad == 1
    framer.feed(b"8702", 3.0)
    assert [frame.payload for frame in framer.expire(3.1)] == [b"8702"]


@pytest.mark.parametrize("kind", sorted(MAKERS))
@settings(max_examples=25, deadline=None)
@given(
    chunks=st.lists(
        st.one_of(
            st.binary(max_size=40), st.binary(min_size=4000, max_size=5000), st.sampled_from([b"\r", b"\n", b"\x02"])
        ),
        max_size=20,
    ),
    pauses=st.lists(st.floats(0, 3), max_size=20),
)
def test_no_bytes_at_any_pace_make_a_framer_raise_or_hoard(kind: str, chunks: list[bytes], pauses: list[float]) -> None:
    framer, now = MAKERS[kind](), 0.0
    for index, chunk in enumerate(chunks):
        for frame in framer.feed(chunk, now):
            assert 0 < len(frame.payload) <= CAP
        assert len(framer._buffer) <= CAP
        now += pauses[index] if index < len(pauses) else 0.0
        for frame in framer.expire(now):
            assert 0 < len(frame.payload) <= CAP
        framer.take_replies()


@pytest.mark.parametrize("kind", ["any", "cr", "lf", "crlf", "stx_etx", "fixed", "tab"])
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_how_the_bytes_are_cut_never_changes_the_frames(kind: str, data: bytes, cuts: list[int]) -> None:
    whole = payloads(MAKERS[kind](), data)
    framer, edges = MAKERS[kind](), sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = [payload for start, end in itertools.pairwise(edges) for payload in payloads(framer, data[start:end])]
    assert parts == whole


def test_after_a_megabyte_of_noise_the_next_frame_is_read_by_every_line_framer() -> None:
    noise = random.Random(7).randbytes(1_000_000)
    for kind, end in (("any", b"\r"), ("cr", b"\r"), ("lf", b"\n"), ("crlf", b"\r\n"), ("stx_etx", b"")):
        framer = MAKERS[kind]()
        for start in range(0, len(noise), 4096):
            framer.feed(noise[start : start + 4096], 0.0)
            assert len(framer._buffer) <= CAP
        good = b"\x0287001\x03" if kind == "stx_etx" else b"87001" + end
        framer.feed(end, 0.0)
        assert payloads(framer, good)[-1] == b"87001"
