"""`hospital his …` run in a folder with a configuration of its own."""

import contextlib
import os
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from hospital.cli import main


def write_config(home: Path, adapter: str, options: dict[str, Any]) -> None:
    """A configuration whose HIS is reached so."""
    secrets = {"data_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
    config = {"his": {"adapter": adapter, "options": options}, "secrets": secrets}
    (home / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")


def run(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and what was said, in `home` and without this machine's settings."""
    with contextlib.chdir(home):
        env = dict.fromkeys(key for key in os.environ if key.startswith("HOSPITAL_"))
        done = CliRunner().invoke(main, ["his", *arguments], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.output
