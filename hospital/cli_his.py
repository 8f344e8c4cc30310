"""`hospital his …`: try a HIS adapter against the HIS and against recorded replies; list the adapters."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import click
from pydantic_core import PydanticUndefined

from core.config import load
from core.errors import ConfigError
from hospital.cli_base import CONFIG, plainly


@click.group("his")
def his_group() -> None:
    """The hospital information system."""


@his_group.command("check")
@click.option(
    "--fixtures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of recorded replies to replay; the one beside the mapping, with its name, when left out.",
)
@click.option("--record", is_flag=True, help="Write the replies of this run into that folder as new fixtures.")
@click.option("--offline", is_flag=True, help="Replay only; ask the HIS nothing.")
@CONFIG
@plainly
def his_check(config_path: Path, fixtures: Path | None, record: bool, offline: bool) -> None:
    """Ask every operation once, replay recorded replies; a write is never made. Exit 1 when something is wrong."""
    from hospital.bootstrap import his_adapter

    if record and fixtures is None:
        raise ConfigError("needs --fixtures, the folder to write to", key="--record")
    config = load(config_path)
    adapter = his_adapter(config)
    try:
        failed = _compare(adapter, offline=offline)
        failed += 0 if offline else _probe(config, adapter, fixtures if record else None)
        folder = fixtures or getattr(adapter, "fixtures", None)
        if folder is not None and not record:
            failed += _replay(adapter, folder)
    finally:
        adapter.close()
    click.echo(f"{failed} of these need a look" if failed else "all is well")
    sys.exit(1 if failed else 0)


def _probe(config: Any, adapter: Any, folder: Path | None) -> int:
    """How many operations failed; with a folder their replies are kept."""
    from hospital.his_check import probe
    from hospital.his_check import record as keep

    if folder is not None and not hasattr(adapter, "on_reply"):
        raise ConfigError(f"the adapter {config.his.adapter} cannot record", key="--record")
    failed = 0
    replies: list[str] = []
    if folder is not None:
        adapter.on_reply = replies.append
        click.echo(
            "recording: ID numbers, phones and patients' names are replaced, other words are kept as the HIS sent them"
        )
    for finding in probe(config, adapter):
        click.echo(finding.line())
        failed += finding.bad
        if folder is not None and replies and finding.answer is not None:
            click.echo(f"      {keep(folder, finding, replies[-1])}")
        replies.clear()
    return failed


def _compare(adapter: Any, *, offline: bool) -> int:
    """How often the mapping is not what the HIS's own description (a WSDL) says, each with file and line."""
    if not hasattr(adapter, "misdescribed"):
        return 0
    try:
        faults = adapter.misdescribed(offline=offline)
    except ConfigError as exc:
        faults = [exc]
    if faults == []:
        click.echo("the mapping is what the WSDL says")
    for fault in faults or ():
        click.echo(f"FAIL  {fault}")
    return len(faults or ())


def _replay(adapter: Any, folder: Path) -> int:
    """How many fixtures failed; each fault with file and line."""
    from his.fixtures import load as load_fixtures
    from his.fixtures import replay

    if not hasattr(adapter, "replay"):
        raise ConfigError("this adapter cannot replay recorded replies", key="--fixtures")
    found = load_fixtures(folder)
    faults = [fault for fixture in found for fault in replay(adapter, fixture)[:1]]
    for fault in faults:
        click.echo(f"FAIL  {fault}")
    click.echo(f"{len(found)} recorded replies, {len(faults)} not read as expected")
    return len(faults)


@his_group.command("adapters")
@plainly
def his_adapters() -> None:
    """Every adapter with its options, and the bundled mappings."""
    from his.mapping import bundled
    from hospital.bootstrap import HIS_ADAPTERS

    for name, module in HIS_ADAPTERS.items():
        try:
            options = importlib.import_module(module).OPTIONS
        except ModuleNotFoundError as exc:
            click.echo(f"{name}: cannot be used here, {exc.name} is not installed\n")
            continue
        click.echo(f"{name}: {(options.__doc__ or '').strip().splitlines()[0]}")
        for option, field in sorted(options.model_fields.items(), key=lambda it: not it[1].is_required()):
            default = (
                "required" if field.default is PydanticUndefined and field.default_factory is None else field.default
            )
            shown = (
                ""
                if default in (None, "", PydanticUndefined) or "Secret" in type(default).__name__
                else f" [{default}]"
            )
            click.echo(f"  {option}{shown}: {field.description}")
        click.echo()
    click.echo("bundled mappings: " + ", ".join(bundled()))
