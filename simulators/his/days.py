"""The outpatient calendar: schedules, slots and registrations of any day, drawn from the seed and the date.

A simulator started next week has the 14 days after next week's start: each day is made once, when first needed.
"""

import random
import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

Row = tuple[object, ...]
DAYS = 14
STARTS = {"am": time(8, 0), "pm": time(13, 30)}
PACE_MIN = 12  # minutes between two slots
STOPPED_ONE_IN = 60  # schedules whose clinic is stopped (停诊)


def ensure(db: sqlite3.Connection, seed: int, today: date) -> int:
    """Make what is missing of the DAYS days from `today` on; how many days were made. Commits."""
    made = 0
    patients = [row[0] for row in db.execute("SELECT patient_id FROM patients WHERE NOT deceased ORDER BY 1")]
    for offset in range(DAYS):
        day = today + timedelta(days=offset)
        if db.execute("SELECT 1 FROM schedules WHERE day = ? LIMIT 1", (day.isoformat(),)).fetchone():
            continue
        make_day(db, seed, day, offset, patients)
        made += 1
    db.commit()
    return made


def make_day(db: sqlite3.Connection, seed: int, day: date, offset: int, patients: list[str]) -> None:
    """One day's clinics; nearer days are fuller. The fixed patients P0000001 and P0000005 have a number each day 0."""
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
                    registrations.append((number, patient, schedule_id, slot_no, queue_no, fee, made_at, "valid"))
                slots.append((schedule_id, slot_no, at, patient))
    if offset == 0:
        give_demo_numbers(slots, registrations)
    db.executemany("INSERT INTO schedules VALUES (?,?,?,?,?,?,?,?)", schedules)
    db.executemany("INSERT INTO slots VALUES (?,?,?,?)", slots)
    db.executemany("INSERT INTO registrations VALUES (?,?,?,?,?,?,?,?)", registrations)


def give_demo_numbers(slots: list[Row], registrations: list[Row]) -> None:
    """Hand the last afternoon number drawn to 王小明 and the one of the schedule before to 张子涵."""
    afternoons = [index for index, row in enumerate(registrations) if str(row[2]).endswith("2")]
    for patient, index in zip(
        ("P0000001", "P0000005"), (afternoons[-1], afternoons[len(afternoons) // 2]), strict=True
    ):
        row = registrations[index]
        registrations[index] = (row[0], patient, *row[2:])
        place = next(i for i, slot in enumerate(slots) if slot[:2] == row[2:4])
        slots[place] = (*slots[place][:3], patient)


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
