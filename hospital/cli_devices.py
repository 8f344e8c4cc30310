"""`hospital devices …`."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml

from core.config import load
from core.errors import ConfigError
from hospital.cli_base import CONFIG, parts_of, plainly

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")
"""The password in a camera's address; a list on a terminal does not show it."""


@click.group()
def devices() -> None:
    """Scanners and cameras."""


@devices.command("list")
@CONFIG
@plainly
def devices_list(config_path: Path) -> None:
    """Devices as set up, and ports nobody uses yet."""
    from devices.discover import list_serial_ports

    with parts_of(config_path) as parts:
        known = parts.store.devices.all()
    for device in known:
        state = "on" if device.enabled else "off"
        options = _PASSWORD.sub(r"\1***@", json.dumps(dict(device.options), ensure_ascii=False))
        click.echo(
            f"{device.code}\t{device.driver}\t{device.name}\tstation {device.station or '-'}\t{state}\t{options}"
        )
    used = {str(device.options.get("port")) for device in known}
    for port in list_serial_ports():
        if not used & {port.node, port.by_path, port.by_id}:
            click.echo(f"unclaimed\tserial\t{port.best}\t{port.description}")


@devices.command("add")
@click.argument("code")
@click.argument("name")
@click.option("--driver", type=click.Choice(["serial", "camera", "replay"]), default="serial", show_default=True)
@click.option("--station", default="", help="Code of the station it belongs to.")
@click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Driver option, such as port=/dev/…")
@CONFIG
@plainly
def devices_add(code: str, name: str, driver: str, station: str, pairs: tuple[str, ...], config_path: Path) -> None:
    """Add the device CODE called NAME; a running hub opens it within two seconds."""
    from core.ids import new_id
    from store.port import Device

    options = _options(driver, pairs)
    with parts_of(config_path) as parts:
        if station and parts.stations.get(station) is None:
            raise ConfigError(f"there is no station {station}; see `hospital stations list`", key="--station")
        parts.store.devices.add(Device(new_id(), code, name, driver, options, station, enabled=True, revision=1))
    click.echo(f"added device {code}; next: `hospital devices test {code}`")


@devices.command("remove")
@click.argument("code")
@CONFIG
@plainly
def devices_remove(code: str, config_path: Path) -> None:
    """Remove the device CODE; a running hub closes it within two seconds."""
    with parts_of(config_path) as parts:
        if not parts.store.devices.remove(code):
            raise ConfigError(f"there is no device {code}; see `hospital devices list`", key="CODE")
    click.echo(f"removed device {code}")


@devices.command("test")
@click.argument("code")
@click.option("--seconds", type=click.FloatRange(1, 600), default=15, show_default=True, help="How long to listen.")
@CONFIG
@plainly
def devices_test(code: str, seconds: float, config_path: Path) -> None:
    """Open the device CODE here and print what it reads; stop the service first, a port opens only once."""
    from core.codes.classify import NEVER_KEPT, Patterns, classify
    from devices.port import DeviceConfig, Reading
    from devices.supervisor import Supervisor
    from hospital.bootstrap import DRIVERS

    config = load(config_path)
    patterns = Patterns(config.codes.patterns.card, config.codes.patterns.wristband)
    with parts_of(config_path) as parts:
        device = parts.store.devices.get(code)
    if device is None:
        raise ConfigError(f"there is no device {code}; see `hospital devices list`", key="CODE")
    heard: list[Reading] = []

    def show(reading: Reading) -> None:
        heard.append(reading)
        kind = classify(reading.text, patterns, reading.symbology).code_class
        secret = kind in NEVER_KEPT
        text, raw = ("[not shown]", "[not shown]") if secret else (reading.text, reading.raw.hex())
        click.echo(f"{kind.value}\t{reading.symbology or '-'}\t{text}\traw {raw}")

    supervisor = Supervisor(DRIVERS, sink=show, on_state=lambda c: click.echo(f"{c.state.value}: {c.reason}"))
    try:
        supervisor.apply([DeviceConfig(device.code, device.driver, device.options)])
        click.echo(f"listening for {seconds:g} s: scan any code")
        time.sleep(seconds)
    finally:
        supervisor.stop()
    click.echo(f"{len(heard)} codes read")
    sys.exit(0 if heard else 1)


def _options(driver: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Options from ``KEY=VALUE`` words, checked by the driver's own schema."""
    from pydantic import ValidationError

    from hospital.bootstrap import DRIVERS

    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"{pair!r} is not KEY=VALUE", key="--option")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise ConfigError(f"{value!r} is not a value; put quotes around it", key=f"--option {key}") from exc
    try:
        DRIVERS[driver].options_model.model_validate(options)
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(map(str, fault["loc"])) or driver
        raise ConfigError(str(fault["msg"]).removeprefix("Value error, "), key=f"--option {key}") from exc
    return options
