"""Image files through the child process: many at once, and bad ones that must not take it or the caller along."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import psutil
import pytest

from devices.camera.files import FileDecoder, decode_files
from tests.support import code_pictures as pictures

PASS = "87104416032024011629"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "card.png"
    file.write_bytes(cv2.imencode(".png", pictures.qr(PASS))[1].tobytes())
    return file


def during(action: Callable[[], None], delay: float) -> threading.Timer:
    timer = threading.Timer(delay, action)
    timer.start()
    return timer


def test_one_child_serves_many_images_and_is_gone_afterwards(good: Path) -> None:
    with FileDecoder() as decoder:
        for _ in range(20):
            (result,) = decoder.decode(good)
            assert (result.symbology, result.text, result.error) == ("QRCode", PASS, None)
        assert decoder.starts == 1
        child = decoder.pid
    assert child is not None
    assert not psutil.pid_exists(child)


def test_each_code_of_a_file_is_a_result(tmp_path: Path) -> None:
    frame = 255 * pictures.np.ones((700, 1200), "uint8")
    bars, square = pictures.code128("C0012345"), pictures.qr(PASS)
    frame[20 : 20 + bars.shape[0], 20 : 20 + bars.shape[1]] = bars
    frame[300 : 300 + square.shape[0], 600 : 600 + square.shape[1]] = square
    cv2.imwrite(str(tmp_path / "two.png"), frame)
    assert [(r.symbology, r.text) for r in decode_files([tmp_path / "two.png"])] == [
        ("QRCode", PASS),
        ("Code128", "C0012345"),
    ]


def test_a_picture_without_code_is_no_error(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "white.png"), 255 * pictures.np.ones((300, 300), "uint8"))
    (result,) = decode_files([tmp_path / "white.png"])
    assert (result.symbology, result.text, result.error) == (None, None, None)


def test_unreadable_files_say_why_and_the_same_child_goes_on(tmp_path: Path, good: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:60])
    with FileDecoder() as decoder:
        for file in (tmp_path / "text.png", tmp_path / "empty.png", cut, tmp_path, tmp_path / "absent.png"):
            (result,) = decoder.decode(file)
            assert result.text is None
            assert result.error, file
        assert decoder.decode(good)[0].text == PASS
        assert decoder.starts == 1


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_costs_one_image_only_and_the_next_is_read_within_two_seconds(
    tmp_path: Path, good: Path, how: signal.Signals
) -> None:
    hole = tmp_path / "hole.png"  # the child stays in reading it until it is struck
    os.mkfifo(hole)
    with FileDecoder() as decoder:
        assert decoder.decode(good)[0].text == PASS
        struck = decoder.pid
        assert struck is not None
        timer = during(lambda: os.kill(struck, how), 0.2)
        (crashed,) = decoder.decode(hole)
        timer.join()
        began = time.monotonic()
        assert crashed.text is None
        assert how.name in (crashed.error or "")
        assert decoder.decode(good)[0].text == PASS
        assert time.monotonic() - began < 2.0
        assert decoder.starts == 2


def test_an_image_that_never_ends_is_given_up(tmp_path: Path, good: Path) -> None:
    hole = tmp_path / "hole.png"
    os.mkfifo(hole)
    with FileDecoder(limit_s=0.5) as decoder:
        began = time.monotonic()
        (stuck,) = decoder.decode(hole)
        assert "took longer" in (stuck.error or "")
        assert 0.5 <= time.monotonic() - began < 5.0


def test_a_child_may_not_take_the_machines_memory(good: Path) -> None:
    with FileDecoder() as decoder:
        decoder.decode(good)
        soft, hard = psutil.Process(decoder.pid).rlimit(psutil.RLIMIT_AS)
        assert 0 < soft <= 3 << 30
        assert 0 < hard <= 3 << 30
        assert psutil.Process(decoder.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_real_photographs_pass_through_the_child_unchanged() -> None:
    folder = pictures.samples_folder()
    if folder is None:
        pytest.skip("no sample photographs here: set HOSPITAL_SAMPLES to their folder")
    known = {sample.file: sample for sample in pictures.samples(folder) if sample.symbology}
    some = list(known)[::8]
    first = {result.file: result for result in reversed(list(decode_files(some)))}
    assert [(first[file].symbology, first[file].text) for file in some] == [
        (known[file].symbology, known[file].text) for file in some
    ]
