"""Probes every operation a HIS adapter claims. Reads are asked with a question somebody chose; a write never happens: only
its op_key of nobody is asked for, which must be not done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from core.clock import SHANGHAI
from core.config import Config
from core.errors import ConfigError
from core.ids import new_id
from his.adapter import Adapter, Call
from his.checks import check
from his.faults import Broken, NotSent
from his.fixtures import question
from his.mapping import Misfit
from his.mapping.reading import kind_of
from his.port import BY_OP, Command, Done, NotFound, Op, Patient, Rejected, StillUnknown
from his.port.codec import fields, plain

DO: dict[str, str] = {
    "refused": "nothing listens at that address and port; is the HIS's interface running?",
    "connect_timeout": "no way there: address, firewall, network",
    "unreachable": "no way there: address, firewall, network",
    "unresolved": "the name of base_url cannot be resolved",
    "tls": "its certificate is not trusted: set ca_file to the authority that signed it",
    "timeout": "it took longer than his.guard allows; ask the HIS's people, or allow more",
    "unauthorized": "it does not take our token or password",
    "bad_reply": "the reply does not fit: compare it with the mapping, --record keeps it",
    "unmapped_code": "say what that code means, under codes of this operation in the mapping",
    "wrong_record": "it answers about somebody else than was asked for; show this to the HIS's people",
    "wrong_sums": "its sums do not add up; show this to the HIS's people",
    "his_exception": "it says that it failed; its own log knows why",
    "unmapped_value": "the mapping has no code for a value of this question",
    "not_accepted": "it does not take a call like ours: compare the mapping with its WSDL or document",
    "bad_wsdl": "its WSDL cannot be used: see above",
}


FOLLOWS: dict[Op, tuple[Op, tuple[str, ...]]] = {
    Op.LIST_SLOTS: (Op.LIST_SCHEDULES, ("schedule_id",)),
    Op.VISIT: (Op.LIST_VISITS, ("patient_id", "visit_no")),
    Op.REPORT: (Op.LIST_REPORTS, ("patient_id", "report_no")),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One operation: `bad` when something must be done about it."""

    op: Op
    said: str
    bad: bool = False
    skipped: bool = False
    asked: Any = None
    answer: Any = None

    def line(self) -> str:
        """As `hospital his check` prints it."""
        return f"{'FAIL' if self.bad else '--  ' if self.skipped else 'ok  '}  {self.op.value:20} {self.said}"


def probe(config: Config, adapter: Adapter) -> Iterator[Finding]:
    """A finding for each operation the adapter claims, in the port's order."""
    own: dict[Op, dict[str, Any]] = dict(getattr(adapter, "probes", {}))
    for name, chosen in config.his.check.items():
        if name not in set(Op):
            raise ConfigError("is no operation", key=f"his.check.{name}")
        own[Op(name)] = chosen
    found: dict[Op, Any] = {}
    for op in (op for op in Op if op in adapter.capabilities):
        if issubclass(BY_OP[op], Command):
            yield _write(config, adapter, op)
            continue
        given: dict[str, Any] | None = own.get(op, {} if op is Op.HEALTH else _follows(op, found))
        if given is None:
            yield Finding(op, f"not asked: choose a question under his.check.{op.value}", skipped=True)
            continue
        finding = _read(config, adapter, op, given)
        found[op] = finding.answer
        yield finding


def _follows(op: Op, found: dict[Op, Any]) -> dict[str, Any] | None:
    """A question that an earlier answer makes possible: the slots of a schedule that was listed."""
    listing, names = FOLLOWS.get(op, (op, ()))
    rows = found.get(listing)
    return {name: getattr(rows[0], name) for name in names} if rows and names else None


def _read(config: Config, adapter: Adapter, op: Op, given: dict[str, Any]) -> Finding:
    try:
        asked = question(op, given)
    except ValueError as exc:
        raise ConfigError(str(exc), key=f"his.check.{op.value}") from exc

    query: Any = asked

    def run(call: Call) -> Any:
        answer = adapter.ask(query, call)
        check(query, answer)
        return answer

    return _timed(op, run, config.his.guard.report_ms, query)


