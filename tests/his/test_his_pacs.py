"""Exam images from a real Orthanc: order, weight, traps, faults, and one question for many who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
import requests

from his.pacs import OPTIONS, Dicomweb, KeepingPacs, make
from his.pacs.picture import Unreadable, fitted
from his.port import PICTURE_CAP, WIDTHS, NotAnImage, NotFound, PacsPort, StudyImage, Unavailable
from tests.support.orthanc import DX_STUDY, PAIR_STUDY, PASSWORD, USER, Orthanc, orthanc

pytestmark = pytest.mark.xdist_group("peer-orthanc")
__all__ = ["orthanc"]


@pytest.fixture
def make_pacs(orthanc: Orthanc) -> Iterator[Callable[..., PacsPort]]:
    made: list[PacsPort] = []

    def build(**options: object) -> PacsPort:
        made.append(make(OPTIONS.model_validate({**orthanc.options, **options})))
        return made[-1]

    yield build
    for pacs in made:
        pacs.close()


@pytest.fixture(params=["dicomweb", "orthanc"])
def pacs(request: pytest.FixtureRequest, make_pacs: Callable[..., PacsPort], orthanc: Orthanc) -> PacsPort:
    return make_pacs() if request.param == "dicomweb" else make_pacs(draw="orthanc", url=orthanc.url)


def edges(jpeg: bytes) -> tuple[int, int]:
    assert jpeg[:2] == b"\xff\xd8"
    rows, columns = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).shape
    return columns, rows


@pytest.mark.parametrize("width", WIDTHS)
def test_a_film_of_8_mb_reaches_the_phone_in_at_most_200_kb(pacs: PacsPort, width: int) -> None:
    (film,) = pacs.images(DX_STUDY, 4)
    assert (film.modality, film.columns, film.rows) == ("DX", 2048, 2048)
    started = time.monotonic()
    jpeg = pacs.picture(film, width, 4)
    took = (time.monotonic() - started) * 1000
    print(f"\n8 MB DX at {width}: {len(jpeg)} bytes {edges(jpeg)} in {took:.0f} ms")
    assert len(jpeg) <= PICTURE_CAP == 200_000
    assert max(edges(jpeg)) <= width
    assert max(edges(jpeg)) >= width * 3 // 4


def test_images_come_series_by_series_in_their_order(pacs: PacsPort) -> None:
    assert [one.instance_uid[-3:] for one in pacs.images(PAIR_STUDY, 4)] == ["1.1", "1.2", "2.1", "2.2"]


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("CT_small.dcm", 1),
        ("MR_small.dcm", 1),
        ("examples_palette.dcm", 1),
        ("examples_rgb_color.dcm", 1),
        ("examples_ybr_color.dcm", 30),
    ],
)
def test_images_of_real_machines_are_drawn(pacs: PacsPort, orthanc: Orthanc, name: str, frames: int) -> None:
    (image,) = pacs.images(orthanc.studies[name], 4)
    assert image.frames == frames
    assert max(edges(pacs.picture(image, 600, 4))) <= 600


def test_a_structured_report_is_no_image(pacs: PacsPort, orthanc: Orthanc) -> None:
    (document,) = pacs.images(orthanc.studies["test-SR.dcm"], 4)
    assert (document.modality, document.rows) == ("SR", 0)
    with pytest.raises(NotAnImage):
        pacs.picture(document, 600, 4)


@pytest.mark.parametrize("uid", ["1.2.3.4.5.6.7.8.9", "", "1..2", "../../system", "1.2?x=1", "1.2 3", "一", "1" * 65])
def test_an_unknown_study_is_not_found_and_a_strange_one_is_not_even_asked_for(
    pacs: PacsPort, orthanc: Orthanc, uid: str
) -> None:
    before = orthanc.calls()
    with pytest.raises(NotFound):
        pacs.images(uid, 4)
    assert orthanc.calls() - before == (uid == "1.2.3.4.5.6.7.8.9")


def test_chinese_names_do_not_vanish_from_the_peer(orthanc: Orthanc) -> None:
    (study,) = requests.get(
        f"{orthanc.url}/dicom-web/studies?PatientID=P0000001&StudyInstanceUID={DX_STUDY}",
        auth=(USER, PASSWORD),
        timeout=5,
    ).json()
    assert study["00100010"]["Value"] == [{"Alphabetic": "王^小明"}]


def test_the_second_request_is_answered_from_memory(make_pacs: Callable[..., PacsPort], orthanc: Orthanc) -> None:
    pacs = make_pacs()
    (film,) = pacs.images(DX_STUDY, 4)
    first = pacs.picture(film, 600, 4)
    before = orthanc.calls()
    (again,) = pacs.images(DX_STUDY, 4)
    assert pacs.picture(again, 600, 4) == first
    assert orthanc.calls() == before
    pacs.picture(film, 1080, 4)
    assert orthanc.calls() == before + 1


def test_thirty_phones_at_once_are_one_question(make_pacs: Callable[..., PacsPort], orthanc: Orthanc) -> None:
    pacs = make_pacs()
    (film,) = pacs.images(DX_STUDY, 4)
    before, gate, got = orthanc.calls(), threading.Barrier(30), []

    def look() -> None:
        gate.wait()
        got.append(pacs.picture(film, 1080, 4))

    threads = [threading.Thread(target=look) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 30
    assert len(set(got)) == 1
    assert orthanc.calls() == before + 1


class Counting:
    """A PACS that draws pictures of one size and counts."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def images(self, study_uid: str, deadline_s: float) -> tuple[StudyImage, ...]:
        raise NotFound

    def picture(self, image: StudyImage, width: int, deadline_s: float) -> bytes:
        self.drawn.append(image.instance_uid)
        return bytes(1000)

    def close(self) -> None:
        return


