"""Stays over the wire: statements, prepayments, and whether a bag is for the wearer of a band."""

from typing import TYPE_CHECKING

from simulators.his import ledger, registry
from simulators.his.answers import Data, NoData, Refused, amount, count, day, maybe, moment, pay_method, text
from simulators.his.cash import movements

if TYPE_CHECKING:
    from simulators.his.world import World

MATCH, OTHERS, GONE, UNKNOWN = "1", "2", "3", "9"
_NAMES = ("patient_id", "admission_no", "admission_seq")


def with_patient(world: "World", stay: Data) -> Data:
    """A stay as the wire shows it."""
    return {**stay, "patient": world.patients[stay["patient_id"]]}


def list_admissions(world: "World", asked: Data) -> Data:
    """Every stay of a patient, newest first."""
    patient_id = world.patient(asked.get("patient_id"))["patient_id"]
    stays = [stay for stay in world.by_wristband.values() if stay["patient_id"] == patient_id]
    stays.sort(key=lambda stay: stay["admitted_at"], reverse=True)
    return {"admissions": [with_patient(world, stay) for stay in stays]}


def daily_statement(world: "World", asked: Data) -> Data:
    """The charges of one day of a stay and their sum; a day outside the stay is no data."""
    stay, the_day = _stay(world, asked), day(asked, "day")
    if the_day is None:
        raise ValueError("day")
    if not stay["admitted_at"][:10] <= the_day <= min((stay["discharged_at"] or "9999")[:10], world.today()):
        raise NoData
    items = world.rows(
        "SELECT charge_no, '' AS recipe_no, '' AS visit_no, name, category, invoice_category, unit, quantity,"
        " price_fen, amount_fen, made_at FROM stay_charges WHERE wristband_no = ? AND day = ? ORDER BY charge_no",
        stay["wristband_no"],
        the_day,
    )
    department = world.rows("SELECT department FROM wards WHERE code = ?", stay["ward_code"])[0]["department"]
    for item in items:
        item["quantity"] = int(item["quantity"]) if item["quantity"] == int(item["quantity"]) else item["quantity"]
        item |= {"department": department, "department_name": stay["department"]}
    return {**_named(stay), "day": the_day, "items": items, "total_fen": sum(item["amount_fen"] for item in items)}


def charge_summary(world: "World", asked: Data) -> Data:
    """All charges of a stay so far by invoice category and by day, what was prepaid and what is left of it."""
    stay = _stay(world, asked)
    spent, categories, by_day = _spent(world, stay)
    account = ledger.stay(stay["wristband_no"])
    prepaid = world.rows(
        "SELECT COALESCE(SUM(amount_fen), 0) AS fen FROM ledger WHERE account = ? AND op = 'pay_prepayment'", account
    )[0]["fen"]
    return {
        **_named(stay), "categories": categories, "days": by_day, "total_fen": spent, "prepaid_fen": prepaid,
        "balance_fen": _left(world, stay, spent),
    }  # fmt: skip


def pay_prepayment(world: "World", asked: Data) -> Data:
    """Money that was taken elsewhere is credited to a current stay."""
    patient_id, fen, method = registry.known(world, asked)["patient_id"], amount(asked), pay_method(asked)
    moment(asked, "paid_at")
    try:
        stay = _stay(world, asked)
    except NoData:
        raise Refused("NODATA", "住院记录不存在") from None
    if stay["status"] != "I":
        raise Refused("NOTALLOWED", "患者已出院")
    at = world.wall()
    txn = ledger.move(world.db, ledger.Movement(
        ledger.stay(stay["wristband_no"]), "pay_prepayment", patient_id, fen, method, at, maybe(asked, "trade_no"),
        asked["op_key"],
    ))  # fmt: skip
    return {
        "his_txn_no": txn, **_named(stay), "amount_fen": fen, "at": at, "pay_method": method,
        "trade_no": maybe(asked, "trade_no"), "op_key": asked["op_key"],
        "balance_fen": _left(world, stay, _spent(world, stay)[0]),
    }  # fmt: skip


def list_prepayments(world: "World", asked: Data) -> Data:
    """Prepayments of one stay, newest first."""
    stay = _stay(world, asked)
    rows = movements(world, "op = 'pay_prepayment' AND account = ?", ledger.stay(stay["wristband_no"]))
    return {"prepayments": [{**row, **_named(stay)} for row in rows]}


def check_wristband(world: "World", asked: Data) -> Data:
    """Is the labelled thing for the wearer of this band? Nothing is said about the other patient."""
    stay = world.by_wristband.get(text(asked, "wristband_no"))
    if stay is None:
        raise NoData
    order = world.one("SELECT * FROM orders WHERE item_code = ?", text(asked, "item_code"))
    if stay["status"] != "I":
        verdict, note = GONE, "患者已出院,请勿使用"
    elif order is None:
        verdict, note = UNKNOWN, "未找到该条码的医嘱"
    elif order["wristband_no"] != stay["wristband_no"]:
        verdict, note = OTHERS, "该条码属于其他患者"
    else:
        verdict, note = MATCH, order["note"]
    return {
        "verdict": verdict, "admission": with_patient(world, stay), "item_name": order["name"] if order else "",
        "note": note,
    }  # fmt: skip


def _stay(world: "World", asked: Data) -> Data:
    stay = world.by_wristband.get(f"W{text(asked, 'admission_no')}{count(asked, 'admission_seq'):02d}")
    if stay is None or stay["patient_id"] != asked.get("patient_id"):
        raise NoData
    return stay


def _named(stay: Data) -> Data:
    return {key: stay[key] for key in _NAMES}


def _spent(world: "World", stay: Data) -> tuple[int, list[Data], list[Data]]:
    """Total fen, by invoice category, by day: all from the same rows."""
    by = {
        column: world.rows(
            f"SELECT {column}, SUM(amount_fen) AS fen FROM stay_charges WHERE wristband_no = ? AND day <= ?"
            " GROUP BY 1 ORDER BY 1",
            stay["wristband_no"],
            world.today(),
        )
        for column in ("invoice_category", "day")
    }
    categories = [
        {"invoice_category": row["invoice_category"], "amount_fen": row["fen"]} for row in by["invoice_category"]
    ]
    days = [{"day": row["day"], "total_fen": row["fen"]} for row in by["day"]]
    return sum(row["amount_fen"] for row in categories), categories, days


def _left(world: "World", stay: Data, spent: int) -> int:
    """What is left of the prepayments; nothing once the stay is settled."""
    return ledger.balance(world.db, ledger.stay(stay["wristband_no"])) - (spent if stay["status"] == "I" else 0)


READS = {
    "list_admissions": list_admissions, "daily_statement": daily_statement, "charge_summary": charge_summary,
    "list_prepayments": list_prepayments, "check_wristband": check_wristband,
}  # fmt: skip
WRITES = {"pay_prepayment": pay_prepayment}
