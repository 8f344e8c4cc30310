"""Stays: what each day in a ward costs, what was paid in advance, the invoice at the end, bags and tubes with labels."""

import random
import sqlite3
from datetime import date, datetime, timedelta

from simulators.his import ledger, words_care

Row = tuple[object, ...]
WALL = "%Y-%m-%d %H:%M:%S"
Stay = tuple[str, str, str, "str | None"]  # wristband_no, patient_id, admitted_at, discharged_at


def fill(db: sqlite3.Connection, seed: int, today: date) -> None:
    """Former stays with all their days and an invoice; prepayments and labelled orders of every stay."""
    rng = random.Random(f"{seed}:wards")
    stays: list[Stay] = db.execute(
        "SELECT wristband_no, patient_id, admitted_at, discharged_at FROM admissions ORDER BY wristband_no"
    ).fetchall()
    labels = 0
    for number, stay in enumerate(stays, 1):
        wristband, patient, came, left = stay
        day = date.fromisoformat(came[:10])
        last = date.fromisoformat(left[:10]) if left else today
        if left is not None:
            _write(db, [row for offset in range((last - day).days + 1)
                        for row in a_day(seed, wristband, day + timedelta(days=offset))])  # fmt: skip
            _discharge_invoice(db, rng, f"0332{number:08d}", stay)
        for offset in range(0, max(1, (last - day).days), 5):
            at = f"{datetime.fromisoformat(came) + timedelta(days=offset, minutes=35):{WALL}}"
            amount = rng.choice((200_000, 300_000, 500_000)) if offset == 0 else 100_000
            method = rng.choice((ledger.CASH, ledger.WECHAT))
            ledger.move(db, ledger.Movement(ledger.stay(wristband), "pay_prepayment", patient, amount, method, at))
        if left is not None:
            held = ledger.balance(db, ledger.stay(wristband))
            ledger.move(db, ledger.Movement(ledger.stay(wristband), "discharge", patient, -held, ledger.CASH, left))
        for kind, name, note in rng.sample(words_care.ORDERS, rng.randrange(3, 6)):
            labels += 1
            db.execute("INSERT INTO orders VALUES (?,?,?,?)", (f"{kind}{labels:09d}", wristband, name, note))


def charge_until(db: sqlite3.Connection, seed: int, today: date) -> None:
    """The days of the current stays that are not charged yet, up to `today`; inside the caller's transaction."""
    rows: list[Row] = []
    for wristband, came, last in db.execute(
        "SELECT a.wristband_no, a.admitted_at, (SELECT MAX(day) FROM stay_charges c WHERE"
        " c.wristband_no = a.wristband_no) FROM admissions a WHERE a.status = 'I' ORDER BY 1"
    ).fetchall():
        day = date.fromisoformat(last) + timedelta(days=1) if last else date.fromisoformat(came[:10])
        while day <= today:
            rows += a_day(seed, wristband, day)
            day += timedelta(days=1)
    _write(db, rows)


def a_day(seed: int, wristband: str, day: date) -> list[Row]:
    """The charges of one day: bed, nursing, the doctor, and what was given and done; hours come in halves."""
    rng = random.Random(f"{seed}:{wristband}:{day}")
    lines = [
        *words_care.WARD_FIXED,
        *rng.sample(words_care.WARD_DRUGS, rng.randrange(1, 4)),
        *rng.sample(words_care.WARD_SERVICES, rng.randrange(1, 5)),
    ]
    rows: list[Row] = []
    for line, (name, category, invoice_category, unit, price) in enumerate(lines, 1):
        halves = 2 if unit == "日" else rng.randrange(1, 25) if unit == "小时" else 2 * rng.randrange(1, 4)
        at = f"{day} {min(23, 5 + line):02d}:{rng.randrange(60):02d}:00"
        rows.append((
            f"Z{wristband[1:]}{day:%y%m%d}{line:02d}", wristband, f"{day}", name, category, invoice_category, unit,
            halves / 2, price, halves * price // 2, at,
        ))  # fmt: skip
    return rows


def _write(db: sqlite3.Connection, rows: list[Row]) -> None:
    db.executemany("INSERT INTO stay_charges VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)


def _discharge_invoice(db: sqlite3.Connection, rng: random.Random, number: str, stay: Stay) -> None:
    wristband, patient, _, left = stay
    total = db.execute("SELECT SUM(amount_fen) FROM stay_charges WHERE wristband_no = ?", (wristband,)).fetchone()[0]
    fund = total * rng.choice((0, 55, 75)) // 100
    account = min(total - fund, rng.randrange(0, 20_000)) if fund else 0
    db.execute(
        "INSERT INTO invoices VALUES (?,?,?,?,?,?,?,?)",
        (number, patient, left, total, total - fund - account, fund, account, wristband),
    )
