"""The outpatient clinic over the wire: who sits when, holds, registrations, bookings, queues."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from simulators.his import days, ledger, registry
from simulators.his.answers import (
    Data,
    NoData,
    Refused,
    day,
    maybe,
    pay_method,
    slot,
    text,
)

if TYPE_CHECKING:
    from simulators.his.world import World

HOLD_MIN = 5
_NUMBER = (
    " n.patient_id, n.schedule_id, n.slot_no, CAST(n.slot_no AS TEXT) AS slot_id, n.fee_fen, n.created_at, n.status,"
    " n.his_txn_no, s.day, s.day_part, l.starts_at, s.service_class, s.room, s.doctor, d.name AS doctor_name,"
    " d.department, p.name AS department_name FROM {} n JOIN schedules s USING (schedule_id)"
    " JOIN doctors d ON d.code = s.doctor JOIN departments p ON p.code = d.department"
    " JOIN slots l USING (schedule_id, slot_no)"
)
REGISTRATION = "SELECT n.registration_no, n.queue_no," + _NUMBER.format("registrations")
APPOINTMENT = "SELECT n.appointment_no," + _NUMBER.format("appointments")
_LIVE = "('valid', 'checked_in')"
_FREE = (
    "l.patient_id IS NULL AND NOT EXISTS (SELECT 1 FROM holds h WHERE NOT h.released AND h.schedule_id ="
    " l.schedule_id AND h.slot_no = l.slot_no AND h.expires_at > ?{})"
)


def list_departments(world: "World", asked: Data) -> Data:
    """Campuses and departments, or one campus's."""
    return {
        "campuses": world.rows("SELECT * FROM campuses ORDER BY code"),
        "departments": world.rows(
            "SELECT p.*, c.name AS campus_name FROM departments p JOIN campuses c ON c.code = p.campus"
            " WHERE ?1 = '' OR p.campus = ?1 ORDER BY p.code",
            maybe(asked, "campus"),
        ),
    }


def list_doctors(world: "World", asked: Data) -> Data:
    """All, or those of `department`."""
    return {
        "doctors": world.rows(
            "SELECT d.*, p.name AS department_name FROM doctors d JOIN departments p ON p.code = d.department"
            " WHERE ?1 = '' OR d.department = ?1 ORDER BY d.code",
            maybe(asked, "department"),
        )
    }


def list_schedules(world: "World", asked: Data) -> Data:
    """Clinics of 14 days (of `day`, or from `from_day` to `to_day`), of `department` or `doctor` when given."""
    today = world.today()
    last = f"{date.fromisoformat(today) + timedelta(days=days.DAYS - 1)}"
    first, until = (
        day(asked, "day") or day(asked, "from_day") or today,
        day(asked, "day") or day(asked, "to_day") or last,
    )
    return {
        "schedules": world.rows(
            "SELECT s.*, d.name AS doctor_name, d.title, d.department, p.name AS department_name, COUNT(*) AS total,"
            f" SUM({_FREE.format(5)}) AS left_count FROM schedules s JOIN doctors d ON d.code = s.doctor"
            " JOIN departments p ON p.code = d.department JOIN slots l USING (schedule_id)"
            " WHERE s.day BETWEEN ?1 AND ?2 AND (?3 = '' OR d.department = ?3) AND (?4 = '' OR s.doctor = ?4)"
            " GROUP BY s.schedule_id ORDER BY s.day, s.schedule_id",
            max(first, today), min(until, last), maybe(asked, "department"), maybe(asked, "doctor"), world.wall(),
        )
    }  # fmt: skip


def list_slots(world: "World", asked: Data) -> Data:
    """The slots of `schedule_id`; who took or holds one is nobody's business."""
    slots = world.rows(
        "SELECT l.slot_no, CAST(l.slot_no AS TEXT) AS slot_id, l.schedule_id, l.starts_at,"
        f" {_FREE.format(2)} AS left FROM slots l WHERE l.schedule_id = ?1 ORDER BY l.slot_no",
        text(asked, "schedule_id"), world.wall(),
    )  # fmt: skip
    if not slots:
        raise NoData
    pace = timedelta(minutes=days.PACE_MIN)
    for one in slots:
        one["ends_at"] = f"{datetime.fromisoformat(one['starts_at']) + pace:%Y-%m-%d %H:%M:%S}"
        one["free"] = bool(one["left"])
    return {"slots": slots}


def registrations(world: "World", asked: Data) -> Data:
    """The patient's numbers, newest first; one whose day is over has been seen."""
    return {"registrations": _numbers(world, asked, REGISTRATION, "n.registration_no", "seen")}


def list_appointments(world: "World", asked: Data) -> Data:
    """The patient's bookings, newest first; one whose day is over was not kept."""
    return {"appointments": _numbers(world, asked, APPOINTMENT, "n.appointment_no", "no_show")}


