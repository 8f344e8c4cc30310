"""From a frame's bytes to characters: take off the AIM prefix, then UTF-8, else GB18030, else a marked stand-in."""

import re
from dataclasses import dataclass
from typing import Final

_AIM: Final = re.compile(rb"\](?P<code>[A-Za-z])(?P<modifier>[0-9A-Za-z])")

# ISO/IEC 15424: code character, and where the modifier means GS1, the GS1 name.
_CODES: Final = {
    "A": "Code39",
    "C": "Code128",
    "E": "EAN13",
    "F": "Codabar",
    "G": "Code93",
    "H": "Code11",
    "I": "ITF",
    "L": "PDF417",
    "M": "MSI",
    "Q": "QRCode",
    "U": "MaxiCode",
    "d": "DataMatrix",
    "e": "DataBar",
    "h": "HanXin",
    "z": "Aztec",
}
_GS1: Final = {"C1": "GS1-128", "d2": "GS1DataMatrix", "Q3": "GS1QRCode", "E4": "EAN8"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Characters of one frame. `encoding` "unknown" marks `text` as a latin-1 stand-in, not to be believed."""

    text: str
    symbology: str | None
    encoding: str


def decode(raw: bytes) -> Decoded:
    """Characters and symbology of a frame; never raises."""
    symbology, body = split_aim(raw)
    for encoding in ("utf-8", "gb18030"):
        try:
            return Decoded(body.decode(encoding), symbology, encoding)
        except UnicodeDecodeError:
            continue
    return Decoded(body.decode("latin-1"), symbology, "unknown")


def split_aim(raw: bytes) -> tuple[str | None, bytes]:
    """Split `]cm` off the front when it is one ISO/IEC 15424 knows; else (None, raw)."""
    found = _AIM.match(raw)
    if found is None:
        return None, raw
    code, modifier = found["code"].decode(), found["modifier"].decode()
    name = _GS1.get(code + modifier) or _CODES.get(code)
    return (name, raw[found.end() :]) if name else (None, raw)
