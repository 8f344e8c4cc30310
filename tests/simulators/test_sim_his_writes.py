"""Writes of the simulated HIS: booked once by op_key, refused by rule, and never more numbers than slots."""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.his_wire import Ask, json_client
from tests.support.sims import HisSim, start_his

MING = {"patient_id": "P0000001", "card_no": "600000000017"}
CHILD = {"patient_id": "P0000005", "card_no": "600000000085"}
WEI = {"patient_id": "P0000009", "card_no": "600000000153"}  # nothing on the card
OTHERS = [{"patient_id": f"P{n:07d}", "card_no": f"{600_000_000_000 + 17 * n}"} for n in range(20, 70)]


@pytest.fixture
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    running = start_his(tmp_path_factory.mktemp("sim_his"))
    yield running
    running.stop()


@pytest.fixture
def ask(sim: HisSim) -> Iterator[Ask]:
    with json_client(sim) as client:
        yield client


def key() -> str:
    return secrets.token_hex(16)


def a_slot(ask: Ask, ahead: int, place: int = 0) -> dict[str, Any]:
    """A free slot of an open clinic `ahead` days from today: schedule_id, slot_id, fee_fen."""
    day = f"{datetime.fromisoformat(ask('health')['data']['time']).date() + timedelta(days=ahead)}"
    open_ones = [one for one in ask("list_schedules", day=day)["data"]["schedules"]
                 if one["status"] == "open" and one["left_count"] > 1]  # fmt: skip
    schedule = open_ones[place]
    slots = ask("list_slots", schedule_id=schedule["schedule_id"])["data"]["slots"]
    slot = next(one for one in slots if one["free"])
    return {"schedule_id": schedule["schedule_id"], "slot_id": slot["slot_id"], "fee_fen": schedule["fee_fen"]}


def register(ask: Ask, who: dict[str, str], slot: dict[str, Any], **more: Any) -> Any:
    return ask("register", **{"op_key": key(), "pay_method": "05", **who, **slot, **more})


def top_up(ask: Ask, who: dict[str, str], fen: int, **more: Any) -> Any:
    paid = {"pay_method": "02", "trade_no": "420000001", "paid_at": "2026-11-24 09:00:00"}
    return ask("top_up", **{"op_key": key(), **who, "amount_fen": fen, **paid, **more})


def test_a_number_takes_its_slot_and_the_fee_and_gives_both_back(ask: Ask) -> None:
    slot = a_slot(ask, 0)
    before = ask("balance", patient_id=MING["patient_id"])["data"]["balance_fen"]
    made = register(ask, MING, slot)["data"]
    assert made["status"] == "valid"
    assert made["slot_id"] == slot["slot_id"]
    assert made["his_txn_no"].startswith("T")
    assert ask("balance", patient_id=MING["patient_id"])["data"]["balance_fen"] == before - slot["fee_fen"]
    assert made in ask("registrations", patient_id=MING["patient_id"])["data"]["registrations"]
    assert made["registration_no"] in {
        one["registration_no"] for one in ask("queue", patient_id=MING["patient_id"])["data"]["queue"]
    }
    assert register(ask, WEI, slot, pay_method="02", trade_no="4200")["reason"] == "FULL"
    assert register(ask, MING, slot)["reason"] == "LIMIT"

    number = {"patient_id": MING["patient_id"], "registration_no": made["registration_no"]}
    back = ask("cancel_registration", op_key=key(), **number)["data"]
    assert back["refund_fen"] == slot["fee_fen"]
    assert ask("balance", patient_id=MING["patient_id"])["data"]["balance_fen"] == before
    assert ask("cancel_registration", op_key=key(), **number)["reason"] == "DUP"
    again = register(ask, WEI, slot, pay_method="02", trade_no="4200")["data"]
    assert again["registration_no"] != made["registration_no"]


def test_a_registration_is_refused_for_what_it_lacks(sim: HisSim, ask: Ask) -> None:
    slot = a_slot(ask, 0)
    short = register(ask, WEI, slot)
    assert (short["code"], short["reason"], short["shortfall_fen"]) == ("2", "BALANCE", slot["fee_fen"])
    assert register(ask, MING, {**slot, "fee_fen": 1})["reason"] == "AMOUNT"
    assert register(ask, {**MING, "card_no": CHILD["card_no"]}, slot)["reason"] == "CARD"
    lost = {"patient_id": "P0000011", "card_no": "600000000187"}
    assert register(ask, lost, slot)["reason"] == "CARD"
    assert register(ask, {"patient_id": "P0000006", "card_no": "600000000102"}, slot)["reason"] == "NOTALLOWED"
    assert register(ask, MING, a_slot(ask, 1))["reason"] == "NOTALLOWED"
    assert register(ask, MING, {**slot, "schedule_id": "S0"})["reason"] == "NODATA"
    assert register(ask, MING, slot, op_key="k" * 33)["code"] == "-1"
    assert register(ask, MING, slot, pay_method="02")["code"] == "-1"  # who paid elsewhere says where
    sim.stop_clinic(slot["schedule_id"])
    assert register(ask, MING, slot)["reason"] == "STOPPED"
    assert sim.rows()["ops"] == {}


