"""The README of the simulated HIS is true: every field it names is answered, and no other."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.his_wire import Ask, json_client
from tests.support.sims import start_his

TEXT = (Path(__file__).parents[2] / "simulators" / "his" / "README.md").read_text("utf-8")
OPS = dict(re.findall(r"^\| `([a-z_]+)`[^|]*\|[^|]*\| ([^|]*) \|$", TEXT, re.MULTILINE))
SHAPES = dict(re.findall(r"^\| \*\*([a-z-]+)\*\* \| ([^|]*) \|$", TEXT, re.MULTILINE))
REFERS = {  # the README says "the same" of these
    "appointment": ("registration", {"appointment_no"}, {"registration_no", "queue_no"}),
    "prepayment": ("top-up", {"admission_no", "admission_seq"}, set()),
    "settle": ("pre_settle", {"his_txn_no", "invoice_no"}, set()),
}
Fields = set[str]


def documented(name: str, table: dict[str, str]) -> Fields:
    """The fields a row names, with those of the shapes it points to."""
    if name in REFERS:
        same, more, less = REFERS[name]
        return (documented(same, table) | more) - less
    found = set(re.findall(r"`([a-z_]+)`", table[name]))
    for shape in re.findall(r"\*\*([a-z-]+?)s?\*\*", table[name]):
        found |= documented(shape, SHAPES)
    return found


def answered(data: Any) -> Fields:
    """Every key in an answer, however deep."""
    if isinstance(data, list):
        return set().union(*map(answered, data)) if data else set()
    return set(data) | answered(list(data.values())) if isinstance(data, dict) else set()


Answers = dict[str, Any]
MING = {"patient_id": "P0000001", "card_no": "600000000017"}
WHO = {"patient_id": "P0000001"}
STAY = {"patient_id": "P0000002", "admission_no": "2026000101", "admission_seq": 1}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """One full answer of every operation."""
    sim = start_his(tmp_path_factory.mktemp("sim_his"))
    got: Answers = {}
    with json_client(sim) as ask:

        def keep(op: str, **asked: Any) -> Any:
            reply = ask(op, **asked)
            assert reply["code"] == "0", (op, reply)
            got[op] = reply["data"]
            return reply["data"]

        read_everything(keep, got)
        write_everything(lambda op, **asked: keep(op, op_key=secrets.token_hex(8), **asked), keep, got)
        keep("reconcile_day", day=got["health"]["time"][:10])
        got["query_op"] = {**ask("query_op", op_key=got["top_up"]["op_key"])["data"], "answer": None}
    yield got
    sim.stop()


def read_everything(keep: Ask, got: Answers) -> None:
    """Every question, about 王小明 and about 李秀英's stay."""
    day = keep("health")["time"][:10]
    for op in ("query_patient", "registrations", "list_appointments", "queue", "balance", "list_top_ups", "charges",
               "list_visits", "reports", "invoices"):  # fmt: skip
        keep(op, **WHO)
    for op in ("query_admission", "list_admissions"):
        keep(op, patient_id=STAY["patient_id"])
    for op in ("list_departments", "list_doctors", "list_schedules"):
        keep(op)
    for op in ("list_prepayments", "charge_summary"):
        keep(op, **STAY)
    keep("daily_statement", **STAY, day=day)
    keep("check_wristband", wristband_no="W202600010101", item_code="M000000001")
    keep("visit", **WHO, visit_no=got["list_visits"]["visits"][0]["visit_no"])
    keep("report", **WHO, report_no="B0000001")


def a_place(keep: Ask, got: Answers, ahead: int) -> dict[str, Any]:
    """A free slot so many days ahead."""
    open_ones = [one for one in got["list_schedules"]["schedules"] if one["status"] == "open" and one["left_count"] > 3]
    day = sorted({one["day"] for one in open_ones})[ahead]
    clinic = next(one for one in open_ones if one["day"] == day)
    free = next(slot for slot in keep("list_slots", schedule_id=clinic["schedule_id"])["slots"] if slot["free"])
    return {"schedule_id": clinic["schedule_id"], "slot_id": free["slot_id"], "fee_fen": clinic["fee_fen"]}


def write_everything(write: Ask, keep: Ask, got: Answers) -> None:
    """Every write once, numbers given back where they can be."""
    paid = {"amount_fen": 100, "pay_method": "02", "trade_no": "42", "paid_at": "2026-11-24 09:00:00"}
    place = a_place(keep, got, 0)
    hold = write("lock_slot", **WHO, **place)
    write("unlock_slot", **WHO, hold_no=hold["hold_no"])
    number = write("register", **MING, **place, pay_method="05")["registration_no"]
    write("cancel_registration", **WHO, registration_no=number)
    again = write("register", **MING, **place, pay_method="05")["registration_no"]
    write("check_in", **WHO, registration_no=again)
    booked = write("book", **MING, **a_place(keep, got, 3))
    write("cancel_booking", **WHO, appointment_no=booked["appointment_no"])
    write("top_up", **MING, **paid)
    write("refund", **MING, amount_fen=1)
    write("pay_prepayment", **STAY, **paid)
    lines = [item["charge_no"] for item in got["charges"]["items"]]
    bill = {**WHO, "charge_nos": lines, "total_fen": got["charges"]["total_fen"]}
    parts = write("pre_settle", **bill)
    write("settle", **bill, settle_no=parts["settle_no"], self_paid_fen=parts["self_paid_fen"], pay_method="01")
    write("create_card", name="周一", sex="1", birth_date="2000-01-01", id_type="03", id_no="E123", phone="1")


def test_every_operation_answers_the_fields_the_readme_names_and_no_others(answers: Answers) -> None:
    assert len(answers) == 38
    wrong = {
        op: {"only in the README": said - given, "only on the wire": given - said}
        for op, data in answers.items()
        if (said := documented(op, OPS)) != (given := answered(data))
    }
    assert wrong == {}
