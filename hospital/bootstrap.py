"""The composition root: the only place that knows classes. Builds the parts of one process; starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from core.clock import Clock, SystemClock
from core.codes.classify import Patterns
from core.config import Config
from core.errors import ConfigError
from core.events import Bus
from core.privacy import Vault, decode_key
from devices.camera.driver import CameraDriver
from devices.replay import ReplayDriver
from devices.serial.driver import SerialDriver
from his.port import HisPort
from his.rest import RestHis, RestOptions
from services.cards import CardService
from services.login import LoginService
from services.phone_codes import PhoneCodes
from services.scan import ScanService
from services.stations import StationService
from store.store import Store
from wechat.oauth import WechatOAuthClient
from wechat.port import WechatOAuth

DRIVERS: Mapping[str, Any] = {"serial": SerialDriver, "camera": CameraDriver, "replay": ReplayDriver}


@dataclass(slots=True)
class Parts:
    """Everything one process is made of; reached from requests as ``current_app.extensions["hospital"]``."""

    config: Config
    clock: Clock
    bus: Bus
    vault: Vault
    store: Store
    his: HisPort
    wechat: WechatOAuth
    stations: StationService
    scan: ScanService
    cards: CardService
    login: LoginService
    codes: PhoneCodes

    def close(self) -> None:
        """Close database and HIS connections."""
        self.his.close()
        self.store.close()


def build(config: Config, clock: Clock | None = None) -> Parts:
    """Build the parts. Raises ConfigError."""
    clock = clock or SystemClock()
    vault = Vault(decode_key(config.secrets.data_key.get_secret_value()))
    his = build_his(config)
    store = Store(config.database.url, vault)
    bus = Bus()
    wechat = WechatOAuthClient(config.wechat)
    patterns = Patterns(config.codes.patterns.card, config.codes.patterns.wristband)
    scan = ScanService(
        store.scans, his, patterns, clock, deadline_s=config.his.scan_deadline_ms / 1000, publish=bus.publish
    )
    return Parts(
        config, clock, bus, vault, store, his, wechat,
        stations=StationService(store.stations, store.attempts, clock),
        scan=scan,
        cards=CardService(
            store.bindings, store.attempts, his, clock, config.policies.binding,
            deadline_s=config.his.page_deadline_ms / 1000,
        ),
        login=LoginService(store.followers, store.sessions, wechat, clock),
        codes=PhoneCodes(store.bindings, store.scans, clock, config.codes.mode),
    )  # fmt: skip


_ADAPTERS: Mapping[str, tuple[type[Any], Callable[[Any], HisPort]]] = {"rest": (RestOptions, RestHis)}


def build_his(config: Config) -> HisPort:
    """The configured HIS adapter. Raises ConfigError naming the option."""
    schema, adapter = _ADAPTERS[config.his.adapter]
    try:
        return adapter(schema.model_validate(config.his.options))
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(["his", "options", *map(str, fault["loc"])])
        raise ConfigError(str(fault["msg"]).replace("Input should", "should"), key=key) from exc
