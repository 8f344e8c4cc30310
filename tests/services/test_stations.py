"""Stations: added with sane defaults, screens paired once, guessed never, revoked at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import SetClock
from core.errors import Refusal
from core.privacy import Vault, token_hash
from services.stations import StationService
from store.port import Accepts, StationKind, Taken
from store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'hospital.db'}", Vault(b"k" * 32))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def stations(store: Store, clock: SetClock) -> StationService:
    service = StationService(store.stations, store.attempts, clock)
    service.add("C1", "一号窗口", StationKind.COUNTER)
    service.add("C2", "二号窗口", StationKind.COUNTER)
    return service


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(Refusal) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.zh
    assert caught.value.en
    return caught.value.code


def test_a_counter_takes_cards_and_a_ward_takes_wristbands_unless_told_otherwise(stations: StationService) -> None:
    assert stations.get("C1").accepts is Accepts.CARD
    assert stations.add("W1", "一病区", StationKind.WARD, ward_code="W01").accepts is Accepts.WRISTBAND
    assert stations.add("B1", "综合", StationKind.COUNTER, accepts=Accepts.BOTH).accepts is Accepts.BOTH
    assert [station.code for station in stations.all()] == ["B1", "C1", "C2", "W1"]


def test_a_ward_needs_its_ward_code_and_a_code_is_taken_once(stations: StationService) -> None:
    assert refused(stations.add, "W9", "病区", StationKind.WARD) == "station.ward_missing"
    with pytest.raises(Taken):
        stations.add("C1", "又一个", StationKind.COUNTER)


def test_a_pairing_code_works_once_however_it_is_typed(stations: StationService) -> None:
    pairing = stations.offer_pairing("C1")
    token = stations.redeem_pairing(f" {pairing.lower().replace('-', '')} ", "C1", "10.0.0.1")
    assert stations.admit("C1", token).code == "C1"
    assert refused(stations.redeem_pairing, pairing, "C1", "10.0.0.1") == "pairing.refused"


def test_wrong_used_expired_foreign_and_unknown_are_refused_alike(stations: StationService, clock: SetClock) -> None:
    other, late = stations.offer_pairing("C2"), stations.offer_pairing("C1")
    clock.advance(15 * 60)
    said = {
        refused(stations.redeem_pairing, code, station, f"10.0.1.{n}")
        for n, (code, station) in enumerate([("AAAA-AAAA", "C1"), (other, "C1"), (late, "C1"), (late, "NONE")])
    }
    assert said == {"pairing.refused"}


def test_guessing_ends_after_ten_from_one_address_and_thirty_at_one_station_also_after_a_restart(
    store: Store, stations: StationService, clock: SetClock
) -> None:
    pairing = stations.offer_pairing("C1")
    codes = [refused(stations.redeem_pairing, f"AAAA-{n:04d}", "C1", "10.0.0.1") for n in range(10)]
    assert codes == ["pairing.refused"] * 10
    again = StationService(store.stations, store.attempts, clock)
    assert refused(again.redeem_pairing, pairing, "C1", "10.0.0.1") == "pairing.too_many"
    for n in range(20):
        refused(again.redeem_pairing, f"BBBB-{n:04d}", "C1", f"10.0.2.{n}")
    assert refused(again.redeem_pairing, pairing, "C1", "10.0.3.1") == "pairing.too_many"
    clock.advance(3601)
    fresh = again.offer_pairing("C1")
    assert again.redeem_pairing(fresh, "C1", "10.0.0.1")


def test_a_token_is_of_one_station_and_ends_when_revoked(stations: StationService) -> None:
    token = stations.mint_token("C1")
    assert stations.admit("C1", token) is not None
    assert stations.admit("C2", token) is None
    assert stations.admit("C1", token + "x") is None
    assert stations.live() == {("C1", token_hash(token))}
    assert stations.revoke("C1") == 1
    assert stations.admit("C1", token) is None
    assert stations.live() == frozenset()
    assert stations.revoke("C1") == 0


@pytest.mark.parametrize("call", ["offer_pairing", "mint_token", "revoke"])
def test_an_unknown_station_is_said_to_be_unknown(stations: StationService, call: str) -> None:
    assert refused(getattr(stations, call), "NONE") == "station.unknown"