def _numbers(world: "World", asked: Data, sql: str, order: str, past: str) -> list[Data]:
    patient = world.patient(asked.get("patient_id"))
    rows = world.rows(
        f"{sql} WHERE n.patient_id = ?1 AND s.day >= ?2 AND s.day <= ?3 ORDER BY s.day DESC, {order} DESC",
        patient["patient_id"], day(asked, "from_day") or "", day(asked, "to_day") or "9999",
    )  # fmt: skip
    today = world.today()
    for row in rows:
        if row["day"] < today and row["status"] in ("valid", "checked_in"):
            row["status"] = past
    return rows


def queue(world: "World", asked: Data) -> Data:
    """Today's queues of a patient: number being served and how many are ahead; moves with the clock."""
    patient = world.patient(asked.get("patient_id"))
    now = world.now()
    rows = world.rows(
        "SELECT r.registration_no, r.patient_id, r.queue_no, s.schedule_id, s.day, s.day_part, s.room,"
        " d.name AS doctor_name, p.name AS department_name, (SELECT COUNT(*) FROM registrations o"
        f" WHERE o.schedule_id = r.schedule_id AND o.status IN {_LIVE}) AS numbers FROM registrations r"
        " JOIN schedules s USING (schedule_id) JOIN doctors d ON d.code = s.doctor"
        f" JOIN departments p ON p.code = d.department WHERE r.patient_id = ? AND s.day = ? AND r.status IN {_LIVE}"
        " ORDER BY s.schedule_id",
        patient["patient_id"],
        world.today(),
    )
    for row in rows:
        row["serving_no"] = days.serving(now, row["day"], row["day_part"], row.pop("numbers"))
        row["ahead"] = max(0, row["queue_no"] - 1 - row["serving_no"]) if row["serving_no"] else row["queue_no"] - 1
        row["state"] = (
            "called" if row["serving_no"] == row["queue_no"] else
            "passed" if row["serving_no"] > row["queue_no"] else "waiting"
        )  # fmt: skip
    return {"queue": rows}


def lock_slot(world: "World", asked: Data) -> Data:
    """Keep a slot HOLD_MIN minutes; who holds it already gets a new hold for the old one."""
    patient_id = registry.known(world, asked)["patient_id"]
    schedule, slot_no = _open(world, asked), slot(asked)
    if schedule["day"] < world.today():
        raise Refused("LATE", "已过就诊日")
    world.db.execute(
        "UPDATE holds SET released = 1 WHERE schedule_id = ? AND slot_no = ? AND patient_id = ? AND NOT released",
        (schedule["schedule_id"], slot_no, patient_id),
    )
    if not _free(world, schedule["schedule_id"], slot_no):
        raise Refused("FULL", "该号源已被占用")
    hold_no = f"K{world.rows('SELECT COUNT(*) + 1 AS n FROM holds')[0]['n']:08d}"
    expires = f"{world.now() + timedelta(minutes=HOLD_MIN):%Y-%m-%d %H:%M:%S}"
    world.db.execute(
        "INSERT INTO holds VALUES (?,?,?,?,?,0)", (hold_no, patient_id, schedule["schedule_id"], slot_no, expires)
    )
    return {
        "hold_no": hold_no, "patient_id": patient_id, "schedule_id": schedule["schedule_id"],
        "slot_id": str(slot_no), "expires_at": expires,
    }  # fmt: skip


def unlock_slot(world: "World", asked: Data) -> Data:
    """Give a hold back; one that ran out is given back too."""
    hold_no, patient_id = text(asked, "hold_no"), text(asked, "patient_id")
    done = world.db.execute(
        "UPDATE holds SET released = 1 WHERE hold_no = ? AND patient_id = ? AND (NOT released OR ?)",
        (hold_no, patient_id, world.repeat),
    )
    if done.rowcount == 0:
        raise Refused("HELD", "锁号不存在或已释放")
    return {"hold_no": hold_no, "patient_id": patient_id}


