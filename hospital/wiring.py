"""Who hears what: readings to the scan service, outcomes and device states to the screens, HIS state to everybody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from core.outcomes import ACCEPTED, Outcome, say
from devices.port import DeviceConfig, Feedback, Reading, Refused, StateChange
from devices.supervisor import Supervisor
from his.port import Ctx, HealthQuery, HisError, Lane
from hospital.bootstrap import DRIVERS, Parts
from hospital.jobs import Every, sweep
from hospital.write_jobs import WriteJobs
from services.scan import ScanDone, Scanned, StationTold
from store.port import Device, Station
from web.hub import Hub, HubState

log = logging.getLogger(__name__)

_SETTINGS_S = 2.0
"""How soon a change made by `hospital devices` or `stations` reaches the running hub."""
_HIS_S = 3.0
_CHECKPOINT_S = 2.0


class HubParts:
    """The parts only the hub has: Socket.IO, scanners, the HIS watch. `start` begins work, `stop` ends it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.devices = DeviceRoom(parts, self._tell_device)
        self.his_online = True
        self.writes = WriteJobs(parts)
        self.mllp = _hl7_in(parts)
        state = HubState(devices=self.devices.of_station, his=self.his_state, now=parts.clock.now)
        self.hub = Hub(parts.stations, parts.store.scans, state, _origins(parts))
        parts.bus.subscribe(ScanDone, self._push_scan)
        parts.bus.subscribe(StationTold, self._push_told)
        config = parts.config.policies
        self._jobs = (
            Every("devices", _SETTINGS_S, self.devices.follow),
            Every("his", _HIS_S, self._watch_his),
            Every("checkpoint", _CHECKPOINT_S, parts.store.checkpoint),
            Every("strangers", _SETTINGS_S, self.hub.drop_strangers),
            Every("sweep", 24 * 3600, lambda: sweep(parts.store, parts.clock, config.keep_events_days)),
        )

    def start(self) -> None:
        """Open the devices and start the jobs."""
        for job in self._jobs:
            job.start()
        self.writes.start()
        if self.mllp is not None:
            self.mllp.start()

    def stop(self) -> None:
        """Close the devices and end the jobs."""
        if self.mllp is not None:
            self.mllp.stop()
        for job in self._jobs:
            job.stop()
        self.writes.stop()
        self.devices.stop()

    def his_state(self) -> Mapping[str, Any]:
        """The HIS lamp."""
        return {"state": "online" if self.his_online else "offline"}

    def _push_scan(self, done: ScanDone) -> None:
        self.hub.push(done.station, "scan", done.body, done.text)

    def _tell_device(self, station: str, change: StateChange) -> None:
        body = {
            "device": change.device, "state": change.state.value, "reason": change.reason, "code": change.code,
            "since": change.since.isoformat(timespec="seconds"),
        }  # fmt: skip
        self._parts.scan.tell(station, "device", body)

    def _push_told(self, told: StationTold) -> None:
        self.hub.push(told.station, told.kind, told.body)

    def _watch_his(self) -> None:
        try:
            self._parts.his.ask(HealthQuery(), Ctx(deadline_s=2.0, actor="watch", lane=Lane.JOB))
            online = True
        except HisError:
            online = False
        if online == self.his_online:
            return
        self.his_online = online
        if online:
            self.writes.his_is_back()
        words = (
            say("医院系统已恢复", "The hospital system is back")
            if online
            else say("医院系统暂时没有回应", "The hospital system does not answer")
        )
        for station in self._parts.stations.all():
            self._parts.scan.tell(station.code, "notice", {"kind": "his", **self.his_state(), "say": words})


class DeviceRoom:
    """The supervisor and what it needs to know: which device belongs to which station."""

    def __init__(self, parts: Parts, tell: Any) -> None:
        self._parts, self._tell = parts, tell
        self._supervisor = Supervisor(DRIVERS, sink=self._read, on_state=self._changed, on_overflow=self._overflow)
        self._lock = threading.Lock()
        self._stations: dict[str, Station] = {}
        self._devices: dict[str, Device] = {}
        self._last: list[Device] | None = None

    def follow(self) -> None:
        """Take over what the database says now; only what changed is touched."""
        devices = self._parts.store.devices.all()
        stations = {station.code: station for station in self._parts.stations.all()}
        wanted = {device.code: device for device in devices}
        with self._lock:  # a device that goes still tells its station so
            self._stations, self._devices = stations, {**self._devices, **wanted}
        if devices != self._last:
            for code, result in self._supervisor.apply([_config(device) for device in devices]).items():
                if isinstance(result, Refused):
                    log.warning("device %s keeps its old settings: %s", code, result.reason)
            self._last = devices
        with self._lock:
            self._devices = wanted

    def of_station(self, code: str) -> Sequence[Mapping[str, Any]]:
        """Lamps of one station's devices."""
        states = self._supervisor.states()
        with self._lock:
            mine = [device for device in self._devices.values() if device.station == code]
        return [
            {"code": device.code, "name": device.name, "state": state.state.value, "reason": state.reason}
            for device in mine
            if (state := states.get(device.code)) is not None
        ]

    def states(self) -> Mapping[str, StateChange]:
        """All device states, for readiness."""
        return self._supervisor.states()

    def stop(self) -> None:
        """Close all devices."""
        self._supervisor.stop()

    def _station_of(self, device: str) -> Station | None:
        with self._lock:
            found = self._devices.get(device)
            return self._stations.get(found.station) if found else None

    def _read(self, reading: Reading) -> None:
        station = self._station_of(reading.device)
        if station is None:
            log.warning("device %s read a code but belongs to no station", reading.device)
            return
        body = self._parts.scan.handle(station, _scanned(reading))
        self._supervisor.feedback(reading.device, _feedback(body["outcome"]))

    def _overflow(self, reading: Reading) -> None:
        if (station := self._station_of(reading.device)) is not None:
            self._parts.scan.busy(station, _scanned(reading))

    def _changed(self, change: StateChange) -> None:
        if (station := self._station_of(change.device)) is not None:
            self._tell(station.code, change)


def _config(device: Device) -> DeviceConfig:
    return DeviceConfig(device.code, device.driver, device.options, device.enabled, device.revision)


def _scanned(reading: Reading) -> Scanned:
    return Scanned(reading.device, reading.text, reading.symbology, reading.t_read, reading.at)


def _feedback(outcome: str) -> Feedback:
    if outcome in ACCEPTED or outcome == Outcome.ALREADY_DONE:
        return Feedback.ACCEPTED
    return Feedback.BUSY if outcome in (Outcome.BUSY, Outcome.HIS_UNAVAILABLE) else Feedback.UNKNOWN


def _hl7_in(parts: Parts) -> Any:
    """The HL7 v2 listener, which is loaded only where it is configured."""
    if parts.config.his.mllp is None:
        return None
    from hospital.mllp import Hl7In

    return Hl7In(parts.config, parts.his_events.handle_all)


def _origins(parts: Parts) -> set[str]:
    server = parts.config.server
    origins = {server.public_url}
    if server.host in ("127.0.0.1", "localhost", "0.0.0.0"):
        origins |= {f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"}
    return origins
