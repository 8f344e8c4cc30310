"""The measured cascade that reads codes from one grey frame: cheap looks first, dear ones only when they fail. Pure."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
import zxingcpp

from devices.camera.charset import choose_text
from devices.camera.dispute import undisputed
from devices.camera.images import Gray
from devices.camera.looks import bar_crops, enlarged, sharpened, shrunk, smeared, thresholded, turned
from devices.camera.zbar import zbar_read

FORMATS: Final[dict[str, zxingcpp.BarcodeFormat]] = {
    "QRCode": zxingcpp.BarcodeFormat.QRCode,
    "Code128": zxingcpp.BarcodeFormat.Code128,
    "DataMatrix": zxingcpp.BarcodeFormat.DataMatrix,
    "Aztec": zxingcpp.BarcodeFormat.Aztec,
    "Code39": zxingcpp.BarcodeFormat.Code39,
    "ITF": zxingcpp.BarcodeFormat.ITF,
    "EAN13": zxingcpp.BarcodeFormat.EAN13,
}
DEFAULT_FORMATS: Final = ("QRCode", "Code128", "DataMatrix", "Aztec")
LINEAR: Final = frozenset({"Code128", "Code39", "ITF", "EAN13"})
HARD: Final = ("QRCode", "Code128", "Code39", "ITF", "EAN13")
"""Looks that alter the picture are for these; QR mends itself, 1-D reads need two votes."""

FIRST: Final = ("QRCode", "Code128")
"""What nearly every code shown to us is: looked for in every frame; the others cost half as much again."""

SPARSE_FROM: Final = 400
"""Frames at least this high are first searched for bars in every 8th line."""

BUDGET_S: Final = 2.0
LONGEST_HARD: Final = 2000
"""Dear looks work on at most this many pixels a side; the first two see the full picture."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One code found: `raw` its bytes, `step` the look that found it, `ms` since the frame was taken up.

    `aim` is the AIM identifier (]C1 is GS1-128), `encoding` how `text` came from `raw` (see charset).
    """

    text: str
    raw: bytes
    symbology: str
    step: str
    ms: float
    encoding: str
    aim: str


@dataclass(frozen=True, slots=True)
class _Read:
    """One zxing or zbar answer, before it is believed."""

    text: str
    raw: bytes
    symbology: str
    encoding: str
    aim: str

    @property
    def linear(self) -> bool:
        return self.symbology in LINEAR


class _Frame:
    """One frame's work: its looks, its crops (located once) and the votes its 1-D reads collected."""

    def __init__(self, gray: Gray) -> None:
        self.gray = gray
        self.votes: Counter[_Read] = Counter()
        self._crops: list[Gray] | None = None
        self._small: Gray | None = None

    @property
    def small(self) -> Gray:
        if self._small is None:
            self._small = shrunk(self.gray, LONGEST_HARD)
        return self._small

    @property
    def crops(self) -> list[Gray]:
        if self._crops is None:
            self._crops = bar_crops(self.small)
        return self._crops

    def believe(self, reads: Iterable[_Read]) -> list[_Read]:
        """Matrix reads count at once; a 1-D read from an altered picture at its second vote, if none differs.

        Blur and sharpening can make a wrong Code128 whose checksum fits (about 1 in 2,000 bad crops), but
        two differently altered pictures hardly ever the same wrong one.
        """
        sure = []
        for read in reads:
            if not read.linear:
                sure.append(read)
                continue
            self.votes[read] += 1
        agreed = [read for read, votes in self.votes.items() if votes >= 2]
        return sure + (agreed if len(self.votes) == 1 else [])


Step = Callable[[_Frame], list[_Read]]