def test_a_number_is_checked_in_once_on_its_day_and_kept_from_then_on(sim: HisSim, ask: Ask) -> None:
    made = register(ask, MING, a_slot(ask, 0))["data"]
    number = {"patient_id": MING["patient_id"], "registration_no": made["registration_no"]}
    there = ask("check_in", op_key=key(), station="K1", **number)["data"]
    assert there["queue_no"] == made["queue_no"]
    assert ask("check_in", op_key=key(), **number)["reason"] == "DUP"
    assert ask("cancel_registration", op_key=key(), **number)["reason"] == "LATE"
    assert ask("check_in", op_key=key(), **{**number, "patient_id": "P0000005"})["reason"] == "NODATA"
    sim.clock(86_400)
    mine = ask("registrations", patient_id=MING["patient_id"])["data"]["registrations"]
    assert next(one for one in mine if one["registration_no"] == made["registration_no"])["status"] == "seen"
    assert ask("check_in", op_key=key(), **number)["reason"] == "LATE"


def test_a_booking_is_for_a_coming_day_and_can_be_given_back_until_the_day_before(sim: HisSim, ask: Ask) -> None:
    assert ask("book", op_key=key(), **CHILD, **a_slot(ask, 0))["reason"] == "LATE"
    slot = a_slot(ask, 2, 1)
    made = ask("book", op_key=key(), **CHILD, **slot)["data"]
    assert made in ask("list_appointments", patient_id=CHILD["patient_id"])["data"]["appointments"]
    assert ask("book", op_key=key(), **CHILD, **a_slot(ask, 2, 1))["reason"] == "LIMIT"
    number = {"patient_id": CHILD["patient_id"], "appointment_no": made["appointment_no"]}
    sim.clock(2 * 86_400)
    assert ask("cancel_booking", op_key=key(), **number)["reason"] == "LATE"
    sim.clock(0)
    assert ask("cancel_booking", op_key=key(), **number)["data"]["refund_fen"] == 0
    slots = ask("list_slots", schedule_id=slot["schedule_id"])["data"]["slots"]
    assert next(one for one in slots if one["slot_id"] == slot["slot_id"])["free"]


def test_a_hold_keeps_a_slot_five_minutes_for_its_patient_alone(sim: HisSim, ask: Ask) -> None:
    slot = a_slot(ask, 0)
    place = {name: slot[name] for name in ("schedule_id", "slot_id")}
    hold = ask("lock_slot", op_key=key(), patient_id=MING["patient_id"], **place)["data"]
    assert ask("lock_slot", op_key=key(), patient_id=CHILD["patient_id"], **place)["reason"] == "FULL"
    assert register(ask, CHILD, slot)["reason"] == "FULL"
    assert register(ask, CHILD, slot, hold_no=hold["hold_no"])["reason"] == "HELD"
    sim.clock(301)
    assert register(ask, MING, slot, hold_no=hold["hold_no"])["reason"] == "HELD"
    fresh = ask("lock_slot", op_key=key(), patient_id=CHILD["patient_id"], **place)["data"]
    released = {"patient_id": CHILD["patient_id"], "hold_no": fresh["hold_no"]}
    assert ask("unlock_slot", op_key=key(), **released)["code"] == "0"
    assert ask("unlock_slot", op_key=key(), **released)["reason"] == "HELD"
    mine = ask("lock_slot", op_key=key(), patient_id=MING["patient_id"], **place)["data"]
    assert register(ask, MING, slot, hold_no=mine["hold_no"])["code"] == "0"


def test_a_repeated_op_key_is_a_duplicate_and_the_status_query_gives_the_first_answer(sim: HisSim, ask: Ask) -> None:
    op_key = key()
    assert ask("query_op", op_key=op_key)["code"] == "1"
    first = top_up(ask, MING, 5_000, op_key=op_key)
    again = top_up(ask, MING, 5_000, op_key=op_key)
    other = top_up(ask, MING, 6_000, op_key=op_key)
    assert (first["code"], again["code"], again["data"]) == ("0", "1", {})
    assert other["reason"] == "KEY"
    found = ask("query_op", op_key=op_key)["data"]
    assert (found["op"], found["answer"]) == ("top_up", first["data"])
    assert sim.booked("top_up") == (1, 1)
    assert sim.ledger(op_key=op_key)["total_fen"] == 5_000


