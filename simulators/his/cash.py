"""Money over the wire: balances, top-ups, charges and their settlement, invoices, the day's account."""

import hashlib
import json
from typing import TYPE_CHECKING

from simulators.his import ledger, registry
from simulators.his.answers import Data, NoData, Refused, amount, day, maybe, moment, pay_method, text

if TYPE_CHECKING:
    from simulators.his.world import World

CARD_CAP_FEN = 1_000_000
ONE_GO_FEN = 500_000
FUND_PERCENT = 70
CHARGE = (
    "SELECT c.charge_no, c.recipe_no, c.visit_no, c.name, c.category, c.category AS invoice_category, c.unit,"
    " c.quantity, c.price_fen, c.amount_fen, c.made_at, c.department, p.name AS department_name"
    " FROM charges c JOIN departments p ON p.code = c.department"
)
_PARTS = ("total_fen", "self_paid_fen", "fund_paid_fen", "insurance_account_paid_fen")


def balance(world: "World", asked: Data) -> Data:
    """What is on the patient's card, in fen."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    return {"patient_id": patient_id, "balance_fen": ledger.balance(world.db, ledger.card(patient_id))}


def top_up(world: "World", asked: Data) -> Data:
    """Money that was taken elsewhere goes on the card, up to the card's limit."""
    patient_id, fen, method = registry.usable(world, asked), amount(asked), pay_method(asked)
    moment(asked, "paid_at")
    held = ledger.balance(world.db, ledger.card(patient_id))
    if method == ledger.BALANCE:
        raise ValueError("pay_method")
    if fen > ONE_GO_FEN or held + fen > CARD_CAP_FEN:
        raise Refused("LIMIT", "超过单笔或卡内限额")
    row = ledger.Movement(
        ledger.card(patient_id), "top_up", patient_id, fen, method, world.wall(), maybe(asked, "trade_no"),
        asked["op_key"],
    )  # fmt: skip
    txn = ledger.move(world.db, row)
    return {
        "his_txn_no": txn, "patient_id": patient_id, "amount_fen": fen, "at": row.at, "pay_method": method,
        "trade_no": row.trade_no, "op_key": row.op_key, "balance_fen": held + fen,
    }  # fmt: skip


def refund(world: "World", asked: Data) -> Data:
    """Money comes off the card, to be paid back elsewhere."""
    patient_id, fen = registry.usable(world, asked), amount(asked)
    held = ledger.balance(world.db, ledger.card(patient_id))
    if held < fen:
        raise Refused("BALANCE", "卡余额不足", fen - held)
    at = world.wall()
    txn = ledger.move(world.db, ledger.Movement(
        ledger.card(patient_id), "refund", patient_id, -fen, ledger.BALANCE, at, "", asked["op_key"]
    ))  # fmt: skip
    return {"his_txn_no": txn, "patient_id": patient_id, "amount_fen": fen, "balance_fen": held - fen, "at": at}


def list_top_ups(world: "World", asked: Data) -> Data:
    """What was put on the patient's card, newest first."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    return {
        "top_ups": movements(
            world,
            "op = 'top_up' AND account = ? AND at >= ? AND substr(at, 1, 10) <= ?",
            ledger.card(patient_id), day(asked, "from_day") or "", day(asked, "to_day") or "9999",
        )
    }  # fmt: skip


def movements(world: "World", where: str, *values: object) -> list[Data]:
    """Rows of the ledger as the wire shows payments, newest first."""
    rows = world.rows(
        "SELECT txn, patient_id, amount_fen, at, pay_method, trade_no, COALESCE(op_key, '') AS op_key,"
        f" NULL AS balance_fen FROM ledger WHERE {where} ORDER BY at DESC, txn DESC",
        *values,
    )
    return [{"his_txn_no": ledger.txn_no(row.pop("txn")), **row} for row in rows]


def charges(world: "World", asked: Data) -> Data:
    """What the patient has still to pay, line by line, the sum, and a word that changes when the lines do."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    items = world.rows(f"{CHARGE} WHERE c.patient_id = ? AND c.invoice_no IS NULL ORDER BY c.charge_no", patient_id)
    lines = "|".join(f"{item['charge_no']}={item['amount_fen']}" for item in items)
    return {
        "patient_id": patient_id, "items": items, "total_fen": sum(item["amount_fen"] for item in items),
        "version": hashlib.sha256(lines.encode()).hexdigest()[:12],
    }  # fmt: skip


