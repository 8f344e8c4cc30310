"""A counter, a ward and a desk that takes both, on a real store, before a HIS that runs as a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.clock import SetClock
from core.codes import passes
from core.codes.classify import Patterns
from core.ids import new_id
from core.privacy import Vault
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import HisPort
from his.rest import RestAdapter, RestOptions
from services.scan import ScanDone, Scanned, ScanService
from store.port import Accepts, Binding, BindingKind, PassRow, Scans, Station, StationKind
from store.store import Store
from tests.support.logs import log_lines
from tests.support.sims import HisSim, start_his

__all__ = ["log_lines"]

PATTERNS = Patterns([r"60\d{10}"], [r"W\d{12}"])
DEADLINE_S = 0.6
STATIONS = (
    ("C1", StationKind.COUNTER, Accepts.CARD, "", False),
    ("C2", StationKind.COUNTER, Accepts.CARD, "", False),
    ("B1", StationKind.COUNTER, Accepts.BOTH, "", False),
    ("S1", StationKind.COUNTER, Accepts.BOTH, "", True),
    ("W1", StationKind.WARD, Accepts.WRISTBAND, "W01", False),
    ("W2", StationKind.WARD, Accepts.WRISTBAND, "W02", False),
)


@dataclass
class Desk:
    """Stations with a scan service; ``done`` is what was pushed, in the order it was pushed."""

    store: Store
    his: HisPort
    clock: SetClock
    stations: Mapping[str, Station]
    path: Path
    done: list[ScanDone] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = self.service_on(self.store.scans)

    def service_on(self, scans: Scans, his: HisPort | None = None) -> ScanService:
        """Another service on the same desk."""
        return ScanService(
            scans, his or self.his, PATTERNS, self.clock, deadline_s=DEADLINE_S, publish=self.done.append
        )

    def scan(self, text: str, at: str = "C1", symbology: str | None = None) -> Mapping[str, Any]:
        """One reading at one station."""
        return self.service.handle(self.stations[at], self.reading(text, symbology))

    def reading(self, text: str, symbology: str | None = None) -> Scanned:
        """As a device hands it over, now."""
        return Scanned("D1", text, symbology, self.clock.monotonic(), self.clock.now())

    def bind(self, number: str, patient_id: str, kind: BindingKind = BindingKind.CARD) -> PassRow:
        """A pass on somebody's phone; ``number`` is what the printed thing carries."""
        follower = self.store.followers.seen("oA", self.clock.now())
        binding = Binding(new_id(), follower.id, kind, number, patient_id, "王小明", self.clock.now(), number)
        return self.store.bindings.pass_for(self.store.bindings.add(binding, self.clock.now()), self.clock.now())

    def shown(self, row: PassRow, steps: int = 0) -> str:
        """What the phone shows ``steps`` from now."""
        return passes.render(row.kind, row.pass_no, row.secret, passes.step_at(self.clock.epoch()) + steps)


@pytest.fixture(scope="session")
def _his_of_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    sim = start_his(tmp_path_factory.mktemp("his"))
    yield sim
    sim.stop()


@pytest.fixture
def his_process(_his_of_services: HisSim) -> Iterator[HisSim]:
    """The shared simulator, well again after each test."""
    yield _his_of_services
    _his_of_services.fault("none")


@pytest.fixture
def make_desk(tmp_path: Path, his_process: HisSim) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(guard: GuardOptions | None = None, **options: object) -> Desk:
        folder = tmp_path / f"desk{len(made)}"
        folder.mkdir()
        store = Store(f"sqlite:///{folder / 'hospital.db'}", Vault(b"k" * 32))
        stations = {}
        for code, kind, accepts, ward, staff in STATIONS:
            stations[code] = Station(new_id(), code, f"{code} 号窗口", kind, accepts, ward, staff)
            store.stations.add(stations[code])
        adapter = RestAdapter(RestOptions.model_validate({
            "base_url": his_process.url, "token": his_process.token, **options,
        }))  # fmt: skip
        his = Gateway(adapter, guard or GuardOptions(probe_s=0.1))
        made.append(Desk(store, his, SetClock(), stations, folder))
        return made[-1]

    yield make
    for desk in made:
        desk.his.close()
        desk.store.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()
