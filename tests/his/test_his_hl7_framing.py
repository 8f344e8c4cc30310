"""MLLP framing: whatever the network does to the bytes, the same messages come out, and a bad peer is given up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from his.hl7v2.framing import CR, FS, VT, Framer, FrameTooLarge, frame
from his.hl7v2.message import Message
from tests.support.hl7_corpus import corpus

CAP = 64 * 1024
SAMPLES = corpus()


def whole(pieces: list[bytes], cap: int = CAP) -> list[bytes]:
    framer = Framer(cap)
    return [message for piece in pieces for message in framer.feed(piece)]


def leaves(raw: bytes) -> tuple[str, str]:
    message = Message.read(raw)
    return message.charset, str(message.parsed)


def test_the_corpus_is_large_and_varied() -> None:
    assert len(SAMPLES) >= 60
    assert len({sample.raw for sample in SAMPLES}) == len(SAMPLES)
    assert {sample.charset for sample in SAMPLES} == {"utf-8", "gb18030"}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_split_at_every_byte_offset_a_message_parses_the_same(sample) -> None:
    wire = frame(sample.raw)
    expected = leaves(sample.raw)
    for at in range(len(wire) + 1):
        got = whole([wire[:at], wire[at:]])
        assert got == [sample.raw], at
    assert leaves(got[0]) == expected


@pytest.mark.parametrize("sample", SAMPLES[::7], ids=lambda sample: sample.name)
def test_byte_by_byte_a_message_comes_out_once(sample) -> None:
    assert whole([bytes([byte]) for byte in frame(sample.raw)]) == [sample.raw]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_several_frames_with_noise_between_and_any_cuts_come_out_in_order(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=5))
    noise = st.binary(max_size=40).map(lambda raw: raw.replace(VT, b"."))
    wire = b"".join(data.draw(noise) + frame(sample.raw) for sample in chosen) + data.draw(noise)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert whole(pieces) == [sample.raw for sample in chosen]


def test_two_frames_in_one_packet_are_two_messages() -> None:
    one, two = SAMPLES[0].raw, SAMPLES[1].raw
    assert whole([frame(one) + frame(two)]) == [one, two]


def test_a_frame_without_its_return_is_whole_at_once() -> None:
    one, two = SAMPLES[0].raw, SAMPLES[1].raw
    framer = Framer(CAP)
    assert framer.feed(VT + one + FS) == [one]
    assert framer.feed(VT + two + FS + CR) == [two]


def test_a_frame_given_up_in_the_middle_is_dropped_when_the_next_begins() -> None:
    one, two = SAMPLES[0].raw, SAMPLES[1].raw
    assert whole([VT + one[:50] + frame(two)]) == [two]


def test_more_than_the_cap_is_given_up_in_a_frame_and_before_one() -> None:
    with pytest.raises(FrameTooLarge):
        whole([VT + b"x" * 600, b"x" * 600], cap=1000)
    with pytest.raises(FrameTooLarge):
        whole([b"GET / HTTP/1.1" * 100], cap=1000)
    assert whole([frame(b"x" * 1000)], cap=1000) == [b"x" * 1000]


def test_a_message_with_a_framing_byte_in_it_is_not_sent() -> None:
    with pytest.raises(ValueError, match="escape"):
        frame(b"MSH|\x1c")


def test_random_bytes_never_break_the_framer() -> None:
    rng = random.Random(7)
    for _ in range(300):
        framer = Framer(CAP)
        for _ in range(rng.randrange(5)):
            framer.feed(rng.randbytes(rng.randrange(200)))
