"""One code at one station ends in exactly one outcome; every outcome a scan of a card or band can have."""

import json
from collections.abc import Callable
from typing import TypeVar

import pytest

from core import outcomes
from core.codes import passes
from his.port import (
    Command,
    Ctx,
    Fetched,
    HisPort,
    NotFound,
    Op,
    Query,
    Rejected,
    RejectReason,
    Resolution,
    Unavailable,
)
from store.port import BindingKind
from tests.services.conftest import Desk

WANG, LI, DECEASED_CARD, LOST_CARD = "600000000017", "600000000034", "600000000102", "600000000187"
BAND_W01, BAND_OUT, STAY_W01 = "W202600010101", "W202600010501", "P0000002"
SHAPE = {"seq", "scan_id", "station", "at", "outcome", "code_class", "say", "next", "ms"}


def test_a_printed_card_is_identified_with_a_masked_patient(desk: Desk) -> None:
    body = desk.scan(WANG)
    assert body.keys() == SHAPE | {"patient"}
    assert (body["outcome"], body["code_class"], body["seq"]) == ("identified", "patient_card", 1)
    assert body["patient"] == {
        "name": "王*明", "sex": "male", "age": 41, "card_last4": "0017", "id_last4": body["patient"]["id_last4"],
        "kind": "outpatient",
    }  # fmt: skip
    assert len(body["patient"]["id_last4"]) == 4
    assert body["say"].keys() == {"zh-CN", "en"}
    assert body["next"]["code"] == "proceed"
    assert json.loads(json.dumps(body)) == body


