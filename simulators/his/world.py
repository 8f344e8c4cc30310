"""The hospital behind the wire: people and stays in memory (a lookup is a few µs), the rest read from SQLite each time.

One method `call` for every operation: a plain dict in, `data` out; the operations live in clinic, cash, care and ward.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulators.his import booking, care, cash, clinic, days, registry, ward
from simulators.his.answers import Data, NoData, Refused

SHANGHAI = ZoneInfo("Asia/Shanghai")
ALIASES = {"list_registrations": "registrations", "pending_charges": "charges", "list_reports": "reports"}
_STAYS = (
    "SELECT a.wristband_no, a.admission_no, a.admission_seq, a.patient_id, a.ward AS ward_code,"
    " w.name AS ward_name, a.bed_no, p.name AS department, d.name AS doctor, a.admitted_at,"
    " a.discharged_at, a.status FROM admissions a JOIN wards w ON w.code = a.ward"
    " JOIN departments p ON p.code = w.department JOIN doctors d ON d.code = a.doctor"
    " ORDER BY a.status = 'I', a.admitted_at"
)


class World:
    """One hospital; used by one thread."""

    def __init__(self, db: sqlite3.Connection, seed: int) -> None:
        self.db = db
        self._seed = seed
        self._made_for = ""
        self.clock_offset = timedelta()
        self.dedup = True
        self.repeat = False  # a write is being booked that was booked already: what a HIS without dedup does
        self.patients: dict[str, Data] = {}
        self.by_card: dict[str, str] = {}
        self.by_wristband: dict[str, Data] = {}
        self.by_admission: dict[str, Data] = {}
        self.stay_of: dict[str, Data] = {}
        self._load()
        self.reads: dict[str, Callable[[World, Data], Data]] = {
            "health": health, "query_patient": query_patient, "query_admission": query_admission,
            "query_op": booking.query_op, **clinic.READS, **cash.READS, **care.READS, **ward.READS,
        }  # fmt: skip
        self.writes: dict[str, Callable[[World, Data], Data]] = {
            "create_card": registry.create_card, **clinic.WRITES, **cash.WRITES, **ward.WRITES,
        }  # fmt: skip

    def call(self, op: str, asked: Data) -> Data:
        """One operation. Raises NoData, Refused, Duplicate, KeyError (no such operation), ValueError or TypeError."""
        if (read := self.reads.get(op)) is not None:
            return read(self, asked)
        return booking.book(self, op, self.writes[op], asked)

    def call_twice(self, op: str, asked: Data) -> Data:
        """The same, but a write is booked a second time, as a HIS without dedup does on a repeat."""
        data = self.call(op, asked)
        if op in self.writes:
            self.dedup, before = False, self.dedup
            try:
                booking.book(self, op, self.writes[op], asked)
            except Refused:
                pass  # there was nothing left to book twice
            finally:
                self.dedup = before
        return data

    def now(self) -> datetime:
        """Wall time in Shanghai, naive, moved by the clock switch."""
        return datetime.now(SHANGHAI).replace(tzinfo=None) + self.clock_offset

    def wall(self) -> str:
        """`now` as the wire writes it."""
        return f"{self.now():%Y-%m-%d %H:%M:%S}"

    def today(self) -> str:
        """The day by the hospital's clock; a new one gets its calendar first (not inside a write)."""
        now = self.now()
        day = f"{now:%Y-%m-%d}"
        if day != self._made_for and not self.db.in_transaction:
            days.ensure(self.db, self._seed, now.date())
            self._made_for = day
        return day

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def patient(self, patient_id: object) -> Data:
        """The file of a patient; NoData."""
        patient = self.patients.get(patient_id) if isinstance(patient_id, str) else None
        if patient is None:
            raise NoData
        return patient

    def rows(self, sql: str, *values: object) -> list[Data]:
        """A query's rows as dicts."""
        found = self.db.execute(sql, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def one(self, sql: str, *values: object) -> Data | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def load_patients(self, patient_id: str | None = None) -> None:
        """Read all files, or one that has just been made or given a card, from the database."""
        for row in self.rows("SELECT * FROM patients WHERE ? IS NULL OR patient_id = ?1", patient_id):
            self.patients[row["patient_id"]] = {**row, "deceased": bool(row["deceased"]), "cards": []}
        for card in self.rows("SELECT * FROM cards WHERE ? IS NULL OR patient_id = ?1 ORDER BY card_no", patient_id):
            owner = card.pop("patient_id")
            self.patients[owner]["cards"].append(card)
            self.by_card[card["card_no"]] = owner

    def _load(self) -> None:
        self.load_patients()
        for stay in self.rows(_STAYS):
            # the last one wins: a current stay over former ones, a later over an earlier
            self.by_wristband[stay["wristband_no"]] = stay
            self.by_admission[stay["admission_no"]] = stay
            self.stay_of[stay["patient_id"]] = stay


def health(world: World, _: Data) -> Data:
    """When the hospital thinks it is."""
    return {"time": world.wall()}


def query_patient(world: World, asked: Data) -> Data:
    """By `card_no` (lost and closed cards too, with their status), `patient_id`, or `id_no` when only one file has it."""
    if "card_no" in asked:
        return world.patient(world.by_card.get(asked["card_no"]))
    if "id_no" in asked:
        found = world.rows("SELECT patient_id FROM patients WHERE id_no = ?", str(asked["id_no"]).upper())
        if len(found) > 1:
            raise Refused("AMBIGUOUS", "该证件号对应多份档案,请到窗口合并")
        return world.patient(found[0]["patient_id"] if found else None)
    return world.patient(asked.get("patient_id"))


def query_admission(world: World, asked: Data) -> Data:
    """By `wristband_no` that very stay; by `admission_no` or `patient_id` the current stay, else the latest."""
    for key, index in (
        ("wristband_no", world.by_wristband),
        ("admission_no", world.by_admission),
        ("patient_id", world.stay_of),
    ):
        if key in asked:
            stay: Any = index.get(asked[key])
            if stay is None:
                raise NoData
            return ward.with_patient(world, stay)
    raise Refused("ARGUMENT", "缺少查询条件")
