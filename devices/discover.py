"""Find serial ports and their lasting names; looks only, never opens, never raises."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

BY_PATH: Final = Path("/dev/serial/by-path")
BY_ID: Final = Path("/dev/serial/by-id")


@dataclass(frozen=True, slots=True)
class FoundPort:
    """One serial port of this machine. `usb` is VID:PID in hex; absent facts are empty strings."""

    node: str
    by_path: str
    by_id: str
    usb: str
    serial_number: str
    description: str

    @property
    def best(self) -> str:
        """The name to configure: by-path first, for two equal adapters share one by-id."""
        return self.by_path or self.by_id or self.node


def list_serial_ports(by_path: Path = BY_PATH, by_id: Path = BY_ID) -> list[FoundPort]:
    """All serial ports with the names that survive a replug."""
    paths, ids = _links(by_path), _links(by_id)
    found = []
    for port in _comports():
        real = os.path.realpath(port.device)
        usb = f"{port.vid:04X}:{port.pid:04X}" if port.vid is not None and port.pid is not None else ""
        found.append(
            FoundPort(
                node=port.device,
                by_path=paths.get(real, ""),
                by_id=ids.get(real, ""),
                usb=usb,
                serial_number=port.serial_number or "",
                description=port.description if port.description != "n/a" else "",
            )
        )
    return sorted(found, key=lambda port: port.node)


def resolve(port: str) -> str:
    """The node a configured port means now. An unknown or ambiguous usb:… comes back as it is."""
    if not port.startswith("usb:"):
        return os.path.realpath(port)
    _, vid, pid, *number = port.split(":", 3)
    wanted = f"{vid}:{pid}".upper()
    nodes = [
        found.node
        for found in list_serial_ports()
        if found.usb == wanted and (not number or found.serial_number == number[0])
    ]
    return nodes[0] if len(nodes) == 1 else port


def _links(folder: Path) -> dict[str, str]:
    """Real node → link, for one folder of links; the first name in order wins."""
    with contextlib.suppress(OSError):
        return {os.path.realpath(link): str(link) for link in sorted(folder.iterdir(), reverse=True)}
    return {}


def _comports() -> list[ListPortInfo]:
    try:
        return list(list_ports.comports())
    except (OSError, ValueError, TypeError):
        return []
