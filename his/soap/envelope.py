"""What is sent: arguments to XML, XML to an envelope. Every text is escaped; what XML cannot hold is refused."""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from his.soap.options import Transport

SOAP_NS = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
_NAME = re.compile(r"[^\W\d][\w.-]*")
_CLARK = re.compile(r"\{([^{}\s]*)\}(.+)", re.DOTALL)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NoXml(ValueError):
    """A text with a character that XML has no way to write, or a name that is none."""


def escaped(text: str) -> str:
    """Character data. A carriage return is written as a reference: a reader would make a line feed of it."""
    if _ILLEGAL.search(text):
        raise NoXml("a character that XML cannot hold")
    return escape(text, {"\r": "&#13;"})


def is_name(name: str) -> bool:
    """Whether an element may be called so; `{namespace}name` may."""
    clark = _CLARK.fullmatch(name)
    return _NAME.fullmatch(clark[2] if clark else name) is not None


def text_of(value: Any) -> str:
    """A value as an argument carries it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def element(name: str, value: Any) -> str:
    """An element of text or of elements; a list is the element repeated. `{namespace}name` opens that namespace."""
    if isinstance(value, list):
        return "".join(element(name, one) for one in value)
    opening = name
    if (clark := _CLARK.fullmatch(name)) is not None:
        name = clark[2]
        opening = f"{name} xmlns={quoteattr(clark[1])}"
    if not _NAME.fullmatch(name):
        raise NoXml(f"{name!r} is no name of an element")
    return f"<{opening}>{elements(value) if isinstance(value, dict) else escaped(text_of(value))}</{name}>"


def elements(values: dict[str, Any]) -> str:
    """Several elements, in order."""
    return "".join(element(name, value) for name, value in values.items())


class Envelope:
    """The envelope of one operation; everything but the arguments is written once."""

    def __init__(self, operation: str, how: Transport, header: str) -> None:
        """`header`: the elements of the SOAP header as XML, "" for none."""
        self._charset = how.charset
        held = f"<soap:Header>{header}</soap:Header>" if header else ""
        name, space = (operation, "xmlns") if how.qualified else (f"m:{operation}", "xmlns:m")
        self._start = (
            f'<?xml version="1.0" encoding="{how.charset}"?><soap:Envelope xmlns:soap="{SOAP_NS[how.version]}">{held}'
            f"<soap:Body><{name} {space}={quoteattr(how.namespace)}>"
        )
        self._end = f"</{name}></soap:Body></soap:Envelope>"

    def write(self, arguments: str) -> bytes:
        """The bytes to send; `arguments` is XML."""
        return f"{self._start}{arguments}{self._end}".encode(self._charset, "xmlcharrefreplace")
