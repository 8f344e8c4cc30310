"""The simulated hospital is believable, stays the same, and speaks its wire quickly."""

import json
import re
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.sims import HisSim, start_his

Ask = Callable[..., Any]
SHANGHAI = ZoneInfo("Asia/Shanghai")
WEIGHTS = [2 ** (17 - index) % 11 for index in range(17)]  # GB 11643: 2^(i-1) mod 11


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    running = start_his(tmp_path_factory.mktemp("sim_his"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ask(sim: HisSim) -> Iterator[Ask]:
    """`ask(operation, **arguments)` on one kept-alive connection; the whole reply."""
    connection = HTTPConnection("127.0.0.1", sim.port, timeout=5)

    def call(operation: str, **arguments: Any) -> Any:
        connection.request("POST", f"/api/{operation}", json.dumps(arguments), {"X-Token": sim.token})
        return json.loads(connection.getresponse().read())

    yield call
    connection.close()


@pytest.fixture(scope="module")
def rows(sim: HisSim) -> Iterator[Callable[..., list[Any]]]:
    """SQL on the simulator's file."""
    with closing(sqlite3.connect(sim.db)) as db:
        db.row_factory = sqlite3.Row
        yield lambda sql, *values: db.execute(sql, values).fetchall()


Rows = Callable[..., list[Any]]


def test_the_house_has_its_size(rows: Rows) -> None:
    count = {name: rows(f"SELECT COUNT(*) FROM {name}")[0][0] for name in
             ("campuses", "departments", "doctors", "patients", "wards")}  # fmt: skip
    assert count["campuses"] == 2
    assert count["departments"] >= 12
    assert (count["doctors"], count["patients"], count["wards"]) == (40, 400, 4)
    assert rows("SELECT COUNT(*) FROM admissions WHERE status = 'I'")[0][0] == 60
    assert rows("SELECT COUNT(*) FROM admissions WHERE status = 'O'")[0][0] >= 40


def test_id_numbers_carry_birth_sex_a_right_check_digit_and_an_area_that_is_no_place(rows: Rows) -> None:
    for patient in rows("SELECT * FROM patients"):
        id_no = patient["id_no"]
        assert id_no[:6] == "990101"
        assert id_no[6:14] == patient["birth_date"].replace("-", "")
        assert int(id_no[16]) % 2 == (1 if patient["sex"] == "1" else 0)
        total = sum(int(digit) * weight for digit, weight in zip(id_no[:17], WEIGHTS, strict=True))
        assert id_no[17] == "10X98765432"[total % 11]


def test_people_are_as_people_are(rows: Rows) -> None:
    patients = rows("SELECT * FROM patients")
    names = Counter(patient["name"] for patient in patients)
    assert sum(1 for count in names.values() if count > 1) >= 3
    assert any(len(char.encode()) == 4 for name in names for char in name)
    assert sum(1 for name in names if not name.isascii() and _outside_gbk(name)) >= 3
    adult = (date.today() - timedelta(days=18 * 366)).isoformat()  # noqa: DTZ011
    assert sum(1 for patient in patients if patient["birth_date"] > adult) >= 20
    assert sum(patient["deceased"] for patient in patients) == 1
    assert len({patient["phone"] for patient in patients}) == 400
    assert all(re.fullmatch(r"1990000\d{4}", patient["phone"]) for patient in patients)


def _outside_gbk(name: str) -> bool:
    try:
        name.encode("gbk")
    except UnicodeEncodeError:
        return True
    return False


def test_no_single_wrong_or_swapped_digit_of_a_card_is_another_card(rows: Rows) -> None:
    cards = {row[0] for row in rows("SELECT card_no FROM cards")}
    assert all(re.fullmatch(r"60\d{10}", card) for card in cards)
    for card in cards:
        for place in range(12):
            for digit in "0123456789":
                typo = card[:place] + digit + card[place + 1 :]
                assert typo == card or typo not in cards
        for place in range(11):
            swapped = card[:place] + card[place + 1] + card[place] + card[place + 2 :]
            assert swapped == card or swapped not in cards


def test_stays_have_their_numbers_a_bed_each_and_a_ward_that_fits(rows: Rows) -> None:
    stays = rows("SELECT a.*, p.sex, p.birth_date FROM admissions a JOIN patients p USING (patient_id)")
    for stay in stays:
        assert re.fullmatch(r"20\d{8}", stay["admission_no"])
        assert stay["wristband_no"] == f"W{stay['admission_no']}{stay['admission_seq']:02d}"
        assert (stay["discharged_at"] is None) == (stay["status"] == "I")
        assert stay["discharged_at"] is None or stay["discharged_at"] > stay["admitted_at"]
        assert stay["ward"] != "W03" or stay["sex"] == "2"
        assert stay["ward"] != "W04" or stay["birth_date"] > "2005"
    current = [stay for stay in stays if stay["status"] == "I"]
    assert len({(stay["ward"], stay["bed_no"]) for stay in current}) == len(current)
    assert len({stay["patient_id"] for stay in current}) == len(current)
    assert {stay["ward"] for stay in current} == {"W01", "W02", "W03", "W04"}


def test_fourteen_days_of_clinics_with_slots_left(ask: Ask) -> None:
    schedules = ask("list_schedules")["data"]["schedules"]
    today = datetime.now(SHANGHAI).date()
    assert {one["day"] for one in schedules} == {f"{today + timedelta(days=offset)}" for offset in range(14)}
    assert all(10 <= one["total"] <= 16 and 0 <= one["left_count"] <= one["total"] for one in schedules)
    assert {one["status"] for one in schedules} == {"open", "stopped"}
    assert len({(one["day"], one["department"]) for one in schedules}) == 14 * 14
    slots = ask("list_slots", schedule_id=schedules[0]["schedule_id"])["data"]["slots"]
    assert len(slots) == schedules[0]["total"]
    assert sum(slot["free"] for slot in slots) == schedules[0]["left_count"]


def test_one_number_a_patient_and_clinic_and_one_patient_a_slot(rows: Rows) -> None:
    assert rows("SELECT 1 FROM registrations GROUP BY patient_id, schedule_id HAVING COUNT(*) > 1") == []
    assert rows(
        "SELECT 1 FROM registrations r JOIN slots USING (schedule_id, slot_no) WHERE slots.patient_id IS NOT r.patient_id"
    ) == []  # fmt: skip
    assert rows("SELECT COUNT(*) FROM slots WHERE patient_id IS NOT NULL") [0][0] == (
        rows("SELECT COUNT(*) FROM registrations")[0][0] + rows("SELECT COUNT(*) FROM appointments")[0][0]
    )  # fmt: skip


def test_the_queue_moves_with_the_clock(sim: HisSim, ask: Ask) -> None:
    now = datetime.now(SHANGHAI)
    seen = []
    for hour in (6, 15, 23):
        sim.clock((now.replace(hour=hour, minute=0) - now).total_seconds())
        seen.append(
            next(one for one in ask("queue", patient_id="P0000001")["data"]["queue"] if one["day_part"] == "pm")
        )
    sim.clock(0)
    assert (seen[0]["serving_no"], seen[0]["ahead"], seen[0]["state"]) == (0, seen[0]["queue_no"] - 1, "waiting")
    assert 0 < seen[1]["serving_no"] <= seen[2]["serving_no"]
    assert seen[2]["state"] in ("called", "passed")
    assert seen[2]["ahead"] == 0


def test_a_simulator_left_running_has_fourteen_days_and_the_demo_number_on_any_day(sim: HisSim, ask: Ask) -> None:
    sim.clock(20 * 86_400)
    day = (datetime.now(SHANGHAI) + timedelta(days=20)).date()
    try:
        schedules = ask("list_schedules")["data"]["schedules"]
        assert {one["day"] for one in schedules} == {f"{day + timedelta(days=offset)}" for offset in range(14)}
        for patient_id in ("P0000001", "P0000005"):
            assert "pm" in {one["day_part"] for one in ask("queue", patient_id=patient_id)["data"]["queue"]}
    finally:
        sim.clock(0)


def test_invoices_add_up_in_fen_by_their_lines_and_by_their_parts(ask: Ask, rows: Rows) -> None:
    parts = rows("SELECT * FROM invoices")
    assert len(parts) > 100
    for invoice in parts:
        paid = [invoice[part] for part in ("self_paid_fen", "fund_paid_fen", "insurance_account_paid_fen")]
        assert min(paid) >= 0
        assert sum(paid) == invoice["total_fen"]
    owner = parts[0]["patient_id"]
    for invoice in ask("invoices", patient_id=owner)["data"]["invoices"]:
        assert sum(line["amount_fen"] for line in invoice["items"]) == invoice["total_fen"]
        assert all(line["quantity"] * line["price_fen"] == line["amount_fen"] for line in invoice["items"])
    for table, key in (("charges", "invoice_no"), ("stay_charges", "wristband_no")):
        wrong = rows(
            f"SELECT 1 FROM invoices i WHERE {'wristband_no IS NULL' if key == 'invoice_no' else 'wristband_no IS NOT NULL'}"
            f" AND total_fen <> (SELECT SUM(amount_fen) FROM {table} c WHERE c.{key} = i.{key})"
        )
        assert wrong == []
    open_lines = ask("charges", patient_id="P0000001")["data"]
    assert open_lines["total_fen"] == sum(line["amount_fen"] for line in open_lines["items"]) > 0
    assert ask("balance", patient_id="P0000001")["data"]["balance_fen"] == 20_000


def test_reports_flag_what_their_limits_say_and_hide_what_is_not_released(ask: Ask, rows: Rows) -> None:
    words = {
        "N": 0,
        "正常": 0,
        "H": 1,
        "HH": 1,
        "↑": 1,
        "↑↑": 1,
        "偏高": 1,
        "L": -1,
        "LL": -1,
        "↓": -1,
        "↓↓": -1,
        "偏低": -1,
    }
    written = Counter(item["flag"] for item in rows("SELECT flag FROM report_items"))
    assert set(words) | {"阳性", "阴性", "†"} <= set(written)
    for item in rows("SELECT * FROM report_items WHERE low <> ''"):
        value, low, high = (float(item[key]) for key in ("value", "low", "high"))
        assert words.get(item["flag"]) in (None, 1 if value > high else -1 if value < low else 0)
    kinds = {one["kind"] for one in ask("reports", patient_id="P0000001")["data"]["reports"]}
    assert kinds == {"lab", "imaging"}
    hidden = rows("SELECT patient_id, report_no FROM reports WHERE released_at IS NULL")
    assert hidden
    for patient_id, report_no in hidden:
        shown = ask("reports", patient_id=patient_id)["data"]["reports"]
        assert report_no not in {one["report_no"] for one in shown}


def test_the_wire_says_no_data_exception_and_unauthorised(sim: HisSim, ask: Ask) -> None:
    assert ask("query_patient", card_no="1")["code"] == "1"
    assert ask("query_patient", card_no=["1"])["code"] == "-1"
    assert ask("no_such_operation")["code"] == "-1"
    assert ask("query_admission")["code"] == "2"
    connection = HTTPConnection("127.0.0.1", sim.port, timeout=5)
    connection.request("POST", "/api/health", "{}", {"X-Token": "guess"})
    assert connection.getresponse().status == 401
    connection.close()


def test_the_fixed_patients_are_those_of_the_readme(ask: Ask) -> None:
    text = (Path(__file__).parents[2] / "simulators" / "his" / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| (P\d{7}) \| (\d{12}) \| ([^,|]+), (\d{4}-\d\d-\d\d) \|", text, re.MULTILINE)
    assert len(listed) >= 8
    for patient_id, card_no, name, born in listed:
        data = ask("query_patient", card_no=card_no)["data"]
        assert (data["patient_id"], data["name"], data["birth_date"]) == (patient_id, name, born)
    for band in re.findall(r"W\d{12}", text):
        assert ask("query_admission", wristband_no=band)["code"] == "0"


def test_a_lookup_is_quick_and_the_calls_are_counted(sim: HisSim, ask: Ask) -> None:
    before, took = sim.calls("query_patient"), []
    for _ in range(300):
        started = time.perf_counter()
        ask("query_patient", card_no="600000000017")
        took.append(time.perf_counter() - started)
    assert sim.calls("query_patient") == before + 300
    assert statistics.median(took) < 0.003  # with a client of 0.3 ms, on a busy machine


def test_the_same_seed_is_the_same_hospital_a_second_start_is_quick_and_it_ends_at_once(tmp_path: Path) -> None:
    def contents(db: Path) -> list[Any]:
        with closing(sqlite3.connect(db)) as reader:
            tables = [row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [(table, reader.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()) for table in tables]

    homes = [tmp_path / "a", tmp_path / "b"]
    for home in homes:
        home.mkdir()
        start_his(home).stop()
    assert contents(homes[0] / "his.db") == contents(homes[1] / "his.db")
    started = time.monotonic()
    again = start_his(homes[0])
    ready = time.monotonic()
    again.proc.terminate()
    assert again.proc.wait(5) == 0
    assert ready - started < 1.5  # 0.2 s when nothing else runs
    assert time.monotonic() - ready < 0.5
    assert contents(homes[0] / "his.db") == contents(homes[1] / "his.db")
