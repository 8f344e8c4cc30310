"""The cascade on real photographs and on drawn hard cases: what it must read, and what it must never say."""

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
import zxingcpp

from devices.camera.cascade import DEFAULT_FORMATS, Cascade, Decoded
from devices.camera.charset import choose_text
from devices.camera.confirm import TwoFrameRule
from devices.camera.images import UnreadableImageError, read_gray
from tests.support import code_pictures as pictures

CASCADE = Cascade()
PASS = "87104416032024011629"


def texts(codes: list[Decoded]) -> list[str]:
    return [code.text for code in codes]


# ------------------------------------------------------------------ real photographs


def test_real_photographs_are_read_and_nothing_is_read_wrongly() -> None:
    folder = pictures.samples_folder()
    if folder is None:
        pytest.skip("no sample photographs here: set HOSPITAL_SAMPLES to their folder")
    hits: dict[str | None, int] = {}
    wanted: dict[str | None, int] = {}
    for sample in pictures.samples(folder):
        found = CASCADE.full(read_gray(sample.file.read_bytes()))
        wanted[sample.symbology] = wanted.get(sample.symbology, 0) + 1
        if sample.symbology is None:
            assert found == [], f"{sample.file.name} holds no code"
        elif found:
            assert (found[0].symbology, found[0].text) == (sample.symbology, sample.text), sample.file.name
            hits[sample.symbology] = hits.get(sample.symbology, 0) + 1
    assert hits.get("QRCode", 0) >= wanted["QRCode"] * 265 / 283
    assert hits.get("Code128", 0) >= wanted["Code128"] * 32 / 34


# ------------------------------------------------------------------ characters


def names(count: int) -> list[str]:
    picker = random.Random(20261122)
    common = [bytes([a, b]).decode("gb2312") for a in range(0xB0, 0xD7) for b in range(0xA1, 0xFF)]
    rare = [chr(code) for code in range(0x4E00, 0x9FA6)]
    return [
        "".join(picker.choice(common if picker.random() < 0.9 else rare) for _ in range(picker.choice([2, 3, 4])))
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("encoding", "template"),
    [("utf-8", "姓名:{}|科室:心内科|00{}"), ("utf-8", "{}"), ("gb18030", "姓名:{}|科室:心内科|00{}")],
)
def test_chinese_text_of_two_hundred_ideal_codes_is_exact(encoding: str, template: str) -> None:
    for number, name in enumerate(names(200)):
        text = template.format(name, number)
        found = CASCADE.fast(pictures.qr(text.encode(encoding), scale=3))
        assert texts(found) == [text]
        assert found[0].raw == text.encode(encoding)


@pytest.mark.parametrize(
    "text", ["日本語テスト", "Google モバイル\r\nhttp://google.jp", "Größe für café", "Müßig", "Histórico"]
)
def test_foreign_text_that_is_not_chinese_is_not_bent_into_hanzi(text: str) -> None:
    encoding = "shift_jis" if ord(max(text)) > 255 else "latin-1"
    assert texts(CASCADE.fast(pictures.qr(text.encode(encoding)))) == [text]


def test_declared_character_sets_are_believed() -> None:
    assert texts(CASCADE.fast(pictures.qr("王明é", encoding="utf-8", eci=True))) == ["王明é"]
    assert texts(CASCADE.fast(pictures.qr("王明", mode="hanzi"))) == ["王明"]


def test_any_bytes_at_all_give_some_text() -> None:
    picker = random.Random(1)
    for length in range(200):
        raw = picker.randbytes(length)
        text, encoding = choose_text(raw, raw.decode("latin-1"))
        assert isinstance(text, str)
        assert encoding


def test_a_binary_code_keeps_its_bytes_and_says_that_the_text_is_a_stand_in() -> None:
    raw = bytes(range(128, 160)) + b"\x00\xff"
    (code,) = CASCADE.fast(pictures.qr(raw))
    assert code.raw == raw
    assert code.encoding == "unknown"


