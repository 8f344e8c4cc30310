"""Live cameras: real worker processes on folders and network streams, killed, hung, frozen and cut off."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from devices.camera.cascade import Decoded
from devices.camera.confirm import TwoFrameRule
from devices.camera.driver import CameraDriver, CameraOptions
from devices.camera.gate import FreezeWatch, MotionGate
from devices.port import DeviceConfig, DeviceState, Driver, Reading, Refused, StateChange
from devices.supervisor import Supervisor
from tests.support import code_pictures as pictures

PASS = "87104416032024011629"


class Streams:
    """An MJPEG camera on loopback. `picture` makes the next JPEG; it can be told to stand still or hang up."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:hunter2@127.0.0.1:{self._server.getsockname()[1]}/video"
        self.frozen = False
        self.silent = False
        self.connections = 0
        self._ended = threading.Event()
        self._code = pictures.held(pictures.qr(PASS), pictures.texture(np.random.default_rng(1), 640, 360), 200)
        threading.Thread(target=self._accept, daemon=True).start()

    def _jpeg(self, number: int) -> bytes:
        noisy = pictures.spoiled(self._code, 0 if self.frozen else number, noise=4)
        return cv2.imencode(".jpg", noisy)[1].tobytes()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                client.recv(4096)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
                number = 0
                while not self._ended.wait(0.08):
                    if self.silent:
                        continue
                    number += 1
                    jpeg = self._jpeg(number)
                    head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    client.sendall(head + jpeg + b"\r\n")
            except OSError:
                return

    def close(self) -> None:
        self._ended.set()
        self._server.close()


