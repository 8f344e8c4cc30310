"""The composition root: the only place that knows classes. Builds the parts of one process; starts nothing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
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
from his.adapter import Adapter
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import Lane, OpClass, PacsPort
from hospital.call_log import CallLog
from hospital.pacs import build_pacs
from services.bridge_clients import BridgeClientService
from services.bridge_scans import BridgeScanService
from services.cards import CardService
from services.his_events import HisEventService
from services.his_resolver import HisResolver
from services.his_writes import HisWrites, WriteOptions
from services.login import LoginService
from services.phone_codes import PhoneCodes
from services.reports import ReportService
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
    his: Gateway
    calls: CallLog
    writes: HisWrites
    resolver: HisResolver
    wechat: WechatOAuth
    stations: StationService
    scan: ScanService
    cards: CardService
    reports: ReportService
    pacs: PacsPort | None
    login: LoginService
    codes: PhoneCodes
    his_events: HisEventService
    bridge_clients: BridgeClientService
    bridge_scans: BridgeScanService

    def close(self) -> None:
        """Close database and HIS connections."""
        self.his.close()
        if self.pacs is not None:
            self.pacs.close()
        self.calls.close()
        self.store.close()


def build(config: Config, clock: Clock | None = None, *, page_threads: int | None = None) -> Parts:
    """Build the parts; `page_threads`: threads that serve pages, at most half may wait for the HIS. Raises ConfigError."""
    clock = clock or SystemClock()
    vault = Vault(decode_key(config.secrets.data_key.get_secret_value()))
    adapter = his_adapter(config)  # a wrong option is said before a database is made
    pacs = build_pacs(config, page_threads)
    store = Store(config.database.url, vault)
    calls = CallLog(store.his_calls)
    his = Gateway(adapter, guard_options(config, page_threads), calls.record)
    bus = Bus()
    writing = write_options(config)
    wechat = WechatOAuthClient(config.wechat)
    patterns = Patterns(config.codes.patterns.card, config.codes.patterns.wristband)
    scan = ScanService(
        store.scans, his, patterns, clock, deadline_s=config.his.scan_deadline_ms / 1000, publish=bus.publish
    )
    cards = CardService(
        store.bindings, store.attempts, his, clock, config.policies.binding,
        deadline_s=config.his.page_deadline_ms / 1000,
    )  # fmt: skip
    reports = ReportService(cards, his, pacs, deadline_s=config.his.page_deadline_ms / 1000)

    def forget(*, patient_id: str = "", schedule_id: str = "") -> None:
        his.forget(patient_id=patient_id, schedule_id=schedule_id)
        reports.forget(patient_id)

    return Parts(
        config, clock, bus, vault, store, his, calls,
        HisWrites(his, store.intents, clock, bus.publish, writing),
        HisResolver(his, store.intents, clock, bus.publish, writing),
        wechat,
        stations=StationService(store.stations, store.attempts, clock),
        scan=scan,
        cards=cards,
        reports=reports,
        pacs=pacs,
        login=LoginService(store.followers, store.sessions, wechat, clock),
        codes=PhoneCodes(store.bindings, store.scans, clock, config.codes.mode),
        his_events=HisEventService(store.his_events, store.stations, scan.in_order, clock, forget, bus.publish),
        bridge_clients=BridgeClientService(
            store.bridge_clients, store.stations, store.attempts, clock, per_minute=config.bridge.requests_per_minute
        ),
        bridge_scans=BridgeScanService(scan, store.bridge_scans, store.stations, clock),
    )  # fmt: skip


HIS_ADAPTERS: Mapping[str, str] = {
    "rest": "his.rest", "soap": "his.soap", "views": "his.views", "fhir": "his.fhir", "hl7v2": "his.hl7v2",
    "gnuhealth": "his.gnuhealth",
}  # fmt: skip
"""Modules, each with `OPTIONS` (a pydantic model) and `make(options)`; only the one in use is imported."""


def build_his(config: Config) -> Gateway:
    """The configured HIS behind its guard, for a command that asks it something. Raises ConfigError naming the option."""
    return Gateway(his_adapter(config), guard_options(config))


def write_options(config: Config) -> WriteOptions:
    """How writes are sent and asked about, as far as the configuration says."""
    guard = config.his.guard
    return WriteOptions(
        deadline_s=guard.write_ms / 1000, longest_processing_s=guard.longest_processing_s, ask_s=guard.read_ms / 1000
    )


def his_adapter(config: Config) -> Adapter:
    """The configured adapter without its guard. Raises ConfigError naming the option."""
    name = config.his.adapter
    if name not in HIS_ADAPTERS:
        raise ConfigError(f"{name!r} is no adapter; there are {', '.join(HIS_ADAPTERS)}", key="his.adapter")
    module = importlib.import_module(HIS_ADAPTERS[name])
    try:
        adapter: Adapter = module.make(module.OPTIONS.model_validate(config.his.options))
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(["his", "options", *map(str, fault["loc"])])
        raise ConfigError(str(fault["msg"]).replace("Input should", "should"), key=key) from exc
    return adapter


def guard_options(config: Config, page_threads: int | None = None) -> GuardOptions:
    """`his.guard` of the configuration as the guard takes it."""
    guard = config.his.guard
    pages = guard.page_calls if page_threads is None else min(guard.page_calls, max(1, page_threads // 2))
    return GuardOptions(
        deadlines={
            OpClass.HEALTH: guard.health_ms / 1000, OpClass.READ: guard.read_ms / 1000,
            OpClass.REPORT: guard.report_ms / 1000, OpClass.WRITE: guard.write_ms / 1000,
        },
        lanes={Lane.SCAN: guard.scan_calls, Lane.PAGE: pages, Lane.JOB: guard.job_calls},
        fail_max=guard.breaker_failures,
        probe_s=guard.breaker_probe_ms / 1000,
        attempts=guard.read_attempts,
    )  # fmt: skip
