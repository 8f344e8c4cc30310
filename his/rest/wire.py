"""Parameters to bytes and bytes to a tree: JSON or forms, UTF-8 or GB 18030. Text is never guessed and never lost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from his.faults import Broken
from his.mapping.charset import decoded
from his.rest.signing import plain

_raw_decode = json.JSONDecoder(parse_float=Decimal).raw_decode


def json_body(parameters: dict[str, Any], _charset: str) -> bytes:
    """A JSON object in ASCII, which every charset contains."""
    return json.dumps(parameters).encode("ascii")


def form_body(parameters: dict[str, Any], charset: str) -> bytes:
    """A form; UnicodeEncodeError when a text is no text (a lone surrogate)."""
    texts = {name: plain(value) for name, value in parameters.items()}
    return urlencode(texts, encoding=charset, errors="strict").encode("ascii")


def tree(body: bytes, charset: str) -> Any:
    """A JSON reply; Broken("bad_reply") when it is none, or not in the charset it should be in."""
    try:
        reply = _decode(decoded(body, charset))
        if b"\\ud" in body or b"\\uD" in body or b"\\u0000" in body:
            _refuse_no_text(reply)
        return reply
    except (ValueError, RecursionError):
        raise Broken("bad_reply") from None


def _decode(text: str) -> Any:
    """`json.loads` less its regular expressions for blanks, which cost as much as the rest. Raises ValueError."""
    text = text.strip(" \t\r\n")
    value, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than one value")
    return value


def _refuse_no_text(reply: Any) -> None:
    """Half a surrogate pair, or a NUL, is in no text: no database and no page can take it. Raises ValueError."""
    if b"\\u0000" in json.dumps(reply, default=str, ensure_ascii=False).encode("utf-8"):
        raise ValueError("a NUL is no text")