def test_without_dedup_the_same_repeat_is_booked_twice(sim: HisSim, ask: Ask) -> None:
    sim.fault("none", dedup=False)
    op_key, slot, slot_key = key(), a_slot(ask, 0), key()
    for _ in range(2):
        assert top_up(ask, MING, 5_000, op_key=op_key)["code"] == "0"
        assert register(ask, MING, slot, op_key=slot_key)["code"] == "0"
    assert sim.booked("top_up") == sim.booked("register") == (2, 1)
    assert sim.ledger(op_key=op_key)["total_fen"] == 10_000
    sim.fault("none")
    assert top_up(ask, MING, 5_000, op_key=op_key)["code"] == "1"


def test_the_card_is_topped_up_and_refunded_within_its_limits(ask: Ask) -> None:
    before = ask("balance", patient_id=WEI["patient_id"])["data"]["balance_fen"]
    done = top_up(ask, WEI, 12_300)["data"]
    assert done["balance_fen"] == before + 12_300
    assert {**done, "balance_fen": None} == ask("list_top_ups", patient_id=WEI["patient_id"])["data"]["top_ups"][0]
    assert top_up(ask, WEI, 500_001)["reason"] == "LIMIT"
    assert top_up(ask, WEI, 0)["code"] == "-1"
    assert top_up(ask, WEI, 100, pay_method="77")["code"] == "-1"
    refund = {"op_key": key(), **WEI, "reason": "退余额"}
    too_much = ask("refund", **{**refund, "amount_fen": before + 12_301})
    assert (too_much["reason"], too_much["shortfall_fen"]) == ("BALANCE", 1)
    assert ask("refund", **{**refund, "amount_fen": 300})["data"]["balance_fen"] == before + 12_000


@pytest.mark.parametrize("insured", [False, True])
def test_charges_are_settled_once_for_the_sum_that_was_shown(ask: Ask, *, insured: bool) -> None:
    who = MING["patient_id"]
    shown = ask("charges", patient_id=who)["data"]
    wanted = {
        "patient_id": who, "charge_nos": [one["charge_no"] for one in shown["items"]], "total_fen": shown["total_fen"],
        "version": shown["version"], **({"insurance_auth_no": "YB1"} if insured else {}),
    }  # fmt: skip
    assert ask("pre_settle", op_key=key(), **{**wanted, "total_fen": 1})["reason"] == "AMOUNT"
    assert ask("pre_settle", op_key=key(), **{**wanted, "version": "old"})["reason"] == "AMOUNT"
    parts = ask("pre_settle", op_key=key(), **wanted)["data"]
    shares = [parts[name] for name in ("self_paid_fen", "fund_paid_fen", "insurance_account_paid_fen")]
    assert sum(shares) == shown["total_fen"]
    assert (shares[1] > 0) is insured
    payment = {
        "patient_id": who, "settle_no": parts["settle_no"], "charge_nos": wanted["charge_nos"],
        "total_fen": parts["total_fen"], "self_paid_fen": parts["self_paid_fen"], "pay_method": "02", "trade_no": "42",
    }  # fmt: skip
    assert ask("settle", op_key=key(), **{**payment, "self_paid_fen": shares[0] + 1})["reason"] == "AMOUNT"
    done = ask("settle", op_key=key(), **payment)["data"]
    assert ask("settle", op_key=key(), **payment)["reason"] == "DUP"
    assert ask("pre_settle", op_key=key(), **wanted)["reason"] == "DUP"
    assert ask("charges", patient_id=who)["data"]["items"] == []
    invoice = ask("invoices", patient_id=who)["data"]["invoices"][0]
    assert invoice["invoice_no"] == done["invoice_no"]
    assert sum(line["amount_fen"] for line in invoice["items"]) == invoice["total_fen"] == shown["total_fen"]


def test_a_prepayment_is_credited_to_a_current_stay_only(ask: Ask) -> None:
    stay = {"patient_id": "P0000010", "admission_no": "2026000106", "admission_seq": 2}
    before = ask("charge_summary", **stay)["data"]
    paid = {"amount_fen": 50_000, "pay_method": "02", "trade_no": "4200", "paid_at": "2026-11-24 09:00:00"}
    done = ask("pay_prepayment", op_key=key(), **stay, **paid)["data"]
    after = ask("charge_summary", **stay)["data"]
    assert done["balance_fen"] == after["balance_fen"] == before["balance_fen"] + 50_000
    assert after["prepaid_fen"] == before["prepaid_fen"] + 50_000
    assert ask("list_prepayments", **stay)["data"]["prepayments"][0] == {**done, "balance_fen": None}
    former = {**stay, "admission_seq": 1}
    assert ask("pay_prepayment", op_key=key(), **former, **paid)["reason"] == "NOTALLOWED"
    assert ask("pay_prepayment", op_key=key(), **{**stay, "patient_id": "P0000001"}, **paid)["reason"] == "NODATA"


