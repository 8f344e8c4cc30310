"""A plain client of both faces of the simulated HIS, for tests of the simulator itself."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tests.support.sims import HisSim

Ask = Callable[..., Any]
NS = "http://tempuri.org/"
PATH = "/soap/HisService.asmx"


@contextmanager
def json_client(sim: HisSim, timeout: float = 5) -> Iterator[Ask]:
    """`ask(operation, **arguments)` on one kept-alive connection; the whole reply."""
    with closing(HTTPConnection("127.0.0.1", sim.port, timeout=timeout)) as connection:

        def ask(operation: str, **arguments: Any) -> Any:
            connection.request("POST", f"/api/{operation}", json.dumps(arguments), {"X-Token": sim.token})
            return json.loads(connection.getresponse().read())

        yield ask


def envelope(sim: HisSim, name: str, arguments: dict[str, str], token: str | None = None) -> bytes:
    """A call as ASP.NET expects it."""
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in arguments.items())
    return (
        '<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<soap:Header><Auth xmlns="{NS}"><token>{sim.token if token is None else token}</token></Auth></soap:Header>'
        f'<soap:Body><{name} xmlns="{NS}">{inner}</{name}></soap:Body></soap:Envelope>'
    ).encode()


def post_soap(sim: HisSim, name: str, body: bytes, action: str | None = None) -> tuple[int, bytes]:
    """Status and raw body."""
    with closing(HTTPConnection(urlsplit(sim.url).netloc, timeout=5)) as connection:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action or NS + name}"'}
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def soap(sim: HisSim, name: str, **arguments: str) -> ET.Element:
    """The inner `<Response>` of a scalar call."""
    status, body = post_soap(sim, name, envelope(sim, name, arguments))
    assert status == 200, body
    text = ET.fromstring(body).find(f".//{{{NS}}}{name}Result")
    assert text is not None
    return ET.fromstring(text.text or "")


def soap_input(sim: HisSim, name: str, **arguments: str) -> ET.Element:
    """The same for a call whose one argument is a string of XML."""
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in arguments.items())
    return soap(sim, name, input=f"<Request>{inner}</Request>")
