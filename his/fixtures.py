"""Recorded replies of a HIS, replayed through its adapter: a changed mapping shows at once what it breaks, with file and line.

One YAML (or JSON) file a reply:

    op: query_patient
    asked: {card_no: "600000000017"}      # the question; of a write: the command's fields
    reply: '{"code": "0", "data": …}'     # the body as text
    expect: {name: 王小明, sex: male}      # what must come of it, as far as written here; lists whole
    outcome: rejected                     # instead of expect: not_found, rejected, duplicate, not_done, unknown,
    reason: slot_gone                     # his_exception, unmapped_code, bad_reply; reason of a refusal
    resolving: true                       # the reply is one to "what became of this write"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.clock import SHANGHAI
from core.errors import ConfigError
from core.placed import At, Lines, dotted, first_fault, line_of, parse
from his.faults import Broken, Duplicate
from his.port import BY_OP, Command, Done, NotDone, NotFound, Op, Query, Rejected, RejectReason, StillUnknown
from his.port.codec import decode, plain

Asked = Query[Any] | Command[Any]
_DAY = re.compile(r"today(?:([+-]\d{1,3}))?", re.ASCII)


class Replays(Protocol):
    """An adapter that can read a recorded reply."""

    def replay(self, asked: Asked, body: str, *, resolving: bool = False) -> Any:
        """What it makes of `body` as the reply to `asked`; raises as `ask`, `do` and `resolve` do."""


class Recorded(BaseModel):
    """What a fixture file may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Op = Field(description="The operation.")
    asked: dict[str, Any] = Field({}, description="Fields of the question or command.")
    reply: str = Field(description="The reply's body.")
    expect: Any = Field(None, description="What must come of it.")
    outcome: Literal[
        "ok", "not_found", "rejected", "duplicate", "not_done", "unknown", "his_exception", "unmapped_code", "bad_reply"
    ] = Field("ok", description="Or how it must end.")
    reason: RejectReason | None = Field(None, description="With rejected: why.")
    resolving: bool = Field(False, description="A reply to what became of a write.")


@dataclass(frozen=True, slots=True)
class Fixture:
    """One file, and where everything stands in it."""

    path: Path
    recorded: Recorded
    lines: Lines

    def wrong(self, at: At, message: str) -> ConfigError:
        """The error to raise, or print, for what stands at `at`."""
        return ConfigError(message, key=dotted(at), line=line_of(at, self.lines), source=str(self.path))


def question(op: Op, given: Mapping[str, Any]) -> Asked:
    """A question from plain values; days may be `today`, `today+7`. ValueError when the class will not take them."""
    try:
        asked: Asked = decode(BY_OP[op], json.dumps({name: _day(value) for name, value in given.items()}))
    except ValueError as exc:
        raise ValueError(f"is no question for {op.value}: {exc}") from exc
    return asked


def _day(value: Any) -> Any:
    if isinstance(value, str) and (match := _DAY.fullmatch(value)):
        return (datetime.now(SHANGHAI).date() + timedelta(days=int(match[1] or 0))).isoformat()
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def load(folder: Path) -> list[Fixture]:
    """Every fixture of a folder, by name. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError("there is no such folder of fixtures", source=str(folder))
    return [_load(path) for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml", ".json")]


def _load(path: Path) -> Fixture:
    try:
        data, lines = parse(path.read_text(encoding="utf-8"), str(path))
        return Fixture(path, Recorded.model_validate(data), lines)
    except ValidationError as exc:
        raise first_fault(exc, Recorded, lines, str(path)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError("cannot be read as UTF-8", source=str(path)) from exc


def replay(adapter: Replays, fixture: Fixture) -> list[ConfigError]:
    """What is wrong, with file and line; nothing when all is as expected."""
    recorded = fixture.recorded
    try:
        asked = question(recorded.op, recorded.asked)
    except ValueError as exc:
        return [fixture.wrong(("asked",), str(exc))]
    outcome, value, said = _outcome(adapter, asked, recorded)
    if outcome != recorded.outcome:
        at: At = ("outcome",) if recorded.outcome != "ok" else ("reply",)
        return [fixture.wrong(at, f"ends as {outcome}, not as {recorded.outcome}" + (f": {said}" if said else ""))]
    if recorded.reason is not None and said != recorded.reason:
        return [fixture.wrong(("reason",), f"is refused as {said}, not as {recorded.reason}")]
    if recorded.outcome == "ok" and recorded.expect is not None:
        return [fixture.wrong(at, message) for at, message in _differences(recorded.expect, plain(value), ("expect",))]
    return []


def _outcome(adapter: Replays, asked: Asked, recorded: Recorded) -> tuple[str, Any, str]:
    """(outcome, answer, what the adapter says of it)."""
    try:
        value = adapter.replay(asked, recorded.reply, resolving=recorded.resolving)
    except NotFound:
        return "not_found", None, ""
    except Rejected as refusal:
        return "rejected", None, refusal.reason.value
    except Duplicate:
        return "duplicate", None, ""
    except Broken as fault:
        return fault.reason, None, str(getattr(fault, "told", ""))
    if isinstance(value, NotDone):
        return "not_done", None, ""
    if isinstance(value, StillUnknown):
        return "unknown", None, value.reason
    return "ok", value.value if isinstance(value, Done) else value, ""


def _differences(expected: Any, found: Any, at: At) -> Iterator[tuple[At, str]]:
    """Where an answer is not what was expected; of objects only the keys written down."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                yield (*at, key), f"the answer has no {key}; it has {', '.join(found)}"
            else:
                yield from _differences(value, found[key], (*at, key))
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, (*at, index))
    elif _day(expected) != found:
        wanted, got = (json.dumps(it, ensure_ascii=False)[:80] for it in (_day(expected), found))
        yield at, f"should be {wanted}, the mapping gives {got}"
