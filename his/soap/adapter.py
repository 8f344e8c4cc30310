"""The adapter for any HIS that speaks SOAP: the mapping says how, this writes envelopes, sends them and opens replies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

from core.errors import ConfigError
from core.placed import At
from his.faults import Broken, NotSent
from his.mapping import Mapper, Misfit, load
from his.mapping.adapter import MappedAdapter, Send, plain_or_secret
from his.port import Op
from his.soap import xml
from his.soap.described import Described, Told
from his.soap.envelope import Envelope, NoXml, element, elements, is_name
from his.soap.options import Path, SoapOptions, Transport, Way
from his.wire import Response

MEDIA = {"1.1": "text/xml", "1.2": "application/soap+xml"}
_DIGITS = re.compile(r"\d")


class SoapAdapter(MappedAdapter):
    """See `his.adapter.Adapter`. ConfigError when the mapping is wrong."""

    def __init__(self, options: SoapOptions) -> None:
        loaded = load(options.mapping)
        self._secrets = options.all_secrets()
        super().__init__(Mapper(loaded, self._secrets))
        self._how = how = loaded.part(("transport",), loaded.mapping.transport, Transport)
        self._charset = options.charset
        parts = urlsplit(options.url)
        self._line = "POST " + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        at: At = ("transport", "header")
        try:
            held = self._in_clear(how.header, at)
            self._header = elements({it if it[:1] == "{" else f"{{{how.namespace}}}{it}": held[it] for it in held})
        except NoXml as exc:
            raise loaded.wrong(at, str(exc)) from exc
        headers = {"Accept": ", ".join(MEDIA.values())}
        for name, value in how.headers.items():
            headers[name] = plain_or_secret(loaded, value, self._secrets, ("transport", "headers", name))
        self._endpoint = options.endpoint(f"{parts.scheme}://{parts.netloc}", headers)
        self._described = None if options.wsdl is None else Described(options, how)
        self._work_out_ways()
        for told in self._told():
            self._names(told.template, told.at)

    def close(self) -> None:
        """See `Adapter`."""
        self._endpoint.close()

    def misdescribed(self, *, offline: bool = False) -> list[ConfigError] | None:
        """Where the mapping is not what the WSDL says, with file and line; None where there is none to compare with.

        `offline`: a WSDL that would have to be fetched is left alone. Raises ConfigError when it cannot be read.
        """
        if self._described is None or (offline and self._described.far):
            return None
        return self._described.faults(self.mapper.loaded, self._told())

    def _told(self) -> Iterator[Told]:
        for op in Op:
            if op in self.capabilities:
                yield Told(self._path(*self.mapper.send(op)), *self.mapper.template(op))
            if op in self.resolvable:
                yield Told(self._path(*self.mapper.resolve_send(op)), *self.mapper.resolve_template(op))

    def _way(self, op: Op, send: dict[str, Any], at: At) -> Send:
        path = self._path(send, at)
        if path.style == "zeep":
            if self._described is None:
                fault = "is called as its WSDL says, and the options name no wsdl"
                raise self.mapper.loaded.wrong(("operations", op.value), fault)
            return _Typed(self, path, self._described)
        return _Written(self, path)

    def _recorded(self, way: Send, body: str) -> Any:
        return cast("_Written", way).read(body)

    def _path(self, send: dict[str, Any], at: At) -> Path:
        how = self._how
        own = self.mapper.loaded.part(at, send, Way)
        given = {name: getattr(own if getattr(own, name) is not None else how, name)
                 for name in ("style", "action", "input", "root", "result", "inner")}  # fmt: skip
        for name in ("action", "result"):
            filled = given[name].replace("{namespace}", how.namespace).replace("{operation}", own.operation)
            if name == "action" and not filled.isascii():
                raise self.mapper.loaded.wrong(at, f"the SOAPAction {filled} cannot stand in a header; set action")
            given[name] = filled
        return Path(operation=own.operation, at=at, **given)

    def _names(self, template: dict[str, Any], at: At) -> None:
        """ConfigError where a key of a request is no name of an element."""
        for name, value in template.items():
            if not is_name(str(name)):
                raise self.mapper.loaded.wrong((*at, name), "is no name of an element")
            if isinstance(value, dict):
                self._names(value, (*at, name))

    def _in_clear(self, given: dict[str, Any], at: At) -> dict[str, Any]:
        return {
            name: self._in_clear(value, (*at, name))
            if isinstance(value, dict) and set(value) != {"secret"}
            else plain_or_secret(self.mapper.loaded, value, self._secrets, (*at, name))
            for name, value in given.items()
        }

    # -------------------------------------------------------------- for the ways

    def envelope(self, operation: str) -> Envelope:
        """The envelope of an operation, with the header."""
        return Envelope(operation, self._how, self._header)

    @property
    def header(self) -> str:
        """The elements of the SOAP header as XML; it may hold secrets."""
        return self._header

    @property
    def how(self) -> Transport:
        """What the mapping says of all calls."""
        return self._how

    def headers(self, action: str) -> dict[str, str]:
        """HTTP headers of one operation."""
        media = f"{MEDIA[self._how.version]}; charset={self._how.charset}"
        if self._how.version == "1.2":
            return {"Content-Type": f'{media}; action="{action}"'}
        return {"Content-Type": media, "SOAPAction": f'"{action}"'}

    def post(self, headers: dict[str, str], body: bytes, deadline: float, *, repeatable: bool) -> str:
        """The envelope that comes back, as text. Raises NotSent, Broken."""
        response = self._endpoint.request(self._line, headers, body, deadline, repeatable=repeatable)
        if response.status == 200:
            return xml.text(response.body, self._charset)
        raise self._failure(response)

    def noted(self, written: str) -> None:
        """A reply on its way to be read."""
        if self.on_reply is not None:
            self.on_reply(written)

    def _failure(self, response: Response) -> NotSent | Broken:
        """What a status other than 200 means; a Fault in it is a Fault, any other page is the status."""
        status = response.status
        if status in (400, 500):
            try:
                found = xml.opened(xml.text(response.body, self._charset))
            except Broken:
                return Broken(f"http_{status}")
            if isinstance(found, xml.Fault):
                return self.fault(found)
        return Broken("unauthorized" if status in (401, 403) else f"http_{status}")

    def fault(self, said: xml.Fault) -> NotSent | Broken:
        """What a Fault means. One the mapping lists says that nothing was done: as good as not sent."""
        for part, reason in self._how.faults.items():
            if part in said.code or part in said.text:
                return NotSent(reason)
        told = f"it answers a SOAP Fault ({said.code}: {_DIGITS.sub('*', said.text)[:120]})"
        return Misfit("his_exception", self.mapper.loaded, ("transport",), told)


class _Written:
    """An operation whose envelope we write ourselves."""

    def __init__(self, adapter: SoapAdapter, path: Path) -> None:
        self._adapter, self.path = adapter, path
        self._headers = adapter.headers(path.action)
        self._envelope = adapter.envelope(path.operation)

    def __call__(self, parameters: dict[str, Any], deadline: float, repeatable: bool) -> Any:
        """See `Send`."""
        try:
            body = self._envelope.write(self._arguments(parameters))
        except NoXml:
            raise NotSent("unsupported_text") from None
        written = self._adapter.post(self._headers, body, deadline, repeatable=repeatable)
        return self._opened(written)

    def read(self, written: str) -> Any:
        """The tree of a recorded reply: a whole envelope, or the XML that stood in it."""
        if xml.is_envelope(root := xml.parse(written)):
            return self._opened(written)
        return xml.tree(root)

    def _arguments(self, parameters: dict[str, Any]) -> str:
        path = self.path
        if path.style != "input":
            return elements(parameters)
        request = element(path.root, parameters)
        return element(
            path.input, ('<?xml version="1.0" encoding="utf-8"?>' if self._adapter.how.declaration else "") + request
        )

    def _opened(self, written: str) -> Any:
        found = xml.opened(written)
        if isinstance(found, xml.Fault):
            raise self._adapter.fault(found)
        held = xml.result(found, self.path.result)
        if not self.path.inner:
            self._adapter.noted(written)
            return xml.tree(held)
        said = xml.inner(held)
        self._adapter.noted(said)
        return xml.tree(xml.parse(said))


class _Typed(_Written):
    """An operation whose arguments have the types of a WSDL: zeep writes them; we send, and read what comes back."""

    def __init__(self, adapter: SoapAdapter, path: Path, described: Described) -> None:
        super().__init__(adapter, path)
        self._described = described

    def __call__(self, parameters: dict[str, Any], deadline: float, repeatable: bool) -> Any:
        """See `Send`."""
        try:
            elements(parameters)
        except NoXml:
            raise NotSent("unsupported_text") from None
        action, body = self._described.written(self.path.operation, parameters, self._adapter.header, deadline)
        written = self._adapter.post(self._adapter.headers(action), body, deadline, repeatable=repeatable)
        return self._opened(written)
