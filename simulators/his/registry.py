"""Cards: issuing one, making the file of somebody new, and whether a card may be used."""

import re
from datetime import date
from typing import TYPE_CHECKING

from simulators.his import people
from simulators.his.answers import Data, Refused, day, maybe, text

if TYPE_CHECKING:
    from simulators.his.world import World

CHILD_YEARS = 14
ISSUED_FROM = 1000  # numbers of cards issued over the interface


def create_card(world: "World", asked: Data) -> Data:
    """An electronic card for a new file, or for a known person who has no active one; a child needs a guardian."""
    id_no, born = text(asked, "id_no").upper(), day(asked, "birth_date")
    sex, id_type = text(asked, "sex"), text(asked, "id_type")
    if (
        not text(asked, "name").strip()
        or born is None
        or sex not in ("1", "2", "9")
        or not re.fullmatch(r"\d\d", id_type)
    ):
        raise ValueError("create_card")
    if id_type == "01" and (not re.fullmatch(r"\d{17}[\dX]", id_no) or people.check_digit(id_no[:17]) != id_no[17]):
        raise Refused("NOTALLOWED", "身份证号校验不通过")
    today = world.now().date()
    age = today.year - int(born[:4]) - (f"{today:%m-%d}" < born[5:])
    if age < CHILD_YEARS and not (maybe(asked, "guardian_name") and maybe(asked, "guardian_id_no")):
        raise Refused("NOTALLOWED", "14周岁以下须填写监护人")
    patient_id = _file(world, asked, id_no)
    issued = world.rows("SELECT COUNT(*) AS n FROM cards WHERE kind = '03'")[0]["n"]
    card_no = people.card_no(ISSUED_FROM + issued)
    world.db.execute("INSERT INTO cards VALUES (?,?,?,?)", (card_no, patient_id, "03", "1"))
    patient = world.rows("SELECT * FROM patients WHERE patient_id = ?", patient_id)[0]
    cards = world.rows("SELECT card_no, kind, status FROM cards WHERE patient_id = ? ORDER BY card_no", patient_id)
    return {"card_no": card_no, "patient": {**patient, "deceased": bool(patient["deceased"]), "cards": cards}}


def _file(world: "World", asked: Data, id_no: str) -> str:
    found = world.rows("SELECT patient_id, name FROM patients WHERE id_no = ? ORDER BY 1", id_no)
    if found:
        if found[0]["name"] != asked["name"]:
            raise Refused("NOTALLOWED", "姓名与已有档案不符")
        cards = world.patients[found[0]["patient_id"]]["cards"]
        if not world.repeat and any(card["status"] == "1" for card in cards):
            raise Refused("DUP", "已有就诊卡")
        return str(found[0]["patient_id"])
    patient_id = f"P{world.rows('SELECT COUNT(*) + 1 AS n FROM patients')[0]['n']:07d}"
    world.db.execute(
        "INSERT INTO patients VALUES (?,?,?,?,?,?,0)",
        (
            patient_id,
            asked["name"],
            asked["sex"],
            f"{date.fromisoformat(asked['birth_date'])}",
            id_no,
            maybe(asked, "phone"),
        ),
    )
    return patient_id


def usable(world: "World", asked: Data) -> str:
    """The patient of a write that uses a card; Refused when the card is not theirs, lost, closed, or they are dead."""
    patient = known(world, asked)
    card_no = text(asked, "card_no")
    status = next((card["status"] for card in patient["cards"] if card["card_no"] == card_no), None)
    if status != "1":
        raise Refused("CARD", "卡号与患者不符" if status is None else "卡已挂失或注销")
    return str(patient["patient_id"])


def known(world: "World", asked: Data) -> Data:
    """The living patient a write is for."""
    patient = world.patients.get(text(asked, "patient_id"))
    if patient is None:
        raise Refused("NODATA", "患者不存在")
    if patient["deceased"]:
        raise Refused("NOTALLOWED", "患者档案已停用")
    return patient
