"""Pictures of codes as cameras see them: drawn, tilted, laid on texture, spoiled. All from a seeded generator."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segno
import zxingcpp

Gray = np.ndarray[Any, np.dtype[np.uint8]]
REPO = Path(__file__).resolve().parent.parent.parent


def samples_folder() -> Path | None:
    """Where the real photographs are, if this machine has them."""
    named = os.environ.get("HOSPITAL_SAMPLES")
    folder = Path(named) if named else REPO.parent / "shared" / "samples"
    return folder if (folder / "manifest.json").is_file() else None


@dataclass(frozen=True)
class Sample:
    """A real photograph and what it says; symbology None: nothing."""

    file: Path
    symbology: str | None
    text: str | None


def samples(folder: Path) -> list[Sample]:
    """All of the manifest. quagga2 writes the leading FNC1 of GS1-128 as GS, which is never transmitted: dropped."""
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return [Sample(folder / e["image"], e["symbology"], e["text"] and e["text"].removeprefix("\x1d")) for e in entries]


def qr(content: str | bytes, scale: int = 6, quiet: int = 4, **options: Any) -> Gray:
    """A QR code; bytes go in as they are, in byte mode."""
    if isinstance(content, bytes):
        options["mode"] = "byte"
    code = segno.make(content, micro=False, boost_error=False, **options)
    modules = np.array([[0 if dark else 255 for dark in row] for row in code.matrix], np.uint8)
    framed = np.pad(modules, quiet, constant_values=255)
    return np.kron(framed, np.ones((scale, scale), np.uint8))


def code128(text: str, scale: int = 3, height: int = 150) -> Gray:
    """A Code128 with quiet zones."""
    drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128).to_image(
        scale=1, add_quiet_zones=True, add_hrt=False
    )
    line = np.array(drawn)[:1]
    middle = np.array(drawn)[len(np.array(drawn)) // 2 :][: len(line)]
    return np.repeat(np.kron(middle, np.ones((1, scale), np.uint8)), height, 0)


def texture(rng: np.random.Generator, width: int = 1280, height: int = 720) -> Gray:
    """A cloudy, noisy surface without any code."""
    coarse = rng.integers(0, 255, (height // 16, width // 16)).astype(np.uint8)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noisy = soft * 0.5 + rng.integers(20, 120) + rng.normal(0, 6, (height, width))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def held(code: Gray, surface: Gray, side: float, tilt: float = 0.0, slant: float = 0.0, seed: int = 0) -> Gray:
    """The code laid on the surface: `side` pixels long, turned by `tilt` degrees, corners off by `slant` of its size."""
    rng = np.random.default_rng(seed)
    height, width = surface.shape
    code_h, code_w = code.shape
    half = np.array([[-code_w, -code_h], [code_w, -code_h], [code_w, code_h], [-code_w, code_h]], np.float32) / 2
    angle = math.radians(tilt)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], np.float32)
    target = half * (side / max(code.shape)) @ turn + np.array([width / 2, height / 2], np.float32)
    target = (target + rng.uniform(-slant, slant, (4, 2)) * side).astype(np.float32)
    source = np.array([[0, 0], [code_w, 0], [code_w, code_h], [0, code_h]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    laid = cv2.warpPerspective(code, matrix, (width, height), flags=cv2.INTER_AREA)
    where = cv2.warpPerspective(np.full_like(code, 255), matrix, (width, height))
    return np.where(where > 127, laid, surface).astype(np.uint8)


def spoiled(picture: Gray, seed: int, blur: float = 0.0, noise: float = 0.0, contrast: float = 1.0) -> Gray:
    """Out of focus, noisy, washed out."""
    rng = np.random.default_rng(seed)
    values = picture.astype(np.float32)
    if blur:
        values = cv2.GaussianBlur(values, (0, 0), blur)
    values = (values - 128) * contrast + 128
    if noise:
        values = values + rng.normal(0, noise, values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def bad_bars(count: int, seed: int) -> Iterator[tuple[str, Gray, Gray]]:
    """(text, frame, next frame) of Code128 too small, blurred and noisy to be read safely; the frames differ in noise."""
    rng = np.random.default_rng(seed)
    letters = list("ABC0123456789abc-")
    for index in range(count):
        digits = "87" + "".join(map(str, rng.integers(0, 10, 18)))
        text = digits if index % 3 else "".join(rng.choice(letters, int(rng.integers(5, 13))))
        module = rng.uniform(1.2, 3.0)
        code = code128(text, 4, 240)
        small = cv2.resize(code, (int(code.shape[1] / 4 * module), 60), interpolation=cv2.INTER_AREA)
        blur, noise, contrast = rng.uniform(0.5, 1.25) * module / 1.6, rng.uniform(0, 30), rng.uniform(0.2, 1)
        tilt = cv2.getRotationMatrix2D((small.shape[1] / 2, 30), rng.uniform(-2, 2), 1)
        turned = cv2.warpAffine(small, tilt, (small.shape[1], 60), borderMode=cv2.BORDER_REPLICATE)
        yield (
            text,
            spoiled(turned, 2 * index, blur, noise, contrast),
            spoiled(turned, 2 * index + 1, blur, noise, contrast),
        )
