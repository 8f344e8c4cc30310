"""The supervisor: hot reload of one device, refusals that stop nothing, a slow HIS, overflow, a quick end."""

import json
import threading
import time
from dataclasses import replace

import pytest

from devices import delivery
from devices.port import Applied, DeviceConfig, DeviceState, Refused
from devices.serial.driver import SerialDriver
from devices.supervisor import Supervisor
from simulators.scanner.lines import PtyLine
from tests.devices.conftest import Rig, serial


def test_a_reload_of_one_of_eight_loses_nothing_on_the_other_seven(rig: Rig) -> None:
    lines = [rig.pty(f"s{index}") for index in range(8)]
    configs = [serial(f"c{index}", line.link) for index, line in enumerate(lines)]
    rig.online(*configs)
    reloading = threading.Event()

    def reload() -> None:
        for baud in (115200, 9600, 57600):
            rig.apply(serial("c0", lines[0].link, baud=baud), *configs[1:])
            time.sleep(0.03)
        reloading.set()

    thread = threading.Thread(target=reload)
    thread.start()
    count = 0
    while not reloading.is_set() or count < 50:
        for line in lines[1:]:
            line.write(f"87{count:06d}\r".encode())
        count += 1
        time.sleep(0.003)
    thread.join()
    rig.wait(lambda: len(rig.readings) >= count * 7)
    for index in range(1, 8):
        mine = [reading.text for reading in rig.readings if reading.device == f"c{index}"]
        assert mine == [f"87{number:06d}" for number in range(count)]
    assert {change.device for change in rig.states[16:]} <= {"c0"}


def test_invalid_options_are_refused_in_one_sentence_and_the_device_goes_on_reading(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("c1", line.link))
    result = rig.apply(serial("c1", line.link, baud="fast"))["c1"]
    assert isinstance(result, Refused)
    assert result.reason.startswith("Baud rate: ")
    assert isinstance(rig.apply(serial("c1", line.link, colour="red"))["c1"], Refused)
    assert isinstance(rig.apply(DeviceConfig("c1", "telepathy", {}))["c1"], Refused)
    line.write(b"8712\r")
    rig.wait(lambda: rig.readings)
    assert rig.supervisor.states()["c1"].state is DeviceState.ONLINE


def test_a_new_port_that_cannot_be_opened_leaves_the_old_one_reading(rig: Rig, tmp_path) -> None:
    line = rig.pty()
    rig.online(serial("c1", line.link))
    result = rig.apply(serial("c1", tmp_path / "absent"))["c1"]
    assert (type(result), result.code) == (Refused, "device.absent")
    line.write(b"8712\r")
    rig.wait(lambda: rig.readings)
    assert len(rig.states) == 2


def test_new_settings_of_the_same_port_that_cannot_open_bring_the_old_ones_back(rig: Rig) -> None:
    line = rig.pty()

    class Picky(SerialDriver):
        def open(self) -> None:
            if self._options.baud == 57600:
                raise OSError(5, "Input/output error")
            super().open()

    rig.supervisor = Supervisor({"serial": Picky}, rig._sink, rig.states.append)
    rig.online(serial("c1", line.link))
    result = rig.apply(serial("c1", line.link, baud=57600))["c1"]
    assert isinstance(result, Refused)
    rig.wait_for("c1", DeviceState.ONLINE)
    time.sleep(0.1)
    line.write(b"8712\r")
    rig.wait(lambda: rig.readings)


def test_two_scanners_can_exchange_their_ports(rig: Rig) -> None:
    left, right = rig.pty("left"), rig.pty("right")
    rig.online(serial("c1", left.link), serial("c2", right.link))
    results = rig.apply(serial("c1", right.link), serial("c2", left.link))
    assert all(isinstance(result, Applied) for result in results.values())
    left.write(b"8701\r")
    right.write(b"8702\r")
    rig.wait(lambda: len(rig.readings) == 2)
    assert {(reading.device, reading.text) for reading in rig.readings} == {("c2", "8701"), ("c1", "8702")}


def test_two_devices_on_one_port_are_refused_by_name(rig: Rig) -> None:
    line = rig.pty()
    rig.online(serial("c1", line.link))
    result = rig.apply(serial("c1", line.link), serial("c2", line.node))["c2"]
    assert (result.code, result.reason) == ("device.port_taken", "c1 already uses this port.")
    assert rig.supervisor.states()["c2"].state is DeviceState.FAILED


