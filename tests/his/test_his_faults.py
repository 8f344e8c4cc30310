"""A HIS that is slow, broken or gone: the right error class, in time, and recovery without a restart."""

import http.client
import json
import logging
import statistics
import threading
import time
from collections.abc import Callable

import pytest

from his.gateway import Gateway
from his.guard import Guard, GuardOptions
from his.http import HttpEndpoint
from his.port import Ctx, NotFound, OpClass, PatientQuery, SlotLock, Unavailable, UnknownOutcome
from tests.support.sims import HisSim, start_his

Make = Callable[..., Gateway]
CARD = PatientQuery(card_no="600000000017")
DEADLINE = 0.4
GRACE = 0.2


def failing(his: Gateway, deadline_s: float = DEADLINE) -> tuple[str, float]:
    """Why a lookup failed, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        his.ask(CARD, Ctx(deadline_s=deadline_s))
    return caught.value.reason, time.monotonic() - started


def reads_within(seconds: float) -> GuardOptions:
    """The usual options with another deadline for reads."""
    return GuardOptions(deadlines={**GuardOptions().deadlines, OpClass.READ: seconds})


def lookup(his: Gateway) -> str:
    """ "ok" or the reason why not."""
    try:
        his.ask(CARD, Ctx())
    except Unavailable as failure:
        return failure.reason
    return "ok"


@pytest.mark.parametrize("warm", [False, True], ids=["first call", "kept-alive"])
@pytest.mark.parametrize(
    ("mode", "reason"),
    [("slow", "timeout"), ("hang", "timeout"), ("drip", "timeout"), ("reset", "reset"), ("html500", "http_500"),
     ("garbage", "bad_reply"), ("truncated", "truncated"), ("down", "refused")],
)  # fmt: skip
def test_each_fault_is_its_own_reason_within_the_deadline_and_passes_with_the_fault(
    make_his: Make, sim: HisSim, mode: str, reason: str, warm: bool
) -> None:
    his = make_his()
    if warm:
        his.ask(CARD, Ctx())
    sim.fault(mode, ms=20 if mode == "drip" else 5000)
    why, took = failing(his)
    assert why == reason
    assert took < DEADLINE + GRACE
    sim.fault("none")
    assert his.ask(CARD, Ctx()).value.name == "王小明"


def test_a_dripping_peer_outlives_a_timeout_per_read_but_not_our_deadline(make_his: Make, sim: HisSim) -> None:
    sim.fault("drip", ms=3)
    why, took = failing(make_his())
    assert (why, took < DEADLINE + GRACE) == ("timeout", True)

    naive = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=DEADLINE)  # the control
    started = time.monotonic()
    naive.request("POST", "/api/query_patient", json.dumps({"card_no": CARD.card_no}), {"X-Token": sim.token})
    naive.getresponse().read()
    naive.close()
    assert time.monotonic() - started > 2 * DEADLINE


def test_a_short_deadline_of_the_caller_wins_over_a_long_one_of_the_options(make_his: Make, sim: HisSim) -> None:
    sim.fault("hang")
    assert failing(make_his(reads_within(60)), 0.15)[1] < 0.15 + GRACE
    assert failing(make_his(reads_within(0.15)), 60)[1] < 0.15 + GRACE


def test_waiting_for_a_free_connection_counts_towards_the_deadline(make_his: Make, sim: HisSim) -> None:
    his = make_his(pool_size=1)
    sim.fault("hang")
    hogging = threading.Thread(target=failing, args=(his, 1.0))
    hogging.start()
    time.sleep(0.1)
    why, took = failing(his, 0.2)
    hogging.join()
    assert (why, took < 0.2 + GRACE) == ("busy", True)


def test_the_breaker_opens_then_answers_at_once_without_asking_and_recovers_by_itself(
    make_his: Make, sim: HisSim
) -> None:
    his = make_his(GuardOptions(fail_max=3, probe_s=0.3))
    sim.fault("html500")
    for _ in range(3):
        assert failing(his)[0] == "http_500"
    asked = sim.calls("query_patient")
    answers = [failing(his) for _ in range(50)]
    assert {why for why, _ in answers} == {"breaker_open"}
    assert statistics.median(took for _, took in answers) < 0.001
    assert sim.calls("query_patient") == asked
    sim.fault("none")
    until = time.monotonic() + 2
    while lookup(his) == "breaker_open" and time.monotonic() < until:
        time.sleep(0.02)
    his.ask(CARD, Ctx())


def test_an_open_breaker_lets_one_probe_through_however_many_ask(make_his: Make, sim: HisSim) -> None:
    his = make_his(GuardOptions(fail_max=2, probe_s=0.2), pool_size=32)
    sim.fault("html500")
    for _ in range(2):
        failing(his)
    sim.fault("hang")
    asked = sim.calls("query_patient")
    time.sleep(0.25)
    reasons: list[str] = []
    threads = [threading.Thread(target=lambda: reasons.append(failing(his, 0.5)[0])) for _ in range(20)]
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    for thread in threads:
        thread.join()
    # a probe that has not come back for 200 ms is followed by another; here all ask within 150 ms
    assert sim.calls("query_patient") - asked == 1
    assert sorted(reasons) == ["breaker_open"] * 19 + ["timeout"]


def test_answers_that_say_no_never_open_the_breaker(make_his: Make) -> None:
    his = make_his(GuardOptions(fail_max=2))
    for _ in range(6):
        with pytest.raises(NotFound):
            his.ask(PatientQuery(card_no="600000000018"), Ctx())
    his.ask(CARD, Ctx())


def test_a_his_killed_and_started_again_is_followed_without_a_restart(
    make_his: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("killed")
    first = start_his(home)
    his = make_his(base_url=first.url, token=first.token, guard=GuardOptions(probe_s=0.1))
    his.ask(CARD, Ctx())
    first.proc.kill()
    first.stop()
    assert failing(his)[0] == "refused"
    second = start_his(home, port=first.port)
    try:
        assert his.ask(CARD, Ctx()).value.name == "王小明"
    finally:
        second.stop()


def test_a_write_that_was_sent_and_not_answered_is_unknown_and_one_never_sent_is_unavailable(sim: HisSim) -> None:
    guard = Guard(GuardOptions())
    endpoint = HttpEndpoint(sim.url, {"X-Token": sim.token})

    hold = SlotLock("key-1", "P0000001", "S1", "1")

    def write() -> None:
        guard.write(
            hold,
            Ctx(deadline_s=DEADLINE),
            lambda _, call: endpoint.post("/api/health", b"{}", call.deadline, repeatable=False),
        )

    write()
    for mode in ("hang", "reset", "truncated", "drip"):
        sim.fault(mode, ms=20)
        asked = sim.calls("health")
        with pytest.raises(UnknownOutcome) as caught:
            write()
        assert caught.value.op_key == "key-1"
        assert sim.calls("health") == asked + 1  # never sent twice
    sim.fault("down")
    with pytest.raises(Unavailable, match="refused"):
        write()
    endpoint.close()


def test_one_log_line_a_call_with_outcome_and_nothing_personal(
    make_his: Make, sim: HisSim, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "his.call")
    his = make_his()
    his.ask(CARD, Ctx(trace="t-1"))
    with pytest.raises(NotFound):
        his.ask(PatientQuery(card_no="600000000018"), Ctx())
    sim.fault("html500")
    failing(his)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split("outcome=")[1] for line in lines] == ["ok trace=t-1", "NotFound trace=", "http_500 trace="]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "INFO"], "a good call is no news"
    assert not any(secret in line for line in lines for secret in ("6000000000", "王小明", "1990000", sim.token))