def pre_settle(world: "World", asked: Data) -> Data:
    """Who would pay what of these open charges; the insurer pays its share when it is asked for."""
    patient_id, wanted = registry.known(world, asked)["patient_id"], _charge_nos(asked)
    now = charges(world, asked)
    open_lines = {item["charge_no"]: item["amount_fen"] for item in now["items"]}
    if gone := [number for number in wanted if number not in open_lines]:
        paid = world.one("SELECT 1 FROM charges WHERE charge_no = ? AND patient_id = ?", gone[0], patient_id)
        raise Refused("DUP" if paid else "NODATA", "费用已结算" if paid else "费用不存在")
    total = sum(open_lines[number] for number in wanted)
    if total != asked.get("total_fen") or maybe(asked, "version") not in ("", now["version"]):
        raise Refused("AMOUNT", "费用已变化,请刷新")
    fund = total * FUND_PERCENT // 100 if maybe(asked, "insurance_auth_no") else 0
    account = min(total - fund, 2_000) if fund else 0
    settle_no = f"J{world.rows('SELECT COUNT(*) + 1 AS n FROM settlements')[0]['n']:08d}"
    parts = dict(zip(_PARTS, (total, total - fund - account, fund, account), strict=True))
    world.db.execute(
        "INSERT INTO settlements VALUES (?,?,?,?,?,?,?,NULL)",
        (settle_no, patient_id, json.dumps(wanted), *parts.values()),
    )
    return {"settle_no": settle_no, "patient_id": patient_id, **parts}


def settle(world: "World", asked: Data) -> Data:
    """Settle what was pre-settled, once: own part paid, invoice issued, charges closed."""
    patient_id, wanted, method = registry.known(world, asked)["patient_id"], _charge_nos(asked), pay_method(asked)
    made = world.one(
        "SELECT * FROM settlements WHERE settle_no = ? AND patient_id = ?", text(asked, "settle_no"), patient_id
    )
    if made is None:
        raise Refused("NODATA", "预结算不存在")
    marks = ",".join("?" * len(wanted))
    paid = world.one(f"SELECT 1 FROM charges WHERE invoice_no IS NOT NULL AND charge_no IN ({marks})", *wanted)
    if (made["invoice_no"] or paid) and not (world.repeat and made["invoice_no"]):
        raise Refused("DUP", "费用已结算")
    if json.loads(made["charge_nos"]) != wanted or any(asked.get(key) != made[key] for key in _PARTS[:2]):
        raise Refused("AMOUNT", "费用与预结算不符")
    own, account = made["self_paid_fen"], ledger.DESK
    if method == ledger.BALANCE:
        account, held = ledger.card(patient_id), ledger.balance(world.db, ledger.card(patient_id))
        if held < own:
            raise Refused("BALANCE", "卡余额不足", own - held)
    at = world.wall()
    txn = ledger.move(world.db, ledger.Movement(
        account, "settle", patient_id, own if account == ledger.DESK else -own, method, at,
        maybe(asked, "trade_no"), asked["op_key"],
    ))  # fmt: skip
    invoice_no = made["invoice_no"] or _invoice(world, made, at, wanted)
    return {
        "his_txn_no": txn, "settle_no": made["settle_no"], "patient_id": patient_id, "invoice_no": invoice_no,
        **{key: made[key] for key in _PARTS},
    }  # fmt: skip


