"""YAML files checked by pydantic: a fault names its key, its file and its line."""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from core.errors import ConfigError

At = tuple[str | int, ...]
Lines = dict[At, int]
"""Where each key stands, 1-based."""


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: no and on are words, 010 is a code and 8:30 a time of day; not False, True, 8 and 510."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in pairs if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:int")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0x[0-9a-fA-F]+|0|[1-9][0-9_]*)\Z"), list("-+0123456789")
)


def parse(text: str, source: str) -> tuple[dict[str, Any], Lines]:
    """The mapping a YAML text holds, and its lines. Raises ConfigError."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        problem = getattr(exc, "problem", None) or "is not YAML"
        raise ConfigError(f"is not valid YAML: {problem}", line=mark.line + 1 if mark else None, source=source) from exc
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError("must be a mapping of sections, each with a name and a colon", line=1, source=source)
    lines: Lines = {}
    if node is not None:
        _collect(node, (), lines, source)
    return data, lines


def _collect(node: yaml.Node, at: At, lines: Lines, source: str) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            if here in lines:
                fault = f"stands here a second time (first in line {lines[here]}); keep one"
                raise ConfigError(fault, key=dotted(here), line=key.start_mark.line + 1, source=source)
            lines[here] = key.start_mark.line + 1
            _collect(value, here, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _collect(value, (*at, index), lines, source)


def dotted(at: At) -> str:
    """`("his", "options")` as people write it: `his.options`."""
    return ".".join(map(str, at))


def line_of(at: At, lines: Lines) -> int | None:
    """The line of `at`, else of the nearest section around it, at last the first of the file."""
    place: At = ()
    for part in at:
        inner = next((it for it in ((*place, part), (*place, str(part))) if it in lines), None)
        if inner is None:
            break
        place = inner
    return lines.get(place)


def first_fault(exc: ValidationError, model: type[BaseModel], lines: Lines, source: str, under: At = ()) -> ConfigError:
    """The first thing pydantic found wrong; `under` is where in the file the checked part stands."""
    fault = exc.errors()[0]
    at = (*under, *(part for part in fault["loc"] if part != "[key]"))
    return ConfigError(sentence(fault, model), key=dotted(at), line=line_of(at, lines), source=source)


def sentence(fault: Any, model: type[BaseModel]) -> str:
    """What is wrong in plain words; an unknown key is told its nearest known neighbour."""
    if fault["type"] == "extra_forbidden":
        *section, key = fault["loc"]
        known = known_keys(model, tuple(section))
        close = difflib.get_close_matches(str(key), known, 1)
        return "is not a known key" + (f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}")
    if fault["type"] == "missing":
        return "is missing and has no default; see config.yaml in the repository"
    return str(fault["msg"]).removeprefix("Value error, ").replace("Input should", "should")


def known_keys(model: type[BaseModel], at: At) -> list[str]:
    """Keys the section `at` of a model may have."""
    found: Any = model
    for part in at:
        found = _inside(found, part)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _inside(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        kind = None if field is None else field.annotation
    elif typing.get_origin(kind) in (dict, list, tuple):
        inner = [arg for arg in typing.get_args(kind) if arg is not ...]
        kind = inner[-1] if inner else None
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next((arg for arg in typing.get_args(kind) if arg is not type(None)), None)
    return kind
