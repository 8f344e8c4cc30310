"""Visits with their charges and prescriptions, invoices whose lines and parts sum to the total, and cards' top-ups."""

import random
import sqlite3
from datetime import date, datetime, timedelta

from simulators.his import ledger, people, words, words_care

DEBTORS = 70
INVOICES = 160
WALL = "%Y-%m-%d %H:%M:%S"


def fill(db: sqlite3.Connection, rng: random.Random, everybody: list[people.Person], today: date) -> None:
    """王小明 has one open visit and two invoiced ones; the others are drawn."""
    living = [one for one in everybody if not one.deceased]
    book = _Book(db, rng, today)
    for one in [everybody[0], *rng.sample(living[1:], DEBTORS)]:
        book.visit(one, rng.randrange(1, 4), None)
    for index, one in enumerate([everybody[0], everybody[0], *rng.choices(living[1:], k=INVOICES)]):
        ago = rng.randrange(1, 200)
        number = f"0331{index + 1:08d}"
        book.invoice(one, ago, number, book.visit(one, ago, number))
    book.write()
    _top_ups(db, rng, everybody, today)


def _top_ups(db: sqlite3.Connection, rng: random.Random, everybody: list[people.Person], today: date) -> None:
    """What is on a card was put there, in one to three goes of the last months."""
    rows = []
    for one in everybody:
        left, goes = one.balance_fen, rng.randrange(1, 4)
        while left > 0:
            amount = left if goes == 1 else min(left, max(100, left // goes // 100 * 100))
            at = datetime.combine(today, datetime.min.time()) - timedelta(minutes=rng.randrange(600, 150_000))
            rows.append((f"{at:{WALL}}", one.patient_id, amount, rng.choice((ledger.CASH, ledger.WECHAT))))
            left, goes = left - amount, goes - 1
    for at_text, patient, amount, method in sorted(rows):
        trade = f"4200{len(at_text)}{amount:08d}" if method == ledger.WECHAT else ""
        ledger.move(db, ledger.Movement(ledger.card(patient), "top_up", patient, amount, method, at_text, trade))


class _Book:
    """Collects rows; numbers visits, recipes and charges in order."""

    def __init__(self, db: sqlite3.Connection, rng: random.Random, today: date) -> None:
        self._db = db
        self._rng = rng
        self._opening = datetime.combine(today, datetime.min.time()) + timedelta(hours=8)
        self._doctors: dict[str, list[str]] = {}
        for code, department in db.execute("SELECT code, department FROM doctors ORDER BY code"):
            self._doctors.setdefault(department, []).append(code)
        self.visits: list[tuple[object, ...]] = []
        self.prescriptions: list[tuple[object, ...]] = []
        self.charges: list[tuple[object, ...]] = []
        self.invoices: list[tuple[object, ...]] = []

    def visit(self, one: people.Person, ago: int, invoice_no: str | None) -> int:
        """A visit with its record and a handful of lines on one recipe; their sum in fen."""
        rng, number = self._rng, len(self.visits) + 1
        visit_no, recipe_no = f"V{number:08d}", f"CF{number:07d}"
        made = self._opening - timedelta(days=ago) + timedelta(minutes=rng.randrange(0, 420))
        department = rng.choice(words.CLINICS)
        diagnosis, complaint, found, advice = words_care.CASES[department]
        self.visits.append((
            visit_no, one.patient_id, f"{made - timedelta(minutes=9):{WALL}}", department,
            rng.choice(self._doctors[department]), diagnosis, f"{complaint}。",
            f"患者{complaint},无明显诱因,自服药物未见好转,遂来诊。", rng.choice(words_care.PAST), f"{found}。", f"{advice}。",
        ))  # fmt: skip
        total = 0
        lines = rng.sample(words.DRUGS, rng.randrange(1, 4)) + rng.sample(words.SERVICES, rng.randrange(0, 3))
        for line, drug in enumerate(lines, 1):
            name, category, unit, price = drug
            quantity = 1 if unit == "次" else rng.randrange(1, 5)
            self.charges.append((
                f"F{len(self.charges) + 1:08d}", one.patient_id, recipe_no, department, name, category,
                unit, quantity, price, quantity * price, f"{made:{WALL}}", visit_no, invoice_no,
            ))  # fmt: skip
            if drug in words.DRUGS:
                dose, route, frequency, days = words_care.DOSING[words.DRUGS.index(drug)]
                short, _, spec = name.partition(" ")
                self.prescriptions.append(
                    (visit_no, line, short, spec, dose, route, frequency, days, f"{quantity}{unit}", recipe_no)
                )
            total += quantity * price
        return total

    def invoice(self, one: people.Person, ago: int, number: str, total: int) -> None:
        """Parts by whole fen: what rounding leaves goes to the patient's own part, which is in the ledger."""
        rng = self._rng
        fund = total * rng.choice((0, 50, 70, 85)) // 100
        account = min(total - fund, rng.randrange(0, 4_000)) if fund else 0
        issued = f"{self._opening - timedelta(days=ago) + timedelta(minutes=rng.randrange(430, 540)):{WALL}}"
        own = total - fund - account
        self.invoices.append((number, one.patient_id, issued, total, own, fund, account, None))
        ledger.move(self._db, ledger.Movement(ledger.DESK, "settle", one.patient_id, own, ledger.WECHAT, issued))

    def write(self) -> None:
        """All rows, parents first."""
        for table, rows, columns in (
            ("visits", self.visits, 11), ("prescriptions", self.prescriptions, 10), ("invoices", self.invoices, 8),
            ("charges", self.charges, 13),
        ):  # fmt: skip
            self._db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * columns)})", rows)