def test_an_e_card_is_identified_as_the_card_it_stands_for(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    for steps in (0, -1, 1):
        body = desk.scan(desk.shown(row, steps))
        assert (body["outcome"], body["code_class"], body["patient"]["name"]) == ("identified", "e_card", "王*明")


def test_a_printed_wristband_is_identified_at_its_ward(desk: Desk) -> None:
    body = desk.scan(BAND_W01, "W1")
    assert (body["outcome"], body["code_class"], body["patient"]["name"]) == ("identified", "wristband", "李*英")
    assert body["patient"]["kind"] == "inpatient"
    assert body["visit"]["bed"] == "03"
    assert len(body["visit"]["admission_no_last4"]) == 4


def test_an_e_wristband_is_identified_at_its_ward(desk: Desk) -> None:
    row = desk.bind(BAND_W01, STAY_W01, BindingKind.ADMISSION)
    body = desk.scan(desk.shown(row), "W1")
    assert (body["outcome"], body["code_class"]) == ("identified", "e_wristband")
    assert body["visit"]["ward"]


def test_a_staff_only_station_shows_full_names_and_still_only_last_fours(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    assert desk.scan(WANG, "S1")["patient"]["name"] == "王小明"
    shown = desk.scan(desk.shown(row), "S1")
    assert shown["patient"]["name"] == "王小明"
    assert WANG not in json.dumps(shown)


def test_the_same_code_here_again_is_already_done_with_the_first_time_and_the_patient(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    code = desk.shown(row)
    first = desk.scan(code)
    desk.clock.advance(7)
    again = desk.scan(code)
    assert again["outcome"] == "already_done"
    assert again["first_scan"] == first["at"][:19] + "+08:00"
    assert again["first_station"] == "C1 号窗口"
    assert again["patient"] == first["patient"]
    assert (first["seq"], again["seq"]) == (1, 2)


def test_an_e_wristband_again_is_already_done_with_the_bed(desk: Desk) -> None:
    row = desk.bind(BAND_W01, STAY_W01, BindingKind.ADMISSION)
    first, again = (desk.scan(desk.shown(row), "W1") for _ in range(2))
    assert (again["outcome"], again["visit"]) == ("already_done", first["visit"])


def test_the_next_code_of_the_same_phone_is_a_scan_of_its_own(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    desk.scan(desk.shown(row))
    desk.clock.advance(passes.STEP_S)
    assert desk.scan(desk.shown(row))["outcome"] == "identified"


def test_a_replay_at_another_station_learns_nothing_of_the_patient(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    code = desk.shown(row)
    desk.scan(code)
    replayed = desk.scan(code, "C2")
    assert replayed["outcome"] == "replayed"
    assert replayed.keys() == SHAPE | {"first_scan", "first_station"}
    assert "王" not in json.dumps(replayed, ensure_ascii=False)


@pytest.mark.parametrize(
    ("steps", "outcome", "say"),
    [
        (-2, "expired", outcomes.WORDS[outcomes.Outcome.EXPIRED].say),
        (-200, "expired", outcomes.WORDS[outcomes.Outcome.EXPIRED].say),
        (2, "expired", outcomes.CLOCK_WRONG),
        (20, "expired", outcomes.CLOCK_WRONG),
        (40, "forged", outcomes.WORDS[outcomes.Outcome.FORGED].say),
        (-300, "forged", outcomes.WORDS[outcomes.Outcome.FORGED].say),
    ],
)
def test_a_code_of_another_time_says_whether_it_is_stale_early_or_nobodys(
    desk: Desk, steps: int, outcome: str, say: dict[str, str]
) -> None:
    body = desk.scan(desk.shown(desk.bind(WANG, "P0000001"), steps))
    assert (body["outcome"], body["say"]) == (outcome, say)
    assert "patient" not in body


def test_forgeries_are_told_apart_by_nothing(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    code = desk.shown(row)
    wrong_digits = code[:12] + f"{(int(code[12:]) + 1) % 10**8:08d}"
    unknown_pass = code[:2] + f"{(int(code[2:12]) + 1) % 10**10:010d}" + code[12:]
    other_kind = "88" + code[2:]
    said = [desk.scan(forged, "B1") for forged in (wrong_digits, unknown_pass, other_kind)]
    assert [body["outcome"] for body in said] == ["forged"] * 3
    assert len({json.dumps([body["say"], body["next"], sorted(body)]) for body in said}) == 1
    assert desk.scan(code, "B1")["outcome"] == "identified"


def test_an_unbound_card_is_not_bound(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    follower = desk.store.followers.seen("oA", desk.clock.now())
    assert desk.store.bindings.end(follower.id, row.binding_id, desk.clock.now())
    body = desk.scan(desk.shown(row))
    assert (body["outcome"], body["next"]["code"]) == ("not_bound", "bind")


@pytest.mark.parametrize("number", [DECEASED_CARD, LOST_CARD])
def test_a_card_of_the_deceased_and_a_lost_card_are_out_of_use(desk: Desk, number: str) -> None:
    body = desk.scan(number)
    assert (body["outcome"], body["next"]["code"]) == ("not_bound", "manual_check")
    assert "patient" not in body


def test_a_pass_whose_card_the_his_gave_to_somebody_else_identifies_nobody(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000399")
    body = desk.scan(desk.shown(row))
    assert body["outcome"] == "not_bound"
    assert "patient" not in body


def test_codes_of_the_wrong_kind_are_refused_both_ways_before_the_his_is_asked(desk: Desk, his_process) -> None:
    card, stay = desk.bind(WANG, "P0000001"), desk.bind(BAND_W01, STAY_W01, BindingKind.ADMISSION)
    before = his_process.calls()
    for text, at, say in (
        (WANG, "W1", outcomes.WARD_ONLY.say),
        (desk.shown(card), "W1", outcomes.WARD_ONLY.say),
        (BAND_W01, "C1", outcomes.CARD_ONLY.say),
        (desk.shown(stay), "C1", outcomes.CARD_ONLY.say),
    ):
        body = desk.scan(text, at)
        assert (body["outcome"], body["say"]) == ("wrong_kind", say)
    assert his_process.calls() == before


def test_a_wristband_of_another_ward_stops_the_nurse(desk: Desk) -> None:
    row = desk.bind(BAND_W01, STAY_W01, BindingKind.ADMISSION)
    for text in (BAND_W01, desk.shown(row)):
        body = desk.scan(text, "W2")
        assert body["outcome"] == "wrong_ward"
        assert not {"patient", "visit"} & body.keys()
    assert desk.scan(desk.shown(row), "W1")["outcome"] == "identified", "a refusal uses nothing up"


def test_a_wristband_of_a_former_stay_is_discharged(desk: Desk) -> None:
    body = desk.scan(BAND_OUT, "W1")
    assert body["outcome"] == "discharged"
    assert "patient" not in body


@pytest.mark.parametrize("text", ["600000000018", "W999999999999"])
def test_a_number_the_his_does_not_hold_is_unknown(desk: Desk, text: str) -> None:
    assert desk.scan(text, "B1")["outcome"] == "unknown_code"


@pytest.mark.parametrize("text", ["", "x", "\x00\x01", "8" * 4096, "87" + "١" * 18, "汉字", "12345", "87" + "0" * 17])
def test_an_unreadable_code_is_unknown_and_says_so(desk: Desk, text: str) -> None:
    body = desk.scan(text)
    assert (body["outcome"], body["say"]) == ("unknown_code", outcomes.NOT_READ)


@pytest.mark.parametrize("text", ["134567890123456789", "281234567890123456", "6212345678901234567"])
def test_a_pay_code_is_told_to_be_put_away(desk: Desk, text: str) -> None:
    body = desk.scan(text)
    assert (body["outcome"], body["next"]["code"]) == ("pay_code", "show_e_card")
    assert body["say"] == outcomes.WORDS[outcomes.Outcome.PAY_CODE].say


FOREIGN = {
    "e_health_card": "A" * 64 + ":1",
    "insurance_token": "1" * 28,
    "id_number": "11010519491231002X",
    "gs1_gsrn": "]C18018690123456789012346",
    "url": "https://example.com/x?id=1",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_foreign_code_has_a_sentence_of_its_own(desk: Desk, kind: str) -> None:
    body = desk.scan(FOREIGN[kind], "B1")
    assert (body["outcome"], body["code_class"]) == ("foreign_code", kind)
    assert body["say"] == outcomes.FOREIGN_SAY[kind]
    assert len({say["zh-CN"] for say in outcomes.FOREIGN_SAY.values()}) == len(FOREIGN)


R = TypeVar("R")


class Scripted:
    """A HIS that answers what a test tells it to; a Fake of the real port."""

    capabilities = frozenset(Op)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def ask(self, query: Query[R], ctx: Ctx) -> Fetched[R]:
        raise self._error

    def do(self, command: Command[R], ctx: Ctx) -> R:
        raise self._error

    def resolve(self, command: Command[R], ctx: Ctx) -> Resolution[R]:
        raise self._error

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Rejected("17", "", RejectReason.AMBIGUOUS), "ambiguous"),
        (Rejected("17", "no"), "his_unknown"),
        (NotFound(), "unknown_code"),
        (Unavailable("timeout"), "his_unavailable"),
    ],
)
def test_each_error_of_the_his_port_has_its_outcome(desk: Desk, error: Exception, outcome: str) -> None:
    his: HisPort = Scripted(error)
    service = desk.service_on(desk.store.scans, his)
    body = service.handle(desk.stations["C1"], desk.reading(WANG))
    assert body["outcome"] == outcome
    assert "patient" not in body


def test_a_reading_that_found_the_queue_full_is_said_to_be_too_fast(desk: Desk) -> None:
    body = desk.service.busy(desk.stations["C1"], desk.reading(WANG))
    assert (body["outcome"], body["seq"], body["next"]["code"]) == ("busy", 1, "retry")


def test_every_scan_is_stored_as_it_was_pushed_and_pushed_as_it_was_returned(desk: Desk) -> None:
    row = desk.bind(WANG, "P0000001")
    said = [desk.scan(text) for text in (WANG, desk.shown(row), desk.shown(row), "nonsense", "134567890123456789", LI)]
    kept = desk.store.scans.events_after("C1", 0, 100)
    assert [{**event.body, "seq": event.seq} for event in kept] == said == [done.body for done in desk.done]
    assert [done.seq for done in desk.done] == [1, 2, 3, 4, 5, 6]


def test_a_listener_that_fails_loses_no_scan(make_desk: Callable[..., Desk]) -> None:
    """The bus keeps a listener's failure to itself; what is stored stays stored and the next scan goes on."""
    from core.events import Bus
    from services.scan import ScanDone

    desk, heard, bus = make_desk(), [], Bus()
    bus.subscribe(ScanDone, lambda _: 1 / 0)
    bus.subscribe(ScanDone, heard.append)
    desk.service._publish = bus.publish
    assert [desk.scan(WANG)["seq"], desk.scan(LI)["seq"]] == [1, 2]
    assert [done.seq for done in heard] == [1, 2]
