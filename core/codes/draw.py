"""Draw codes, and decode each one back before anyone sees it.

segno draws the QR (fixed mask: a fifth of qrcode's time); python-barcode lays out Code128, and because its
0.16.1 silently drops a leading "99" (upstream #251), zxing-cpp reads the result back and draws it itself when
the text differs. A code that does not come back as itself is never returned.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import barcode
import numpy as np
import segno
import zxingcpp

from core.errors import HospitalError

QUIET_QR = 4
QUIET_BAR = 10
"""Quiet zones in modules (ISO/IEC 18004: 4; ISO/IEC 15417: 10)."""


class DrawFault(HospitalError):
    """What was drawn did not decode back to its text, or the text cannot be drawn at all."""


@dataclass(frozen=True, slots=True)
class Qr:
    """A square of modules, row by row, True is black, without quiet zone."""

    text: str
    size: int
    modules: tuple[bool, ...]

    def svg_path(self) -> str:
        """Path data in module units with the quiet zone included; one ``h`` run per black run."""
        parts: list[str] = []
        for y in range(self.size):
            row = self.modules[y * self.size : (y + 1) * self.size]
            parts += [f"M{x + QUIET_QR} {y + QUIET_QR}h{n}v1h-{n}z" for x, n in _runs(row)]
        return "".join(parts)

    @property
    def span(self) -> int:
        """Modules across, quiet zone included: the side of the SVG view box."""
        return self.size + 2 * QUIET_QR

    def packed(self) -> str:
        """The modules as base64 of big-endian bits; 76 characters for version 1."""
        return base64.b64encode(np.packbits(np.array(self.modules, bool)).tobytes()).decode()


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of modules, True is black, without quiet zone."""

    text: str
    modules: tuple[bool, ...]

    def svg_path(self, height: int = 40) -> str:
        """Path data in module units with the quiet zone included."""
        return "".join(f"M{x + QUIET_BAR} 0h{n}v{height}h-{n}z" for x, n in _runs(self.modules))

    @property
    def span(self) -> int:
        """Modules across, quiet zones included."""
        return len(self.modules) + 2 * QUIET_BAR

    def widths(self) -> str:
        """Bar and space widths as digits 1–4, starting with a bar; 79 characters for 20 digits."""
        out: list[str] = []
        last, run = True, 0
        for black in self.modules:
            if black == last:
                run += 1
            else:
                out.append(str(run))
                last, run = black, 1
        return "".join([*out, str(run)])


def _runs(row: tuple[bool, ...]) -> list[tuple[int, int]]:
    """(start, length) of each black run."""
    runs: list[tuple[int, int]] = []
    for x, black in enumerate(row):
        if black and runs and sum(runs[-1]) == x:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif black:
            runs.append((x, 1))
    return runs


@lru_cache(maxsize=4096)
def qr(text: str) -> Qr:
    """A QR of level Q where version 1 allows it for digits, else M. Raises DrawFault."""
    error = "q" if text.isdigit() and len(text) <= 27 else "m"
    try:
        drawn = segno.make_qr(text, error=error, mask=4, boost_error=False)
    except (ValueError, segno.encoder.DataOverflowError) as exc:
        raise DrawFault(f"a text of {len(text)} characters does not fit a QR code") from exc
    matrix = np.array([[bool(m) for m in row] for row in drawn.matrix], bool)
    _must_read_back(text, _picture(matrix, QUIET_QR, 3), zxingcpp.BarcodeFormat.QRCode)
    return Qr(text, len(matrix), tuple(matrix.ravel().tolist()))


@lru_cache(maxsize=4096)
def code128(text: str) -> Bar:
    """A Code128 of printable ASCII, digits in set C. Raises DrawFault."""
    if not text or not text.isascii() or not text.isprintable() or len(text) > 60:
        raise DrawFault("Code128 here takes 1 to 60 printable ASCII characters")
    modules = _laid_out(text)
    try:
        _must_read_back(text, _bar_picture(modules), zxingcpp.BarcodeFormat.Code128)
    except DrawFault:  # python-barcode #251: a leading "99" is lost; zxing-cpp has no such fault
        modules = _zxing_modules(text)
        _must_read_back(text, _bar_picture(modules), zxingcpp.BarcodeFormat.Code128)
    return Bar(text, tuple(modules.tolist()))


def _laid_out(text: str) -> Any:
    rows = barcode.get("code128", text).build()
    return np.array([c == "1" for c in rows[0]], bool)


def _zxing_modules(text: str) -> Any:
    image = np.array(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128).to_image(scale=1))
    row = image[len(image) // 2] < 128
    black = np.flatnonzero(row)
    return row[black[0] : black[-1] + 1]


def _bar_picture(modules: Any) -> Any:
    return _picture(np.repeat(modules[None, :], 20, axis=0), QUIET_BAR, 2)


def _picture(modules: Any, quiet: int, scale: int) -> Any:
    padded = np.pad(modules, quiet, constant_values=False)
    return np.where(np.repeat(np.repeat(padded, scale, 0), scale, 1), 0, 255).astype(np.uint8)


def _must_read_back(text: str, picture: Any, form: Any) -> None:
    found = zxingcpp.read_barcodes(
        picture, formats=form, try_rotate=False, try_downscale=False, try_invert=False, is_pure=True
    )
    if [f.text for f in found] != [text]:
        raise DrawFault("the code drawn does not decode back to its text")
