"""Codes and scans of the HIS's own workstations: resolved, scanned at a station of ours, or only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.clock import SHANGHAI, Clock
from core.codes.classify import PASSES, CodeClass
from core.errors import Refusal
from core.ids import new_id
from core.outcomes import ACCEPTED, WORDS, Outcome
from services.bridge_clients import Scope
from services.scan import Known, Scanned, ScanService, identifiers, scanned_now
from store.port import Accepts, FoundScan, PassUse, Station, StationKind, Stations
from store.port_bridge import BridgeClient, BridgeScans, Look

OLDEST, EARLIEST = timedelta(hours=12), timedelta(minutes=5)
"""How far a scan made elsewhere may lie in the past, and in the future by a clock that is wrong."""
_OURS = PASSES | {CodeClass.PATIENT_CARD, CodeClass.WRISTBAND}
"""Codes of this house; of any other only its class is remembered, not even as a hash."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A scan made elsewhere; ``scan_id`` is the client's own."""

    scan_id: str
    station: str
    device: str
    text: str
    symbology: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the feed: outcomes with ``cursor``, and the cursor to go on from."""

    scans: Sequence[Known]
    cursors: Sequence[int]
    next: int


class BridgeScanService:
    """What the bridge's clients may ask of scans; thread-safe."""

    def __init__(self, scan: ScanService, kept: BridgeScans, stations: Stations, clock: Clock) -> None:
        self._scan, self._kept, self._stations, self._clock = scan, kept, stations, clock

    def resolve(self, client: BridgeClient, code: str, station: str | None) -> Known:
        """Whose code this is. At a station it is a scan like any other; without one it is only looked at.

        A look uses nothing up: the patient may still show the code at a desk. It is judged as if the client were a
        station of its own: what a desk has accepted is ``replayed``, what this client has seen is ``already_done``.
        """
        if station is not None:
            return self._scan.handle_known(
                self._station(client, station), scanned_now(_device(client), code, self._clock)
            )
        viewer = Station("", f"bridge:{client.name}", client.name, StationKind.COUNTER, Accepts.BOTH)
        scanned = scanned_now(_device(client), code, self._clock)
        code_class, answer = self._scan.look(viewer, scanned)
        look = Look(
            new_id(), client.name, scanned.at, answer.outcome.value, code_class.value,
            answer.use if answer.outcome in ACCEPTED else None,
            answer.patient.patient_id if answer.patient else None,
        )  # fmt: skip
        if (first := self._kept.note(look)) is not None:
            use = PassUse(viewer.code, viewer.name, first[0], first[1], {})
            answer = replace(answer, outcome=Outcome.ALREADY_DONE, words=WORDS[Outcome.ALREADY_DONE], first=use)
        return Known(self._scan.compose(viewer, scanned, code_class, answer, look.id), identifiers(answer))

    def take(self, client: BridgeClient, scan: Elsewhere) -> Known:
        """A scan made elsewhere, handled once per client and scan_id; sent again, the stored outcome comes again.

        Raises Refusal ``scan.id_reused`` when the scan_id stood for another code or station, ``scan.time``.
        """
        now = self._clock.now()
        if not now - OLDEST <= scan.at <= now + EARLIEST:
            raise Refusal(
                "scan.time", "扫码时间太早或在将来,请校准时钟",
                "'at' lies more than 12 hours back or in the future; set the clock, and drop older scans",
            )  # fmt: skip
        station = self._station(client, scan.station)
        scanned = Scanned(scan.device, scan.text, scan.symbology, self._clock.monotonic(), scan.at.astimezone(SHANGHAI))
        ours, same = self._kept.claim(client.name, scan.scan_id, new_id(), self._content(scan, scanned), now)
        if not same:
            raise Refusal(
                "scan.id_reused", "这个 scan_id 已用于另一次扫码",
                "this scan_id was used before for another code or station; give every scan a new one",
            )  # fmt: skip
        known = self._scan.handle_known(station, scanned, ours)
        return Known({**known.body, "scan_id": scan.scan_id}, _whom(known))

    def feed(self, client: BridgeClient, since: int, limit: int, station: str | None) -> Page:
        """Scans after the cursor, oldest first, of one station or of all the client's. Raises Refusal."""
        only: Sequence[str] = (self._station(client, station).code,) if station is not None else client.stations
        found, upto = self._kept.feed(client.name, since, limit, only)
        if since > upto:
            raise Refusal(
                "scans.cursor", "这个游标不属于现在的数据库,请从 0 重新开始",
                "this cursor is ahead of everything here, so it is of another database; begin again with since=0",
            )  # fmt: skip
        return Page([_shown(scan, own) for _, scan, own in found], [number for number, _, _ in found], upto)

    def _content(self, scan: Elsewhere, scanned: Scanned) -> str:
        found = self._scan.classify(scanned)
        value = found.value if found.code_class in _OURS else ""
        return "\0".join((scan.station, found.code_class.value, value))

    def _station(self, client: BridgeClient, code: str) -> Station:
        if client.stations and code not in client.stations:
            raise Refusal(
                "station.not_yours", "这个令牌不能用于这个屏位", "this token is not for this station; ask IT to add it"
            )
        station = self._stations.get(code)
        if station is None:
            raise Refusal(
                "station.unknown",
                "没有这个屏位",
                "there is no such station; IT lists them with `hospital stations list`",
            )
        return station

    def may_name(self, client: BridgeClient, station: object) -> bool:
        """Whether the client's events may name this station."""
        return not client.stations or station in client.stations


def scopes_show_ids(client: BridgeClient) -> bool:
    """Whether a scan's answer carries the HIS's identifiers for this client."""
    return Scope.RESOLVE in client.scopes


def _device(client: BridgeClient) -> str:
    return f"bridge:{client.name}"[:32]


def _whom(known: Known) -> Mapping[str, Any]:
    """Only the patient_id: it is what is kept, so the answer is the same however often it is asked for."""
    if known.body["outcome"] not in ACCEPTED or "patient_id" not in known.his:
        return {}
    return {"patient_id": known.his["patient_id"]}


def _shown(scan: FoundScan, own: str) -> Known:
    body = {**scan.body, "seq": scan.seq, **({"scan_id": own} if own else {})}
    return Known(body, {"patient_id": scan.patient_id} if scan.patient_id else {})
