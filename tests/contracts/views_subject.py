"""What both `views` subjects share: the small hospital of `tests/support/views_hospital`, with more people and slots."""

import itertools
import threading

import pytest

from his.gateway import Gateway
from his.port import Op
from his.views import OPTIONS, make
from tests.contracts.subject import Facts, Person, Place, Stay, Subject
from tests.support.views_hospital import start_hospital

CROWD = tuple(Person(f"P1{n:03d}", f"60000001{n:04d}") for n in range(100))
FACTS = Facts(
    patient=Person("P0001", "600000000001"),
    name="王小明",
    id_no="990101198503120037",
    rare=(Person("P0003", "600000000003"), "\U00020bb7田\u4dae"),
    other=Person("P0002", "600000000002"),
    report_no="L001",
    odd_report_no="L001",
    visit_no="V001",
    stay=Stay("P0002", "Z0001", 1, "W000000000001"),
    crowd=CROWD,
)
TABLES = {
    Op.CREATE_CARD: ("card", "op_key"),
    Op.REGISTER: ("registration", "op_key"),
    Op.BOOK: ("registration", "op_key"),
    Op.CANCEL_REGISTRATION: ("registration", "cancel_key"),
    Op.CANCEL_BOOKING: ("registration", "cancel_key"),
    Op.TOP_UP: ("money", "op_key"),
    Op.PAY_PREPAYMENT: ("money", "op_key"),
}
SCHEDULES = {Op.REGISTER: ("S01", 5000), Op.BOOK: ("S03", 5000)}


def views_subject(kind: str) -> Subject:
    """The adapter on a hospital of its own; skips with the reason where the server cannot be had."""
    hospital = start_hospital(kind)
    if isinstance(hospital, str):
        pytest.skip(hospital)
    for number, who in enumerate(CROWD):
        id_no = f"99010119900101{number:04d}"
        hospital.sql(
            f"INSERT INTO his.patient VALUES ('{who.patient_id}', '众人{number}', '1', NULL, '01', '{id_no}', '', 0, 500, NULL)"
        )
        hospital.sql(f"INSERT INTO his.card VALUES ('{who.card_no}', '{who.patient_id}', '01', '1', NULL)")
    numbers, one_at_a_time = itertools.count(1), threading.Lock()

    def find_slot(op: Op) -> Place:
        """A slot of one place, made now."""
        schedule_id, fee_fen = SCHEDULES[op]
        with one_at_a_time:
            slot_id = f"{schedule_id}-x{next(numbers)}"
        hospital.sql(
            f"INSERT INTO his.slot (slot_id, schedule_id, starts_at, total) SELECT '{slot_id}', '{schedule_id}', "
            f"clinic_day + INTERVAL '9' HOUR, 1 FROM his.schedule WHERE schedule_id = '{schedule_id}'"
        )
        return Place(schedule_id, slot_id, fee_fen)

    def rows(op: Op, op_key: str) -> int:
        table, column = TABLES[op]
        ((count,),) = hospital.sql(f"SELECT COUNT(*) FROM his.{table} WHERE {column} = '{op_key}'")
        return int(count)

    options = {"read_url": hospital.read_url, "write_url": hospital.write_url, "mapping": hospital.mapping}
    return Subject(
        hospital.mapping, Gateway(make(OPTIONS.model_validate(options))), FACTS, close=hospital.stop,
        freeze=hospital.freeze, thaw=hospital.thaw, rows=rows, find_slot=find_slot,
    )  # fmt: skip