def test_an_unchanged_configuration_touches_nothing(rig: Rig) -> None:
    line = rig.pty()
    config = serial("c1", line.link)
    rig.online(config)
    before = len(rig.states)
    assert rig.apply(replace(config, revision=7)) == {"c1": Applied("c1", restarted=False)}
    assert len(rig.states) == before


def test_disabled_enabled_and_removed_devices_do_as_told(rig: Rig) -> None:
    line = rig.pty()
    config = serial("c1", line.link)
    rig.online(config)
    rig.apply(replace(config, enabled=False))
    assert rig.supervisor.states()["c1"].state is DeviceState.DISABLED
    rig.online(config)
    assert rig.apply() == {}
    assert rig.supervisor.states() == {}


def hold_the_sink(rig: Rig, line: PtyLine) -> None:
    """Let the first code reach the sink, where it stays; what follows queues up behind it."""
    line.write(b"870000\r")
    rig.wait(lambda: (stats := rig.supervisor.stats()["c1"]).scans == 1 and stats.waiting == 0)


def test_a_sink_that_waits_never_stops_the_reader_and_what_does_not_fit_is_told(rig: Rig) -> None:
    line, gate = rig.pty(), threading.Event()
    rig.before_sink = lambda _: gate.wait(10) and None
    rig.online(serial("c1", line.link))
    hold_the_sink(rig, line)
    for index in range(1, 100):
        line.write(f"87{index:04d}\r".encode())
    rig.wait(lambda: len(rig.overflowed) == 100 - 65)
    assert rig.supervisor.stats()["c1"].overflow == 35
    gate.set()
    rig.wait(lambda: len(rig.readings) == 65)
    told = [reading.text for reading in rig.readings + rig.overflowed]
    assert told == [f"87{index:04d}" for index in range(100)]


def burst_at_a_late_sink(rig: Rig) -> None:
    """100 codes at once at a sink that takes its first one 100 ms late, as on a busy machine."""
    line = rig.pty()
    rig.before_sink = lambda reading: time.sleep(0.1) if reading.text == "870000" else None
    rig.online(serial("c1", line.link))
    for index in range(100):
        line.write(f"87{index:04d}\r".encode())
    rig.wait(lambda: len(rig.readings) + len(rig.overflowed) == 100)


def test_a_sink_that_is_merely_late_loses_nothing(rig: Rig) -> None:
    burst_at_a_late_sink(rig)
    assert rig.texts == [f"87{index:04d}" for index in range(100)]


def test_without_the_grace_the_late_sink_would_lose_codes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr(delivery, "GRACE_S", 0.0)
    burst_at_a_late_sink(rig)
    assert rig.overflowed


def test_a_sink_that_hangs_costs_the_reader_one_wait_not_one_a_code(rig: Rig) -> None:
    line, gate = rig.pty(), threading.Event()
    rig.before_sink = lambda _: gate.wait(10) and None
    rig.online(serial("c1", line.link))
    hold_the_sink(rig, line)
    for index in range(1, 100):
        line.write(f"87{index:04d}\r".encode())
    assert rig.wait(lambda: len(rig.overflowed) == 35) < 3 * delivery.GRACE_S
    gate.set()


def test_a_code_that_overflowed_counts_when_it_is_held_up_again(rig: Rig) -> None:
    line, gate = rig.pty(), threading.Event()
    rig.before_sink = lambda _: gate.wait(10) and None
    rig.online(serial("c1", line.link))
    hold_the_sink(rig, line)
    for index in range(1, 66):
        line.write(f"87{index:04d}\r".encode())
    rig.wait(lambda: len(rig.overflowed) == 1)
    gate.set()
    rig.wait(lambda: len(rig.readings) == 65)
    line.write(b"870065\r")
    rig.wait(lambda: len(rig.readings) == 66)


def test_a_sink_that_raises_does_not_stop_the_next_reading(rig: Rig) -> None:
    line = rig.pty()

    def fail(reading: object) -> None:
        if reading.text == "8701":
            raise ValueError("no")

    rig.before_sink = fail
    rig.online(serial("c1", line.link))
    line.write(b"8701\r8702\r")
    rig.wait(lambda: rig.texts == ["8702"])


