"""Serial options: what a form may say, and ports found without ever raising."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from devices.discover import list_serial_ports, resolve
from devices.port import Driver, DriverOptions
from devices.replay import ReplayDriver, ReplayOptions
from devices.serial.driver import SerialDriver
from devices.serial.options import SerialOptions
from devices.supervisor import plain_sentence


@pytest.mark.parametrize(
    "port",
    [
        "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
        "usb:1EAB:0003",
        "usb:1EAB:0003:A10NX8",
        "socket://10.1.2.3:4001",
        "socket://[fd00::7]:4001",
        "rfc2217://converter.hospital:4001",
    ],
)
def test_every_kind_of_port_is_accepted(port: str) -> None:
    assert SerialOptions(port=port).port == port


@pytest.mark.parametrize("port", ["ttyUSB0", "socket://host", "socket://host:99999", "http://host:1", "usb:1EAB", ""])
def test_what_is_no_port_is_refused_in_a_sentence(port: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        SerialOptions(port=port)
    assert plain_sentence(wrong.value, SerialOptions).startswith("Port: ")


def test_hex_commands_are_checked_before_they_are_sent() -> None:
    with pytest.raises(ValidationError) as wrong:
        SerialOptions(port="/dev/x", accepted_hex="0x16")
    assert "pairs of hex digits" in plain_sentence(wrong.value, SerialOptions)


@pytest.mark.parametrize("model", [DriverOptions, SerialOptions, ReplayOptions])
def test_every_option_has_a_title_a_sentence_and_all_but_the_address_a_default(model: type[DriverOptions]) -> None:
    for name, field in model.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert not field.is_required() or name in {"port", "file"}


def test_the_drivers_keep_the_ports_protocol(tmp_path: Path) -> None:
    assert isinstance(SerialDriver("c1", SerialOptions(port="/dev/x")), Driver)
    assert isinstance(ReplayDriver("r1", ReplayOptions(file="x")), Driver)


def test_listing_ports_never_raises_and_resolving_follows_links(tmp_path: Path) -> None:
    assert isinstance(list_serial_ports(tmp_path / "none", tmp_path / "none"), list)
    link = tmp_path / "by-path"
    link.symlink_to("/dev/null")
    assert resolve(str(link)) == "/dev/null"
    assert resolve("usb:FFFF:FFFF:none") == "usb:FFFF:FFFF:none"
    assert resolve(str(tmp_path / "absent")) == os.path.realpath(tmp_path / "absent")


def test_the_listed_port_prefers_its_by_path_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serial.tools import list_ports
    from serial.tools.list_ports_common import ListPortInfo

    found = ListPortInfo("/dev/null")
    found.vid, found.pid, found.serial_number = 0x1EAB, 0x0003, "A10"
    monkeypatch.setattr(list_ports, "comports", lambda: [found])
    (tmp_path / "pci-usb-2").symlink_to("/dev/null")
    (port,) = list_serial_ports(tmp_path, tmp_path / "none")
    assert (port.best, port.usb, port.serial_number) == (str(tmp_path / "pci-usb-2"), "1EAB:0003", "A10")
    assert resolve("usb:1eab:0003:A10") == "/dev/null"
    monkeypatch.setattr(list_ports, "comports", lambda: [found, found])
    assert resolve("usb:1eab:0003") == "usb:1eab:0003"
