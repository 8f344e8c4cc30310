"""Reads an image's bytes into one grey plane, with a cap on size and transparency laid on white."""

import struct
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
"""Shape (height, width), 0 black to 255 white."""

MAX_BYTES: Final = 40 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
"""About an A4 page at 600 dpi, or a 40 megapixel phone."""


class UnreadableImageError(ValueError):
    """These bytes are no image we can read; the message is one plain sentence."""


def read_gray(data: bytes) -> Gray:
    """Decode PNG, JPEG, WebP, BMP, TIFF and what else OpenCV reads; UnreadableImageError otherwise."""
    if not data:
        raise UnreadableImageError("the file is empty")
    if len(data) > MAX_BYTES:
        raise UnreadableImageError(f"the file is larger than {MAX_BYTES // 2**20} MiB")
    pixels = _declared_pixels(data)
    if pixels > MAX_PIXELS:
        raise UnreadableImageError(f"the image has more than {MAX_PIXELS // 10**6} million pixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UnreadableImageError("the image is damaged") from error
    if image is None or image.size == 0:
        raise UnreadableImageError("this is not an image, or of a kind that cannot be read")
    return to_gray(image)


def to_gray(image: NDArray[Any]) -> Gray:
    """Make one 8-bit plane of (h, w), (h, w, 1), (h, w, 3) BGR or (h, w, 4) BGRA, 8 or 16 bit or float 0-1."""
    if image.dtype != np.uint8:
        peak = 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
        image = np.clip(image.astype(np.float32) * (255.0 / peak), 0, 255).astype(np.uint8)
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    channels = image.shape[2]
    if channels in (2, 4):
        alpha = image[:, :, -1:].astype(np.float32) / 255.0
        image = (image[:, :, :-1] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
        channels -= 1
    if channels == 1:
        return np.ascontiguousarray(image[:, :, 0])
    gray: Gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_BGR2GRAY), np.uint8)
    return gray


def _declared_pixels(data: bytes) -> int:
    """Pixels the header promises (PNG, BMP, WebP; JPEG cannot exceed 65535 a side), so a bomb is not unpacked."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
    elif data[:2] == b"BM" and len(data) >= 26:
        width, height = (abs(side) for side in struct.unpack("<ii", data[18:26]))
    elif data[:2] == b"\xff\xd8":
        width, height = _jpeg_size(data)
    else:
        return 0
    return int(width) * int(height)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + length
    return 0, 0