def test_a_repeat_is_one_scan_per_device_and_scan_again_rearms(rig: Rig) -> None:
    one, two = rig.pty("one"), rig.pty("two")
    rig.online(serial("c1", one.link), serial("c2", two.link, reread_ms=0))
    for line in (one, two):
        line.write(b"8712\r8712\r8712\r")
    rig.wait(lambda: len(rig.readings) == 4)
    assert rig.supervisor.stats()["c1"].suppressed == 2
    rig.supervisor.rearm("c1")
    one.write(b"8712\r")
    rig.wait(lambda: len(rig.readings) == 5)


def test_stop_ends_within_two_seconds_even_with_a_sink_that_hangs(rig: Rig) -> None:
    line, gate = rig.pty(), threading.Event()
    rig.before_sink = lambda _: gate.wait(10) and None
    rig.online(serial("c1", line.link))
    line.write(b"8701\r8702\r8703\r")
    rig.wait(lambda: rig.supervisor.stats()["c1"].scans == 3)
    begun = time.monotonic()
    rig.supervisor.stop()
    assert time.monotonic() - begun < 2.2
    assert [reading.text for reading in rig.overflowed] == ["8702", "8703"]
    gate.set()
    rig.wait(lambda: not any("deliver-" in thread.name for thread in threading.enumerate()))


def test_stop_gives_the_sink_what_was_already_read(rig: Rig) -> None:
    line = rig.pty()
    rig.before_sink = lambda _: time.sleep(0.01)
    rig.online(serial("c1", line.link))
    line.write(b"8701\r8702\r8703\r")
    rig.wait(lambda: rig.supervisor.stats()["c1"].scans == 3)
    rig.supervisor.stop()
    assert rig.texts == ["8701", "8702", "8703"]
    assert rig.apply(serial("c1", line.link))["c1"].code == "device.stopping"


def test_a_fault_in_a_driver_is_a_backoff_not_the_end_of_its_thread(rig: Rig) -> None:
    line = rig.pty()

    class Faulty(SerialDriver):
        lives = 0

        def read_loop(self, host: object) -> None:
            Faulty.lives += 1
            if Faulty.lives == 1:
                raise TypeError("a bug")
            super().read_loop(host)

    rig.supervisor = Supervisor({"serial": Faulty}, rig._sink, rig.states.append)
    rig.apply(serial("c1", line.link))
    rig.wait(lambda: [c.state for c in rig.states][-2:] == [DeviceState.BACKOFF, DeviceState.ONLINE])
    assert any(change.code == "device.driver_fault" for change in rig.states)


def test_a_state_is_told_once_however_often_the_port_is_tried(rig: Rig, tmp_path) -> None:
    rig.apply(serial("c1", tmp_path / "absent"))
    time.sleep(0.6)
    assert [change.state for change in rig.states] == [DeviceState.CONNECTING, DeviceState.BACKOFF]


@pytest.mark.parametrize("content", ["{", '{"text": 3, "after_ms": "x"}', "", "[1]"])
def test_a_wrong_recording_fails_with_its_line(rig: Rig, tmp_path, content: str) -> None:
    (tmp_path / "r").write_text(content)
    rig.apply(DeviceConfig("r1", "replay", {"file": str(tmp_path / "r")}))
    rig.wait_for("r1", DeviceState.FAILED)


def test_a_recording_is_replayed_at_its_pace_and_in_order(rig: Rig, tmp_path) -> None:
    entries = [{"after_ms": 40, "text": f"87{n}"} for n in range(5)] + [{"hex": "d5c5ceb0", "symbology": "QRCode"}]
    (tmp_path / "r").write_text("# lunch hour\n\n" + "\n".join(json.dumps(entry) for entry in entries))
    begun = time.monotonic()
    rig.apply(DeviceConfig("r1", "replay", {"file": str(tmp_path / "r"), "speed": 2}))
    rig.wait(lambda: len(rig.readings) == 6)
    assert time.monotonic() - begun >= 0.095
    assert rig.texts == ["870", "871", "872", "873", "874", "张伟"]
    assert rig.readings[-1].symbology == "QRCode"
    assert rig.supervisor.states()["r1"].state is DeviceState.ONLINE
