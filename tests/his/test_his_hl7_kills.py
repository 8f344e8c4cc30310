"""Many messages, connections killed at random bytes, receivers nobody here wrote: none lost, none doubled.

"Doubled" means two rows in the receiver's book for one registration of ours. The receiver's application keeps a row for each
MSH-10 it has not seen; that every attempt of one write carries the same MSH-10 is what makes this enough. The control
sends a fresh one with each attempt, as a sender without a derived id does, and doubles.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from his.adapter import Call
from his.faults import Broken, NotSent
from his.hl7v2 import OPTIONS, make
from his.port import PayMethod, RegistrationOrder
from tests.support.mllp import CuttingProxy, Receiver, receiver

KINDS = ("node-hl7-server", "simple-hl7", "hl7apy")
KILLS = 20


@pytest.fixture(params=KINDS)
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    with receiver(request.param, tmp_path) as got:
        if isinstance(got, str):
            pytest.skip(got)
        yield got


def order(number: int, op_key: str) -> RegistrationOrder:
    """Registration `number`; the payment's number tells it apart whatever the op_key is."""
    return RegistrationOrder(
        op_key, f"P{number:07d}", "600000000017", "S1", "SL1", 1250, pay_method=PayMethod.WECHAT,
        provider_trade_no=f"T{number}",
    )  # fmt: skip


def send_all(
    port: int, proxy: CuttingProxy, count: int, key: Callable[[int, int], str], keep_s: int
) -> tuple[int, int]:
    """Every registration until it is acknowledged; (attempts, acknowledged). `key`: op_key by number and attempt."""
    adapter = make(OPTIONS(host="127.0.0.1", port=port, operations={"register"}, keep_s=keep_s, ack_ms=3000))
    rng = random.Random(20)
    kills = set(rng.sample(range(count), KILLS))
    attempts = acknowledged = 0
    for number in range(count):
        if number in kills:
            side = rng.choice(("up", "down", "down"))
            proxy.arm(side, rng.randrange(200 if side == "up" else 60))  # within any message, and any answer
        for attempt in range(10):
            attempts += 1
            try:
                done = adapter.do(order(number, key(number, attempt)), Call(time.monotonic() + 5))
            except (NotSent, Broken):
                continue
            assert done.registration_no == key(number, attempt)
            acknowledged += 1
            break
    adapter.close()
    return attempts, acknowledged


def run(peer: Receiver, count: int, key: Callable[[int, int], str], keep_s: int) -> Counter[str]:
    proxy = CuttingProxy(peer.port)
    try:
        attempts, acknowledged = send_all(proxy.port, proxy, count, key, keep_s)
    finally:
        proxy.stop()
    assert proxy.cuts == KILLS
    assert acknowledged == count
    assert attempts > count, "no kill met a message"
    booked = Counter(business for _, business in peer.rows())
    print(f"{count} sends, {proxy.cuts} kills, {attempts} attempts, {len(booked)} booked, {peer.handled()} handled")
    return booked


def keep(peer: Receiver) -> int:
    """hl7apy closes after each answer; to the others the connection is kept."""
    return 0 if "hl7apy" in str(peer.proc.args) else 60


def test_200_sends_with_20_kills_lose_none_and_double_none(peer: Receiver) -> None:
    booked = run(peer, 200, lambda number, _: f"k{number}", keep(peer))
    assert booked == Counter({f"T{number}": 1 for number in range(200)})
    assert peer.handled() > 200, "the receiver must have been handed a message twice for this to prove anything"


@pytest.mark.soak
def test_1000_sends_with_20_kills_lose_none_and_double_none(peer: Receiver) -> None:
    booked = run(peer, 1000, lambda number, _: f"k{number}", keep(peer))
    assert booked == Counter({f"T{number}": 1 for number in range(1000)})


def test_control_a_fresh_control_id_with_each_attempt_doubles(peer: Receiver) -> None:
    booked = run(peer, 200, lambda number, attempt: f"k{number}-{attempt}", keep(peer))
    assert len(booked) == 200
    doubled = sum(rows > 1 for rows in booked.values())
    print(f"{doubled} doubled")
    assert doubled > 0