def test_the_memory_for_pictures_is_bounded_and_the_least_looked_at_go_first() -> None:
    peer = Counting()
    pacs = KeepingPacs(peer, room=3000, keep_s=60)
    images = {name: StudyImage("1", "1", name) for name in "abcd"}
    for name in "abcad":  # d pushes b out: a was looked at again
        pacs.picture(images[name], 600, 1)
    for name in "acd":
        pacs.picture(images[name], 600, 1)
    assert peer.drawn == ["a", "b", "c", "d"]
    pacs.picture(images["b"], 600, 1)
    assert peer.drawn[-1] == "b"


def test_a_pacs_that_freezes_holds_nobody_and_is_then_left_alone(
    make_pacs: Callable[..., PacsPort], orthanc: Orthanc
) -> None:
    pacs = make_pacs(deadline_ms=500)
    pacs.images(PAIR_STUDY, 4)
    orthanc.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            pacs.images(DX_STUDY, 4)
        assert time.monotonic() - started < 1
        started = time.monotonic()
        with pytest.raises(Unavailable):
            pacs.images(DX_STUDY, 4)
        assert time.monotonic() - started < 0.1
        assert len(pacs.images(PAIR_STUDY, 4)) == 4  # what is known still shows
    finally:
        orthanc.thaw()


class Slow(Counting):
    """One picture never comes in time, one list takes all the time it is given."""

    def images(self, study_uid: str, deadline_s: float) -> tuple[StudyImage, ...]:
        time.sleep(deadline_s)
        raise Unavailable("timeout")

    def picture(self, image: StudyImage, width: int, deadline_s: float) -> bytes:
        if image.instance_uid == "slow":
            time.sleep(0.3)
            raise Unavailable("timeout")
        return super().picture(image, width, deadline_s)


def test_one_picture_that_never_comes_does_not_hide_everybody_elses() -> None:
    pacs = KeepingPacs(Slow(), room=10_000, keep_s=60)

    def look(name: str) -> str:
        try:
            pacs.picture(StudyImage("1", "1", name), 600, 1)
        except Unavailable as failure:
            return failure.reason
        return "drawn"

    stuck = threading.Thread(target=look, args=("slow",))
    stuck.start()
    time.sleep(0.1)
    assert look("a") == "drawn"
    stuck.join()
    assert look("b") == "drawn"
    assert look("slow") == "timeout"  # control: nothing was answered meanwhile
    assert look("c") == "breaker_open"


def test_waiting_for_others_is_part_of_the_time_a_list_of_images_has() -> None:
    pacs = KeepingPacs(Slow(), room=10_000, keep_s=60, calls=1)
    took: list[float] = []

    def look(study: str) -> None:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            pacs.images(study, 0.6)
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=look, args=(study,)) for study in ("1", "2")]
    threads[0].start()
    time.sleep(0.3)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert max(took) < 0.85, "the second waits 0.3 s for the first, and has 0.3 s left for its own question"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "too_large"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "unauthorized"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "http_500"),
        (b"", "reset"),
    ],
)  # fmt: skip
def test_answers_that_are_no_pictures_are_no_pictures(
    make_peer: Callable[..., object], script: bytes, reason: str
) -> None:
    peer = make_peer(script, script)
    pacs = Dicomweb(OPTIONS(url=peer.url))  # type: ignore[attr-defined]
    with pytest.raises(Unavailable) as failure:
        pacs.picture(StudyImage("1", "1", "1"), 600, 2)
    assert failure.value.reason == reason
    pacs.close()


def test_a_pacs_that_drips_does_not_outlive_the_deadline() -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        sock, _ = listener.accept()
        sock.recv(4096)
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(1000):
            try:
                sock.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.05)
        sock.close()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    pacs = Dicomweb(OPTIONS(url=f"http://127.0.0.1:{listener.getsockname()[1]}", deadline_ms=600))
    started = time.monotonic()
    with pytest.raises(Unavailable) as failure:
        pacs.picture(StudyImage("1", "1", "1"), 600, 8)
    assert failure.value.reason == "timeout"
    assert time.monotonic() - started < 1.1
    pacs.close()
    thread.join(5)
    listener.close()


def test_a_png_where_a_jpeg_was_asked_for_is_drawn_anew_and_noise_is_made_to_fit() -> None:
    noise = np.random.default_rng(7).integers(0, 255, (1500, 1000, 3), dtype=np.uint8)
    png = cv2.imencode(".png", noise)[1].tobytes()
    for width in WIDTHS:
        jpeg = fitted(png, width)
        assert len(jpeg) <= PICTURE_CAP
        columns, rows = edges(jpeg)
        assert rows <= width
        assert abs(columns / rows - 2 / 3) < 0.01
    small = cv2.imencode(".jpg", noise[:50, :50])[1].tobytes()
    assert fitted(small, 600) is small  # what fits is passed on as it is


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\0\0\0\0",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\xff\xff",
    ],
)
def test_bytes_that_are_no_picture_or_claim_too_many_pixels_are_not_decoded(body: bytes) -> None:
    with pytest.raises(Unreadable):
        fitted(body, 600)
