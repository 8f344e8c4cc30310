"""The adapter for any HIS that speaks JSON or forms over HTTP: the mapping says how, this sends and reads."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from core.placed import At
from his.faults import Broken, NotSent
from his.mapping import Mapper, load
from his.mapping.adapter import MappedAdapter, Send, plain_or_secret
from his.mapping.charset import real
from his.port import Op
from his.rest import wire
from his.rest.options import RestOptions, Transport, Way
from his.rest.signing import Outgoing, Signer, plain
from his.wire import Response

_PLACE = re.compile(r"\{(\w+)\}")
MEDIA = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


def _step(text: str) -> str:
    """A text as one step of a path. KeyError for what would lead elsewhere: a report number is the browser's to choose."""
    if text in ("", ".", ".."):
        raise KeyError(text)
    return quote(text, safe="")


class RestAdapter(MappedAdapter):
    """See `his.adapter.Adapter`. ConfigError when the mapping is wrong."""

    def __init__(self, options: RestOptions) -> None:
        loaded = load(options.mapping)
        self._secrets = options.all_secrets()
        super().__init__(Mapper(loaded, self._secrets))
        self._transport = loaded.part(("transport",), loaded.mapping.transport, Transport)
        how = self._transport
        self._charset = real(how.charset)
        self._reply_charset = real(options.charset or how.reply_charset or how.charset)
        self._signer = self._signing()
        self._endpoint = options.endpoint(options.base_url, self._headers())
        self._work_out_ways()

    def close(self) -> None:
        """See `Adapter`."""
        self._endpoint.close()

    def _recorded(self, _way: Send, body: str) -> Any:
        return wire.tree(body.encode(self._reply_charset), self._reply_charset)

    def _way(self, op: Op, send: dict[str, Any], at: At) -> Send:
        """One operation's way, worked out once: the usual one is a POST of JSON without signature."""
        loaded = self.mapper.loaded
        way = loaded.part(at, send, Way)
        method, body = way.method or self._transport.method, way.body or self._transport.body
        path = (way.path or self._transport.path).replace("{op}", op.value)
        if (method, body) == ("POST", "json") and self._transport.body == "json" and not (self._signer or "{" in path):
            return self._quick(path)
        return self._full(Outgoing(op.value, method, path, {}), body)

    def _quick(self, path: str) -> Send:
        post = self._endpoint.post

        def send(parameters: dict[str, Any], deadline: float, repeatable: bool) -> Any:
            return self._opened(post(path, wire.json_body(parameters, ""), deadline, repeatable=repeatable))

        return send

    def _full(self, usual: Outgoing, body: str) -> Send:
        encode = wire.form_body if body in ("form", "query") else wire.json_body

        def in_charset(parameters: dict[str, Any]) -> bytes:
            return encode(parameters, self._charset)

        def send(parameters: dict[str, Any], deadline: float, repeatable: bool) -> Any:
            going = Outgoing(usual.op, usual.method, usual.path, dict(parameters))
            try:
                going.path = _PLACE.sub(lambda place: _step(plain(going.parameters.pop(place[1]))), usual.path)
                if self._signer is not None:
                    self._signer.sign(going, in_charset)
                sent = None if body == "none" else in_charset(going.parameters)
            except KeyError:
                raise NotSent("unmapped_value") from None
            except UnicodeEncodeError:
                raise NotSent("unsupported_text") from None
            if body == "query" and sent is not None:
                going.path, sent = f"{going.path}?{sent.decode('ascii')}" if sent else going.path, None
            if sent is not None and body != self._transport.body:
                going.headers["Content-Type"] = MEDIA[body]
            line = f"{going.method} {going.path}"
            return self._opened(self._endpoint.request(line, going.headers, sent, deadline, repeatable=repeatable))

        return send

    def _opened(self, response: Response) -> Any:
        if response.status not in self._transport.statuses:
            raise Broken("unauthorized" if response.status in (401, 403) else f"http_{response.status}")
        if self.on_reply is not None:
            self.on_reply(response.body.decode(self._reply_charset, "replace"))
        status_as = self._transport.status_as
        if status_as is None:
            return wire.tree(response.body, self._reply_charset)
        reply = wire.tree(response.body, self._reply_charset) if response.body else {}
        return {**(reply if isinstance(reply, dict) else {"body": reply}), status_as: str(response.status)}

    def _headers(self) -> dict[str, str]:
        how, loaded = self._transport, self.mapper.loaded
        headers = {}
        if how.body in MEDIA:
            charset = "" if how.body == "json" or how.charset == "utf-8" else f"; charset={how.charset}"
            headers["Content-Type"] = MEDIA[how.body] + charset
        for name, value in how.headers.items():
            headers[name] = plain_or_secret(loaded, value, self._secrets, ("transport", "headers", name))
        return headers

    def _signing(self) -> Signer | None:
        signing = self._transport.signing
        if signing is None:
            return None
        at = ("transport", "signing")
        if not self._secrets.get(signing.key):
            fault = f"the options have no secret called {signing.key}, which signs"
            raise self.mapper.loaded.wrong((*at, "key"), fault)
        try:
            return Signer(signing, self._secrets[signing.key], self._charset)
        except ValueError as exc:
            raise self.mapper.loaded.wrong((*at, "template"), str(exc)) from exc
