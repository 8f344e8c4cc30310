"""Bytes of a reply to text: UTF-8 or GB 18030, strictly. Text is never guessed and never lost."""

from __future__ import annotations

import re
from typing import Literal

from his.faults import Broken

Charset = Literal["utf-8", "gb18030", "gbk", "gb2312"]
GB = "gb18030"
_CJK = re.compile(r"[\u4e00-\u9fff]")


def real(charset: str) -> str:
    """gbk and gb2312 are parts of GB 18030, which holds every character there is."""
    return "utf-8" if charset == "utf-8" else GB


def decoded(body: bytes, charset: str) -> str:
    """The text, without a byte order mark; Broken("bad_reply") when the bytes are not in the charset they should be in."""
    try:
        text = body.decode(charset)
    except ValueError:
        raise Broken("bad_reply") from None
    if charset == GB:
        _refuse_utf8(body)
    return text.removeprefix("\ufeff")


def _refuse_utf8(body: bytes) -> None:
    """UTF-8 read as GB 18030 is often no error but nonsense: two Chinese characters in valid UTF-8 are no accident."""
    if body.isascii():
        return
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return
    if len(_CJK.findall(text)) >= 2:
        raise Broken("bad_reply")