class Cascade:
    """Reads frames with one set of formats. Any thread may call `fast` and `full`; `live` keeps a rotation."""

    def __init__(self, formats: Sequence[str] = DEFAULT_FORMATS, use_zbar: bool = True) -> None:
        unknown = sorted(set(formats) - set(FORMATS))
        if unknown or not formats:
            raise ValueError(f"unknown code formats {unknown}; known are {', '.join(FORMATS)}")
        self._all = _pick(formats)
        first = [name for name in formats if name in FIRST] or list(formats)
        self._first_matrix = _pick(name for name in first if name not in LINEAR)
        self._first_linear = _pick(name for name in first if name in LINEAR)
        self._rest = _pick(name for name in formats if name not in first)
        self._hard = _pick(name for name in formats if name in HARD)
        self._linear = _pick(name for name in formats if name in LINEAR)
        self._dear = self._dear_steps(use_zbar and set(formats) >= {"QRCode", "Code128"})
        self._turn = 0

    def _dear_steps(self, use_zbar: bool) -> list[tuple[str, Step]]:
        """The dear looks that can find one of our formats, most rewarding first."""
        steps: list[tuple[str, Step, bool]] = [
            ("others", self._look_others, self._rest is not None),
            ("all", self._look_all, True),
            ("located", self._look_located, self._linear is not None),
            ("located-inverted", self._look_located_inverted, self._linear is not None),
            ("sharp", self._look_sharp, self._hard is not None),
            ("large", self._look_large, self._hard is not None),
            ("turned-45", partial(self._look_turned, degrees=45.0), self._hard is not None),
            ("turned+22", partial(self._look_turned, degrees=22.5), self._hard is not None),
            ("turned-22", partial(self._look_turned, degrees=-22.5), self._hard is not None),
            ("zbar", self._look_zbar, use_zbar),
        ]
        return [(name, step) for name, step, useful in steps if useful]

    def fast(self, gray: Gray) -> list[Decoded]:
        """Take only the cheap look: upright or half-turned, dark on light. About 2 ms at 720p."""
        return self._run(gray, [], float("inf"))

    def full(self, gray: Gray, budget_s: float = BUDGET_S) -> list[Decoded]:
        """Take every look until one finds something; no further look starts after `budget_s` seconds."""
        return self._run(gray, self._dear, budget_s)

    def live(self, gray: Gray) -> list[Decoded]:
        """Take the cheap look and one dear one, another at each call: for a stream of frames."""
        if not self._dear:
            return self.fast(gray)
        step = self._dear[self._turn % len(self._dear)]
        found = self._run(gray, [step], float("inf"))
        if not found:
            self._turn += 1  # else the look that found it comes again, so that a held code stays in sight
        return found

    def _run(self, gray: Gray, dear: Sequence[tuple[str, Step]], budget_s: float) -> list[Decoded]:
        if gray.size == 0:
            return []
        began = time.perf_counter()
        frame = _Frame(gray)
        reads, name = self._look_cheap(gray)
        for name_next, step in dear:
            if reads or time.perf_counter() - began > budget_s:
                break
            name = name_next
            try:
                reads = step(frame)
            except (cv2.error, UnicodeDecodeError):
                continue  # OpenCV refuses odd shapes in its own ways: nothing found by this look
        ms = round((time.perf_counter() - began) * 1000, 2)
        return [
            Decoded(read.text, read.raw, read.symbology, name, ms, read.encoding, read.aim)
            for read in _best_first(reads)
        ]

    # -------------------------------------------------------------- looks

    def _zxing(
        self, gray: Gray, formats: zxingcpp.BarcodeFormats | None, thorough: bool = True, row_step: int = 1
    ) -> list[_Read]:
        if formats is None:
            return []
        try:
            codes = zxingcpp.read_barcodes(
                gray,
                formats=formats,
                try_rotate=thorough,
                try_downscale=thorough,
                try_invert=thorough,
                text_mode=zxingcpp.TextMode.Plain,
            )
        except (ValueError, RuntimeError, UnicodeDecodeError):
            return []  # a picture the library refuses holds no code for us
        matrix = [code for code in codes if _NAMES.get(code.format) not in LINEAR]
        bars = [code for code in codes if _NAMES.get(code.format) in LINEAR]
        if len(bars) > 1:
            bars = undisputed(bars, row_step)
        return [read for read in map(_as_read, matrix + bars) if read is not None]

    def _look_cheap(self, gray: Gray) -> tuple[list[_Read], str]:
        """Matrix codes in the full frame and bars in every 8th line (1.8 ms at 720p), then bars in all lines.

        Bars are tall, so few lines do: 0.4 ms instead of 3.2 for the same reads of codes held to the scanner.
        """
        reads = self._zxing(gray, self._first_matrix, thorough=False)
        if gray.shape[0] >= SPARSE_FROM:
            reads += self._zxing(np.ascontiguousarray(gray[::8]), self._first_linear, thorough=False, row_step=8)
        if reads:
            return reads, "glance"
        return self._zxing(gray, self._first_linear, thorough=False), "fast"

    def _look_others(self, frame: _Frame) -> list[_Read]:
        return self._zxing(frame.gray, self._rest, thorough=False)

    def _look_all(self, frame: _Frame) -> list[_Read]:
        return self._zxing(frame.gray, self._all)

    def _look_located(self, frame: _Frame) -> list[_Read]:
        return self._in_crops(frame, frame.crops)

    def _look_located_inverted(self, frame: _Frame) -> list[_Read]:
        return self._in_crops(frame, [cv2.bitwise_not(crop) for crop in frame.crops])  # type: ignore[misc]

    def _in_crops(self, frame: _Frame, crops: Iterable[Gray]) -> list[_Read]:
        for crop in crops:
            smooth = smeared(crop)
            for make in (
                lambda smooth=smooth: sharpened(smooth),
                lambda smooth=smooth: sharpened(smooth, 3.5, 2.0),
                lambda crop=crop: crop,
                lambda crop=crop: sharpened(crop),
            ):
                found = frame.believe(self._zxing(make(), self._linear, thorough=False))
                if found:
                    return found
            frame.votes.clear()  # another crop is another code
        return []

    def _look_sharp(self, frame: _Frame) -> list[_Read]:
        found = frame.believe(self._zxing(thresholded(frame.small), self._hard))
        if found or max(frame.small.shape) > LONGEST_HARD // 2:
            return found
        return frame.believe(self._zxing(sharpened(enlarged(frame.small, 2.0), 5.0, 2.0), self._hard))

    def _look_large(self, frame: _Frame) -> list[_Read]:
        if max(frame.small.shape) > LONGEST_HARD * 2 // 3:
            return []
        for factor, how in ((2.0, cv2.INTER_CUBIC), (3.0, cv2.INTER_LINEAR)):
            found = frame.believe(self._zxing(enlarged(frame.small, factor, how), self._hard))
            if found or not frame.votes:
                return found
        return []

    def _look_turned(self, frame: _Frame, degrees: float) -> list[_Read]:
        picture = turned(frame.small, degrees)
        found = frame.believe(self._zxing(picture, self._hard))
        if found or not frame.votes:
            return found
        return frame.believe(self._zxing(sharpened(picture, 1.0, 0.5), self._hard))

    def _look_zbar(self, frame: _Frame) -> list[_Read]:
        reads = [
            _Read(text, text.encode("ascii"), name, "utf-8", "]Q1" if name == "QRCode" else "]C0")
            for name, text in zbar_read(frame.small)
        ]
        return frame.believe(reads)


