"""A mapping compiled: questions to wire values, replies to typed answers. See `his.mapping`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import his.port
from core.placed import At
from his.faults import Broken
from his.mapping.codes import Judge
from his.mapping.load import Loaded
from his.mapping.misfit import Misfit
from his.mapping.paths import MISSING, getter
from his.mapping.reading import Compiler, Reader, kind_of, rows_in
from his.mapping.schema import Codes, Operation, Resolve, Spec
from his.mapping.writing import Template
from his.port import (
    BY_OP,
    Command,
    Done,
    NotDone,
    NotFound,
    Op,
    Query,
    Rejected,
    RejectReason,
    Resolution,
    StillUnknown,
    answer_type,
)

Asked = Query[Any] | Command[Any]
Write = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Way:
    """One operation, or how it is resolved, compiled."""

    send: dict[str, Any]
    at: At
    write: Write
    judge: Judge
    read: Reader
    state: Callable[[Any, Any], str] | None = None
    template: tuple[dict[str, Any], At] = ({}, ())


class Mapper:
    """Thread-safe. Compiling raises ConfigError with key, file and line."""

    def __init__(self, loaded: Loaded, secrets: Mapping[str, str] | None = None) -> None:
        """`secrets`: by the names the mapping's `{secret: name}` uses."""
        self.loaded = loaded
        self._secrets = secrets or {}
        self._types_exist()
        self._ops: dict[Op, _Way] = {}
        self._resolve: dict[Op, _Way] = {}
        for op, operation in loaded.mapping.operations.items():
            self._compile(op, operation)
        self.capabilities = frozenset(self._ops)
        self.resolvable = frozenset(self._resolve)
        self.dedups = frozenset(op for op, operation in loaded.mapping.operations.items() if operation.dedups)

    @property
    def probes(self) -> dict[Op, dict[str, Any]]:
        """Questions the mapping proposes for `hospital his check`."""
        operations = self.loaded.mapping.operations
        return {op: it.probe for op, it in operations.items() if it.probe is not None}

    def send(self, op: Op) -> tuple[dict[str, Any], At]:
        """An operation's own part of the transport, and where it stands in the file."""
        return self._ops[op].send, self._ops[op].at

    def resolve_send(self, op: Op) -> tuple[dict[str, Any], At]:
        """The same of its resolving."""
        return self._resolve[op].send, self._resolve[op].at

    def template(self, op: Op) -> tuple[dict[str, Any], At]:
        """An operation's request as it is written in the file, and where; its keys are the names of what is sent."""
        return self._ops[op].template

    def resolve_template(self, op: Op) -> tuple[dict[str, Any], At]:
        """The same of its resolving."""
        return self._resolve[op].template

    def request(self, asked: Asked) -> dict[str, Any]:
        """What is sent, as plain values. Raises NotSent when a value has no code."""
        return self._ops[asked.op].write(asked)

    def answer(self, asked: Asked, reply: Any) -> Any:
        """The typed answer of a reply. Raises NotFound, Rejected, Duplicate, Broken."""
        way = self._ops[asked.op]
        return way.read(way.judge.open(reply), reply, asked)

    def resolve_request(self, command: Command[Any]) -> dict[str, Any]:
        """What is sent to ask what became of a write."""
        return self._resolve[command.op].write(command)

    def resolution(self, command: Command[Any], reply: Any) -> Resolution[Any]:
        """What became of a write, by the reply; a refusal of the question settles nothing. Raises Broken."""
        way = self._resolve[command.op]
        try:
            data = way.judge.open(reply)
            if way.state is not None:
                state = way.state(data, reply)
                if state != "done":
                    return NotDone() if state == "not_done" else StillUnknown("unmapped_code")
            return Done(way.read(data, reply, command))
        except NotFound:
            return NotDone()
        except Rejected as refusal:
            return StillUnknown(refusal.code)

    def _compile(self, op: Op, operation: Operation) -> None:
        kind = BY_OP[op]
        at: At = ("operations", op.value)
        is_write = issubclass(kind, Command)
        if not is_write and (operation.resolve or operation.dedups):
            raise self.loaded.wrong(at, "is a read: resolve and dedups are for writes")
        write = Template(self.loaded, kind, self._secrets).whole(operation.request, (*at, "request"))
        envelope = operation.envelope or self.loaded.mapping.envelope
        judge = Judge(self.loaded, envelope, operation.codes, at, write=is_write, many=_many(kind))
        read = self._read(kind, operation.answer, (*at, "answer"), sure=is_write)
        template = (operation.request, (*at, "request"))
        self._ops[op] = _Way(operation.send, (*at, "send"), write, judge, read, template=template)
        if operation.resolve is True:
            if self.loaded.mapping.resolve is None:
                raise self.loaded.wrong((*at, "resolve"), "the mapping has no resolve to use; describe it here")
            self._compile_resolve(op, operation, self.loaded.mapping.resolve, ("resolve",))
        elif operation.resolve:
            self._compile_resolve(op, operation, operation.resolve, (*at, "resolve"))

    def _compile_resolve(self, op: Op, operation: Operation, own: Resolve, at: At) -> None:
        common = self.loaded.mapping.resolve or Resolve()
        kind = BY_OP[op]
        request = next((it for it in (own.request, common.request) if it is not None), {})
        send = next((it for it in (own.send, common.send) if it is not None), operation.send)
        codes = own.codes or common.codes or Codes.model_construct()
        envelope = own.envelope or common.envelope or operation.envelope or self.loaded.mapping.envelope
        state = own.state or (common.state if own.answer is None else None)
        answer, where = own.answer, (*at, "answer")
        if answer is None:
            path = next((it for it in (own.path, common.path) if it is not None), operation.answer.path)
            answer, where = operation.answer.model_copy(update={"path": path}), ("operations", op.value, "answer")
        self._resolve[op] = _Way(
            send,
            (*at, "send"),
            Template(self.loaded, kind, self._secrets).whole(request, (*at, "request")),
            Judge(self.loaded, envelope, codes, at, write=False),
            self._read(kind, answer, where),
            None if state is None else self._state(state.path, state.done, state.not_done, at),
            (request, (*at, "request")),
        )

    def _state(self, path: str, done: list[str], not_done: list[str], at: At) -> Callable[[Any, Any], str]:
        compiler = Compiler(self.loaded, his.port.HealthQuery)
        fetch = compiler.fetch(Spec(path=path), "", (*at, "state", "path"))
        words = {**dict.fromkeys(done, "done"), **dict.fromkeys(not_done, "not_done")}

        def state(data: Any, root: Any) -> str:
            value = fetch(data, root, None)
            return words.get(str(value), "") if isinstance(value, (str, int)) else ""

        return state

    def _read(self, kind: type[Any], spec: Spec, at: At, *, sure: bool = False) -> Reader:
        """The whole answer, from the data: a tuple's rows, or one object, be it alone in a list.

        `sure`: a write was accepted, so there is exactly one; anything else says nothing about it.
        """
        answer = kind_of(answer_type(kind))
        compiler = Compiler(self.loaded, kind)
        place = self._place(spec, at)
        if answer.base is tuple:
            rows = compiler.rows(answer.item, spec, at)

            def read_rows(data: Any, root: Any, asked: Any) -> Any:
                if (found := place(data, root)) is MISSING:
                    raise Misfit("bad_reply", self.loaded, at, f"nothing stands at {spec.path or 'the data'}")
                return rows(found, root, asked)

            return read_rows
        one = compiler.one(answer.base, spec, at)
        counts = compiler.filter(spec, at)

        def read(data: Any, root: Any, asked: Any) -> Any:
            found = place(data, root)
            if type(found) is not dict or counts is not None:
                try:
                    found = _only(found, counts, root, asked)
                except (NotFound, Rejected):
                    if sure:
                        raise Misfit("bad_reply", self.loaded, at, "the write's answer is not exactly one") from None
                    raise
                except Broken:
                    raise Misfit(
                        "bad_reply", self.loaded, at, f"no object stands at {spec.path or 'the data'}"
                    ) from None
            return one(found, root, asked)

        return read

    def _place(self, spec: Spec, at: At) -> Callable[[Any, Any], Any]:
        for name in ("first", "join", "asked", "const", "table", "formats", "money"):
            if getattr(spec, name) not in (None, []):
                raise self.loaded.wrong((*at, name), "does not go with a whole answer; give it to one of its fields")
        try:
            return getter(spec.path or ".")
        except ValueError as exc:
            raise self.loaded.wrong((*at, "path"), str(exc)) from exc

    def _types_exist(self) -> None:
        kinds = {name: it for name, it in vars(his.port).items() if dataclasses.is_dataclass(it)}
        for name, specs in self.loaded.mapping.types.items():
            kind = kinds.get(name)
            if kind is None:
                raise self.loaded.wrong(("types", name), "is no type of the house; see his/port")
            known = [field.name for field in dataclasses.fields(kind)]
            for field in specs:
                if field not in known:
                    fault = f"{name} has no field {field}; it has {', '.join(known)}"
                    raise self.loaded.wrong(("types", name, field), fault)
        for name in self.loaded.mapping.tables:
            if not hasattr(his.port, name):
                raise self.loaded.wrong(("tables", name), "is no code list of the house; see his/port")


def _many(kind: type[Any]) -> bool:
    return kind_of(answer_type(kind)).base is tuple


def _only(found: Any, counts: Any, root: Any, asked: Any) -> Any:
    """The one object of a list, or of its rows that count: none of those is NotFound, more than one is AMBIGUOUS."""
    if not isinstance(found, (list, dict)):
        raise Broken("bad_reply")
    rows = [row for row in rows_in(found) if counts is None or counts(row, root, asked)]
    if not rows:
        if counts is None:
            raise Broken("bad_reply")
        raise NotFound
    if len(rows) > 1:
        raise Rejected("ambiguous", "", RejectReason.AMBIGUOUS)
    return rows[0]