def register(world: "World", asked: Data) -> Data:
    """A number for today, paid from the card or elsewhere."""
    patient_id, method = registry.usable(world, asked), pay_method(asked)
    schedule = _open(world, asked)
    if schedule["day"] != world.today():
        late = schedule["day"] < world.today()
        raise Refused("LATE" if late else "NOTALLOWED", "已过就诊日" if late else "非当日号源,请预约")
    fee = schedule["fee_fen"]
    if asked.get("fee_fen") != fee:
        raise Refused("AMOUNT", "挂号费与号源不符")
    _one_a_half_day(world, patient_id, schedule)
    slot_no = _take(world, asked, patient_id)
    account = ledger.DESK
    if method == ledger.BALANCE:
        account, held = ledger.card(patient_id), ledger.balance(world.db, ledger.card(patient_id))
        if held < fee:
            raise Refused("BALANCE", "卡余额不足", fee - held)
    at = world.wall()
    txn = ledger.move(world.db, ledger.Movement(
        account, "register", patient_id, fee if account == ledger.DESK else -fee, method, at,
        maybe(asked, "trade_no"), asked["op_key"],
    ))  # fmt: skip
    base = f"R{schedule['schedule_id'][1:]}{slot_no:02d}"
    before = world.rows("SELECT COUNT(*) AS n FROM registrations WHERE registration_no LIKE ?", f"{base}%")[0]["n"]
    number = f"{base}{before + 1}" if before else base
    queue_no = world.rows(
        "SELECT COALESCE(MAX(queue_no), 0) + 1 AS n FROM registrations WHERE schedule_id = ?", schedule["schedule_id"]
    )[0]["n"]
    world.db.execute(
        "INSERT INTO registrations VALUES (?,?,?,?,?,?,?,?,?,?)",
        (number, patient_id, schedule["schedule_id"], slot_no, queue_no, fee, at, "valid", txn, method),
    )
    return world.rows(f"{REGISTRATION} WHERE n.registration_no = ?", number)[0]


def cancel_registration(world: "World", asked: Data) -> Data:
    """Give a number back with its fee, until the patient has checked in or the day is over."""
    row = _theirs(world, asked, "registrations", "registration_no")
    if row["status"] != "valid" and not (world.repeat and row["status"] == "cancelled"):
        raise Refused("DUP" if row["status"] == "cancelled" else "LATE", "该号已退或已就诊")
    if row["day"] < world.today():
        raise Refused("LATE", "已过就诊日")
    world.db.execute(
        "UPDATE registrations SET status = 'cancelled' WHERE registration_no = ?", (row["registration_no"],)
    )
    _give_back(world, row)
    back = row["pay_method"] == ledger.BALANCE
    account = ledger.card(row["patient_id"]) if back else ledger.DESK
    txn = ledger.move(world.db, ledger.Movement(
        account, "cancel_registration", row["patient_id"], row["fee_fen"] if back else -row["fee_fen"],
        row["pay_method"], world.wall(), "", asked["op_key"],
    ))  # fmt: skip
    return {
        "registration_no": row["registration_no"], "patient_id": row["patient_id"], "refund_fen": row["fee_fen"],
        "his_txn_no": txn,
    }  # fmt: skip


def book(world: "World", asked: Data) -> Data:
    """A booking for a coming day, unpaid."""
    patient_id = registry.usable(world, asked)
    schedule = _open(world, asked)
    if schedule["day"] <= world.today():
        raise Refused("LATE", "预约须提前一天")
    _one_a_half_day(world, patient_id, schedule)
    slot_no = _take(world, asked, patient_id)
    made = world.rows("SELECT COUNT(*) AS n FROM appointments")[0]["n"]
    number = f"A{schedule['day'].replace('-', '')}{100 + made:06d}"
    world.db.execute(
        "INSERT INTO appointments VALUES (?,?,?,?,?,?,?,?)",
        (number, patient_id, schedule["schedule_id"], slot_no, schedule["fee_fen"], world.wall(), "valid",
         f"N{number[1:]}"),
    )  # fmt: skip
    return world.rows(f"{APPOINTMENT} WHERE n.appointment_no = ?", number)[0]


def cancel_booking(world: "World", asked: Data) -> Data:
    """Give a booking back, up to the day before."""
    row = _theirs(world, asked, "appointments", "appointment_no")
    if row["status"] != "valid" and not (world.repeat and row["status"] == "cancelled"):
        raise Refused("DUP", "该预约已取消或停诊")
    if row["day"] <= world.today():
        raise Refused("LATE", "就诊当日不可取消预约")
    number = row["appointment_no"]
    world.db.execute("UPDATE appointments SET status = 'cancelled' WHERE appointment_no = ?", (number,))
    _give_back(world, row)
    return {"appointment_no": number, "patient_id": row["patient_id"], "refund_fen": 0, "his_txn_no": f"C{number[1:]}"}


def check_in(world: "World", asked: Data) -> Data:
    """The patient is here: on the day of the number, once."""
    row = _theirs(world, asked, "registrations", "registration_no")
    if row["day"] != world.today():
        early = row["day"] > world.today()
        raise Refused("NOTALLOWED" if early else "LATE", "未到就诊日" if early else "已过就诊日")
    if row["status"] != "valid" and not (world.repeat and row["status"] == "checked_in"):
        raise Refused("DUP" if row["status"] == "checked_in" else "NOTALLOWED", "该号已签到或已退号")
    number = row["registration_no"]
    world.db.execute("UPDATE registrations SET status = 'checked_in' WHERE registration_no = ?", (number,))
    place = next(one for one in queue(world, asked)["queue"] if one["registration_no"] == number)
    return {
        "registration_no": number, "patient_id": row["patient_id"], "queue_no": row["queue_no"],
        "ahead": place["ahead"], "at": world.wall(),
    }  # fmt: skip


