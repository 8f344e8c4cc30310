"""The first start: writes a whole hospital into a new SQLite file, the same one for the same seed and day."""

import random
import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path

from simulators.his import days, inpatient, money, people, results, words
from simulators.his.schema import DDL, VERSION

CURRENT = 60
FORMER = 45
FIXED_STAYS = (  # patient, ward, bed, days since admission; numbers 2026000101 … in this order
    (2, "W01", "03", 6),
    (3, "W02", "07", 4),
    (4, "W03", "11", 2),
    (5, "W04", "05", 3),
)


def open_hospital(path: Path, seed: int, today: date) -> sqlite3.Connection:
    """The database at `path`, made if it is absent or of another version or seed; calendar filled from `today`."""
    if not _is_ours(path, seed):
        fresh = path.with_name(path.name + ".new")
        for leftover in (fresh, path):
            leftover.unlink(missing_ok=True)
        _build(fresh, seed, today)
        fresh.replace(path)  # a start that was killed leaves no half hospital
    db = sqlite3.connect(path, isolation_level=None)  # a write begins and ends its own transaction
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=1;")
    days.ensure(db, seed, today)
    return db


def _is_ours(path: Path, seed: int) -> bool:
    if not path.exists():
        return False
    db = sqlite3.connect(path)
    try:
        meta = dict(db.execute("SELECT key, value FROM meta"))
    except sqlite3.DatabaseError:
        return False
    finally:
        db.close()
    return meta.get("version") == VERSION and meta.get("seed") == str(seed)


def _build(path: Path, seed: int, today: date) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA synchronous=OFF")
    db.executescript(DDL)
    db.executemany("INSERT INTO meta VALUES (?, ?)", [("version", VERSION), ("seed", str(seed)), ("made", f"{today}")])
    _house(db, random.Random(f"{seed}:house"))
    everybody = people.everybody(seed, today)
    _patients(db, everybody)
    _stays(db, random.Random(f"{seed}:stays"), everybody, today)
    money.fill(db, random.Random(f"{seed}:money"), everybody, today)
    inpatient.fill(db, seed, today)
    results.fill(db, random.Random(f"{seed}:reports"), everybody, today)
    db.commit()
    db.close()


def _house(db: sqlite3.Connection, rng: random.Random) -> None:
    """Campuses, departments, wards and 40 doctors: three each in twelve clinics, two in the others."""
    db.executemany("INSERT INTO campuses VALUES (?,?,?)", words.CAMPUSES)
    db.executemany("INSERT INTO departments VALUES (?,?,?,?,?)", words.DEPARTMENTS)
    db.executemany("INSERT INTO wards VALUES (?,?,?,?)", words.WARDS)
    doctors = []
    for index in range(40):
        department = words.DEPARTMENTS[index % 14]
        title, _, fee = words.TITLES[index // 14]
        name = rng.choice(words.SURNAMES) + "".join(rng.sample(words.MALE + words.FEMALE, 2))
        skill = f"擅长{department[4]}的诊治"
        doctors.append((f"E{index + 1:04d}", name, title, department[0], skill, fee))
    db.executemany("INSERT INTO doctors VALUES (?,?,?,?,?,?)", doctors)


def _patients(db: sqlite3.Connection, everybody: list[people.Person]) -> None:
    db.executemany(
        "INSERT INTO patients VALUES (?,?,?,?,?,?,?)",
        [(one.patient_id, one.name, one.sex, f"{one.born}", one.id_no, one.phone, one.deceased) for one in everybody],
    )
    cards = [(one.card_no, one.patient_id, "01", "3" if one.deceased else "1") for one in everybody]
    cards[10] = (*cards[10][:3], "2")  # 欧阳婉清 lost her first card and holds a second
    cards.append((people.card_no(people.COUNT + 2), "P0000011", "01", "1"))
    cards += [
        (people.card_no(people.COUNT + number), f"P{number:07d}", "02", "1") for number in range(13, people.COUNT, 25)
    ]
    db.executemany("INSERT INTO cards VALUES (?,?,?,?)", cards)


def _stays(db: sqlite3.Connection, rng: random.Random, everybody: list[people.Person], today: date) -> None:
    """CURRENT admissions in free beds of fitting wards, FORMER ones before them, and the fixed stays."""
    doctors: dict[str, list[str]] = {}
    for code, department in db.execute("SELECT code, department FROM doctors"):
        doctors.setdefault(department, []).append(code)
    wards = {row[0]: row for row in words.WARDS}
    beds = {code: [f"{bed:02d}" for bed in range(1, row[3] + 1)] for code, row in wards.items()}
    rows = []

    def add(number: int, seq: int, who: int, ward: str, bed: str, since: int, stayed: int | None) -> None:
        came = datetime.combine(today - timedelta(days=since), datetime.min.time()) + timedelta(
            minutes=rng.randrange(8 * 60, 17 * 60)
        )
        left = None if stayed is None else came + timedelta(days=stayed, minutes=rng.randrange(60))
        admission_no = f"2026{number:06d}"
        doctor = rng.choice(doctors[wards[ward][2]])
        rows.append((
            f"W{admission_no}{seq:02d}", admission_no, seq, f"P{who:07d}", ward, bed, doctor,
            f"{came:%Y-%m-%d %H:%M:%S}", left and f"{left:%Y-%m-%d %H:%M:%S}", "I" if left is None else "O",
        ))  # fmt: skip

    for index, (who, ward, bed, since) in enumerate(FIXED_STAYS):
        add(101 + index, 1, who, ward, bed, since, None)
        beds[ward].remove(bed)
    add(105, 1, 7, "W03", "02", 21, 5)  # 赵敏: discharged
    add(106, 1, 10, "W01", "09", 160, 9)  # 买买提·艾力: one number, two stays
    add(106, 2, 10, "W01", "09", 1, None)
    beds["W01"].remove("09")
    rest = [one for one in everybody[12:] if not one.deceased]
    rng.shuffle(rest)
    number, current = 107, len(FIXED_STAYS) + 1
    for one in rest:
        ward = _ward_for(one, today, rng)
        if current < CURRENT and beds[ward]:
            bed = beds[ward].pop(rng.randrange(len(beds[ward])))
            add(number, 1, one.number, ward, bed, rng.randrange(1, 16), None)
            current += 1
        elif number < 107 + CURRENT + FORMER:
            since = rng.randrange(30, 300)
            add(number, 1, one.number, ward, f"{rng.randrange(1, 19):02d}", since, rng.randrange(2, 20))
        else:
            break
        number += 1
    db.executemany("INSERT INTO admissions VALUES (?,?,?,?,?,?,?,?,?,?)", rows)


def _ward_for(one: people.Person, today: date, rng: random.Random) -> str:
    age = (today - one.born).days // 365
    if age < 14:
        return "W04"
    if one.sex == "2" and 20 <= age <= 45:
        return rng.choice(("W03", "W03", "W02"))
    return "W01" if age >= 55 and rng.random() < 0.6 else "W02"
