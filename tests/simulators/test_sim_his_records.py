"""What the simulated HIS holds adds up: every patient, every stay, every report."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from simulators.his.words_care import STUDIES
from tests.support.his_wire import Ask, json_client
from tests.support.sims import HisSim, start_his

Rows = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    running = start_his(tmp_path_factory.mktemp("sim_his"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ask(sim: HisSim) -> Iterator[Ask]:
    with json_client(sim) as client:
        yield client


@pytest.fixture(scope="module")
def rows(sim: HisSim) -> Iterator[Rows]:
    with closing(sqlite3.connect(sim.db)) as db:
        db.row_factory = sqlite3.Row
        yield lambda sql, *values: db.execute(sql, values).fetchall()


def total(items: list[Any]) -> int:
    return sum(item["amount_fen"] for item in items)


def test_every_stay_adds_up_by_day_by_category_and_by_line(ask: Ask, rows: Rows) -> None:
    stays = rows("SELECT * FROM admissions")
    assert len(stays) > 100
    halves = 0
    for stay in stays:
        asked = {name: stay[name] for name in ("patient_id", "admission_no", "admission_seq")}
        summary = ask("charge_summary", **asked)["data"]
        assert total(summary["categories"]) == summary["total_fen"] > 0
        first = date.fromisoformat(stay["admitted_at"][:10])
        last = date.fromisoformat((stay["discharged_at"] or ask("health")["data"]["time"])[:10])
        by_day = {}
        for offset in range((last - first).days + 1):
            day = f"{first + timedelta(days=offset)}"
            statement = ask("daily_statement", **asked, day=day)["data"]
            assert total(statement["items"]) == statement["total_fen"] > 0
            assert all(one["quantity"] * one["price_fen"] == one["amount_fen"] for one in statement["items"])
            halves += sum(one["quantity"] % 1 > 0 for one in statement["items"])
            by_day[day] = statement["total_fen"]
        assert {one["day"]: one["total_fen"] for one in summary["days"]} == by_day
        assert sum(by_day.values()) == summary["total_fen"]
        prepaid = total(ask("list_prepayments", **asked)["data"]["prepayments"])
        assert prepaid == summary["prepaid_fen"]
        assert summary["balance_fen"] == (prepaid - summary["total_fen"] if stay["status"] == "I" else 0)
        for day in (first - timedelta(days=1), last + timedelta(days=1)):
            assert ask("daily_statement", **asked, day=f"{day}")["code"] == "1"
    assert halves > 10


def test_every_patients_charges_visits_invoices_and_card_add_up(ask: Ask, rows: Rows) -> None:
    for (patient_id,) in rows("SELECT patient_id FROM patients"):
        pending = ask("charges", patient_id=patient_id)["data"]
        assert total(pending["items"]) == pending["total_fen"]
        assert len(pending["version"]) == 12
        for invoice in ask("invoices", patient_id=patient_id)["data"]["invoices"]:
            paid = [invoice[part] for part in ("self_paid_fen", "fund_paid_fen", "insurance_account_paid_fen")]
            assert sum(paid) == total(invoice["items"]) == invoice["total_fen"]
        for visit in ask("list_visits", patient_id=patient_id)["data"]["visits"]:
            detail = ask("visit", patient_id=patient_id, visit_no=visit["visit_no"])["data"]
            assert total(detail["charges"]) == detail["total_fen"] == visit["total_fen"]
            assert all(detail["note"].values())
            drugs = {one["name"] for one in detail["prescriptions"]}
            assert drugs == {one["name"].split()[0] for one in detail["charges"] if "药费" in one["category"]}
        on_card = ask("balance", patient_id=patient_id)["data"]["balance_fen"]
        assert total(ask("list_top_ups", patient_id=patient_id)["data"]["top_ups"]) == on_card


def test_the_ledger_holds_every_fee_and_every_own_part(sim: HisSim, rows: Rows) -> None:
    desk = sim.ledger(account="desk")
    by_op: dict[str, int] = {}
    for row in desk["rows"]:
        by_op[row["op"]] = by_op.get(row["op"], 0) + row["amount_fen"]
    assert by_op == {
        "register": rows("SELECT SUM(fee_fen) FROM registrations")[0][0],
        "settle": rows("SELECT SUM(self_paid_fen) FROM invoices WHERE wristband_no IS NULL")[0][0],
    }
    assert sim.ledger(patient_id="P0000001")["accounts"]["card:P0000001"] == 20_000


def test_somebody_elses_visit_report_and_stay_do_not_exist(ask: Ask) -> None:
    visit = ask("list_visits", patient_id="P0000001")["data"]["visits"][0]["visit_no"]
    assert ask("visit", patient_id="P0000005", visit_no=visit)["code"] == "1"
    assert ask("report", patient_id="P0000005", report_no="B0000002")["code"] == "1"
    stay = {"patient_id": "P0000005", "admission_no": "2026000101", "admission_seq": 1}
    for op in ("charge_summary", "list_prepayments"):
        assert ask(op, **stay)["code"] == "1"


def test_the_demo_patient_has_a_ct_with_a_picture_and_a_report_with_a_flag_nobody_lists(ask: Ask) -> None:
    picture = ask("report", patient_id="P0000001", report_no="B0000002")["data"]
    assert (picture["kind"], picture["name"]) == ("imaging", "胸部CT平扫")
    assert picture["study_uid"] == STUDIES["胸部CT平扫"]
    lab = ask("report", patient_id="P0000001", report_no="B0000001")["data"]
    assert lab["abnormal"] is True
    assert [item["flag"] for item in lab["items"]] == ["↑", "N", "↓", "N", "↑", "†"]
    assert {one["report_no"] for one in ask("reports", patient_id="P0000001")["data"]["reports"]} == {
        f"B000000{n}" for n in range(1, 5)
    }


def test_the_studies_are_those_of_files_that_pydicom_carries() -> None:
    names = ("CT_small.dcm", "MR_small.dcm", "examples_rgb_color.dcm")
    held = {
        str(pydicom.dcmread(str(get_testdata_file(name)), stop_before_pixels=True).StudyInstanceUID) for name in names
    }
    assert held == set(STUDIES.values())


def test_reports_of_a_stay_are_found_by_its_number(ask: Ask, rows: Rows) -> None:
    found = rows(
        "SELECT r.patient_id, a.admission_no FROM reports r JOIN admissions a USING (wristband_no)"
        " WHERE r.released_at IS NOT NULL AND r.released_at < datetime('now')"
    )
    assert len(found) > 30
    for patient_id, admission_no in found[:10]:
        reports = ask("reports", patient_id=patient_id, admission_no=admission_no)["data"]["reports"]
        assert {one["admission_no"] for one in reports} == {admission_no}


def test_a_bag_is_for_its_wearer_only_and_for_nobody_after_discharge(ask: Ask, rows: Rows) -> None:
    mine = rows("SELECT item_code, name FROM orders WHERE wristband_no = 'W202600010101'")[0]
    others = rows("SELECT item_code FROM orders WHERE wristband_no = 'W202600010201'")[0][0]

    def check(band: str, item: str) -> Any:
        return ask("check_wristband", wristband_no=band, item_code=item)["data"]

    right = check("W202600010101", mine["item_code"])
    assert (right["verdict"], right["item_name"]) == ("1", mine["name"])
    assert right["admission"]["patient"]["name"] == "李秀英"
    wrong = check("W202600010101", others)
    assert wrong["verdict"] == "2"
    assert "P0000003" not in str(wrong)
    assert check("W202600010501", mine["item_code"])["verdict"] == "3"
    assert check("W202600010101", "M999999999")["verdict"] == "9"
    assert ask("check_wristband", wristband_no="W000000000000", item_code=others)["code"] == "1"


def test_two_files_under_one_id_number_are_ambiguous_and_one_is_found(ask: Ask, rows: Rows) -> None:
    twice = rows("SELECT id_no FROM patients WHERE patient_id = 'P0000012'")[0][0]
    assert ask("query_patient", id_no=twice)["reason"] == "AMBIGUOUS"
    assert ask("query_patient", id_no="990101198503120037")["data"]["patient_id"] == "P0000001"
    assert ask("query_patient", id_no="990101198503120038")["code"] == "1"


def test_stays_are_listed_newest_first_and_days_filter_what_is_listed(ask: Ask) -> None:
    stays = ask("list_admissions", patient_id="P0000010")["data"]["admissions"]
    assert [one["admission_seq"] for one in stays] == [2, 1]
    day = ask("list_visits", patient_id="P0000001")["data"]["visits"][0]["at"][:10]
    only = ask("list_visits", patient_id="P0000001", from_day=day, to_day=day)["data"]["visits"]
    assert {one["at"][:10] for one in only} == {day}
    booked = ask("list_appointments", patient_id="P0000001")["data"]["appointments"]
    assert [one["status"] for one in booked] == ["valid"]
    campus = ask("list_departments", campus="C2")["data"]["departments"]
    assert {one["campus_name"] for one in campus} == {"东湖院区"}


def test_an_older_file_is_made_anew_and_what_was_booked_survives_a_restart(tmp_path: Path) -> None:
    first = start_his(tmp_path)
    with json_client(first) as ask:
        paid = {"card_no": "600000000017", "pay_method": "01", "paid_at": "2026-11-24 09:00:00"}
        ask("top_up", op_key=secrets.token_hex(8), patient_id="P0000001", amount_fen=100, **paid)
    first.stop()
    again = start_his(tmp_path)
    assert again.ledger(patient_id="P0000001")["accounts"]["card:P0000001"] == 20_100
    again.stop()
    with closing(sqlite3.connect(tmp_path / "his.db")) as db:
        db.execute("UPDATE meta SET value = '1' WHERE key = 'version'")
        db.commit()
    fresh = start_his(tmp_path)
    assert fresh.ledger(patient_id="P0000001")["accounts"]["card:P0000001"] == 20_000
    fresh.stop()
