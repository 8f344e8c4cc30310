"""SOAP 1.1, document/literal, in the shape of an ASP.NET hospital service: one string of inner XML in and out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from simulators.his.answers import Data
from simulators.his.soap_table import BY_WRITE, OPERATIONS, STATUS, Field, Operation, Shape

NS = "http://tempuri.org/"
SOAP_NS = "http://schemas.xmlsoap.org/soap/envelope/"
PATH = "/soap/HisService.asmx"


class Fault(Exception):
    """No call this service knows: wrong token, wrong SOAPAction, no envelope."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the SOAP operation, the hospital's operation and its arguments (None: they make no sense)."""

    name: str
    op: str
    asked: Data | None


def read(action: str, body: bytes, token: str) -> Call:
    """The call in an envelope. Raises Fault."""
    try:
        root = _parse(body)
    except ValueError:
        raise Fault("服务器无法读取请求") from None
    held = root.findtext(f"{{{SOAP_NS}}}Header/{{{NS}}}Auth/{{{NS}}}token")
    asked = root.find(f"{{{SOAP_NS}}}Body")
    if asked is None or len(asked) != 1:
        raise Fault("服务器无法读取请求")
    name = asked[0].tag.removeprefix(f"{{{NS}}}")
    if action.strip('"') != NS + name or (name not in OPERATIONS and name not in STATUS):
        raise Fault("服务器未能识别 HTTP 头 SOAPAction 的值")
    if held != token:
        raise Fault("令牌无效")
    texts = {one.tag.removeprefix(f"{{{NS}}}"): one.text or "" for one in asked[0]}
    if name in STATUS:
        return Call(name, "query_op", {"op_key": texts.get("opKey", "")})
    operation = OPERATIONS[name]
    try:
        return Call(name, operation.op, _arguments(operation, texts))
    except (ValueError, InvalidOperation):
        return Call(name, operation.op, None)


def _parse(body: bytes | str) -> ET.Element:
    """Well-formed XML without a DOCTYPE; ValueError otherwise."""
    if ("<!DOCTYPE" if isinstance(body, str) else b"<!DOCTYPE") in body:  # type: ignore[operator]
        raise ValueError("a DOCTYPE")
    try:
        return ET.fromstring(body)
    except ET.ParseError as wrong:
        raise ValueError(str(wrong)) from None


def _arguments(operation: Operation, texts: Mapping[str, str]) -> Data:
    if operation.style == "input":
        texts = {one.tag: one.text or "" for one in _parse(texts.get("input", ""))}
    asked = {
        field.name: _value(texts[field.xml].strip(), field.kind)
        for field in operation.asked
        if texts.get(field.xml, "").strip()
    }
    return {**asked, "kind": operation.only} if operation.only else asked


def _value(text: str, kind: str) -> Any:
    match kind:
        case "m":
            fen = Decimal(text) * 100
            if not fen.is_finite() or fen != int(fen):
                raise ValueError(text)
            return int(fen)
        case "d":
            return f"{datetime.strptime(text, '%Y%m%d'):%Y-%m-%d}"  # noqa: DTZ007 a day
        case "n":
            return int(text)
        case "l":
            return text.split(",")
    return text


def shape_of(call: Call, data: Data) -> tuple[Data, Operation] | None:
    """The data to show and the operation whose Items it fills; None: a status query about another kind of write."""
    if call.name not in STATUS:
        return data, OPERATIONS[call.name]
    if data["op"] not in STATUS[call.name]:
        return None
    return data["answer"], BY_WRITE[data["op"]]


def response(
    code: str,
    text: str,
    data: Data | None = None,
    operation: Operation | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """The inner XML."""
    root = ET.Element("Response")
    ET.SubElement(root, "returnCode").text = code
    ET.SubElement(root, "returnDesc").text = text
    for name, value in (extra or {}).items():
        ET.SubElement(root, name).text = value
    if data is not None and operation is not None:
        _fill(root, operation.head, data)
        items = ET.SubElement(root, "Items")
        for row in data[operation.rows] if operation.rows else [data]:
            _item(ET.SubElement(items, "Item"), operation.item, row)
    return ET.tostring(root, encoding="unicode")


def _item(element: ET.Element, shape: Shape, row: Data) -> None:
    _fill(element, shape.fields, row)
    for outer, inner, name, below in shape.groups:
        group = ET.SubElement(element, outer)
        held = row.get(name) or []
        for one in held if isinstance(held, list) else [held]:
            _item(ET.SubElement(group, inner), below, one)


def _fill(element: ET.Element, fields: tuple[Field, ...], row: Data) -> None:
    for field in fields:
        ET.SubElement(element, field.xml).text = _text(row.get(field.name), field.kind)


def _text(value: Any, kind: str) -> str:
    if value is None or value == "":
        return ""
    match kind:
        case "m":
            return yuan(value)
        case "d":
            return str(value).replace("-", "")
        case "b":
            return "1" if value else "0"
    return str(value)


def yuan(fen: int) -> str:
    """Two decimals, as the vendor writes money."""
    return f"{Decimal(fen) / 100:.2f}"


def envelope(name: str, inner: str) -> bytes:
    """The whole reply; the inner XML is text in it."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{SOAP_NS}"><soap:Body>'
        f'<{name}Response xmlns="{NS}"><{name}Result>{escape(inner)}</{name}Result></{name}Response>'
        "</soap:Body></soap:Envelope>"
    ).encode()


def fault(text: str) -> bytes:
    """soap:Client, the caller's mistake."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{SOAP_NS}"><soap:Body><soap:Fault>'
        f"<faultcode>soap:Client</faultcode><faultstring>{escape(text)}</faultstring><detail/></soap:Fault>"
        "</soap:Body></soap:Envelope>"
    ).encode()
