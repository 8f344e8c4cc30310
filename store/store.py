"""The whole store in one hand: opened and migrated by the composition root."""

from __future__ import annotations

from core.privacy import Vault
from store.bridge import BridgeClientStore, BridgeScanStore
from store.calls import CallStore
from store.db import checkpoint, migrate, open_pair
from store.guards import AttemptStore, SessionStore
from store.his_events import HisEventStore
from store.intents import IntentStore
from store.people import BindingStore, FollowerStore
from store.scans import ScanStore
from store.stations import DeviceStore, StationStore


class Store:
    """hospital.db. Raises ConfigError when it cannot be opened."""

    def __init__(self, url: str, vault: Vault) -> None:
        self.durable, self.quick = open_pair(url)
        try:
            self.applied = migrate(self.durable)
        except BaseException:
            self.close()
            raise
        self.stations = StationStore(self.durable, vault)
        self.devices = DeviceStore(self.durable)
        self.followers = FollowerStore(self.durable, vault)
        self.bindings = BindingStore(self.durable, vault)
        self.attempts = AttemptStore(self.durable, vault)
        self.sessions = SessionStore(self.durable, vault)
        self.scans = ScanStore(self.quick, vault)
        self.bridge_clients = BridgeClientStore(self.durable)
        self.bridge_scans = BridgeScanStore(self.quick, vault)
        self.his_events = HisEventStore(self.durable, vault)
        self.intents = IntentStore(self.durable, self.quick, vault)
        self.his_calls = CallStore(self.quick, vault)

    def ping(self) -> None:
        """A trivial read; raises whatever is wrong with the database."""
        with self.durable.read() as database:
            database.execute_sql("SELECT 1").fetchone()

    def checkpoint(self) -> None:
        """Keep the WAL short; called every few seconds by a job."""
        checkpoint(self.durable)

    def close(self) -> None:
        """Close both connections."""
        self.quick.close()
        self.durable.close()