def test_accented_letters_in_an_aztec_code_stay_letters() -> None:
    drawn = zxingcpp.create_barcode("Históricoóóóó", zxingcpp.BarcodeFormat.Aztec)
    assert texts(CASCADE.full(np.array(drawn.to_image(scale=6, add_quiet_zones=True)))) == ["Históricoóóóó"]


# ------------------------------------------------------------------ hard cases


@pytest.mark.parametrize("tilt", [0, 15, 45, 80, 133, 180, 250])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_qr_is_read_at_any_angle_and_inverted(tilt: int, inverted: bool) -> None:
    code = pictures.qr(PASS)
    frame = pictures.held(255 - code if inverted else code, pictures.texture(np.random.default_rng(tilt)), 250, tilt)
    assert texts(CASCADE.full(frame)) == [PASS]


@pytest.mark.parametrize("tilt", [0, 10, 25, 45, 70, 90, 160])
@pytest.mark.parametrize("inverted", [False, True])
def test_bars_are_read_at_any_angle_and_inverted(tilt: int, inverted: bool) -> None:
    code = pictures.code128(PASS)
    frame = pictures.held(255 - code if inverted else code, pictures.texture(np.random.default_rng(tilt)), 520, tilt)
    assert texts(CASCADE.full(frame)) == [PASS]


@pytest.mark.parametrize("blur", [0.8, 1.2, 1.6])
def test_blurred_bars_are_read(blur: float) -> None:
    frame = pictures.held(pictures.code128(PASS), pictures.texture(np.random.default_rng(3)), 560, 12)
    assert texts(CASCADE.full(pictures.spoiled(frame, 4, blur=blur))) == [PASS]


@pytest.mark.parametrize(("blur", "noise", "contrast"), [(1.8, 0, 1), (0, 40, 1), (0.5, 4, 0.15), (1, 20, 0.6)])
def test_a_spoiled_qr_is_read(blur: float, noise: float, contrast: float) -> None:
    frame = pictures.held(pictures.qr(PASS), pictures.texture(np.random.default_rng(5)), 220, 20, 0.05)
    assert texts(CASCADE.full(pictures.spoiled(frame, 6, blur, noise, contrast))) == [PASS]


def test_several_codes_in_one_frame_are_all_given_the_matrix_code_first() -> None:
    frame = np.full((720, 1280), 255, np.uint8)
    bars, square = pictures.code128("C0012345"), pictures.qr(PASS)
    frame[50 : 50 + bars.shape[0], 50 : 50 + bars.shape[1]] = bars
    frame[350 : 350 + square.shape[0], 600 : 600 + square.shape[1]] = square
    assert texts(CASCADE.full(frame)) == [PASS, "C0012345"]


@pytest.mark.parametrize("name", DEFAULT_FORMATS)
def test_each_usual_kind_is_read_and_named(name: str) -> None:
    drawn = zxingcpp.create_barcode("A1234567", getattr(zxingcpp.BarcodeFormat, name))
    (code,) = CASCADE.full(np.array(drawn.to_image(scale=4, add_quiet_zones=True)))
    assert (code.symbology, code.text) == (name, "A1234567")


def test_gs1_codes_carry_their_aim_identifier() -> None:
    drawn = zxingcpp.create_barcode("(8018)690000000000000012", zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    (code,) = CASCADE.full(np.array(drawn.to_image(scale=4, add_quiet_zones=True)))
    assert (code.aim, code.text) == ("]d2", "8018690000000000000012")


@pytest.mark.parametrize("shape", [(0, 10), (1, 1), (1, 5000), (5000, 1), (3, 3), (2, 900), (500, 7)])
def test_odd_shapes_give_nothing_and_raise_nothing(shape: tuple[int, int]) -> None:
    assert CASCADE.full(np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)) == []


def test_a_live_stream_takes_one_dear_look_a_frame_and_still_finds_a_tilted_bar_code() -> None:
    cascade = Cascade()
    frame = pictures.held(pictures.code128(PASS), pictures.texture(np.random.default_rng(8)), 520, 40)
    found = [texts(cascade.live(frame)) for _ in range(12)]
    first = found.index([PASS])
    assert first < 10
    assert found[first:] == [[PASS]] * (12 - first), "the look that found it comes again"


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="QRcode"):
        Cascade(["QRcode"])


