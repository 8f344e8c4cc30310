"""The adapter for any HIS that speaks JSON or forms over HTTP: the mapping says how, this sends and reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from his.adapter import Call
from his.faults import Broken, NotSent
from his.http import HttpEndpoint, HttpOptions
from his.mapping import Mapper, load
from his.port import Command, Op, Query, Resolution
from his.rest import wire
from his.rest.options import RestOptions, Transport, Way
from his.rest.signing import Outgoing, Signer, plain
from his.wire import Response

_PLACE = re.compile(r"\{(\w+)\}")
MEDIA = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
Send = Callable[[dict[str, Any], float, bool], Any]
"""(parameters, deadline, repeatable) -> reply as a tree. Raises NotSent, Broken."""


class RestAdapter:
    """See `his.adapter.Adapter`. ConfigError when the mapping is wrong."""

    def __init__(self, options: RestOptions) -> None:
        loaded = load(options.mapping)
        self._secrets = options.all_secrets()
        self.mapper = Mapper(loaded, self._secrets)
        self._transport = loaded.part(("transport",), loaded.mapping.transport, Transport)
        how = self._transport
        self._charset = wire.real(how.charset)
        self._reply_charset = wire.real(options.charset or how.reply_charset or how.charset)
        self._signer = self._signing()
        self._endpoint = HttpEndpoint(
            options.base_url,
            self._headers(),
            HttpOptions(
                connect_s=options.connect_ms / 1000,
                idle_s=options.idle_s,
                pool_size=options.pool_size,
                body_cap=options.body_cap_kib * 1024,
                ca_file=options.ca_file,
            ),
        )
        self.on_reply: Callable[[str], None] | None = None
        """Told every reply as text before it is read; `hospital his check --record` keeps them."""
        self._ops = {op: self._way(op, *self.mapper.send(op)) for op in self.mapper.capabilities}
        self._resolve = {op: self._way(op, *self.mapper.resolve_send(op)) for op in self.mapper.resolvable}

    @property
    def capabilities(self) -> frozenset[Op]:
        """See `Adapter`."""
        return self.mapper.capabilities

    @property
    def resolvable(self) -> frozenset[Op]:
        """See `Adapter`."""
        return self.mapper.resolvable

    @property
    def dedups(self) -> frozenset[Op]:
        """See `Adapter`."""
        return self.mapper.dedups

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        reply = self._ops[query.op](self.mapper.request(query), call.deadline, True)
        return self.mapper.answer(query, reply)

    def do(self, command: Command[Any], call: Call) -> Any:
        """See `Adapter`."""
        reply = self._ops[command.op](self.mapper.request(command), call.deadline, False)
        return self.mapper.answer(command, reply)

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """See `Adapter`."""
        reply = self._resolve[command.op](self.mapper.resolve_request(command), call.deadline, True)
        return self.mapper.resolution(command, reply)

    def close(self) -> None:
        """See `Adapter`."""
        self._endpoint.close()

    @property
    def probes(self) -> dict[Op, dict[str, Any]]:
        """Questions the mapping proposes for `hospital his check`."""
        operations = self.mapper.loaded.mapping.operations
        return {op: it.probe for op, it in operations.items() if it.probe is not None}

    @property
    def fixtures(self) -> Path | None:
        """The folder of recorded replies that stands beside the mapping under its name."""
        folder = self.mapper.loaded.path.with_suffix("")
        return folder if folder.is_dir() else None

    def replay(self, asked: Query[Any] | Command[Any], body: str, *, resolving: bool = False) -> Any:
        """See `his.fixtures.Replays`."""
        reply = wire.tree(body.encode(self._reply_charset), self._reply_charset)
        if isinstance(asked, Command) and resolving:
            return self.mapper.resolution(asked, reply)
        return self.mapper.answer(asked, reply)

    def _way(self, op: Op, send: dict[str, Any], at: tuple[str | int, ...]) -> Send:
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
                going.path = _PLACE.sub(lambda place: quote(plain(going.parameters.pop(place[1])), safe=""), usual.path)
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
        return wire.tree(response.body, self._reply_charset)

    def _headers(self) -> dict[str, str]:
        how, loaded = self._transport, self.mapper.loaded
        headers = {}
        if how.body in MEDIA:
            charset = "" if how.body == "json" or how.charset == "utf-8" else f"; charset={how.charset}"
            headers["Content-Type"] = MEDIA[how.body] + charset
        for name, value in how.headers.items():
            at = ("transport", "headers", name)
            if isinstance(value, str):
                headers[name] = value
            elif isinstance(value, dict) and set(value) == {"secret"}:
                if value["secret"] not in self._secrets:
                    raise loaded.wrong(at, f"the options have no secret called {value['secret']}")
                headers[name] = self._secrets[value["secret"]]
            else:
                raise loaded.wrong(at, "must be a text in quotes or {secret: name}")
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
