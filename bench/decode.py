"""Camera decoding: our cascade against zxing-cpp's best single call plus the deskew step, in the same run.

Real photographs (the samples folder; HOSPITAL_SAMPLES names it): QR and Code128 read, texts read wrongly, reads of
frames without a code. The peer is zxing-cpp with every try switched on and, where that finds nothing, once more on
a deskewed crop at twice the size where OpenCV's barcode locator sees bars. Without the folder only drawn frames
are measured, and it says so.
Drawn frames (seeded): CPU of an easy 720p frame (upright code on a textured surface), and hard ones (tilted,
inverted, blurred, noisy, washed out), both programs on the same frames in turn.
CPU is process time, medians over at least 5 rounds.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import zxingcpp

from bench import kit
from devices.camera.cascade import Cascade
from devices.camera.images import read_gray
from tests.support import code_pictures as pictures

Read = list[tuple[str, str]]
"""(symbology, text) of each code, best first."""

_CASCADE = Cascade()
_NAMES = {zxingcpp.BarcodeFormat.QRCode: "QRCode", zxingcpp.BarcodeFormat.Code128: "Code128"}
_FORMATS = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.Code128])


def ours(gray: pictures.Gray) -> Read:
    """The whole cascade, as `hospital decode` runs it."""
    return [(code.symbology, code.text) for code in _CASCADE.full(gray)]


def peer(gray: pictures.Gray) -> Read:
    """zxing-cpp's best single call, then the deskew step."""
    return _zxing(gray) or [read for crop in _deskewed(gray) for read in _zxing(crop)]


def _zxing(gray: pictures.Gray) -> Read:
    codes = zxingcpp.read_barcodes(gray, formats=_FORMATS, text_mode=zxingcpp.TextMode.Plain)
    return [(_NAMES.get(code.format, str(code.format)), code.text) for code in codes]


def _deskewed(gray: pictures.Gray) -> list[pictures.Gray]:
    found, corners = cv2.barcode.BarcodeDetector().detect(gray)
    crops = []
    for quad in np.asarray(corners).reshape(-1, 4, 2) if found else []:
        (x, y), (width, height), angle = cv2.minAreaRect(quad.astype(np.float32))
        if width < height:
            width, height, angle = height, width, angle + 90
        size = (int(width * 2.3) + 20, max(int(height * 2), 12))
        matrix = cv2.getRotationMatrix2D((x, y), angle, 2.0)
        matrix[:, 2] += np.array([size[0] / 2 - x, size[1] / 2 - y])
        crops.append(cv2.warpAffine(gray, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    return crops


PROGRAMS: dict[str, Callable[[pictures.Gray], Read]] = {"ours": ours, "peer": peer}


@dataclass(frozen=True)
class Frame:
    """A picture and the one code in it, or none."""

    gray: pictures.Gray
    symbology: str | None
    text: str | None


def tally(program: Callable[[pictures.Gray], Read], frames: Sequence[Frame]) -> Counter[str]:
    """Hits a symbology ("QRCode" …), "wrong" texts, "false" reads where no code is."""
    count: Counter[str] = Counter()
    for frame in frames:
        reads = program(frame.gray)
        if frame.symbology is None:
            count["false"] += bool(reads)
        elif reads:
            right = (frame.symbology, frame.text) in reads
            count[frame.symbology if right else "wrong"] += 1
    return count


def photographs() -> list[Frame]:
    """The samples, or nothing where they are absent."""
    folder = pictures.samples_folder()
    if folder is None:
        print("no sample photographs here (HOSPITAL_SAMPLES names their folder): drawn frames only")
        return []
    return [Frame(read_gray(s.file.read_bytes()), s.symbology, s.text) for s in pictures.samples(folder)]


def easy_frames(count: int) -> list[Frame]:
    """Upright codes on texture, 720p, a little blur and noise."""
    rng = np.random.default_rng(1)
    return [_drawn(rng, index, tilt=float(rng.uniform(-5, 5)), noise=4.0, blur=0.6) for index in range(count)]


def hard_frames(count: int) -> list[Frame]:
    """Any angle, a fifth inverted, blurred, noisy or washed out."""
    rng = np.random.default_rng(2)
    kinds: list[dict[str, float]] = [
        {"blur": 0.5, "noise": 3}, {"blur": 1.6}, {"noise": 35}, {"contrast": 0.2, "noise": 3}, {"blur": 1, "noise": 15},
    ]  # fmt: skip
    return [
        _drawn(rng, index, tilt=float(rng.uniform(0, 360)), invert=index % 5 == 0, **kinds[index // 2 % len(kinds)])
        for index in range(count)
    ]


def _drawn(rng: np.random.Generator, index: int, tilt: float, invert: bool = False, **spoil: float) -> Frame:
    text = "87" + "".join(map(str, rng.integers(0, 10, 18)))
    code, kind = (pictures.qr(text), "QRCode") if index % 2 else (pictures.code128(text), "Code128")
    side = rng.uniform(200, 320) if index % 2 else rng.uniform(480, 560)
    laid = pictures.held(255 - code if invert else code, pictures.texture(rng), float(side), tilt, 0.02, index)
    return Frame(pictures.spoiled(laid, index, **spoil), kind, text)


def cpu_ms(frames: Sequence[Frame], rounds: int) -> dict[str, float]:
    """Median process milliseconds a frame, the two programs taking turns."""
    took: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for frame in frames:
            for name, program in PROGRAMS.items():
                began = time.process_time_ns()
                program(frame.gray)
                took[name].append((time.process_time_ns() - began) / 1e6)
    return {name: kit.median(values) for name, values in took.items()}


def main(argv: list[str] | None = None) -> int:
    args = kit.parser(__doc__).parse_args(argv)
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {}
    bars = {"easy_720p_cpu_ms": "<= 5", "hard_wrong": "== 0", "hard_qr_margin": ">= 0", "hard_code128_margin": ">= 0"}
    real = photographs()
    if real:
        _compare("", real, figures)
        figures["false_reads"] = tally(ours, [frame for frame in real if frame.symbology is None])["false"]
        bars |= {"qr_margin": ">= 0", "code128_margin": ">= 0", "wrong": "== 0", "false_reads": "== 0"}
    _compare("hard_", hard_frames(40 if args.quick else 200), figures)
    easy = cpu_ms(easy_frames(20), 5 if args.quick else 11)
    figures["easy_720p_cpu_ms"], figures["easy_720p_cpu_ms_peer"] = easy["ours"], easy["peer"]
    return kit.finish("decode", figures, bars)


def _compare(prefix: str, frames: Sequence[Frame], figures: dict[str, Any]) -> None:
    """Hits of both, and by how many we are ahead (margin); wrong texts are ours over every symbology."""
    counts = {name: tally(program, frames) for name, program in PROGRAMS.items()}
    for kind, short in (("QRCode", "qr"), ("Code128", "code128")):
        figures[f"{prefix}{short}_of"] = sum(frame.symbology == kind for frame in frames)
        figures[f"{prefix}{short}_ours"] = counts["ours"][kind]
        figures[f"{prefix}{short}_peer"] = counts["peer"][kind]
        figures[f"{prefix}{short}_margin"] = counts["ours"][kind] - counts["peer"][kind]
    figures[f"{prefix}wrong"] = counts["ours"]["wrong"]


if __name__ == "__main__":
    sys.exit(main())
