"""Charges waiting to be paid, and invoices whose lines and whose parts both sum to the total, in fen."""

import random
import sqlite3
from datetime import date, datetime, timedelta

from simulators.his import people, words

DEBTORS = 70
INVOICES = 160


def fill(db: sqlite3.Connection, rng: random.Random, everybody: list[people.Person], today: date) -> None:
    """王小明 has one open recipe and two invoices; the others are drawn."""
    living = [one for one in everybody if not one.deceased]
    book = _Book(rng, today)
    for one in [everybody[0], *rng.sample(living[1:], DEBTORS)]:
        book.recipe(one, rng.randrange(1, 4), None)
    for index, one in enumerate([everybody[0], everybody[0], *rng.choices(living[1:], k=INVOICES)]):
        ago = rng.randrange(1, 200)
        number = f"0331{index + 1:08d}"
        book.invoice(one, ago, number, book.recipe(one, ago, number))
    db.executemany("INSERT INTO invoices VALUES (?,?,?,?,?,?,?)", book.invoices)
    db.executemany("INSERT INTO charges VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", book.charges)


class _Book:
    """Collects rows; numbers recipes and charges in order."""

    def __init__(self, rng: random.Random, today: date) -> None:
        self._rng = rng
        self._opening = datetime.combine(today, datetime.min.time()) + timedelta(hours=8)
        self._recipes = 0
        self.charges: list[tuple[object, ...]] = []
        self.invoices: list[tuple[object, ...]] = []

    def recipe(self, one: people.Person, ago: int, invoice_no: str | None) -> int:
        """A handful of lines on one recipe; their sum."""
        rng = self._rng
        self._recipes += 1
        made = self._opening - timedelta(days=ago) + timedelta(minutes=rng.randrange(0, 420))
        department = rng.choice(words.CLINICS)
        total = 0
        lines = rng.sample(words.DRUGS, rng.randrange(1, 4)) + rng.sample(words.SERVICES, rng.randrange(0, 3))
        for name, category, unit, price in lines:
            quantity = 1 if unit == "次" else rng.randrange(1, 5)
            self.charges.append((
                f"F{len(self.charges) + 1:08d}", one.patient_id, f"CF{self._recipes:07d}", department, name, category,
                unit, quantity, price, quantity * price, f"{made:%Y-%m-%d %H:%M:%S}", invoice_no,
            ))  # fmt: skip
            total += quantity * price
        return total

    def invoice(self, one: people.Person, ago: int, number: str, total: int) -> None:
        """Parts by whole fen: what rounding leaves goes to the patient's own part."""
        rng = self._rng
        fund = total * rng.choice((0, 50, 70, 85)) // 100
        account = min(total - fund, rng.randrange(0, 4_000)) if fund else 0
        issued = self._opening - timedelta(days=ago) + timedelta(minutes=rng.randrange(430, 540))
        self.invoices.append(
            (number, one.patient_id, f"{issued:%Y-%m-%d %H:%M:%S}", total, total - fund - account, fund, account)
        )
