"""Binding against the real store and the real simulated HIS: what matches, what is refused, what is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.clock import SHANGHAI, SetClock
from core.errors import NotYours, Refusal
from his.port import AdmissionQuery, Ctx, Patient, PatientQuery
from hospital.bootstrap import Parts, build
from services.cards import CardService, Claim, plain
from store.port import Attempts, Binding, BindingKind, Limit, Reserved
from tests.support.house import (
    CARD,
    DECEASED,
    DISCHARGED,
    OTHER_CARD,
    STAY,
    STAY_BAND,
    config_for,
    his_sim,
    wechat_sim,
)
from tests.support.sim_wechat import WechatSim
from tests.support.sims import HisSim

__all__ = ["his_sim", "wechat_sim"]
CARDS, STAYS = BindingKind.CARD, BindingKind.ADMISSION


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime.now(SHANGHAI))


@pytest.fixture
def parts(tmp_path: Path, his_sim: HisSim, wechat_sim: WechatSim, clock: SetClock) -> Iterator[Parts]:
    his_sim.fault("none")
    made = build(config_for(tmp_path, his_sim, wechat_sim, his={"guard": {"breaker_probe_ms": 500}}), clock)
    yield made
    made.close()


def follower(parts: Parts, name: str = "a") -> str:
    return parts.store.followers.seen(f"openid-{name}", parts.clock.now()).id


def person(parts: Parts, kind: BindingKind, number: str) -> Patient:
    if kind is CARDS:
        return parts.his.ask(PatientQuery(card_no=number), Ctx()).value
    return parts.his.ask(AdmissionQuery(admission_no=number), Ctx()).value.patient


def right(parts: Parts, kind: BindingKind = CARDS, number: str = CARD) -> Claim:
    who = person(parts, kind, number)
    return Claim(kind, number, who.name, who.id_no, who.phone)


def refused(parts: Parts, who: str, claim: Claim, address: str = "10.0.0.1") -> Refusal:
    with pytest.raises(Refusal) as caught:
        parts.cards.bind(who, claim, address)
    return caught.value


def test_four_right_fields_bind_the_card_and_what_a_scanner_would_read(parts: Parts) -> None:
    me = follower(parts)
    bound = parts.cards.bind(me, right(parts), "10.0.0.1")
    assert (bound.number, bound.scan_number, bound.name) == (CARD, CARD, "王小明")
    assert [one.id for one in parts.cards.cards(me)] == [bound.id]
    stay = parts.cards.bind(me, right(parts, STAYS, STAY), "10.0.0.1")
    assert (stay.number, stay.scan_number) == (STAY, STAY_BAND)
    assert [one.id for one in parts.cards.admissions(me)] == [stay.id]


def test_binding_the_same_card_again_keeps_one(parts: Parts) -> None:
    me = follower(parts)
    first = parts.cards.bind(me, right(parts), "10.0.0.1")
    assert parts.cards.bind(me, right(parts), "10.0.0.1").id == first.id
    assert len(parts.cards.cards(me)) == 1


def test_people_may_type_as_people_do(parts: Parts) -> None:
    good = right(parts)
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    typed = Claim(
        CARDS,
        " 6000 0000 0017 ",
        " 王 小 明　",
        good.id_no.lower().translate(wide),
        f"+86 {good.phone[:3]}-{good.phone[3:7]}-{good.phone[7:]}",
    )
    assert parts.cards.bind(follower(parts), typed, "10.0.0.1").number == CARD
    assert plain("　６００ 1\t") == "6001"


def test_whatever_is_wrong_the_refusal_is_the_same(parts: Parts) -> None:
    good = right(parts)
    dead = right(parts, CARDS, DECEASED)
    lost = replace(right(parts, CARDS, "600000006834"), number="600000000187")
    wrong = [
        replace(good, number="600000009997"),
        replace(good, number=OTHER_CARD),
        replace(good, name="王小名"),
        replace(good, name=""),
        replace(good, id_no="990101198503120038"),
        replace(good, phone="19900000002"),
        dead,
        lost,
        replace(right(parts, STAYS, STAY), phone="1"),
        replace(right(parts, STAYS, STAY), number="2026999999"),
    ]
    said = {
        (r.code, r.zh, r.en, r.next_step, r.retry_after_s)
        for n, claim in enumerate(wrong)
        for r in [refused(parts, follower(parts, f"w{n}"), claim, f"10.0.1.{n}")]
    }
    assert len(said) == 1
    assert said.pop()[0] == "binding.mismatch"


def test_a_stay_that_has_ended_may_be_bound_for_its_papers(parts: Parts) -> None:
    bound = parts.cards.bind(follower(parts), right(parts, STAYS, DISCHARGED), "10.0.0.1")
    stay = parts.cards.stay(bound)
    assert stay is not None
    assert stay.discharged_at is not None


def test_a_refused_attempt_counts_and_a_good_one_does_not(parts: Parts, clock: SetClock) -> None:
    me, good = follower(parts), right(parts)
    for _ in range(4):
        assert refused(parts, me, replace(good, name="王")).code == "binding.mismatch"
    for _ in range(3):
        parts.cards.bind(me, good, "10.0.0.1")
    assert refused(parts, me, replace(good, name="王")).code == "binding.mismatch"
    stopped = refused(parts, me, good)
    assert stopped.code == "binding.too_many_attempts"
    assert stopped.retry_after_s is not None
    assert 3500 < stopped.retry_after_s <= 24 * 3600 + 1
    assert "小时" in stopped.zh
    clock.advance(25 * 3600)
    assert parts.cards.bind(me, good, "10.0.0.1").number == CARD


def test_an_outage_binds_nothing_and_costs_no_attempt(parts: Parts, his_sim: HisSim) -> None:
    me, good = follower(parts), right(parts)
    his_sim.fault("down")
    try:
        for _ in range(12):
            assert refused(parts, me, good).code == "binding.unavailable"
    finally:
        his_sim.fault("none")
    until = time.monotonic() + 20
    while not _bound_or_away(parts, me, good):
        assert time.monotonic() < until, "the HIS is back but binding is not"
        time.sleep(0.3)


def _bound_or_away(parts: Parts, me: str, claim: Claim) -> bool:
    """False only while the HIS counts as away; any other refusal is raised."""
    try:
        return parts.cards.bind(me, claim, "10.0.0.1").number == claim.number
    except Refusal as refusal:
        if refusal.code != "binding.unavailable":
            raise
        return False


def test_an_outage_that_goes_on_does_not_make_guesses_free(parts: Parts, his_sim: HisSim) -> None:
    me = follower(parts)
    good = right(parts)
    his_sim.fault("garbage")
    try:
        codes = [refused(parts, me, replace(good, name=str(n))).code for n in range(40)]
    finally:
        his_sim.fault("none")
    assert codes.count("binding.unavailable") == 20 + 5
    assert codes[-1] == "binding.too_many_attempts"


def test_one_person_keeps_only_so_many_cards(parts: Parts) -> None:
    me = follower(parts)
    numbers = [f"{600000000000 + 17 * n}" for n in (1, 2, 3, 4, 5, 8, 9, 10)]
    for number in numbers:
        parts.cards.bind(me, right(parts, CARDS, number), "10.0.0.1")
    assert refused(parts, me, right(parts, STAYS, STAY)).code == "binding.full"
    parts.cards.bind(me, right(parts, CARDS, numbers[0]), "10.0.0.1")
    parts.cards.unbind(me, CARDS, parts.cards.cards(me)[0].id)
    parts.cards.bind(me, right(parts, STAYS, STAY), "10.0.0.1")


def test_only_its_own_follower_sees_or_ends_a_binding(parts: Parts) -> None:
    me, other = follower(parts), follower(parts, "b")
    mine = parts.cards.bind(me, right(parts), "10.0.0.1")
    for call in (parts.cards.get, parts.cards.unbind):
        for who, kind, which in ((other, CARDS, mine.id), (me, STAYS, mine.id), (me, CARDS, "nothing")):
            with pytest.raises(NotYours):
                call(who, kind, which)
    assert parts.cards.unbind(me, CARDS, mine.id).id == mine.id
    with pytest.raises(NotYours):
        parts.cards.get(me, CARDS, mine.id)
    with pytest.raises(NotYours):
        parts.cards.unbind(me, CARDS, mine.id)


# ------------------------------------------------------------------ guessing


class Uncounted:
    """The control: attempts that are only counted when they have failed, as a naive service does it."""

    def __init__(self, real: Attempts) -> None:
        self._real, self._lock = real, threading.Lock()

    def reserve(self, limits: Sequence[Limit], now: datetime) -> Reserved:
        found = self._real.reserve(limits, now)
        if found.allowed:
            self._real.settle(found.attempt_id, success=True)
        return found

    def settle(self, attempt_id: str, *, success: bool) -> None: ...


def guess_all(service: CardService, guesses: Sequence[tuple[str, Claim, str]], threads: int = 16) -> dict[str, int]:
    """Make every guess; how often each answer came."""

    def one(guess: tuple[str, Claim, str]) -> str:
        try:
            service.bind(*guess)
        except Refusal as refusal:
            return refusal.code
        return "bound"

    found: dict[str, int] = {}
    with ThreadPoolExecutor(threads) as pool:
        for answer in pool.map(one, guesses):
            found[answer] = found.get(answer, 0) + 1
    return found


@pytest.mark.parametrize("many", [100, pytest.param(500, marks=pytest.mark.soak)])
def test_parallel_guesses_reach_the_his_no_more_often_than_the_limits_allow(
    tmp_path: Path, his_sim: HisSim, wechat_sim: WechatSim, clock: SetClock, many: int
) -> None:
    """``many`` = 500: 5,000 guesses in two runs of the service."""
    his_sim.fault("none")
    config = config_for(tmp_path, his_sim, wechat_sim)
    parts = build(config, clock)
    good = right(parts)
    guesses: list[tuple[str, Claim, str]] = []
    me = follower(parts, "one")
    # one user and many numbers; many users and one number; one address and everything new
    guesses += [(me, replace(good, number=f"6000{n:08d}", phone=str(n)), f"10.1.{n % 250}.1") for n in range(2 * many)]
    guesses += [(f"many-{n}", replace(good, phone=str(n)), f"10.2.{n // 250}.{n % 250}") for n in range(2 * many)]
    guesses += [(f"new-{n}", replace(good, number=f"6001{n:08d}"), "10.3.0.1") for n in range(many)]
    before = his_sim.calls("query_patient")
    first = guess_all(parts.cards, guesses)
    parts.close()

    again = build(config, clock)
    clock.advance(60)
    second = guess_all(again.cards, guesses)
    reached = his_sim.calls("query_patient") - before
    again.close()
    # the second batch counts on the third address only what the first two have not used: 5 + 5 + 20
    assert reached == first["binding.mismatch"] + second.get("binding.mismatch", 0) <= 5 + 5 + 20
    assert second == {"binding.too_many_attempts": 5 * many}


def test_without_reserving_first_parallel_guesses_exceed_the_limit(parts: Parts, his_sim: HisSim) -> None:
    service = CardService(
        parts.store.bindings, Uncounted(parts.store.attempts), parts.his, parts.clock, parts.config.policies.binding
    )
    good, me = right(parts), follower(parts)
    before = his_sim.calls("query_patient")
    guess_all(service, [(me, replace(good, phone=str(n)), "10.0.0.1") for n in range(40)])
    assert his_sim.calls("query_patient") - before > 5


def test_a_claim_never_prints_what_is_personal(parts: Parts) -> None:
    good = right(parts)
    assert all(text not in repr(good) for text in (good.id_no, good.phone, good.name, good.number))


def test_times_are_aware_and_in_shanghai(parts: Parts) -> None:
    bound: Binding = parts.cards.bind(follower(parts), right(parts), "10.0.0.1")
    assert bound.created_at.utcoffset() == timedelta(hours=8)
