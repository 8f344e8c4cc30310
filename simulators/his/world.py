"""What the hospital answers: one method per operation, a plain dict in, `data` out.

Patients, cards and admissions are kept in memory (a lookup is a few µs); the rest is read from SQLite each time.
"""

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulators.his import days

Data = dict[str, Any]
SHANGHAI = ZoneInfo("Asia/Shanghai")


class NoData(Exception):
    """The hospital holds no such thing."""


class Refused(Exception):
    """The hospital says no: reply code "2" and a sentence."""


class World:
    """The hospital behind the wire; used by one thread."""

    def __init__(self, db: sqlite3.Connection, seed: int) -> None:
        self._db = db
        self._seed = seed
        self._made_for = ""
        self.clock_offset = timedelta()
        self._patients: dict[str, Data] = {}
        self._by_card: dict[str, str] = {}
        self._by_wristband: dict[str, Data] = {}
        self._by_admission: dict[str, Data] = {}
        self._stay_of: dict[str, Data] = {}
        self._load()
        self.operations: dict[str, Callable[[Data], Data]] = {
            name: getattr(self, name)
            for name in (
                "health", "query_patient", "query_admission", "list_departments", "list_doctors", "list_schedules",
                "list_slots", "registrations", "queue", "balance", "charges", "reports", "invoices",
            )
        }  # fmt: skip

    def now(self) -> datetime:
        """Wall time in Shanghai, naive, moved by the clock switch."""
        return datetime.now(SHANGHAI).replace(tzinfo=None) + self.clock_offset

    def today(self) -> str:
        """The day by the hospital's clock; a new one gets its calendar first."""
        now = self.now()
        day = f"{now:%Y-%m-%d}"
        if day != self._made_for:
            days.ensure(self._db, self._seed, now.date())
            self._made_for = day
        return day

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # people

    def health(self, _: Data) -> Data:
        """When the hospital thinks it is."""
        return {"time": f"{self.now():%Y-%m-%d %H:%M:%S}"}

    def query_patient(self, asked: Data) -> Data:
        """By `card_no` (lost and closed cards too, with their status) or `patient_id`."""
        patient_id = self._by_card.get(asked["card_no"]) if "card_no" in asked else asked.get("patient_id")
        return self._patient(patient_id)

    def query_admission(self, asked: Data) -> Data:
        """By `wristband_no` that very stay; by `admission_no` or `patient_id` the current stay, else the latest."""
        for key, index in (
            ("wristband_no", self._by_wristband),
            ("admission_no", self._by_admission),
            ("patient_id", self._stay_of),
        ):
            if key in asked:
                stay = index.get(asked[key])
                if stay is None:
                    raise NoData
                return {**stay, "patient": self._patients[stay["patient_id"]]}
        raise Refused("缺少查询条件")

    def balance(self, asked: Data) -> Data:
        """What is on the patient's card, in fen."""
        patient_id = self._patient(asked.get("patient_id"))["patient_id"]
        row = self._rows("SELECT balance_fen FROM patients WHERE patient_id = ?", patient_id)[0]
        return {"patient_id": patient_id, "balance_fen": row["balance_fen"]}

    # the house

    def list_departments(self, _: Data) -> Data:
        """Campuses and departments."""
        return {
            "campuses": self._rows("SELECT * FROM campuses ORDER BY code"),
            "departments": self._rows("SELECT * FROM departments ORDER BY code"),
        }

    def list_doctors(self, asked: Data) -> Data:
        """All, or those of `department`."""
        return {
            "doctors": self._rows(
                "SELECT * FROM doctors WHERE ? IS NULL OR department = ?1 ORDER BY code", asked.get("department")
            )
        }

    def list_schedules(self, asked: Data) -> Data:
        """Clinics of 14 days (or of `day`), of `department` or `doctor` when given, with slots in all and left."""
        last = date.fromisoformat(self.today()) + timedelta(days=days.DAYS - 1)
        return {
            "schedules": self._rows(
                "SELECT s.*, d.name AS doctor_name, d.department, COUNT(*) AS total,"
                " SUM(l.patient_id IS NULL) AS left_count FROM schedules s"
                " JOIN doctors d ON d.code = s.doctor JOIN slots l USING (schedule_id)"
                " WHERE s.day BETWEEN ?1 AND ?5 AND (?2 IS NULL OR s.day = ?2) AND (?3 IS NULL OR d.department = ?3)"
                " AND (?4 IS NULL OR s.doctor = ?4) GROUP BY s.schedule_id ORDER BY s.day, s.schedule_id",
                self.today(), asked.get("day"), asked.get("department"), asked.get("doctor"), f"{last}",
            )
        }  # fmt: skip

    def list_slots(self, asked: Data) -> Data:
        """The slots of `schedule_id`; who took one is nobody's business."""
        slots = self._rows(
            "SELECT slot_no, starts_at, patient_id IS NULL AS free FROM slots WHERE schedule_id = ? ORDER BY slot_no",
            asked.get("schedule_id"),
        )
        if not slots:
            raise NoData
        return {"slots": [{**slot, "free": bool(slot["free"])} for slot in slots]}

    # visits

    def registrations(self, asked: Data) -> Data:
        """The patient's numbers, newest first."""
        patient = self._patient(asked.get("patient_id"))
        return {
            "registrations": self._rows(
                "SELECT r.registration_no, r.schedule_id, r.slot_no, r.queue_no, r.fee_fen, r.created_at, r.status,"
                " s.day, s.day_part, s.service_class, s.room, s.doctor, d.name AS doctor_name, d.department,"
                " l.starts_at FROM registrations r JOIN schedules s USING (schedule_id)"
                " JOIN doctors d ON d.code = s.doctor JOIN slots l USING (schedule_id, slot_no)"
                " WHERE r.patient_id = ? ORDER BY s.day DESC, r.registration_no DESC",
                patient["patient_id"],
            )
        }

    def queue(self, asked: Data) -> Data:
        """Today's queues of a patient: number being served and how many are ahead; moves with the clock."""
        patient = self._patient(asked.get("patient_id"))
        now = self.now()
        rows = self._rows(
            "SELECT r.registration_no, r.queue_no, s.schedule_id, s.day, s.day_part, s.room, d.name AS doctor_name,"
            " (SELECT COUNT(*) FROM registrations o WHERE o.schedule_id = r.schedule_id AND o.status = 'valid')"
            " AS numbers FROM registrations r JOIN schedules s USING (schedule_id) JOIN doctors d ON d.code = s.doctor"
            " WHERE r.patient_id = ? AND s.day = ? AND r.status = 'valid' ORDER BY s.schedule_id",
            patient["patient_id"],
            self.today(),
        )
        for row in rows:
            row["serving_no"] = days.serving(now, row["day"], row["day_part"], row.pop("numbers"))
            row["ahead"] = max(0, row["queue_no"] - 1 - row["serving_no"]) if row["serving_no"] else row["queue_no"] - 1
            row["state"] = (
                "called" if row["serving_no"] == row["queue_no"] else
                "passed" if row["serving_no"] > row["queue_no"] else "waiting"
            )  # fmt: skip
        return {"queue": rows}

    # money and results

    def charges(self, asked: Data) -> Data:
        """What the patient has still to pay, line by line, and the sum."""
        patient = self._patient(asked.get("patient_id"))
        items = self._rows(
            "SELECT charge_no, recipe_no, department, name, category, unit, quantity, price_fen, amount_fen, made_at"
            " FROM charges WHERE patient_id = ? AND invoice_no IS NULL ORDER BY charge_no",
            patient["patient_id"],
        )
        return {"items": items, "total_fen": sum(item["amount_fen"] for item in items)}

    def invoices(self, asked: Data) -> Data:
        """Invoices, newest first, each with its lines."""
        patient = self._patient(asked.get("patient_id"))
        invoices = self._rows(
            "SELECT * FROM invoices WHERE patient_id = ? ORDER BY issued_at DESC", patient["patient_id"]
        )
        for invoice in invoices:
            invoice["items"] = self._rows(
                "SELECT name, category, unit, quantity, price_fen, amount_fen FROM charges WHERE invoice_no = ?"
                " ORDER BY charge_no",
                invoice["invoice_no"],
            )
        return {"invoices": invoices}

    def reports(self, asked: Data) -> Data:
        """Released reports, newest first, with their results; one that is not released does not exist."""
        patient = self._patient(asked.get("patient_id"))
        reports = self._rows(
            "SELECT r.*, d.name AS doctor_name FROM reports r JOIN doctors d ON d.code = r.doctor"
            " WHERE patient_id = ? AND released_at IS NOT NULL ORDER BY released_at DESC",
            patient["patient_id"],
        )
        for report in reports:
            report["items"] = self._rows(
                "SELECT line, name, value, unit, low, high, flag FROM report_items WHERE report_no = ? ORDER BY line",
                report["report_no"],
            )
        return {"reports": reports}

    def _patient(self, patient_id: object) -> Data:
        patient = self._patients.get(patient_id) if isinstance(patient_id, str) else None
        if patient is None:
            raise NoData
        return patient

    def _rows(self, sql: str, *values: object) -> list[Data]:
        found = self._db.execute(sql, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def _load(self) -> None:
        for row in self._rows("SELECT * FROM patients"):
            del row["balance_fen"]
            self._patients[row["patient_id"]] = {**row, "deceased": bool(row["deceased"]), "cards": []}
        for card in self._rows("SELECT * FROM cards ORDER BY card_no"):
            patient_id = card.pop("patient_id")
            self._patients[patient_id]["cards"].append(card)
            self._by_card[card["card_no"]] = patient_id
        for stay in self._rows(
            "SELECT a.wristband_no, a.admission_no, a.admission_seq, a.patient_id, a.ward AS ward_code,"
            " w.name AS ward_name, a.bed_no, p.name AS department, d.name AS doctor, a.admitted_at,"
            " a.discharged_at, a.status FROM admissions a JOIN wards w ON w.code = a.ward"
            " JOIN departments p ON p.code = w.department JOIN doctors d ON d.code = a.doctor"
            " ORDER BY a.status = 'I', a.admitted_at"
        ):
            # the last one wins: a current stay over former ones, a later over an earlier
            self._by_wristband[stay["wristband_no"]] = stay
            self._by_admission[stay["admission_no"]] = stay
            self._stay_of[stay["patient_id"]] = stay
