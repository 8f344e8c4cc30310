"""What is received: bytes to XML without any entity, XML to a plain tree. Raises Broken("bad_reply") only.

A DOCTYPE is refused before any parser sees it, so no entity is ever defined, expanded or fetched. Text is decoded by us,
strictly and in the charset it declares: bytes in GBK that say UTF-8 are a bad reply, never nonsense.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

from his.faults import Broken
from his.mapping.charset import GB, decoded
from his.soap.envelope import SOAP_NS

Element = Any
"""lxml's; it has no types."""
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
DEEPEST = 100
CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii"), "utf-8"),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936", "gb_2312-80"), GB),
}
_DECLARED = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml\s[^>]{0,100}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION = re.compile(r"^\s*<\?xml\s[^>]{0,200}\?>")
_CDATA = re.compile(r"^\s*<!\[CDATA\[(.*)\]\]>\s*$", re.DOTALL)
_FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP Fault: its code without prefix, and its sentence."""

    code: str
    text: str


def text(body: bytes, charset: str | None) -> str:
    """A reply's text, in `charset` or, where that is None, as it declares itself; XML that says nothing is UTF-8."""
    if charset is None:
        said = _DECLARED.match(body)
        charset = CHARSETS.get(said[1].decode("ascii").lower()) if said else "utf-8"
    if charset is None:
        raise Broken("bad_reply")
    return decoded(body, charset)


def sound(written: str) -> bytes:
    """XML in UTF-8 without DOCTYPE and declaration, for a parser."""
    if any(word in written for word in _FORBIDDEN):
        raise Broken("bad_reply")
    return _DECLARATION.sub("", written.removeprefix("\ufeff"), count=1).strip().encode()


def parse(written: str) -> Element:
    """The root element."""
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(sound(written), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Broken("bad_reply") from None
    if root is None:
        raise Broken("bad_reply")
    return root


def opened(written: str) -> Element | Fault:
    """What stands in the envelope's body: the response's element, or a Fault."""
    root = parse(written)
    for space in SOAP_NS.values():
        if root.tag == f"{{{space}}}Envelope":
            body = root.find(f"{{{space}}}Body")
            if body is None or len(body) == 0:
                raise Broken("bad_reply")
            return _fault(body[0]) if body[0].tag == f"{{{space}}}Fault" else body[0]
    raise Broken("bad_reply")


def is_envelope(root: Element) -> bool:
    """Whether this is a whole message of SOAP."""
    return root.tag in [f"{{{space}}}Envelope" for space in SOAP_NS.values()]


def result(response: Element, name: str) -> Element:
    """The element that holds the answer; see `Transport.result`."""
    if name == ".":
        return response
    found = [child for child in response if name in ("*", local(child))]
    if len(found) != 1:
        raise Broken("bad_reply")
    return found[0]


def inner(element: Element) -> str:
    """The XML that an element's text is, be it once more in CDATA; or the one element in it, where none was escaped."""
    if len(element) > 1:
        raise Broken("bad_reply")
    if len(element):
        return str(etree.tostring(element[0], encoding="unicode", with_tail=False))
    written = element.text or ""
    again = _CDATA.match(written)
    return again[1] if again else written


def tree(element: Element, depth: int = 0) -> Any:
    """Text where an element holds only text, else a dict by local names; a repeated one is a list, an attribute `@name`.

    The text beside attributes or elements is `#text`; xsi:nil is None; namespaces are dropped.
    """
    if depth > DEEPEST or not isinstance(element.tag, str):
        raise Broken("bad_reply")
    if element.get(f"{XSI}nil") in ("true", "1"):
        return None
    held: dict[str, Any] = {
        f"@{etree.QName(name).localname}": value for name, value in element.attrib.items() if not name.startswith(XSI)
    }
    for child in element:
        value, name = tree(child, depth + 1), local(child)
        if name not in held:
            held[name] = value
        elif isinstance(held[name], list):
            held[name].append(value)
        else:
            held[name] = [held[name], value]
    own = element.text or ""
    said = own.strip() != ""  # <Items> with a line break in it is an empty one
    if not held:
        return own if said else ""
    if said:
        held["#text"] = own
    return held


def local(element: Element) -> str:
    """An element's name without its namespace."""
    tag = element.tag
    if not isinstance(tag, str):
        raise Broken("bad_reply")
    return tag.rpartition("}")[2]


def _fault(element: Element) -> Fault:
    """SOAP 1.1: faultcode and faultstring; 1.2: each Value of Code and its Subcodes, and Reason/Text."""
    said: dict[str, list[str]] = {}
    for one in element.iter():
        said.setdefault(local(one), []).append("".join(one.itertext()).strip())
    codes = said.get("faultcode") or said.get("Value") or [""]
    texts = said.get("faultstring") or said.get("Text") or [""]
    return Fault(" ".join(code.rpartition(":")[2] for code in codes), texts[0])
