"""What all commands share: the --config option, plain errors, the parts of this deployment."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from core.config import load, located
from core.errors import ConfigError, HospitalError, Refusal

CONFIG = click.option(
    "--config", "config_path", type=click.Path(dir_okay=False, path_type=Path), default=Path("config.yaml"),
    show_default=True, help="The configuration file.",
)  # fmt: skip


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the house's errors into one sentence on standard error and exit code 2."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ConfigError as exc:
            path = kwargs.get("config_path")
            sentence = str(located(exc, path) if path else exc)
        except Refusal as exc:
            sentence = exc.en
        except HospitalError as exc:
            sentence = str(exc)
        click.echo(f"hospital: {sentence}", err=True)
        sys.exit(2)

    return run


@contextmanager
def parts_of(config_path: Path) -> Iterator[Any]:
    """The parts of this deployment for one command."""
    from hospital.bootstrap import build

    parts = build(load(config_path))
    try:
        yield parts
    finally:
        parts.close()


def write_key(path: Path) -> None:
    """A new data key that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(base64.urlsafe_b64encode(os.urandom(32)).decode() + "\n")
