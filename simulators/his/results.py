"""Laboratory and imaging reports; flags are written as the laboratory system at hand writes them."""

import random
import sqlite3
from datetime import date, datetime, timedelta

from simulators.his import people, words, words_care

PANEL_LIMITS = {test[0]: test for _, tests in words.LAB_PANELS for test in tests}
Row = tuple[object, ...]


def fill(db: sqlite3.Connection, rng: random.Random, everybody: list[people.Person], today: date) -> None:
    """王小明 has two of each kind, one in a ward has one; of the others' one report in twelve is not released yet."""
    doctors = [row[0] for row in db.execute("SELECT code FROM doctors ORDER BY code")]
    inside = db.execute("SELECT patient_id, wristband_no FROM admissions WHERE status = 'I' ORDER BY 2").fetchall()
    patients = [("P0000001", None)] * 4 + [(one.patient_id, None) for one in rng.sample(everybody[1:], 180)] + inside
    reports: list[Row] = []
    items: list[Row] = []
    for index, (patient, wristband) in enumerate(patients):
        number = f"B{index + 1:07d}"
        lab = index % 2 == 0 if index < 4 else wristband is not None or rng.random() < 0.7
        sampled = datetime.combine(today - timedelta(days=rng.randrange(1, 90)), datetime.min.time())
        sampled += timedelta(minutes=rng.randrange(7 * 60, 16 * 60))
        if wristband is not None:  # this morning at the bedside
            sampled = datetime.combine(today, datetime.min.time()) - timedelta(hours=rng.randrange(4, 18))
        pending = index >= 4 and rng.randrange(12) == 0
        released = None if pending else f"{sampled + timedelta(hours=rng.randrange(1, 4)):%Y-%m-%d %H:%M:%S}"
        times = (f"{sampled:%Y-%m-%d %H:%M:%S}", released, rng.choice(doctors))
        version = "2" if index >= 4 and rng.randrange(20) == 0 else "1"  # 2: corrected after the first release
        if lab:
            name, lines = _first() if index == 0 else _panel(rng)
            reports.append((number, patient, "lab", name, *times, "", "", version, "", wristband))
            items += [(number, line, *result) for line, result in enumerate(lines, 1)]
        else:
            name, findings, conclusion = words.IMAGING[1] if index == 1 else rng.choice(words.IMAGING)
            study = words_care.STUDIES.get(name, "")
            reports.append((number, patient, "imaging", name, *times, findings, conclusion, version, study, None))
    db.executemany("INSERT INTO reports VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", reports)
    db.executemany("INSERT INTO report_items VALUES (?,?,?,?,?,?,?,?,?)", items)


def _first() -> tuple[str, list[Row]]:
    lines: list[Row] = []
    for name, value, flag in words_care.FIRST_REPORT:
        _, unit, low, high, _ = PANEL_LIMITS[name]
        lines.append((name, value, unit, f"{low:g}", f"{high:g}", f"{low:g}-{high:g}", flag))
    return "血常规", lines


def _panel(rng: random.Random) -> tuple[str, list[Row]]:
    """One panel by one laboratory system: name, and value, unit, low, high, reference, flag of each test."""
    if rng.randrange(5) == 0:
        lines: list[Row] = []
        for name, usual in words_care.URINE[1]:
            value = "阳性" if rng.randrange(8) == 0 else usual
            lines.append((name, value, "", "", "", usual, value))
        return words_care.URINE[0], lines
    panel, tests = rng.choice(words.LAB_PANELS)
    style = rng.choice(words_care.FLAG_STYLES)
    return panel, [_result(rng, test, style) for test in tests]


def _result(rng: random.Random, test: tuple[str, str, float, float, int], style: tuple[str, ...]) -> Row:
    name, unit, low, high, digits = test
    value = round(max(0.0, rng.gauss((low + high) / 2, (high - low) / 3.0)), digits)
    width = (high - low) / 4
    place = 3 if value > high + width else 1 if value > high else 4 if value < low - width else 2 if value < low else 0
    flag = rng.choice(words_care.UNLISTED_FLAGS) if rng.randrange(25) == 0 else style[place]
    return name, f"{value:.{digits}f}", unit, f"{low:g}", f"{high:g}", f"{low:g}-{high:g}", flag