def test_the_cascade_works_without_libzbar() -> None:
    program = (
        "import sys; sys.modules['pyzbar.pyzbar'] = None\n"
        "import numpy as np\n"
        "from devices.camera.cascade import Cascade\n"
        "from devices.camera.zbar import zbar_present\n"
        "assert not zbar_present()\n"
        "assert Cascade().full(np.full((90, 90), 255, np.uint8)) == []\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=pictures.REPO, timeout=30)


# ------------------------------------------------------------------ what must never be said


def wrongly_accepted(count: int, seed: int) -> tuple[int, list[tuple[str, str]]]:
    right, wrong = 0, []
    for text, frame, following in pictures.bad_bars(count, seed):
        rule = TwoFrameRule()
        seen = CASCADE.full(frame)
        rule.confirmed(seen, 0.0)
        for code in rule.confirmed(CASCADE.full(following) if seen else [], 0.1):
            right += code.text == text
            if code.text != text:
                wrong.append((text, code.text))
    return right, wrong


def test_bars_read_in_two_ways_at_once_are_looked_at_again_instead_of_believed() -> None:
    """zxing-cpp alone (the control) reads these blurred bars as two numbers, both with a fitting check character."""
    text, *frames = next(itertools.islice(pictures.bad_bars(353, 11), 352, None))
    for frame in frames:
        alone = {code.text for code in zxingcpp.read_barcodes(frame, formats=zxingcpp.BarcodeFormat.Code128)}
        assert text in alone
        assert len(alone) == 2
        assert texts(CASCADE.full(frame)) == [text]


def test_labels_stacked_above_each_other_are_all_read() -> None:
    frame = np.full((700, 700), 255, np.uint8)
    numbers = ["C0012345", "C0012346", "LIS88123"]
    for row, number in enumerate(numbers):
        bars = pictures.code128(number, height=130)
        frame[40 + 220 * row : 170 + 220 * row, 50 : 50 + bars.shape[1]] = bars
    assert sorted(texts(CASCADE.full(frame))) == numbers


def test_of_200_bad_bar_codes_none_is_accepted_wrongly() -> None:
    right, wrong = wrongly_accepted(200, 7)
    assert wrong == []
    assert right > 40


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [11, 12])
def test_of_4000_bad_bar_codes_none_is_accepted_wrongly(seed: int) -> None:
    right, wrong = wrongly_accepted(4000, seed)
    assert wrong == []
    assert right > 800


def test_surfaces_without_a_code_give_none() -> None:
    for seed in range(12):
        assert CASCADE.full(pictures.texture(np.random.default_rng(seed), 640, 360)) == []


# ------------------------------------------------------------------ image bytes


def test_transparency_is_laid_on_white() -> None:
    import cv2

    code = pictures.qr(PASS)
    picture = np.zeros((*code.shape, 4), np.uint8)
    picture[:, :, 3] = 255 - code  # black where dark, transparent elsewhere: black on black unless composited
    assert texts(CASCADE.full(read_gray(cv2.imencode(".png", picture)[1].tobytes()))) == [PASS]


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_the_usual_kinds_of_image_are_read(kind: str) -> None:
    import cv2

    assert texts(CASCADE.full(read_gray(cv2.imencode(kind, pictures.qr(PASS))[1].tobytes()))) == [PASS]


def test_sixteen_bit_images_are_read() -> None:
    import cv2

    deep = pictures.qr(PASS).astype(np.uint16) * 257
    assert texts(CASCADE.full(read_gray(cv2.imencode(".png", deep)[1].tobytes()))) == [PASS]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00",
        b"BM" + b"\0" * 16 + (60000).to_bytes(4, "little") * 2,
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03",
    ],
)
def test_what_is_no_image_or_far_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_gray(data)
