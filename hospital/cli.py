"""The command line. A wrong configuration or input is one plain sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from core.config import load
from hospital.cli_base import CONFIG, parts_of, plainly, write_key
from hospital.cli_bridge import bridge
from hospital.cli_devices import devices
from hospital.cli_his import his_group
from hospital.cli_writes import intents, jobs, settle


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """掌上医院: patients' portal, scanners, screens and HIS bridge on the hospital LAN."""


@main.command()
@CONFIG
@plainly
def init(config_path: Path) -> None:
    """Make a configuration, a data key and an empty hospital.db here; nothing that exists is overwritten."""
    config_path.parent.mkdir(parents=True, exist_ok=True)
    if not config_path.exists():
        config_path.write_text(default_config(), encoding="utf-8")
        click.echo(f"wrote {config_path}")
    key = config_path.parent / "var" / "data.key"
    if not key.exists():
        write_key(key)
        click.echo(f"wrote {key}; keep a copy in the safe: without it personal data cannot be read")
    from core.privacy import Vault, decode_key
    from store.store import Store

    os.environ.setdefault("HOSPITAL_HIS_TOKEN", "not-set")
    config = load(config_path)
    store = Store(config.database.url, Vault(decode_key(config.secrets.data_key.get_secret_value())))
    store.close()
    click.echo("the database is ready; next: fill in his: and wechat:, then `hospital check-config`")


def default_config() -> str:
    """The documented configuration that ships with the package."""
    return (Path(__file__).parent / "config.default.yaml").read_text(encoding="utf-8")


@main.command()
@CONFIG
@click.option("--role", type=click.Choice(["all", "hub", "portal"]), default="all", show_default=True)
@plainly
def serve(config_path: Path, role: Any) -> None:
    """Run the service: everything in one process, or hub (scanners, screens) and portal apart."""
    from hospital.serve import serve as run

    run(config_path, role)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("var/demo"), show_default=True,
    help="Where the demo keeps its configuration and databases.",
)  # fmt: skip
@plainly
def demo(port: int, folder: Path) -> None:
    """Run everything with a simulated HIS, WeChat and scanner: no hardware, no internet."""
    from hospital.demo_children import simulators

    with simulators(folder) as (children, started):
        from hospital.demo import run_demo  # imports the whole house while the simulators start

        run_demo(children, started, port)


@main.command("check-config")
@CONFIG
@plainly
def check_config(config_path: Path) -> None:
    """Check the configuration; a fault names key and line."""
    from core.privacy import Vault, decode_key
    from hospital.bootstrap import build_his

    config = load(config_path)
    Vault(decode_key(config.secrets.data_key.get_secret_value()))
    build_his(config).close()
    if config.his.mllp is not None:
        from hospital.mllp import mllp_options

        mllp_options(config)
    click.echo(f"{config_path} is right")


@main.command()
@CONFIG
@plainly
def migrate(config_path: Path) -> None:
    """Bring hospital.db up to date."""
    with parts_of(config_path) as parts:
        applied = parts.store.applied
    click.echo("applied: " + ", ".join(applied) if applied else "hospital.db is up to date")


@main.command()
@CONFIG
@plainly
def doctor(config_path: Path) -> None:
    """Look at this machine: what works, what is missing, what to do about it."""
    from hospital.doctor import examine

    troubled = False
    for finding in examine(config_path):
        troubled |= finding.bad
        click.echo(finding.line())
    sys.exit(1 if troubled else 0)


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: file, symbology, text, class, ms.")
@plainly
def decode(images: tuple[Path, ...], as_json: bool) -> None:
    """Run the camera pipeline on image files."""
    from core.codes.classify import NEVER_KEPT, Patterns, classify
    from core.config import CodePatterns
    from devices.camera.files import decode_files

    patterns = CodePatterns()
    known = Patterns(patterns.card, patterns.wristband)
    failed = False
    for result in decode_files(images):
        read = result.aim + result.text if result.text is not None else None
        kind = classify(read, known, result.symbology).code_class if read is not None else None
        row = {
            "file": str(result.file), "symbology": result.symbology, "text": result.text,
            "class": kind.value if kind else None, "ms": round(result.ms, 2),
        }  # fmt: skip
        if result.error:
            failed, row["error"] = True, result.error
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            shown = "[not shown]" if kind in NEVER_KEPT else result.text
            said = result.error or (f"{result.symbology} {kind}: {shown}" if kind else "no code found")
            click.echo(f"{result.file}: {said} ({result.ms:.1f} ms)")
    sys.exit(2 if failed else 0)