def _pick(names: Iterable[str]) -> zxingcpp.BarcodeFormats | None:
    chosen = [FORMATS[name] for name in names]
    return zxingcpp.BarcodeFormats(chosen) if chosen else None


def _as_read(code: zxingcpp.Barcode) -> _Read | None:
    name = _NAMES.get(code.format)
    if name is None or not code.bytes:
        return None
    if name in LINEAR:
        encoding = "utf-8" if code.text.isascii() else "latin-1"
        return _Read(code.text, code.bytes, name, encoding, code.symbology_identifier)
    text, encoding = choose_text(code.bytes, code.text, matrix_default_latin=name != "QRCode")
    return _Read(text, code.bytes, name, encoding, code.symbology_identifier)


_NAMES: Final = {
    **{value: name for name, value in FORMATS.items()},
    zxingcpp.BarcodeFormat.QRCodeModel1: "QRCode",
    zxingcpp.BarcodeFormat.QRCodeModel2: "QRCode",
    zxingcpp.BarcodeFormat.AztecCode: "Aztec",
    zxingcpp.BarcodeFormat.AztecRune: "Aztec",
    zxingcpp.BarcodeFormat.Code39Std: "Code39",
    zxingcpp.BarcodeFormat.Code39Ext: "Code39",
    zxingcpp.BarcodeFormat.ITF14: "ITF",
}


def _best_first(reads: Iterable[_Read]) -> list[_Read]:
    """Drop doubles; codes that mend their own errors come before bars."""
    unique = list(dict.fromkeys(reads))
    return sorted(unique, key=lambda read: read.linear)
