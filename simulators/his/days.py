"""The outpatient calendar: schedules, slots and registrations of any day, drawn from the seed and the date.

It also brings the wards' charges up to the day.

A simulator started next week has the 14 days after next week's start: each day is made once, when first needed.
"""

import random
import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from simulators.his import inpatient, ledger

Row = tuple[object, ...]
DAYS = 14
STARTS = {"am": time(8, 0), "pm": time(13, 30)}
PACE_MIN = 12  # minutes between two slots
DEMO = ("P0000001", "P0000005")
LAST_FIXED = "P0000012"  # those whom demo and tests name hold the numbers below and no others
STOPPED_ONE_IN = 60  # schedules whose clinic is stopped (停诊)


def ensure(db: sqlite3.Connection, seed: int, today: date) -> int:
    """Make what is missing of the DAYS days from `today` on; how many days were made. A transaction of its own."""
    made = 0
    db.execute("BEGIN IMMEDIATE")
    patients = [
        row[0]
        for row in db.execute(
            "SELECT patient_id FROM patients WHERE NOT deceased AND patient_id > ? ORDER BY 1", (LAST_FIXED,)
        )
    ]
    for offset in range(DAYS):
        day = today + timedelta(days=offset)
        if db.execute("SELECT 1 FROM schedules WHERE day = ? LIMIT 1", (day.isoformat(),)).fetchone():
            continue
        make_day(db, seed, day, offset, patients)
        made += 1
    demo_numbers(db, today)
    demo_appointment(db, today)
    inpatient.charge_until(db, seed, today)
    db.execute("COMMIT")
    return made


def make_day(db: sqlite3.Connection, seed: int, day: date, offset: int, patients: list[str]) -> None:
    """One day's clinics; nearer days are fuller."""
    rng = random.Random(f"{seed}:{day}")
    doctors = db.execute(
        "SELECT doctors.code, title, fee_fen, place FROM doctors JOIN departments ON departments.code = department"
        " ORDER BY doctors.code"
    ).fetchall()
    taken_share = max(0.08, 0.6 - 0.12 * offset)
    schedules: list[Row] = []
    slots: list[Row] = []
    registrations: list[Row] = []
    for index, (doctor, title, fee, place) in enumerate(doctors):
        for part in parts_of(rng, index):
            schedule_id = f"S{day:%Y%m%d}{doctor[1:]}{'1' if part == 'am' else '2'}"
            stopped = rng.randrange(STOPPED_ONE_IN) == 0
            service = "普通门诊" if title == "主治医师" else "专家门诊"
            room = f"{place}{rng.randrange(1, 13)}诊室"
            schedules.append(
                (schedule_id, doctor, f"{day}", part, service, fee, room, "stopped" if stopped else "open")
            )
            queue_no, people = 0, rng.sample(patients, 16)  # one number each, as the rules say
            for slot_no, at in slot_times(day, part, rng.randrange(10, 17)):
                patient = None
                if not stopped and rng.random() < taken_share:
                    patient, queue_no = people[queue_no], queue_no + 1
                    number = f"R{schedule_id[1:]}{slot_no:02d}"
                    asked = day - timedelta(days=offset + rng.randrange(1, 8))
                    made_at = f"{asked} {rng.randrange(7, 21):02d}:{rng.randrange(60):02d}:00"
                    txn = paid_outside(db, patient, fee, made_at)
                    registrations.append(
                        (number, patient, schedule_id, slot_no, queue_no, fee, made_at, "valid", txn, ledger.WECHAT)
                    )
                slots.append((schedule_id, slot_no, at, patient))
    db.executemany("INSERT INTO schedules VALUES (?,?,?,?,?,?,?,?)", schedules)
    db.executemany("INSERT INTO slots VALUES (?,?,?,?)", slots)
    db.executemany("INSERT INTO registrations VALUES (?,?,?,?,?,?,?,?,?,?)", registrations)


