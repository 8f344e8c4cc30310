"""YAML files checked by pydantic: a fault names its key, its file and its line."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from core.errors import ConfigError

At = tuple[str | int, ...]
Lines = dict[At, int]
"""Where each key stands, 1-based."""


def parse(text: str, source: str) -> tuple[dict[str, Any], Lines]:
    """The mapping a YAML text holds, and its lines. Raises ConfigError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
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
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at)


def first_fault(exc: ValidationError, model: type[BaseModel], lines: Lines, source: str, under: At = ()) -> ConfigError:
    """The first thing pydantic found wrong; `under` is where in the file the checked part stands."""
    fault = exc.errors()[0]
    at = (*under, *fault["loc"])
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