class Cameras:
    """A supervisor with camera drivers, and what came out of it."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.states: list[StateChange] = []
        self.drivers: list[CameraDriver] = []
        self.supervisor = Supervisor({"camera": self}, self.readings.append, self.states.append)
        self.options_model = CameraOptions
        self.capabilities = CameraDriver.capabilities

    def __call__(self, device: str, options: Any) -> Driver:
        self.drivers.append(CameraDriver(device, options))
        return self.drivers[-1]

    def watch(self, source: object, **options: Any) -> None:
        options = {"source": str(source), "reread_ms": 0, **options}
        result = self.supervisor.apply([DeviceConfig("cam", "camera", options)])
        assert not isinstance(result["cam"], Refused), result

    @property
    def worker(self) -> int:
        pid = self.drivers[-1].worker_pid
        assert pid is not None
        return pid

    def wait(self, condition: Callable[[], Any], seconds: float = 15.0) -> float:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, f"waited {seconds} s in vain: {self.supervisor.states()}"
            time.sleep(0.01)
        return time.monotonic() - begun

    def reading_again(self) -> float:
        self.readings.clear()
        return self.wait(lambda: self.readings)

    def trouble(self, code: str) -> list[StateChange]:
        return [change for change in self.states if change.code == code]


@pytest.fixture
def cameras() -> Iterator[Cameras]:
    cameras = Cameras()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield cameras
    cameras.supervisor.stop()
    time.sleep(0.05)
    left = [child for child in psutil.Process().children(recursive=True) if "camera" in " ".join(child.cmdline())]
    assert left == [], "a worker outlived its driver"
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 2  # noqa: PTH208


@pytest.fixture
def stream() -> Iterator[Streams]:
    stream = Streams()
    yield stream
    stream.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    surface = pictures.texture(np.random.default_rng(2), 640, 360)
    for number in range(3):
        picture = pictures.spoiled(pictures.held(pictures.qr(PASS), surface, 220, 10 * number), number, noise=3)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    return tmp_path


# ------------------------------------------------------------------ reading


def test_a_folder_of_pictures_stands_for_a_camera(cameras: Cameras, folder: Path) -> None:
    cameras.watch(folder, fps=20)
    cameras.wait(lambda: len(cameras.readings) >= 5)
    reading = cameras.readings[0]
    assert (reading.device, reading.text, reading.symbology) == ("cam", PASS, "QRCode")
    assert reading.raw == PASS.encode()
    assert 0 <= time.monotonic() - reading.t_read < 15
    assert reading.at.tzinfo is not None


def test_a_code_held_still_is_one_scan(cameras: Cameras, folder: Path) -> None:
    cameras.watch(folder, fps=10, reread_ms=1500)
    cameras.wait(lambda: cameras.readings)
    time.sleep(2.5)
    assert [reading.text for reading in cameras.readings] == [PASS]


def test_bars_count_once_two_frames_agree(cameras: Cameras, tmp_path: Path) -> None:
    surface = pictures.texture(np.random.default_rng(2), 640, 360)
    for number in range(4):
        picture = pictures.held(pictures.code128("C0012345"), surface, 400)
        cv2.imwrite(str(tmp_path / f"{number}.png"), pictures.spoiled(picture, number, noise=5))
    cameras.watch(tmp_path, fps=20)
    cameras.wait(lambda: cameras.readings)
    assert cameras.readings[0].text == "C0012345"


def test_a_network_stream_is_read_and_its_password_is_told_to_nobody(cameras: Cameras, stream: Streams) -> None:
    cameras.watch(stream.url)
    cameras.wait(lambda: cameras.readings)
    assert cameras.readings[0].text == PASS
    assert "hunter2" not in cameras.drivers[-1].resource
    assert "hunter2" not in " ".join(psutil.Process(cameras.worker).cmdline())
    assert "hunter2" not in repr(cameras.states)


def test_two_devices_may_not_share_a_camera_but_may_share_a_folder(tmp_path: Path) -> None:
    def resource(source: str) -> str:
        return CameraDriver("a", CameraOptions(source=source)).resource

    assert resource("/dev/video0") == "/dev/video0"
    assert resource(str(tmp_path)) == ""
    assert resource("rtsp://u:p@10.0.0.9/main?token=1") == "rtsp://10.0.0.9/main"


# ------------------------------------------------------------------ trouble


def test_a_killed_worker_is_flagged_at_once_and_reads_again(cameras: Cameras, folder: Path) -> None:
    cameras.watch(folder, fps=20)
    cameras.wait(lambda: cameras.readings)
    began = time.monotonic()
    os.kill(cameras.worker, signal.SIGKILL)
    cameras.wait(lambda: cameras.trouble("device.worker"), 3.0)
    cameras.reading_again()
    assert time.monotonic() - began < 6.0


def test_a_hung_worker_is_killed_within_three_seconds_and_reads_again_within_six(
    cameras: Cameras, folder: Path
) -> None:
    cameras.watch(folder, fps=20)
    cameras.wait(lambda: cameras.readings)
    hung = cameras.worker
    began = time.monotonic()
    os.kill(hung, signal.SIGSTOP)  # as a read that never returns: no heartbeat, no exit
    flagged = cameras.wait(lambda: cameras.trouble("device.hung"), 5.0)
    cameras.reading_again()
    assert flagged < 3.0
    assert time.monotonic() - began < 6.0
    assert not psutil.pid_exists(hung)


def test_a_frozen_camera_is_flagged_within_three_seconds_and_reads_again_within_six(
    cameras: Cameras, stream: Streams
) -> None:
    cameras.watch(stream.url)
    cameras.wait(lambda: cameras.readings)
    began = time.monotonic()
    stream.frozen = True
    flagged = cameras.wait(lambda: cameras.trouble("device.frozen"), 5.0)
    stream.frozen = False
    cameras.reading_again()
    assert flagged < 3.0
    assert time.monotonic() - began < 6.0


def test_without_the_freeze_watch_a_frozen_camera_passes_for_a_live_one(cameras: Cameras, stream: Streams) -> None:
    """The control: the same frozen stream, the guard off."""
    stream.frozen = True
    cameras.watch(stream.url, freeze_s=0)
    cameras.wait(lambda: cameras.readings)
    time.sleep(3.0)
    assert cameras.trouble("device.frozen") == []
    assert cameras.supervisor.states()["cam"].state is DeviceState.ONLINE


def test_a_camera_that_comes_up_frozen_never_comes_online(cameras: Cameras, stream: Streams) -> None:
    stream.frozen = True
    cameras.watch(stream.url)
    cameras.wait(lambda: cameras.trouble("device.frozen"))
    assert DeviceState.ONLINE not in [change.state for change in cameras.states]
    assert cameras.readings == []


def test_a_stream_that_falls_silent_is_flagged_within_three_seconds(cameras: Cameras, stream: Streams) -> None:
    cameras.watch(stream.url)
    cameras.wait(lambda: cameras.readings)
    stream.silent = True
    assert cameras.wait(lambda: cameras.states[-1].state is DeviceState.BACKOFF, 5.0) < 3.0
    stream.silent = False
    cameras.reading_again()


@pytest.mark.parametrize("source", ["/dev/video99", "http://127.0.0.1:9/none"])
def test_an_absent_camera_waits_and_says_so(cameras: Cameras, source: str) -> None:
    cameras.watch(source)
    cameras.wait(lambda: cameras.states and cameras.states[-1].state is DeviceState.BACKOFF, 8.0)
    assert cameras.states[-1].code in ("device.absent", "device.unavailable")


def test_an_emptied_folder_waits_until_pictures_are_back(cameras: Cameras, folder: Path) -> None:
    cameras.watch(folder, fps=20)
    cameras.wait(lambda: cameras.readings)
    shutil.move(folder / "0.png", folder.parent / "kept.png")
    for picture in folder.glob("*.png"):
        picture.unlink()
    cameras.wait(lambda: cameras.trouble("device.absent"))
    shutil.move(folder.parent / "kept.png", folder / "0.png")
    cameras.reading_again()


def test_a_worker_leaves_when_its_parent_is_killed(folder: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys, time\n"
        "from devices.camera.driver import CameraDriver, CameraOptions\n"
        f"driver = CameraDriver('cam', CameraOptions(source={str(folder)!r}))\n"
        "driver.open()\n"
        "print(driver.worker_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=pictures.REPO) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker goes on without anybody to read it"
        time.sleep(0.02)


# ------------------------------------------------------------------ cost


def test_a_camera_at_rest_takes_little_of_a_core(cameras: Cameras, tmp_path: Path) -> None:
    """A still 640 x 360 scene without code at 10 frames a second, gate closed; the soak measures 720p."""
    for number in range(3):
        still = pictures.texture(np.random.default_rng(4), 640, 360)
        cv2.imwrite(str(tmp_path / f"{number}.bmp"), pictures.spoiled(still, number, noise=1))
    cameras.watch(tmp_path, fps=10)
    cameras.wait(lambda: cameras.supervisor.states()["cam"].state is DeviceState.ONLINE)
    worker = psutil.Process(cameras.worker)
    time.sleep(2.0)  # the gate closes
    before, began = sum(worker.cpu_times()[:2]), time.monotonic()
    time.sleep(2.5)
    share = (sum(worker.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert share < 0.10
    assert worker.nice() >= 10


# ------------------------------------------------------------------ the pure parts


def bar(text: str) -> Decoded:
    return Decoded(text, text.encode(), "Code128", "fast", 1.0, "utf-8", "]C0")


def test_the_two_frame_rule_wants_the_same_bars_twice_within_its_window() -> None:
    rule = TwoFrameRule(window_s=2.0)
    assert rule.confirmed([bar("1")], 0.0) == []
    assert rule.confirmed([bar("2")], 0.1) == []
    assert rule.confirmed([bar("1")], 0.2) == [bar("1")]
    assert rule.confirmed([bar("1")], 0.3) == [bar("1")], "a held code goes on being sighted"
    assert rule.confirmed([bar("1")], 9.0) == [], "out of the window it begins anew"


def test_matrix_codes_need_no_second_frame() -> None:
    code = Decoded("x", b"x", "QRCode", "fast", 1.0, "utf-8", "]Q1")
    assert TwoFrameRule().confirmed([code], 0.0) == [code]


def test_the_gate_opens_for_a_hand_and_stays_shut_for_noise() -> None:
    gate = MotionGate()
    still = pictures.texture(np.random.default_rng(6))
    assert gate.wants(still, 0.0)
    decoded = sum(gate.wants(pictures.spoiled(still, n, noise=8), 2.0 + n / 10) for n in range(30))
    assert decoded <= 4, "at rest about one picture a second"
    shown = still.copy()
    code = pictures.qr(PASS, scale=4)
    shown[300 : 300 + len(code), 500 : 500 + len(code)] = code
    assert all(gate.wants(shown, 6.0 + n / 10) for n in range(10))


def test_while_a_code_is_in_view_the_gate_looks_often_enough_to_hold_the_reread_window() -> None:
    gate = MotionGate()
    still = pictures.texture(np.random.default_rng(6), 640, 360)
    looked = []
    for tick in range(100):
        if gate.wants(still, tick / 10):
            gate.sighted(tick / 10)
            looked.append(tick / 10)
    assert max(b - a for a, b in pairwise(looked)) < 0.75


def test_a_picture_that_repeats_to_the_bit_is_frozen_and_noise_is_not() -> None:
    watch = FreezeWatch(2.5)
    still = pictures.texture(np.random.default_rng(7), 320, 180)
    assert not any(watch.frozen(pictures.spoiled(still, n, noise=1), n / 10) for n in range(50))
    verdicts = [watch.frozen(still, 5.0 + n / 10) for n in range(40)]
    assert verdicts.index(True) == 25