def _invoice(world: "World", made: Data, at: str, wanted: list[str]) -> str:
    number = f"0333{world.rows('SELECT COUNT(*) + 1 AS n FROM invoices')[0]['n']:08d}"
    world.db.execute(
        "INSERT INTO invoices VALUES (?,?,?,?,?,?,?,NULL)",
        (number, made["patient_id"], at, *(made[key] for key in _PARTS)),
    )
    world.db.executemany("UPDATE charges SET invoice_no = ? WHERE charge_no = ?", [(number, one) for one in wanted])
    world.db.execute("UPDATE settlements SET invoice_no = ? WHERE settle_no = ?", (number, made["settle_no"]))
    return number


def _charge_nos(asked: Data) -> list[str]:
    numbers = asked.get("charge_nos")
    if not isinstance(numbers, list) or not numbers or not all(isinstance(one, str) for one in numbers):
        raise ValueError("charge_nos")
    return sorted(set(numbers))


def invoices(world: "World", asked: Data) -> Data:
    """Invoices, newest first, each with its lines; a stay's by invoice category."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    rows = world.rows(
        "SELECT i.*, a.admission_no, a.admission_seq FROM invoices i LEFT JOIN admissions a USING (wristband_no)"
        " WHERE i.patient_id = ?1 AND (?2 = '' OR a.admission_no = ?2) AND (?3 IS NULL OR a.admission_seq = ?3)"
        " ORDER BY i.issued_at DESC, i.invoice_no DESC",
        patient_id, maybe(asked, "admission_no"), asked.get("admission_seq"),
    )  # fmt: skip
    for row in rows:
        wristband = row.pop("wristband_no")
        row["items"] = (
            world.rows(f"{CHARGE} WHERE c.invoice_no = ? ORDER BY c.charge_no", row["invoice_no"])
            if wristband is None
            else _stay_lines(world, row, wristband)
        )
    return {"invoices": rows}


def _stay_lines(world: "World", invoice: Data, wristband: str) -> list[Data]:
    sums = world.rows(
        "SELECT invoice_category AS name, SUM(amount_fen) AS fen FROM stay_charges WHERE wristband_no = ?"
        " GROUP BY 1 ORDER BY 1",
        wristband,
    )
    return [
        {
            "charge_no": f"{invoice['invoice_no']}-{number:02d}", "recipe_no": "", "visit_no": "", "name": row["name"],
            "category": row["name"], "invoice_category": row["name"], "unit": "项", "quantity": 1,
            "price_fen": row["fen"], "amount_fen": row["fen"], "made_at": invoice["issued_at"], "department": "",
            "department_name": "",
        }
        for number, row in enumerate(sums, 1)
    ]  # fmt: skip


def reconcile_day(world: "World", asked: Data) -> Data:
    """Money booked over this interface on `day`; returned money is negative."""
    the_day = day(asked, "day")
    if the_day is None:
        raise ValueError("day")
    rows = world.rows(
        "SELECT txn, op, ABS(amount_fen) AS amount_fen, op_key, patient_id, pay_method, trade_no, at FROM ledger"
        " WHERE op_key IS NOT NULL AND substr(at, 1, 10) = ? ORDER BY txn",
        the_day,
    )
    lines = [{"his_txn_no": ledger.txn_no(row.pop("txn")), **row} for row in rows]
    for line in lines:
        if line["op"] in ledger.RETURNED:
            line["amount_fen"] = -line["amount_fen"]
    if the_day > world.today():
        raise NoData
    return {"day": the_day, "lines": lines, "total_fen": sum(line["amount_fen"] for line in lines)}


READS = {
    "balance": balance, "list_top_ups": list_top_ups, "charges": charges, "invoices": invoices,
    "reconcile_day": reconcile_day,
}  # fmt: skip
WRITES = {"top_up": top_up, "refund": refund, "pre_settle": pre_settle, "settle": settle}
