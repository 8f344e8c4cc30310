"""Our own WSDL of the service, in the shape ASP.NET gives: document/literal, strings in, one string out."""

from simulators.his.soap import NS
from simulators.his.soap_table import OPERATIONS, STATUS


def arguments() -> dict[str, tuple[str, ...]]:
    """The names of each operation's arguments, all of them xsd:string."""
    named = {
        name: ("input",) if operation.style == "input" else tuple(field.xml for field in operation.asked)
        for name, operation in OPERATIONS.items()
    }
    return named | dict.fromkeys(STATUS, ("opKey",))


def wsdl(address: str) -> bytes:
    """The description, for a service at `address` (host and port, or a name)."""
    named = arguments()
    elements = "".join(
        _element(name, [f'<s:element minOccurs="0" maxOccurs="1" name="{one}" type="s:string"/>' for one in given])
        + _element(f"{name}Response", [f'<s:element minOccurs="0" maxOccurs="1" name="{name}Result" type="s:string"/>'])
        for name, given in named.items()
    )
    auth = _element("Auth", ['<s:element minOccurs="0" maxOccurs="1" name="token" type="s:string"/>'])
    messages = "".join(
        f'<wsdl:message name="{name}Soap{way}"><wsdl:part name="parameters" element="tns:{name}{suffix}"/></wsdl:message>'
        for name in named
        for way, suffix in (("In", ""), ("Out", "Response"))
    )
    ports = "".join(
        f'<wsdl:operation name="{name}"><wsdl:input message="tns:{name}SoapIn"/>'
        f'<wsdl:output message="tns:{name}SoapOut"/></wsdl:operation>'
        for name in named
    )
    bindings = "".join(
        f'<wsdl:operation name="{name}"><soap:operation soapAction="{NS}{name}" style="document"/>'
        '<wsdl:input><soap:body use="literal"/><soap:header message="tns:AuthHeader" part="Auth" use="literal"/>'
        '</wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output></wsdl:operation>'
        for name in named
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"'
        ' xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:s="http://www.w3.org/2001/XMLSchema"'
        f' xmlns:tns="{NS}" targetNamespace="{NS}"><wsdl:types>'
        f'<s:schema elementFormDefault="qualified" targetNamespace="{NS}">{elements}{auth}</s:schema></wsdl:types>'
        f'{messages}<wsdl:message name="AuthHeader"><wsdl:part name="Auth" element="tns:Auth"/></wsdl:message>'
        f'<wsdl:portType name="HisServiceSoap">{ports}</wsdl:portType>'
        '<wsdl:binding name="HisServiceSoap" type="tns:HisServiceSoap">'
        f'<soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bindings}</wsdl:binding>'
        '<wsdl:service name="HisService"><wsdl:port name="HisServiceSoap" binding="tns:HisServiceSoap">'
        f'<soap:address location="{address}"/></wsdl:port></wsdl:service></wsdl:definitions>'
    ).encode()


def _element(name: str, parts: list[str]) -> str:
    return (
        f'<s:element name="{name}"><s:complexType><s:sequence>{"".join(parts)}</s:sequence></s:complexType></s:element>'
    )
