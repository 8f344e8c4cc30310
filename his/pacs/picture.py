"""A picture as a phone needs it: JPEG, not larger than asked for, not heavier than `PICTURE_CAP`."""

from his.port.pacs import PICTURE_CAP

QUALITIES = (85, 75, 65, 55, 45)
MOST_PIXELS = 64_000_000
"""A PACS draws at most what its detectors see; a picture that claims more is not decoded."""


class Unreadable(Exception):
    """These bytes are no picture."""


def fitted(body: bytes, width: int) -> bytes:
    """`body` itself when it fits, else drawn anew: smaller, then coarser, then smaller still. Raises Unreadable."""
    columns, rows = size(body)
    if columns * rows > MOST_PIXELS:
        raise Unreadable
    if body[:2] == b"\xff\xd8" and max(columns, rows) <= width and len(body) <= PICTURE_CAP:
        return body
    import cv2  # half a second of start time, which only a portal with a PACS pays
    import numpy as np

    try:
        pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        raise Unreadable from None
    if pixels is None:
        raise Unreadable
    edge = min(width, max(pixels.shape[:2]))
    while edge >= 64:
        scale = edge / max(pixels.shape[:2])
        drawn = pixels if scale == 1 else cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for quality in QUALITIES:
            ok, encoded = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if ok and encoded.nbytes <= PICTURE_CAP:
                return bytes(encoded)
        edge = edge * 4 // 5
    raise Unreadable


def size(body: bytes) -> tuple[int, int]:
    """Columns and rows as a JPEG or PNG states them. Raises Unreadable."""
    if body[:8] == b"\x89PNG\r\n\x1a\n" and body[12:16] == b"IHDR" and len(body) >= 24:
        return int.from_bytes(body[16:20], "big"), int.from_bytes(body[20:24], "big")
    if body[:2] != b"\xff\xd8":
        raise Unreadable
    at = 2
    while at + 9 <= len(body):
        if body[at] != 0xFF:
            raise Unreadable
        marker = body[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(body[at + 7 : at + 9], "big"), int.from_bytes(body[at + 5 : at + 7], "big")
        at += (
            2 if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD7 else 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        )
    raise Unreadable