def _write(config: Config, adapter: Adapter, op: Op) -> Finding:
    if op not in adapter.resolvable:
        why = "not asked: a write is never tried, and this HIS cannot be asked what became of one"
        return Finding(op, why, skipped=True)
    command = sample(op)
    found = _timed(op, lambda call: adapter.resolve(command, call), config.his.guard.read_ms, command)
    if found.bad:
        return found
    if isinstance(found.answer, Done):
        return Finding(op, "says that a write was done which nobody sent; look at resolve in the mapping", bad=True)
    if isinstance(found.answer, StillUnknown):
        fault = f"could not say what became of a write ({found.answer.reason}); look at resolve in the mapping"
        return Finding(op, fault, bad=True)
    return Finding(op, f"{found.said}, asked for a write that never was")


def _timed(op: Op, run: Callable[[Call], Any], ms: int, asked: Any) -> Finding:
    started = time.monotonic()
    try:
        answer = run(Call(started + ms / 1000))
        said = f"{(time.monotonic() - started) * 1000:.1f} ms"
        said += f", {len(answer)} rows" if isinstance(answer, tuple) else ""
        return Finding(op, said, asked=asked, answer=answer)
    except NotFound:
        return Finding(op, f"{(time.monotonic() - started) * 1000:.1f} ms, holds no such thing")
    except Rejected as refusal:
        return Finding(op, f"refuses the question ({refusal.code} {refusal.message}): choose another one", bad=True)
    except (NotSent, Broken) as fault:
        what = f": {fault.told}" if isinstance(fault, Misfit) else ""
        return Finding(op, f"{fault.reason}{what}; {DO.get(fault.reason, 'see docs/his.md')}", bad=True)


def sample(op: Op) -> Command[Any]:
    """A command that nobody ever sent: a fresh op_key, anything else in the other fields."""
    kind: Any = BY_OP[op]
    values = {name: _anything(kind_of(hint).base) for name, hint in fields(kind)}
    command: Command[Any] = kind(**{**values, "op_key": new_id()})
    return command


def _anything(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    return {str: "check", int: 1, date: now.date(), datetime: now, tuple: ()}[kind]


def record(folder: Path, finding: Finding, reply: str) -> Path:
    """Keep a reply as a fixture, only for this user's eyes; ID numbers, phones and names are replaced first."""
    asked = {name: value for name, value in plain(finding.asked).items() if value is not None}
    expect = plain(finding.answer)
    hidden = _personal(finding.asked) | _personal(finding.answer)
    for text in sorted(hidden, key=len, reverse=True):
        other = "".join("9" if c.isdigit() else "某" if c > "\u2fff" else "x" for c in text)
        reply = reply.replace(text, other).replace(json.dumps(text)[1:-1], json.dumps(other)[1:-1])
        asked, expect = _replaced(asked, text, other), _replaced(expect, text, other)
    kept = {"op": finding.op.value, "asked": asked, "reply": reply, "expect": expect}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.op.value}.yaml"
    path.write_text(yaml.safe_dump(kept, allow_unicode=True, sort_keys=False, width=120), encoding="utf-8")
    path.chmod(0o600)
    return path


def _personal(value: Any) -> set[str]:
    """Texts of an answer that name a person."""
    if isinstance(value, tuple):
        return {text for one in value for text in _personal(one)}
    if not hasattr(value, "__dataclass_fields__"):
        return set()
    found: set[str] = set()
    for name, field in value.__dataclass_fields__.items():
        inner = getattr(value, name, None)
        named = field.metadata.get("personal") or (isinstance(value, Patient) and name == "name")
        found |= {inner} if named and isinstance(inner, str) and inner else _personal(inner)
    return found


def _replaced(tree: Any, text: str, other: str) -> Any:
    if isinstance(tree, dict):
        return {key: _replaced(value, text, other) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_replaced(value, text, other) for value in tree]
    return tree.replace(text, other) if isinstance(tree, str) else tree
