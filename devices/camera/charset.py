"""Turns the bytes of a foreign code into characters: UTF-8, else GB18030, unless they are plainly neither."""

from typing import Final

LEVEL_ONE: Final = (b"\xb0\xa1", b"\xd7\xf9")
"""The 3,755 common hanzi of GB 2312; names and departments are mostly written with these."""

Choice = tuple[str, str]
"""(text, encoding), encoding one of utf-8, gb18030, shift_jis, latin-1, declared, unknown."""


def choose_text(raw: bytes, guess: str, matrix_default_latin: bool = False) -> Choice:
    """Decode `raw`; `guess` is the decoder's own text, right for declared (ECI) and Japanese codes.

    zxing-cpp reads no GBK code rightly (0 of 200) because QR declares nothing and it takes latin-1. Its
    guess is kept where the bytes cannot be Chinese. `matrix_default_latin` is for DataMatrix and Aztec, whose
    standards make latin-1 the default: there only plainly common hanzi win. Never raises.
    """
    text = _strict(raw, "utf-8")
    if text is not None:
        return text, "utf-8"
    latin = raw.decode("latin-1")
    kana = _strict(raw, "shift_jis") or _strict(raw, "cp932")
    western = _strict(raw, "cp1252")
    if guess and guess not in (latin, western, kana):
        return guess, "declared"
    chinese = _strict(raw, "gb18030")
    if chinese is not None and _is_chinese(raw, guess == kana, matrix_default_latin):
        return chinese, "gb18030"
    if guess and guess == kana:
        return guess, "shift_jis"
    return latin, "latin-1" if _is_western(raw) else "unknown"


def _strict(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_chinese(raw: bytes, maybe_japanese: bool, needs_common: bool) -> bool:
    """Weigh how usual the hanzi would be; Japanese and western bytes give only rare ones."""
    usual, level_one, rare = _weigh(raw)
    if needs_common:
        return level_one > rare + usual - level_one
    if maybe_japanese:
        return usual >= rare
    return usual >= rare or not _is_western(raw)


def _weigh(raw: bytes) -> tuple[int, int, int]:
    """Count the GB18030 characters above ASCII: (inside GB 2312, of these level one, outside)."""
    usual = level_one = rare = 0
    at = 0
    while at < len(raw):
        if raw[at] < 0x80:
            at += 1
            continue
        pair = raw[at : at + 2]
        if len(pair) == 2 and 0x30 <= pair[1] <= 0x39:
            rare += 1
            at += 4
            continue
        if len(pair) == 2 and pair[1] >= 0xA1 and (0xA1 <= pair[0] <= 0xA9 or 0xB0 <= pair[0] <= 0xF7):
            usual += 1
            level_one += LEVEL_ONE[0] <= pair <= LEVEL_ONE[1]
        else:
            rare += 1
        at += 2
    return usual, level_one, rare


def _is_western(raw: bytes) -> bool:
    """Latin-1 text has accented letters beside plain ones, and no control bytes."""
    high = [at for at, byte in enumerate(raw) if byte >= 0x80]
    if not high or any(raw[at] < 0xA0 for at in high) or any(byte < 0x20 and byte not in b"\t\r\n\x1d" for byte in raw):
        return False
    letters = [at for at in high if raw[at] >= 0xC0]
    beside = [at for at in letters if raw[max(at - 1, 0) : at].isalpha() or raw[at + 1 : at + 2].isalpha()]
    return len(beside) * 2 >= len(letters)
