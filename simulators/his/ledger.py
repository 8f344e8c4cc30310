"""The one table money moves in. An account is `card:PATIENT`, `stay:WRISTBAND` or `desk` (paid outside, no balance)."""

import sqlite3
from dataclasses import dataclass

DESK = "desk"
CASH, WECHAT, BALANCE = "01", "02", "05"
RETURNED = ("refund", "cancel_registration")


@dataclass(frozen=True, slots=True)
class Movement:
    """One row: what it adds to (or takes off) the account, in fen. `op_key` None: made before the interface."""

    account: str
    op: str
    patient_id: str
    amount_fen: int
    pay_method: str
    at: str
    trade_no: str = ""
    op_key: str | None = None


def card(patient_id: str) -> str:
    """The account of a patient's card."""
    return f"card:{patient_id}"


def stay(wristband_no: str) -> str:
    """The account of one stay's prepayments."""
    return f"stay:{wristband_no}"


def move(db: sqlite3.Connection, row: Movement) -> str:
    """Book it inside the caller's transaction; its transaction number."""
    txn = db.execute(
        "INSERT INTO ledger (account, op, patient_id, amount_fen, pay_method, trade_no, op_key, at)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (row.account, row.op, row.patient_id, row.amount_fen, row.pay_method, row.trade_no, row.op_key, row.at),
    ).lastrowid
    return txn_no(txn or 0)


def txn_no(txn: int) -> str:
    """T0000000001 …"""
    return f"T{txn:010d}"


def balance(db: sqlite3.Connection, account: str) -> int:
    """The sum of an account, fen."""
    return int(
        db.execute("SELECT COALESCE(SUM(amount_fen), 0) FROM ledger WHERE account = ?", (account,)).fetchone()[0]
    )