def stop_clinic(world: "World", schedule_id: str) -> int:
    """停诊: no more numbers, and those given are stopped; how many."""
    world.db.execute("UPDATE schedules SET status = 'stopped' WHERE schedule_id = ?", (schedule_id,))
    return sum(
        world.db.execute(
            f"UPDATE {table} SET status = 'stopped' WHERE schedule_id = ? AND status IN {_LIVE}", (schedule_id,)
        ).rowcount
        for table in ("registrations", "appointments")
    )


def _open(world: "World", asked: Data) -> Data:
    schedule = world.one("SELECT * FROM schedules WHERE schedule_id = ?", text(asked, "schedule_id"))
    if schedule is None:
        raise Refused("NODATA", "排班不存在")
    if schedule["status"] == "stopped":
        raise Refused("STOPPED", "医生停诊")
    return schedule


def _free(world: "World", schedule_id: str, slot_no: int) -> bool:
    row = world.one(
        f"SELECT {_FREE.format(3)} AS free FROM slots l WHERE schedule_id = ?1 AND slot_no = ?2",
        schedule_id, slot_no, world.wall(),
    )  # fmt: skip
    if row is None:
        raise Refused("NODATA", "号源不存在")
    return bool(row["free"])


def _take(world: "World", asked: Data, patient_id: str) -> int:
    """Take the slot, or the next free one where a HIS without dedup books again; its number."""
    schedule_id, slot_no = asked["schedule_id"], slot(asked)
    if hold_no := maybe(asked, "hold_no"):
        live = world.one(
            "SELECT 1 FROM holds WHERE hold_no = ? AND patient_id = ? AND schedule_id = ? AND slot_no = ?"
            " AND NOT released AND expires_at > ?",
            hold_no, patient_id, schedule_id, slot_no, world.wall(),
        )  # fmt: skip
        if live is None and not world.repeat:
            raise Refused("HELD", "锁号已过期,请重新选择")
    world.db.execute(
        "UPDATE holds SET released = 1 WHERE schedule_id = ? AND slot_no = ? AND patient_id = ? AND NOT released",
        (schedule_id, slot_no, patient_id),
    )
    if world.repeat:
        spare = world.one(
            f"SELECT MIN(slot_no) AS n FROM slots l WHERE schedule_id = ?1 AND {_FREE.format(2)}",
            schedule_id, world.wall(),
        )  # fmt: skip
        slot_no = (spare and spare["n"]) or slot_no
    if not _free(world, schedule_id, slot_no):
        raise Refused("FULL", "号源已满")
    world.db.execute(
        "UPDATE slots SET patient_id = ? WHERE schedule_id = ? AND slot_no = ?", (patient_id, schedule_id, slot_no)
    )
    return slot_no


def _give_back(world: "World", row: Data) -> None:
    world.db.execute(
        "UPDATE slots SET patient_id = NULL WHERE schedule_id = ? AND slot_no = ? AND patient_id = ?",
        (row["schedule_id"], row["slot_no"], row["patient_id"]),
    )


def _one_a_half_day(world: "World", patient_id: str, schedule: Data) -> None:
    for table in ("registrations", "appointments"):
        if not world.repeat and world.one(
            f"SELECT 1 FROM {table} n JOIN schedules s USING (schedule_id) WHERE n.patient_id = ? AND s.doctor = ?"
            f" AND s.day = ? AND s.day_part = ? AND n.status IN {_LIVE}",
            patient_id, schedule["doctor"], schedule["day"], schedule["day_part"],
        ):  # fmt: skip
            raise Refused("LIMIT", "同一医生半天只能挂一个号")


def _theirs(world: "World", asked: Data, table: str, key: str) -> Data:
    row = world.one(
        f"SELECT n.*, s.day FROM {table} n JOIN schedules s USING (schedule_id) WHERE n.{key} = ? AND n.patient_id = ?",
        text(asked, key), text(asked, "patient_id"),
    )  # fmt: skip
    if row is None:
        raise Refused("NODATA", "号不存在")
    return row


READS = {
    "list_departments": list_departments, "list_doctors": list_doctors, "list_schedules": list_schedules,
    "list_slots": list_slots, "registrations": registrations, "list_appointments": list_appointments, "queue": queue,
}  # fmt: skip
WRITES = {
    "lock_slot": lock_slot, "unlock_slot": unlock_slot, "register": register,
    "cancel_registration": cancel_registration, "book": book, "cancel_booking": cancel_booking, "check_in": check_in,
}  # fmt: skip
