"""`hospital doctor`: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.config import Config, load
from core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Finding:
    """One look: ``ok``, ``note`` (works without it) or ``bad``."""

    level: str
    what: str
    advice: str = ""

    @property
    def bad(self) -> bool:
        return self.level == "bad"

    def line(self) -> str:
        """One line for the terminal."""
        mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[self.level]
        return f"{mark}  {self.what}" + (f": {self.advice}" if self.advice else "")


def examine(config_path: Path) -> Iterator[Finding]:
    """Every look in turn; one failing does not stop the rest."""
    yield _zbar()
    yield from _opencv()
    config = None
    try:
        config = load(config_path)
        yield Finding("ok", f"{config_path.name} is right")
    except ConfigError as exc:
        yield Finding("bad", "configuration", str(exc))
    if config is not None:
        yield from _deployment(config)
    yield from _ports()


def _zbar() -> Finding:
    try:
        importlib.import_module("pyzbar.pyzbar")
    except ImportError:
        return Finding(
            "note", "libzbar is missing, the camera reads without its last step",
            "as root: apt-get install libzbar0",
        )  # fmt: skip
    return Finding("ok", "libzbar is here")


def _opencv() -> Iterator[Finding]:
    if importlib.util.find_spec("cv2") is None:
        yield Finding("bad", "OpenCV is missing", "pip install opencv-python-headless")
    else:
        yield Finding("ok", "OpenCV is here")


def _deployment(config: Config) -> Iterator[Finding]:
    from hospital.bootstrap import build_his

    folder = Path(config.database.url.removeprefix("sqlite:///")).parent
    if config.database.url.startswith("sqlite:///") and folder.is_dir():
        free = shutil.disk_usage(folder).free // 2**20
        level = "ok" if free > 1024 else "bad"
        yield Finding(level, f"{free} MiB free for hospital.db", "" if level == "ok" else "make room on this disk")
    yield from _his(build_his, config)
    yield from _writes(config)
    if not config.server.public_url.startswith("https://"):
        yield Finding(
            "note", "public_url is not https", "cameras in browsers and Secure cookies need https; put nginx in front"
        )


def _his(build_his: object, config: Config) -> Iterator[Finding]:
    from his.port import Ctx, HealthQuery, HisError

    try:
        his = build_his(config)  # type: ignore[operator]
    except ConfigError as exc:
        yield Finding("bad", "HIS options", str(exc))
        return
    try:
        his.ask(HealthQuery(), Ctx(deadline_s=3.0, actor="doctor"))
        yield Finding("ok", "the HIS answers")
    except HisError as exc:
        yield Finding("bad", "the HIS does not answer", str(exc))
    finally:
        his.close()


def _writes(config: Config) -> Iterator[Finding]:
    """Writes to the HIS that wait for a person; nothing when the database is not there yet."""
    from core.privacy import Vault, decode_key
    from store.port_his import IntentState
    from store.store import Store

    url = config.database.url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file():
        return
    try:
        store = Store(url, Vault(decode_key(config.secrets.data_key.get_secret_value())))
    except ConfigError as exc:
        yield Finding("bad", "the database", str(exc))
        return
    try:
        counts = store.intents.counts()
    finally:
        store.close()
    waiting, unclear = counts.get(IntentState.MANUAL, 0), counts.get(IntentState.UNKNOWN, 0)
    if waiting:
        yield Finding("bad", f"{waiting} writes to the HIS wait for a person", "`hospital his intents --state manual`")
    else:
        yield Finding("ok", f"no write to the HIS waits for a person, {unclear} are being asked about")


def _ports() -> Iterator[Finding]:
    from devices.discover import list_serial_ports

    found = list_serial_ports()
    yield Finding("ok" if found else "note", f"{len(found)} serial ports seen")
