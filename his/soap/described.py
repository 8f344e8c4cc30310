"""A service's WSDL, read by zeep: is the mapping what it says, and how are typed arguments written?

zeep never sends: it builds an envelope, and we post it under our own total deadline and read what comes back. (Through its
own transport `requests` counts time per read, and an HTML page of status 500 looks like a refusal, "Unknown fault".)
"""

from __future__ import annotations

import difflib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any
from urllib.parse import unquote, urlsplit

from lxml import etree

from core.errors import ConfigError
from core.placed import At
from his.faults import Broken, NotSent
from his.mapping import Loaded
from his.soap import xml
from his.soap.options import Path, SoapOptions, Transport

log = logging.getLogger("his.call")
KEY = "his.options.wsdl"
FETCHED_IN_S = 10.0  # a WSDL and all it imports


@dataclass(frozen=True, slots=True)
class Told:
    """What the mapping tells of one call: its way, the request's template and where that stands."""

    path: Path
    template: dict[str, Any]
    at: At


Binding = Any
"""zeep's binding of the service in our version of SOAP: its operations, their arguments and their types."""


class Described:
    """One WSDL, read at the first use; thread-safe."""

    def __init__(self, options: SoapOptions, how: Transport) -> None:
        self._options, self._how = options, how
        self._wsdl = options.wsdl or ""
        self.far = urlsplit(self._wsdl).scheme in ("http", "https")
        """It has to be fetched."""
        self._binding: Binding | None = None
        self._lock = threading.Lock()

    def written(self, operation: str, parameters: dict[str, Any], header: str, deadline: float) -> tuple[str, bytes]:
        """SOAPAction and envelope of a call. Raises NotSent: bad_wsdl, unmapped_value where the types do not fit."""
        binding = self._ready(deadline)
        heads = list(etree.fromstring(f"<h>{header}</h>".encode())) if header else None
        try:
            known = binding.get(operation)
            envelope = known.create(_soapheaders=heads, **parameters).content
            body = etree.tostring(envelope, xml_declaration=True, encoding=self._how.charset)
            return known.soapaction or "", bytes(body)
        except _odd() as exc:
            log.warning("his wsdl operation=%s: %s", operation, type(exc).__name__)  # its text may hold arguments
            raise NotSent("unmapped_value") from None

    def faults(self, loaded: Loaded, told: Iterable[Told]) -> list[ConfigError]:
        """Where the mapping differs, each once. Raises ConfigError when the WSDL cannot be read."""
        try:
            binding = self._read(time.monotonic() + FETCHED_IN_S)
        except (NotSent, Broken) as fault:
            raise ConfigError(f"cannot be fetched: {fault.reason}", key=KEY, source=self._wsdl) from None
        found = {str(fault): fault for one in told for fault in self._differences(loaded, binding, one)}
        return list(found.values())

    # -------------------------------------------------------------- comparing

    def _differences(self, loaded: Loaded, binding: Any, told: Told) -> Iterator[ConfigError]:
        known, path = binding.all(), told.path
        if path.operation not in known:
            near = difflib.get_close_matches(path.operation, known, 3, 0.5) or sorted(known)[:10]
            yield loaded.wrong((*path.at, "operation"), f"the WSDL has no {path.operation}; it has {', '.join(near)}")
            return
        operation = known[path.operation]
        declared = dict(operation.input.body.type.elements)
        sent = {path.input: told.path.at} if path.style == "input" else {key: (*told.at, key) for key in told.template}
        for name, at in sent.items():
            if name not in declared:
                fault = f"{path.operation} has no argument {name}; it has {', '.join(declared) or 'none'}"
                yield loaded.wrong(at, fault)
        for name, element in declared.items():
            if name not in sent and element.min_occurs > 0 and not element.nillable:
                yield loaded.wrong(told.at, f"{path.operation} needs the argument {name}")
        if path.style != "zeep":
            yield from self._of_envelopes(loaded, operation, path, declared)

    def _of_envelopes(
        self, loaded: Loaded, operation: Any, path: Path, declared: dict[str, Any]
    ) -> Iterator[ConfigError]:
        """What zeep would know by itself and our own envelopes must be told."""
        how, body = self._how, operation.input.body.qname
        if operation.style != "document":
            yield loaded.wrong(("transport", "style"), f"{path.operation} is of style {operation.style}; use zeep")
            return
        if body is not None and body.namespace != how.namespace:
            yield loaded.wrong(("transport", "namespace"), f"should be {body.namespace}")
        if (operation.soapaction or "") != path.action:
            fault = f"the SOAPAction of {path.operation} should be {operation.soapaction}, not {path.action}"
            yield loaded.wrong(("transport", "action"), fault)
        for element in declared.values():
            if bool(element.qname.namespace) != how.qualified:
                yield loaded.wrong(("transport", "qualified"), f"should be {str(not how.qualified).lower()}")
                break
        answers = dict(operation.output.body.type.elements)
        if path.result not in (".", "*", *answers):
            yield loaded.wrong((*path.at, "result"), f"the answer of {path.operation} has {', '.join(answers)}")

    # -------------------------------------------------------------- reading

    def _ready(self, deadline: float) -> Binding:
        if self._binding is not None:
            return self._binding
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise NotSent("busy")
        try:
            self._binding = self._binding or self._read(deadline)
            return self._binding
        except ConfigError as exc:
            log.error("his wsdl: %s", exc)
            raise NotSent("bad_wsdl") from None
        except Broken as fault:
            raise NotSent(fault.reason) from None
        finally:
            self._lock.release()

    def _read(self, deadline: float) -> Binding:
        """Raises ConfigError, and NotSent or Broken of the way to it."""
        import zeep  # 0.3 s, and only who names a WSDL needs it
        from zeep.wsdl.bindings import Soap11Binding, Soap12Binding

        settings = zeep.Settings(forbid_dtd=True, forbid_entities=True, force_https=False)
        kind = Soap11Binding if self._how.version == "1.1" else Soap12Binding
        try:
            load: Any = zeep.Client
            client = load(self._wsdl, transport=_Documents(self._options, deadline), settings=settings)
            for service in client.wsdl.services.values():
                for port in service.ports.values():
                    if isinstance(port.binding, kind):
                        return port.binding
        except _odd() as exc:
            raise ConfigError(f"is no WSDL that can be used ({exc})", key=KEY, source=self._wsdl) from exc
        raise ConfigError(f"has no service of SOAP {self._how.version}", key=KEY, source=self._wsdl)