def test_the_days_account_holds_every_movement_once_and_money_given_back_as_negative(sim: HisSim, ask: Ask) -> None:
    top_up(ask, MING, 7_000)
    made = register(ask, MING, a_slot(ask, 0))["data"]
    ask("cancel_registration", op_key=key(), patient_id="P0000001", registration_no=made["registration_no"])
    ask("refund", op_key=key(), **MING, amount_fen=500)
    day = ask("health")["data"]["time"][:10]
    account = ask("reconcile_day", day=day)["data"]
    fee = made["fee_fen"]
    assert [(line["op"], line["amount_fen"]) for line in account["lines"]] == [
        ("top_up", 7_000), ("register", fee), ("cancel_registration", -fee), ("refund", -500),
    ]  # fmt: skip
    assert account["total_fen"] == 6_500
    assert {line["his_txn_no"] for line in account["lines"]} == {
        f"T{row['txn']:010d}" for row in sim.ledger()["rows"] if row["op_key"]
    }


def test_a_card_is_issued_to_somebody_new_and_to_a_child_with_a_guardian(ask: Ask) -> None:
    who = {
        "name": "周䶮", "sex": "2", "birth_date": "1999-01-02", "id_type": "01", "id_no": "990101199901020029",
        "phone": "19900009999",
    }  # fmt: skip
    wrong = ask("create_card", op_key=key(), **who)
    assert (wrong["code"], wrong["reason"]) == ("2", "NOTALLOWED")  # the check digit is 0 to X, one of them right
    right = next(
        done for digit in "0123456789X"
        if (done := ask("create_card", op_key=key(), **{**who, "id_no": who["id_no"][:17] + digit}))["code"] == "0"
    )["data"]  # fmt: skip
    assert ask("query_patient", card_no=right["card_no"])["data"] == right["patient"]
    assert ask("query_patient", id_no=right["patient"]["id_no"])["data"]["name"] == "周䶮"
    assert ask("create_card", op_key=key(), **{**who, "id_no": right["patient"]["id_no"]})["reason"] == "DUP"
    child = {**who, "name": "周一诺", "birth_date": "2024-01-02", "id_type": "08", "id_no": "M990101"}
    assert ask("create_card", op_key=key(), **child)["reason"] == "NOTALLOWED"
    guardian = {"guardian_name": "周䶮", "guardian_id_no": right["patient"]["id_no"]}
    assert ask("create_card", op_key=key(), **child, **guardian)["code"] == "0"
    assert top_up(ask, {"patient_id": right["patient"]["patient_id"], "card_no": right["card_no"]}, 100)["code"] == "0"


def test_fifty_racers_on_one_slot_get_one_number(sim: HisSim, ask: Ask) -> None:
    slot = a_slot(ask, 1)
    said = race(sim, [("book", {"op_key": key(), **who, **slot}) for who in OTHERS])
    reasons = Counter(answer.get("reason", "booked") for answer in said)
    assert reasons["booked"] == 1
    assert reasons["FULL"] + reasons["LIMIT"] == 49  # some may hold another number of that half day
    assert sim.booked("book") == (1, 1)


def test_fifty_repeats_of_one_key_at_once_are_one_row_with_dedup_and_fifty_without(sim: HisSim) -> None:
    for dedup, rows in ((True, 1), (False, 50)):
        sim.fault("none", dedup=dedup)
        op_key = key()
        body = {
            "op_key": op_key, **MING, "amount_fen": 100, "pay_method": "02", "trade_no": "4",
            "paid_at": "2026-11-24 09:00:00",
        }  # fmt: skip
        race(sim, [("top_up", body)] * 50)
        assert len(sim.ledger(op_key=op_key)["rows"]) == rows


def race(sim: HisSim, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """All calls at once, each on a connection of its own; the answers in any order."""
    ready, said = threading.Barrier(len(calls)), []

    def run(op: str, body: dict[str, Any]) -> None:
        with json_client(sim, timeout=20) as ask:
            ready.wait()
            said.append(ask(op, **body))

    threads = [threading.Thread(target=run, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == len(calls), json.dumps(said)
    return said


def test_what_it_answered_is_still_booked_after_a_kill(tmp_path: Path) -> None:
    first = start_his(tmp_path)
    keys = [key() for _ in range(20)]
    with json_client(first) as ask:
        for op_key in keys:
            assert top_up(ask, MING, 100, op_key=op_key)["code"] == "0"
    first.proc.kill()
    first.proc.wait()
    again = start_his(tmp_path)
    with json_client(again) as ask:
        assert [ask("query_op", op_key=op_key)["code"] for op_key in keys] == ["0"] * 20
        assert top_up(ask, MING, 100, op_key=keys[0])["code"] == "1"
    assert again.booked("top_up") == (20, 20)
    again.stop()
