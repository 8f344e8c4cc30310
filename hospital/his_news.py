"""A portal of its own follows what the HIS told the hub, so that its cached copies go when the hub's do."""

from __future__ import annotations

from hospital.bootstrap import Parts
from hospital.jobs import Every

FOLLOW_S = 1.0
_STEP = 500


class HisNews:
    """Reads new events of `store.his_events` each second; the hub, which takes them in, needs none of it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seq = parts.store.his_events.last_seq()
        self._job = Every("his-news", FOLLOW_S, self.follow)

    def start(self) -> None:
        """Begin to follow."""
        self._job.start()

    def stop(self) -> None:
        """End."""
        self._job.stop()

    def follow(self) -> None:
        """Forget what the events since the last look are about."""
        while found := self._parts.store.his_events.after(self._seq, _STEP):
            for seq, event in found:
                self._parts.his_events.forget(event.kind, event.patient_id, event.ref)
                self._seq = seq
