"""How a HIS over SOAP is reached, and what a mapping may say about the way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from core.placed import At
from his.mapping.adapter import MappedReach
from his.mapping.charset import Charset
from his.mapping.schema import Part

Style = Literal["scalar", "input", "zeep"]
Name = Annotated[str, StringConstraints(pattern=r"^[^\W\d][\w.-]*$")]


class SoapOptions(MappedReach):
    """SOAP, scalar arguments or XML inside one, described by a mapping."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s#]*)?$")] = Field(
        description="Address of the service, such as http://10.1.2.3/HisService.asmx"
    )
    mapping: str = Field("renhe-soap", description="A bundled mapping by its name, or the path of a mapping file")
    wsdl: str | None = Field(
        None,
        description="Path or address of the service's WSDL: `hospital his check` then compares the mapping with it, and "
        "operations of style zeep need it; nothing is fetched from another host than its own and url's",
    )
    charset: Literal["utf-8", "gb18030"] | None = Field(
        None, description="Character set of the replies, when it is not what they declare"
    )


class Transport(Part):
    """How every call travels."""

    style: Style = Field(
        "scalar",
        description="How arguments travel: scalar, an element each; input, one argument whose text is XML; zeep, as the "
        "WSDL's types say.",
    )
    version: Literal["1.1", "1.2"] = Field("1.1", description="Of SOAP.")
    namespace: str = Field("http://tempuri.org/", description="Target namespace of the service.")
    action: str = Field(
        "{namespace}{operation}",
        pattern=r'^[^\s"]*$',
        description="SOAPAction; {namespace} and {operation} are filled in.",
    )
    qualified: bool = Field(
        True,
        description="Arguments stand in the namespace (elementFormDefault qualified); most Java services say false.",
    )
    charset: Charset = Field(
        "utf-8", description="Of what we send; what it cannot hold travels as a character reference."
    )
    header: dict[str, Any] = Field(
        {},
        description="SOAP header: elements of the namespace with texts, elements or {secret: name}; a name such as "
        "{http://other}Security brings its own namespace.",
    )
    headers: dict[str, Any] = Field({}, description="HTTP headers: name and text, or {secret: name}.")
    input: Name = Field("input", description="Style input: the name of the one argument.")
    root: Name = Field("Request", description="Style input: the root element of the XML in it.")
    declaration: bool = Field(False, description="Style input: that XML begins with <?xml …?>.")
    result: str = Field(
        "{operation}Result",
        pattern=r"^(\.|\*|[^\W\d{][\w.-]*|\{operation\}\w*)$",
        description="Element of the response that holds the answer; `*` whichever is the only one, `.` the response itself.",
    )
    inner: bool = Field(True, description="The answer is a text of XML; false: it is elements.")
    faults: dict[str, Literal["unauthorized", "not_accepted"]] = Field(
        {},
        description="Parts of a SOAP Fault's code or text that say for sure that nothing was done. After any other Fault a "
        "write is unknown.",
    )


class Way(Part):
    """An operation's own part of the transport, under `send`."""

    operation: Name = Field(description="Name of the service's operation.")
    style: Style | None = Field(None, description="Instead of the transport's.")
    action: str | None = Field(None, pattern=r'^[^\s"]*$', description="Instead of the transport's.")
    input: Name | None = Field(None, description="Instead of the transport's.")
    root: Name | None = Field(None, description="Instead of the transport's.")
    result: str | None = Field(
        None, pattern=r"^(\.|\*|[^\W\d{][\w.-]*|\{operation\}\w*)$", description="Instead of the transport's."
    )
    inner: bool | None = Field(None, description="Instead of the transport's.")


@dataclass(frozen=True, slots=True)
class Path:
    """One operation's way, the transport's own filled in; `at`: where its `send` stands in the mapping."""

    operation: str
    at: At
    style: Style
    action: str
    input: str
    root: str
    result: str
    inner: bool
