"""What every adapter over a mapping and HTTP shares: its options, its secrets, and the way of a call through the mapper."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from core.placed import At
from his.adapter import Call
from his.mapping.load import Loaded
from his.mapping.mapper import Mapper
from his.port import Command, Op, Query, Resolution
from his.reach import HttpReach

Send = Callable[[dict[str, Any], float, bool], Any]
"""(parameters, deadline, repeatable) -> reply as a tree. Raises NotSent, Broken."""


class MappedReach(HttpReach):
    """The same with the secrets a mapping may name."""

    token: SecretStr | None = Field(None, description="The secret called token; write env:NAME or file:PATH")
    secrets: dict[str, SecretStr] = Field(
        {}, description="Further secrets by the names the mapping uses, as env:NAME or file:PATH"
    )

    def all_secrets(self) -> dict[str, str]:
        """The secrets in the clear, by name."""
        named = {**({} if self.token is None else {"token": self.token}), **self.secrets}
        return {name: secret.get_secret_value() for name, secret in named.items()}


class MappedAdapter(ABC):
    """See `his.adapter.Adapter`; a subclass says how one operation is sent, and reads a recorded reply."""

    def __init__(self, mapper: Mapper) -> None:
        self.mapper = mapper
        self.on_reply: Callable[[str], None] | None = None
        """Told every reply as text before it is read; `hospital his check --record` keeps them."""
        self._ops: dict[Op, Send] = {}
        self._resolve: dict[Op, Send] = {}

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

    @property
    def probes(self) -> dict[Op, dict[str, Any]]:
        """Questions the mapping proposes for `hospital his check`."""
        return self.mapper.probes

    @property
    def fixtures(self) -> Path | None:
        """The folder of recorded replies that stands beside the mapping under its name."""
        folder = self.mapper.loaded.path.with_suffix("")
        return folder if folder.is_dir() else None

    def replay(self, asked: Query[Any] | Command[Any], body: str, *, resolving: bool = False) -> Any:
        """See `his.fixtures.Replays`."""
        way = (self._resolve if resolving else self._ops)[asked.op]
        reply = self._recorded(way, body)
        if isinstance(asked, Command) and resolving:
            return self.mapper.resolution(asked, reply)
        return self.mapper.answer(asked, reply)

    def _work_out_ways(self) -> None:
        """Every operation's way, once; to be called when the subclass is complete. Raises ConfigError."""
        self._ops = {op: self._way(op, *self.mapper.send(op)) for op in self.mapper.capabilities}
        self._resolve = {op: self._way(op, *self.mapper.resolve_send(op)) for op in self.mapper.resolvable}

    @abstractmethod
    def _way(self, op: Op, send: dict[str, Any], at: At) -> Send:
        """How one operation, or its resolving, is sent: `send` as the mapping has it, at `at`."""

    @abstractmethod
    def _recorded(self, way: Send, body: str) -> Any:
        """The tree of a recorded reply to what was sent that way."""


def plain_or_secret(loaded: Loaded, given: Any, secrets: Mapping[str, str], at: At) -> str:
    """A text of the mapping, or the secret that {secret: name} means. Raises ConfigError."""
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and set(given) == {"secret"}:
        if given["secret"] not in secrets:
            raise loaded.wrong(at, f"the options have no secret called {given['secret']}")
        return secrets[given["secret"]]
    raise loaded.wrong(at, "must be a text in quotes or {secret: name}")
