"""The optional last look through zbar: QR and Code128 only, and only texts its charset guesses cannot have bent."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from devices.camera.images import Gray

ZbarRead = tuple[str, str]
"""(symbology, text)"""


@lru_cache(maxsize=1)
def _decoder() -> Callable[[Gray], list[Any]] | None:
    """Load pyzbar once; None where libzbar0 is not installed."""
    try:
        from pyzbar import pyzbar
    except (ImportError, OSError, AttributeError):
        return None  # pyzbar finds its shared library at import and fails in any of these ways
    symbols = [pyzbar.ZBarSymbol.QRCODE, pyzbar.ZBarSymbol.CODE128]
    return lambda gray: list(pyzbar.decode(gray, symbols=symbols))


def zbar_present() -> bool:
    """Say whether the shared library is here; `hospital doctor` tells how to add it."""
    return _decoder() is not None


def zbar_read(gray: Gray) -> list[ZbarRead]:
    """Read plain-ASCII codes. zbar recodes other characters by guessing (17 of 223 QR wrong), so those are left."""
    decode = _decoder()
    if decode is None:
        return []
    reads = []
    for code in decode(gray):
        data: bytes = code.data
        if data and all(0x20 <= byte < 0x7F or byte in b"\t\r\n\x1d" for byte in data):
            name = "QRCode" if code.type == "QRCODE" else "Code128"
            reads.append((name, data.decode("ascii")))
    return reads