class _Documents:
    """What zeep may load: files beside the WSDL, and pages of its host and the service's; all before one deadline."""

    def __init__(self, options: SoapOptions, deadline: float) -> None:
        self._options, self._deadline = options, deadline
        self._wsdl = options.wsdl or ""
        self._hosts = {urlsplit(it).netloc for it in (options.url, self._wsdl)} - {""}

    def load(self, url: str) -> bytes:
        """The bytes of a document, safe to parse."""
        parts = urlsplit(str(url))
        if parts.scheme in ("http", "https"):
            body = self._fetched(
                parts.scheme, parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            )
        else:
            body = self._file(unquote(parts.path) if parts.scheme == "file" else str(url))
        try:
            return xml.sound(xml.text(body, None))
        except Broken:
            raise ConfigError("has a DOCTYPE or an unknown charset", key=KEY, source=str(url)) from None

    def _fetched(self, scheme: str, netloc: str, path: str) -> bytes:
        if netloc not in self._hosts:
            raise ConfigError(
                f"wants something of {netloc}, which is not the configured host", key=KEY, source=self._wsdl
            )
        endpoint = self._options.endpoint(f"{scheme}://{netloc}", {"Accept": "text/xml"})
        try:
            response = endpoint.request(f"GET {path}", {}, None, self._deadline, repeatable=True)
        finally:
            endpoint.close()
        if response.status != 200:
            raise Broken(f"http_{response.status}")
        return response.body

    def _file(self, name: str) -> bytes:
        folder = File(self._wsdl).resolve().parent
        path = File(name).resolve()
        if urlsplit(self._wsdl).scheme in ("http", "https") or not path.is_relative_to(folder):
            raise ConfigError("wants a file outside the WSDL's folder", key=KEY, source=self._wsdl)
        try:
            return path.read_bytes()
        except OSError as exc:
            raise ConfigError(f"cannot be read ({exc.strerror})", key=KEY, source=name) from exc


def _odd() -> tuple[type[Exception], ...]:
    """What zeep raises at a document or a value it cannot make sense of."""
    from zeep.exceptions import Error

    return (Error, ValueError, TypeError, LookupError, AttributeError, NotImplementedError, ArithmeticError)
