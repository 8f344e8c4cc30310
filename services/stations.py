"""Stations and the pairing of their screens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from core.clock import Clock
from core.errors import Refusal
from core.ids import new_id, new_pairing_code, new_token
from store.port import Accepts, Attempts, Limit, Station, StationKind, Stations

PAIRING_LIFE = timedelta(minutes=15)
_DEFAULT_ACCEPTS = {
    StationKind.COUNTER: Accepts.CARD,
    StationKind.WARD: Accepts.WRISTBAND,
    StationKind.KIOSK: Accepts.CARD,
    StationKind.QUEUE: Accepts.CARD,
}


class StationService:
    """Adds stations, pairs screens with them, says whether a token is a live one."""

    def __init__(self, stations: Stations, attempts: Attempts, clock: Clock) -> None:
        self._stations, self._attempts, self._clock = stations, attempts, clock

    def get(self, code: str) -> Station | None:
        """The station with this code."""
        return self._stations.get(code)

    def all(self) -> Sequence[Station]:
        """All stations by code."""
        return self._stations.all()

    def add(
        self, code: str, name: str, kind: StationKind, *, accepts: Accepts | None = None, ward_code: str = "",
        staff_only: bool = False,
    ) -> Station:  # fmt: skip
        """Add a station. Raises Taken; Refusal ``station.ward_missing`` for a ward without its HIS ward code."""
        if kind is StationKind.WARD and not ward_code:
            raise Refusal(
                "station.ward_missing",
                "病区屏需要 HIS 的病区代码",
                "a ward station needs the HIS's ward code: --ward CODE",
            )
        station = Station(new_id(), code, name, kind, accepts or _DEFAULT_ACCEPTS[kind], ward_code, staff_only)
        self._stations.add(station)
        return station

    def offer_pairing(self, code: str) -> str:
        """A one-time pairing code for a screen of this station, good for 15 minutes. Raises Refusal."""
        self._must_exist(code)
        pairing = new_pairing_code()
        self._stations.offer_pairing(code, pairing, self._clock.now() + PAIRING_LIFE)
        return pairing

    def redeem_pairing(self, code: str, station_code: str, client_ip: str) -> str:
        """Exchange a pairing code for a screen token. Raises Refusal, the same for wrong, used and expired."""
        limits = (
            Limit("pairing_address", client_ip, 10, timedelta(hours=1)),
            Limit("pairing_station", station_code, 30, timedelta(hours=1)),
        )
        attempt = self._attempts.reserve(limits, self._clock.now())
        if not attempt.allowed:
            wait = max(1, round(attempt.retry_after.total_seconds()))
            minutes = -(-wait // 60)
            raise Refusal(
                "pairing.too_many", f"试得太多了,请 {minutes} 分钟后再试",
                f"Too many attempts; try again in {minutes} minutes", retry_after_s=wait,
            )  # fmt: skip
        token = new_token()
        known = self._stations.get(station_code) is not None
        tidy = code.strip().upper().replace(" ", "")
        tidy = f"{tidy[:4]}-{tidy[4:]}" if len(tidy) == 8 else tidy
        if not known or not self._stations.redeem_pairing(station_code, tidy, token, self._clock.now()):
            raise Refusal(
                "pairing.refused", "配对码不对、已用过或已过期,请信息科重新生成",
                "This pairing code is wrong, used or expired; ask IT for a new one",
            )  # fmt: skip
        self._attempts.settle(attempt.attempt_id, success=True)
        return token

    def mint_token(self, code: str) -> str:
        """A screen token for a client that is not a browser. Raises Refusal."""
        self._must_exist(code)
        token = new_token()
        self._stations.add_token(code, token, self._clock.now())
        return token

    def revoke(self, code: str) -> int:
        """End all screen tokens of the station; how many there were. Raises Refusal."""
        self._must_exist(code)
        return self._stations.revoke_tokens(code, self._clock.now())

    def admit(self, code: str, token: str) -> Station | None:
        """The station, if the token is a live one of it."""
        return self._stations.get(code) if self._stations.token_holds(code, token) else None

    def live(self) -> frozenset[tuple[str, str]]:
        """(station code, token hash) of every screen that may listen now."""
        return self._stations.live_tokens()

    def _must_exist(self, code: str) -> None:
        if self._stations.get(code) is None:
            raise Refusal(
                "station.unknown",
                f"没有编号为 {code} 的屏位",
                f"there is no station {code}; see `hospital stations list`",
            )
