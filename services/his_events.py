"""Events from the HIS: each stored once before it is acknowledged, shown on queue displays, and told to the house."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from core.clock import SHANGHAI, Clock
from core.privacy import mask_name
from his.port import HisEvent, HisEventKind
from services.scan import InOrder, StationTold
from store.port import Station, StationKind, Stations
from store.port_bridge import HisEvents, NewHisEvent

log = logging.getLogger(__name__)

SHOWN = ("queue_no", "department", "room", "doctor")
"""Members of a queue call's data that a display shows as they are."""


class Received(StrEnum):
    """What became of an event; CLASH: its event_id was used before for something else, and nothing was stored."""

    NEW = "new"
    SEEN = "seen"
    CLASH = "clash"


@dataclass(frozen=True, slots=True)
class HisEventArrived:
    """Past-tense event: stored under ``seq``. Published once; who must miss none reads `HisEvents.after` besides."""

    seq: int
    event: HisEvent


class Forget(Protocol):
    """`his.gateway.Gateway.forget`."""

    def __call__(self, *, patient_id: str = "", schedule_id: str = "") -> None: ...


class HisEventService:
    """Takes events from the bridge and from HL7 alike; thread-safe."""

    def __init__(
        self, events: HisEvents, stations: Stations, in_order: InOrder, clock: Clock, forget: Forget,
        publish: Callable[[object], None],
    ) -> None:  # fmt: skip
        self._events, self._stations, self._in_order = events, stations, in_order
        self._clock, self._forget, self._publish = clock, forget, publish

    def handle(self, event: HisEvent) -> Literal["new", "seen"]:
        """Store and publish one event. Whoever calls may acknowledge it when this returns."""
        (received,) = self.handle_all([event])
        return "new" if received is Received.NEW else "seen"

    def handle_all(self, events: Sequence[HisEvent], only: Collection[str] = ()) -> list[Received]:
        """Store all in one commit, then publish those that are new, in their order. ``only`` these stations are told; none: all."""
        shows = self._displays(events, only)
        rows = [_row(event, tells) for event, tells in zip(events, shows, strict=True)]
        told = {station for tells in shows for station, _, _ in tells}
        with self._in_order(told):
            stored = self._events.add(rows, self._clock.now())
            for row, kept in zip(rows, stored, strict=True):
                for (station, seq), (_, name, body) in zip(kept.told, row.tells, strict=False):
                    self._publish(StationTold(station, seq, name, {**body, "seq": seq}))
        received = []
        for event, kept in zip(events, stored, strict=True):
            received.append(Received.NEW if kept.new else Received.SEEN if kept.same else Received.CLASH)
            if kept.new:
                self.forget(event.kind, event.patient_id, event.ref)
                self._publish(HisEventArrived(kept.seq, event))
            elif not kept.same:
                log.warning(
                    "%s used an event_id again for something else (event %d): not stored", event.source, kept.seq
                )
        return received

    def forget(self, kind: str, patient_id: str, ref: str) -> None:
        """Drop what the house remembers of the patient or the schedule this is about."""
        self._forget(patient_id=patient_id, schedule_id=ref if kind == HisEventKind.CLINIC_STOPPED else "")

    def _displays(
        self, events: Iterable[HisEvent], only: Collection[str]
    ) -> list[tuple[tuple[str, str, Mapping[str, Any]], ...]]:
        if not any(event.kind is HisEventKind.QUEUE_CALLED for event in events):
            return [() for _ in events]
        stations = self._stations.all()
        return [
            tuple((code, "queue", _call(event)) for code in _targets(event, stations) if not only or code in only)
            if event.kind is HisEventKind.QUEUE_CALLED
            else ()
            for event in events
        ]


def _targets(event: HisEvent, stations: Sequence[Station]) -> list[str]:
    """The station the HIS names, and every queue display unless it named one."""
    named = next((station for station in stations if station.code == event.data.get("station")), None)
    displays = [station.code for station in stations if station.kind is StationKind.QUEUE]
    if named is None:
        return displays
    return [named.code] if named.kind is StationKind.QUEUE else [named.code, *displays]


def _call(event: HisEvent) -> dict[str, Any]:
    """What a display in a hall may show of a call: the number and the way, and the masked name."""
    body: dict[str, Any] = {
        "event": event.kind.value,
        "at": event.at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        **{key: event.data[key] for key in SHOWN if key in event.data},
    }
    if isinstance(name := event.data.get("name"), str) and name:
        body["name"] = mask_name(name)
    return body


def _row(event: HisEvent, tells: tuple[tuple[str, str, Mapping[str, Any]], ...]) -> NewHisEvent:
    return NewHisEvent(
        event.source, event.event_id, event.kind.value, event.at, event.patient_id, event.ref, event.data, tells
    )
