"""Reads a mapping file; every fault names key, file and line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import ConfigError
from core.placed import At, Lines, dotted, first_fault, line_of, parse
from his.mapping.schema import Mapping
from his.port import Op

M = TypeVar("M", bound=BaseModel)
VENDORS = Path(__file__).parent.parent / "vendors"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A mapping that fits the schema, and where everything stands in its file."""

    mapping: Mapping
    path: Path
    lines: Lines

    @property
    def source(self) -> str:
        """The file's name, for people."""
        return self.path.name

    def wrong(self, at: At, message: str) -> ConfigError:
        """The error to raise for what stands at `at`."""
        return ConfigError(message, key=dotted(at), line=line_of(at, self.lines), source=self.source)

    def part(self, at: At, data: dict[str, Any], model: type[M]) -> M:
        """What an adapter of its own schema makes of one part, such as `transport`. Raises ConfigError."""
        try:
            return model.model_validate(data)
        except ValidationError as exc:
            raise first_fault(exc, model, self.lines, self.source, at) from exc


def load(where: str | Path) -> Loaded:
    """The mapping in a file, or the bundled one of that name (`bundled`). Raises ConfigError."""
    path = VENDORS / f"{where}.yaml" if str(where) in bundled() else Path(where)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        known = ", ".join(bundled())
        raise ConfigError(f"the mapping cannot be read ({why}); bundled are {known}", source=str(where)) from exc
    return read(text, path)


def read(text: str, path: str | Path) -> Loaded:
    """The mapping a YAML text holds; `path` names it in errors. Raises ConfigError."""
    path = Path(path)
    data, lines = parse(text, path.name)
    try:
        return Loaded(Mapping.model_validate(data), path, lines)
    except ValidationError as exc:
        fault = first_fault(exc, Mapping, lines, path.name)
        loc = exc.errors()[0]["loc"]
        if loc[0] == "operations" and loc[-1] == "[key]":
            message = "is no operation; there are " + ", ".join(op.value for op in Op)
            fault = ConfigError(message, key=fault.key, line=fault.line, source=fault.source)
        raise fault from exc


def bundled() -> list[str]:
    """Names of the mappings that come with the house."""
    return sorted(path.stem for path in VENDORS.glob("*.yaml"))
