"""SSI: checksum, ACK and NAK, repeated sends; a scanner with a thousand faults never yields a scan twice."""

import random

from devices.serial.framers import Frame
from devices.serial.ssi import (
    BEEP,
    CMD_ACK,
    CMD_NAK,
    DECODE_DATA,
    MORE_BIT,
    NAK_RESEND,
    RESEND_BIT,
    SsiFramer,
    checksum,
    packet,
)
from simulators.scanner.ssi import SsiScanner, decode_packet

ACK = packet(CMD_ACK)
NAK = packet(CMD_NAK, bytes((NAK_RESEND,)))
CODE128 = b"\x03"


def sent(text: bytes, status: int = 0) -> bytes:
    return packet(DECODE_DATA, CODE128 + text, source=0, status=status)


def test_the_checksum_is_the_one_of_a_published_trigger_packet() -> None:
    assert packet(0xE4) == bytes.fromhex("04E40400FF14")
    assert packet(BEEP, b"\x00")[-2:] == checksum(bytes.fromhex("05E6040000"))


def test_a_good_packet_gives_its_text_its_symbology_and_an_ack() -> None:
    framer = SsiFramer()
    (frame,) = framer.feed(sent(b"8712"), 0.0)
    assert (frame.payload, frame.symbology) == (b"8712", "Code128")
    assert framer.take_replies() == ACK
    assert framer.deadline is None


def test_a_packet_cut_at_every_byte_is_still_one_scan() -> None:
    framer, frames = SsiFramer(), []
    for byte in sent(b"8712"):
        frames += framer.feed(bytes((byte,)), 0.0)
    assert [frame.payload for frame in frames] == [b"8712"]


def test_a_bad_checksum_is_naked_once_the_line_is_quiet_and_the_resend_is_read() -> None:
    framer = SsiFramer()
    broken = bytearray(sent(b"8712"))
    broken[6] ^= 0x20
    assert framer.feed(bytes(broken), 0.0) == []
    assert framer.take_replies() == b""
    assert framer.expire(0.06) == []
    assert framer.take_replies() == NAK
    assert framer.bad == 1
    assert [f.payload for f in framer.feed(sent(b"8712", RESEND_BIT), 0.1)] == [b"8712"]


def test_a_resend_after_a_lost_ack_is_acked_and_dropped() -> None:
    framer = SsiFramer()
    assert len(framer.feed(sent(b"8712"), 0.0)) == 1
    framer.take_replies()
    assert framer.feed(sent(b"8712", RESEND_BIT), 2.0) == []
    assert framer.take_replies() == ACK
    assert framer.repeats == 1


def test_without_the_resend_bit_the_same_code_is_a_new_scan() -> None:
    """The control of the test above: it is the bit that drops, not the text."""
    framer = SsiFramer()
    assert len(framer.feed(sent(b"8712"), 0.0) + framer.feed(sent(b"8712"), 2.0)) == 2


def test_a_long_code_comes_together_from_its_packets() -> None:
    framer = SsiFramer()
    assert framer.feed(sent(b"a" * 200, MORE_BIT), 0.0) == []
    assert [f.payload for f in framer.feed(sent(b"b" * 100), 0.1)] == [b"a" * 200 + b"b" * 100]


def test_with_handshaking_off_nothing_is_sent_and_packets_behind_a_fault_are_saved() -> None:
    framer = SsiFramer(acknowledge=False)
    broken = bytearray(sent(b"8711"))
    broken[6] ^= 0x01
    assert framer.feed(bytes(broken) + sent(b"8712") + sent(b"8713"), 0.0) == []
    assert [f.payload for f in framer.expire(0.06)] == [b"8712", b"8713"]
    assert framer.take_replies() == b""


class Cable:
    """A framer at the end of a simulated scanner's cable, with a clock of its own."""

    def __init__(self, framer: SsiFramer) -> None:
        self.framer = framer
        self.now = 0.0
        self.got: list[bytes] = []

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def exchange(self, wire: bytes) -> bytes:
        for start in range(0, len(wire), 5):
            self._take(self.framer.feed(wire[start : start + 5], self.now))
            self.now += 0.001
        while (due := self.framer.deadline) is not None:
            self.now = max(self.now, due)
            self._take(self.framer.expire(self.now))
        return self.framer.take_replies()

    def _take(self, frames: list[Frame]) -> None:
        self.got += [frame.payload for frame in frames]


def test_a_thousand_random_faults_yield_no_scan_twice_none_wrong_and_none_lost_that_was_acked() -> None:
    cable = Cable(SsiFramer())
    scanner = SsiScanner(cable.exchange, cable.wait, random.Random(20261122))
    held, acked = [], []
    while scanner.faults < 1000:
        text = f"87{len(held):018d}".encode()
        held.append(text)
        if scanner.hold_up(text):
            acked.append(text)
        cable.wait(1.0)
    assert len(cable.got) == len(set(cable.got))
    assert set(cable.got) <= set(held)
    assert set(acked) <= set(cable.got)
    assert cable.got == sorted(cable.got)
    assert cable.framer.repeats > 50


def test_without_dropping_resends_the_same_faults_do_yield_scans_twice() -> None:
    """The control: a framer that forgets what it accepted."""

    class Forgetful(SsiFramer):
        def _handle(self, whole: bytes, now: float) -> list[Frame]:
            self._accepted = None
            return super()._handle(whole, now)

    cable = Cable(Forgetful())
    scanner = SsiScanner(cable.exchange, cable.wait, random.Random(20261122))
    for index in range(300):
        scanner.hold_up(f"87{index:018d}".encode())
    assert len(cable.got) > len(set(cable.got))


def test_both_ends_wrote_the_same_packet_from_the_guide() -> None:
    assert decode_packet(b"8712") == sent(b"8712")
    assert decode_packet(b"8712", again=True) == sent(b"8712", RESEND_BIT)
