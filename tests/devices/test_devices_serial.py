"""Serial scanners on real ptys: nothing lost or doubled, cables pulled, noise, latency."""

import random
import threading
import time

import pytest

from devices.port import DeviceState, Feedback
from devices.serial.ssi import CMD_ACK, DECODE_DATA, packet
from simulators.scanner.lines import PtyLine, send_paced
from tests.devices.conftest import Rig, open_descriptors, serial

ENDS = [b"\r", b"\n", b"\r\n"]


def send_codes(line: PtyLine, codes: list[bytes], dice: random.Random) -> list[float]:
    """Send at 115200 baud pace in random chunks with random terminators."""
    return [
        send_paced(line, code + dice.choice(ENDS), 115200, [dice.randint(1, 16) for _ in range(24)]) for code in codes
    ]


def a_thousand_scans(rig: Rig, count: int) -> list[float]:
    line, dice = rig.pty(), random.Random(5)
    rig.online(serial("counter-1", line.link))
    codes = [f"87{index:018d}".encode() for index in range(count)]
    sent = send_codes(line, codes, dice)
    rig.wait(lambda: len(rig.readings) >= count)
    time.sleep(0.05)
    assert [reading.raw for reading in rig.readings] == codes
    assert rig.overflowed == []
    return [seen - at for seen, at in zip(rig.seen_at, sent, strict=True)]


def test_1000_scans_in_random_chunks_and_endings_arrive_once_each_and_in_order(rig: Rig) -> None:
    late = sorted(a_thousand_scans(rig, 1000))
    assert late[len(late) // 2] < 0.02


@pytest.mark.soak
def test_10000_scans_arrive_once_each_and_in_order_within_20_ms_at_the_99th(rig: Rig) -> None:
    late = sorted(a_thousand_scans(rig, 10_000))
    assert late[int(len(late) * 0.99)] < 0.02


def test_a_reading_carries_device_raw_bytes_text_symbology_and_times(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link))
    before = time.monotonic()
    line.write(b"]C08712345\r")
    rig.wait(lambda: rig.readings)
    reading = rig.readings[0]
    assert (reading.device, reading.raw, reading.text) == ("counter-1", b"]C08712345", "8712345")
    assert (reading.symbology, reading.encoding) == ("Code128", "utf-8")
    assert before <= reading.t_read <= time.monotonic()
    assert reading.at.utcoffset().total_seconds() == 8 * 3600


def test_a_cable_pulled_and_plugged_under_another_name_is_seen_at_once_and_back_within_1500_ms(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link))
    baseline = open_descriptors(), threading.active_count()
    for round_ in range(5):
        node = line.node
        line.unplug()
        assert rig.wait_for("counter-1", DeviceState.BACKOFF) < 0.1
        time.sleep(0.02 * round_)
        line.plug()
        assert line.node != node
        assert rig.wait_for("counter-1", DeviceState.ONLINE) < 1.5
        line.write(f"87{round_}\r".encode())
        rig.wait(lambda round_=round_: len(rig.readings) == round_ + 1)
    assert (open_descriptors(), threading.active_count()) == baseline
    assert rig.supervisor.stats()["counter-1"].reconnects == 5


def test_20_replugs_within_50_ms_leave_no_ghost(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link))
    baseline = open_descriptors(), threading.active_count()
    for _ in range(20):
        line.unplug()
        time.sleep(0.02)
        line.plug()
    rig.wait(lambda: rig.supervisor.states()["counter-1"].state is DeviceState.ONLINE and _reads(rig, line))
    assert (open_descriptors(), threading.active_count()) == baseline


def _reads(rig: Rig, line: PtyLine) -> bool:
    """A state that says online is believed only when a code comes through."""
    line.write(f"87{time.monotonic_ns()}\r".encode())
    time.sleep(0.02)
    return bool(rig.readings)


def test_half_a_code_before_the_unplug_is_not_glued_to_the_first_code_after(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link))
    line.write(b"87999")
    time.sleep(0.02)
    line.unplug()
    rig.wait_for("counter-1", DeviceState.BACKOFF)
    line.plug()
    rig.wait_for("counter-1", DeviceState.ONLINE)
    line.write(b"8712\r")
    rig.wait(lambda: rig.readings)
    assert rig.texts == ["8712"]


def test_after_noise_the_next_good_code_is_read(rig: Rig) -> None:
    line, noise = rig.pty(), random.Random(3).randbytes(200_000).translate(None, b"\r\n")
    rig.online(serial("counter-1", line.link))
    for start in range(0, len(noise), 1024):
        line.write(noise[start : start + 1024])
    line.write(b"\r8712\r")
    rig.wait(lambda: rig.texts == ["8712"])
    assert rig.supervisor.stats()["counter-1"].bad_frames == 1


def test_bytes_that_never_make_a_code_show_the_device_as_degraded_until_one_does(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link, framing="stx_etx"))
    line.write(b"\x02\x02\x02\x02")
    rig.wait_for("counter-1", DeviceState.DEGRADED)
    line.write(b"8712\x03")
    rig.wait_for("counter-1", DeviceState.ONLINE)
    assert rig.texts == ["8712"]


def test_a_second_program_cannot_take_bytes_away(rig: Rig, tmp_path) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link))
    other = Rig(tmp_path)
    try:
        other.apply(serial("counter-1", line.link))
        other.wait_for("counter-1", DeviceState.BACKOFF)
        assert other.supervisor.states()["counter-1"].code == "device.busy"
    finally:
        other.close()


def test_what_is_no_serial_port_is_a_failed_setting_not_a_retry(rig: Rig, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    rig.apply(serial("counter-1", tmp_path / "file"), serial("counter-2", tmp_path / "absent"))
    rig.wait_for("counter-1", DeviceState.FAILED)
    rig.wait_for("counter-2", DeviceState.BACKOFF)
    assert rig.supervisor.states()["counter-2"].code == "device.absent"
    assert "not plugged in" in rig.supervisor.states()["counter-2"].reason


def test_an_ssi_scanner_is_acked_and_beeps_on_feedback(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link, framing="ssi"))
    line.write(packet(DECODE_DATA, b"\x1c8712", source=0))
    rig.wait(lambda: rig.readings)
    time.sleep(0.02)
    assert (rig.texts, rig.readings[0].symbology, line.heard()) == (["8712"], "QRCode", packet(CMD_ACK))
    assert rig.supervisor.feedback("counter-1", Feedback.ACCEPTED)
    assert line.heard() == bytes.fromhex("05E6040000") + packet(0xE6, b"\x00")[-2:]


def test_configured_bytes_are_sent_on_opening_and_as_feedback(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link, open_hex="16 4D 0D", unknown_hex="42"))
    assert not rig.supervisor.feedback("counter-1", Feedback.ACCEPTED)
    assert rig.supervisor.feedback("counter-1", Feedback.UNKNOWN)
    assert line.heard() == b"\x16M\rB"
    assert not rig.supervisor.feedback("nobody", Feedback.BUSY)


def test_an_idle_framed_scanner_without_terminator_is_read_whole(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("counter-1", line.link, framing="idle", gap_ms=120))
    line.write(b"87123")
    time.sleep(0.08)
    line.write(b"45678")
    rig.wait(lambda: rig.readings)
    assert rig.texts == ["8712345678"]