def demo_numbers(db: sqlite3.Connection, today: date) -> None:
    """王小明 and 张子涵 have a number this afternoon, on whatever day the simulator runs."""
    for place, patient in enumerate(DEMO):
        held = (
            "SELECT 1 FROM registrations JOIN schedules USING (schedule_id)"
            " WHERE patient_id = ? AND day = ? AND day_part = 'pm'"
        )
        if db.execute(held, (patient, f"{today}")).fetchone():
            continue
        schedule_id, fee, slot_no, queue_no = db.execute(
            "SELECT schedule_id, fee_fen, MIN(slot_no), (SELECT COUNT(*) + 1 FROM registrations r"
            " WHERE r.schedule_id = s.schedule_id) FROM schedules s JOIN slots USING (schedule_id)"
            " WHERE day = ? AND day_part = 'pm' AND status = 'open' AND patient_id IS NULL"
            " GROUP BY schedule_id ORDER BY schedule_id DESC LIMIT 1 OFFSET ?",
            (f"{today}", place * 3),
        ).fetchone()
        number = f"R{schedule_id[1:]}{slot_no:02d}"
        made_at = f"{today - timedelta(days=1)} 19:30:00"
        db.execute(
            "UPDATE slots SET patient_id = ? WHERE schedule_id = ? AND slot_no = ?", (patient, schedule_id, slot_no)
        )
        db.execute(
            "INSERT INTO registrations VALUES (?,?,?,?,?,?,?,?,?,?)",
            (number, patient, schedule_id, slot_no, queue_no, fee, made_at, "valid",
             paid_outside(db, patient, fee, made_at), ledger.WECHAT),
        )  # fmt: skip


def demo_appointment(db: sqlite3.Connection, today: date) -> None:
    """王小明 has a booking three days ahead, made once a day, whatever became of the one before."""
    day = today + timedelta(days=3)
    number = f"A{day:%Y%m%d}000001"
    if db.execute("SELECT 1 FROM appointments WHERE appointment_no = ?", (number,)).fetchone():
        return
    schedule_id, fee, slot_no = db.execute(
        "SELECT schedule_id, fee_fen, MIN(slot_no) FROM schedules JOIN slots USING (schedule_id)"
        " WHERE day = ? AND status = 'open' AND patient_id IS NULL GROUP BY schedule_id ORDER BY 1 DESC LIMIT 1",
        (f"{day}",),
    ).fetchone()
    db.execute("UPDATE slots SET patient_id = 'P0000001' WHERE schedule_id = ? AND slot_no = ?", (schedule_id, slot_no))
    made_at = f"{today - timedelta(days=1)} 20:10:00"
    db.execute(
        "INSERT INTO appointments VALUES (?,?,?,?,?,?,?,?)",
        (number, "P0000001", schedule_id, slot_no, fee, made_at, "valid", f"N{number[1:]}"),
    )


def paid_outside(db: sqlite3.Connection, patient: str, fee: int, at: str) -> str:
    """A fee that some other channel took; its transaction number."""
    return ledger.move(db, ledger.Movement(ledger.DESK, "register", patient, fee, ledger.WECHAT, at))


def parts_of(rng: random.Random, index: int) -> tuple[str, ...]:
    """Which half days a doctor sits; every department has somebody every day."""
    if index % 3 == 0:
        return ("am", "pm")
    return rng.choice((("am",), ("pm",), ("am", "pm"), ()))


def slot_times(day: date, part: str, count: int) -> Iterator[tuple[int, str]]:
    """Slot numbers from 1 and their wall times."""
    start = datetime.combine(day, STARTS[part])
    for slot in range(count):
        yield slot + 1, f"{start + timedelta(minutes=PACE_MIN * slot):%Y-%m-%d %H:%M:%S}"


def serving(now: datetime, day: str, part: str, numbers: int) -> int:
    """How many of a schedule's `numbers` have been called at `now`: one each PACE_MIN minutes, none before it opens."""
    opened = datetime.combine(date.fromisoformat(day), STARTS[part])
    called = int((now - opened).total_seconds() // 60 // PACE_MIN) + 1
    return max(0, min(numbers, called))