@main.group()
def stations() -> None:
    """Counters, wards, kiosks and queue displays."""


@stations.command("list")
@CONFIG
@plainly
def stations_list(config_path: Path) -> None:
    """All stations."""
    with parts_of(config_path) as parts:
        for station in parts.stations.all():
            ward = f" ward {station.ward_code}" if station.ward_code else ""
            staff = " staff-only" if station.staff_only else ""
            click.echo(
                f"{station.code}\t{station.kind.value}\t{station.name}\taccepts {station.accepts.value}{ward}{staff}"
            )


@stations.command("add")
@click.argument("code")
@click.argument("name")
@click.option("--kind", type=click.Choice(["counter", "ward", "kiosk", "queue"]), default="counter", show_default=True)
@click.option("--accepts", type=click.Choice(["card", "wristband", "both"]), help="Codes taken; by kind when left out.")
@click.option("--ward", default="", help="The HIS's ward code; required for a ward.")
@click.option("--staff-only", is_flag=True, help="Only staff see this screen: names are shown in full.")
@CONFIG
@plainly
def stations_add(code: str, name: str, kind: str, accepts: str, ward: str, staff_only: bool, config_path: Path) -> None:
    """Add the station CODE called NAME."""
    from store.port import Accepts, StationKind

    with parts_of(config_path) as parts:
        parts.stations.add(
            code, name, StationKind(kind), accepts=Accepts(accepts) if accepts else None, ward_code=ward,
            staff_only=staff_only,
        )  # fmt: skip
    click.echo(f"added station {code}; next: `hospital stations pair {code}`")


@stations.command("pair")
@click.argument("code")
@click.option("--token", is_flag=True, help="Print a screen token instead, for a client that is not a browser.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@CONFIG
@plainly
def stations_pair(code: str, token: bool, as_json: bool, config_path: Path) -> None:
    """Let one screen become the screen of station CODE."""
    with parts_of(config_path) as parts:
        made = parts.stations.mint_token(code) if token else parts.stations.offer_pairing(code)
        base = f"{parts.config.server.public_url}/screens/{code}"
    if as_json:
        click.echo(json.dumps({"station": code, ("token" if token else "pairing_code"): made, "url": base}))
    elif token:
        click.echo(made)
    else:
        click.echo(f"Within 15 minutes, on the screen, open {base}#pair={made}")
        click.echo(f"or open {base} and type {made}. A tablet can scan this:")
        click.echo(_terminal_qr(f"{base}#pair={made}"))


def _terminal_qr(text: str) -> str:
    import io

    import qrcode

    drawn, out = qrcode.QRCode(border=2), io.StringIO()
    drawn.add_data(text)
    drawn.print_ascii(out=out)
    return out.getvalue()


@stations.command("revoke")
@click.argument("code")
@CONFIG
@plainly
def stations_revoke(code: str, config_path: Path) -> None:
    """End all screens paired with station CODE."""
    with parts_of(config_path) as parts:
        click.echo(f"{parts.stations.revoke(code)} screens of {code} are no longer paired")


main.add_command(bridge)
main.add_command(devices)
main.add_command(his_group)
his_group.add_command(intents)
his_group.add_command(settle)
main.add_command(jobs)
