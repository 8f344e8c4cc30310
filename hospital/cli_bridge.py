"""`hospital bridge`: the programs of the hospital that may call the bridge, and their tokens."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hospital.cli_base import CONFIG, parts_of, plainly
from services.bridge_clients import Scope

SCOPES = tuple(scope.value for scope in Scope)


@click.group()
def bridge() -> None:
    """The HTTP API for the HIS and its workstations."""


@bridge.group()
def clients() -> None:
    """Programs that may call the bridge."""


@clients.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="What it may do; repeat."
)
@click.option("--station", "stations", multiple=True, help="Only this station; repeat. Left out: all.")
@click.option("--address", "addresses", multiple=True, help="Only from this address or network; repeat. Left out: any.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@CONFIG
@plainly
def clients_add(
    name: str, scopes: tuple[str, ...], stations: tuple[str, ...], addresses: tuple[str, ...], as_json: bool,
    config_path: Path,
) -> None:  # fmt: skip
    """Let the program NAME call the bridge; its token is printed once and not kept."""
    with parts_of(config_path) as parts:
        token = parts.bridge_clients.add(name, scopes, stations=stations, addresses=addresses)
    if as_json:
        click.echo(json.dumps({"client": name, "token": token}))
    else:
        click.echo(token)
        click.echo("This is shown once. Keep it where the program reads its secrets.", err=True)


@clients.command("list")
@CONFIG
@plainly
def clients_list(config_path: Path) -> None:
    """All clients, ended ones too; no tokens."""
    with parts_of(config_path) as parts:
        for client in parts.bridge_clients.all():
            used = f"{client.last_used_at:%Y-%m-%d %H:%M}" if client.last_used_at else "never"
            ended = f"\trevoked {client.revoked_at:%Y-%m-%d %H:%M}" if client.revoked_at else ""
            click.echo(
                f"{client.name}\t{' '.join(sorted(client.scopes))}\tstations {' '.join(client.stations) or 'all'}"
                f"\tfrom {' '.join(client.addresses) or 'anywhere'}\tlast used {used}{ended}"
            )


@clients.command("revoke")
@click.argument("name")
@CONFIG
@plainly
def clients_revoke(name: str, config_path: Path) -> None:
    """End the client NAME: its next call is refused."""
    with parts_of(config_path) as parts:
        parts.bridge_clients.revoke(name)
    click.echo(f"{name} may no longer call the bridge")
