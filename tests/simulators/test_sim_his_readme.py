"""The README of the simulated HIS is true: every field it names is answered, and no other."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.his_wire import json_client
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


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One full answer of every operation."""
    sim = start_his(tmp_path_factory.mktemp("sim_his"))
    got: dict[str, Any] = {}
    with json_client(sim) as ask:

        def keep(op: str, **asked: Any) -> Any:
            reply = ask(op, **asked)
            assert reply["code"] == "0", (op, reply)
            got[op] = reply["data"]
            return reply["data"]

        def write(op: str, **asked: Any) -> Any:
            return keep(op, op_key=secrets.token_hex(8), **asked)

        ming = {"patient_id": "P0000001", "card_no": "600000000017"}
        who = {"patient_id": "P0000001"}
        stay = {"patient_id": "P0000002", "admission_no": "2026000101", "admission_seq": 1}
        paid = {"amount_fen": 100, "pay_method": "02", "trade_no": "42", "paid_at": "2026-11-24 09:00:00"}
        day = keep("health")["time"][:10]
        for op in ("query_patient", "registrations", "list_appointments", "queue", "balance", "list_top_ups",
                   "charges", "list_visits", "reports", "invoices"):  # fmt: skip
            keep(op, **who)
        keep("query_admission", patient_id="P0000002")
        keep("list_admissions", patient_id="P0000002")
        keep("list_departments")
        keep("list_doctors")
        keep("list_prepayments", **stay)
        keep("charge_summary", **stay)
        keep("daily_statement", **stay, day=day)
        keep("check_wristband", wristband_no="W202600010101", item_code="M000000001")
        keep("visit", **who, visit_no=got["list_visits"]["visits"][0]["visit_no"])
        keep("report", **who, report_no="B0000001")
        schedules = keep("list_schedules")["schedules"]
        places = {}
        for ahead in (0, 3):
            open_ones = [one for one in schedules if one["status"] == "open" and one["left_count"] > 3]
            one = next(one for one in open_ones if one["day"] == sorted({other["day"] for other in open_ones})[ahead])
            slots = keep("list_slots", schedule_id=one["schedule_id"])["slots"]
            free = next(slot for slot in slots if slot["free"])
            places[ahead] = {"schedule_id": one["schedule_id"], "slot_id": free["slot_id"], "fee_fen": one["fee_fen"]}
        hold = write("lock_slot", **who, **places[0])
        write("unlock_slot", **who, hold_no=hold["hold_no"])
        number = write("register", **ming, **places[0], pay_method="05")["registration_no"]
        write("cancel_registration", **who, registration_no=number)
        again = write("register", **ming, **places[0], pay_method="05")["registration_no"]
        write("check_in", **who, registration_no=again)
        booked = write("book", **ming, **places[3])
        write("cancel_booking", **who, appointment_no=booked["appointment_no"])
        write("top_up", **ming, **paid)
        write("refund", **ming, amount_fen=1)
        write("pay_prepayment", **stay, **paid)
        lines = [item["charge_no"] for item in got["charges"]["items"]]
        bill = {**who, "charge_nos": lines, "total_fen": got["charges"]["total_fen"]}
        parts = write("pre_settle", **bill)
        write("settle", **bill, settle_no=parts["settle_no"], self_paid_fen=parts["self_paid_fen"], pay_method="01")
        write("create_card", name="周一", sex="1", birth_date="2000-01-01", id_type="03", id_no="E123", phone="1")
        keep("reconcile_day", day=day)
        got["query_op"] = {**ask("query_op", op_key=got["top_up"]["op_key"])["data"], "answer": None}
    yield got
    sim.stop()


def test_every_operation_answers_the_fields_the_readme_names_and_no_others(answers: dict[str, Any]) -> None:
    assert len(answers) == 38
    wrong = {
        op: {"only in the README": said - given, "only on the wire": given - said}
        for op, data in answers.items()
        if (said := documented(op, OPS)) != (given := answered(data))
    }
    assert wrong == {}
