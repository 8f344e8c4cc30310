"""What both `views` subjects share: the small hospital of `tests/support/views_hospital`, with more people and slots."""

import itertools
import threading
import time

import pytest

from his.gateway import Gateway
from his.port import Op
from his.views import OPTIONS, make
from his.views.sql import parse
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
BOOKED = {
    Op.CREATE_CARD: "his.card WHERE op_key IS NOT NULL",
    Op.REGISTER: "his.registration WHERE kind = 'R'",
    Op.BOOK: "his.registration WHERE kind = 'B'",
    Op.CANCEL_REGISTRATION: "his.registration WHERE kind = 'R' AND cancel_key IS NOT NULL",
    Op.CANCEL_BOOKING: "his.registration WHERE kind = 'B' AND cancel_key IS NOT NULL",
    Op.TOP_UP: "his.money WHERE op = 'top_up'",
    Op.PAY_PREPAYMENT: "his.money WHERE op = 'prepay'",
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

    def rows(op: Op) -> int:
        ((count,),) = hospital.sql(f"SELECT COUNT(*) FROM {BOOKED[op]}")
        return int(count)

    options = {"read_url": hospital.read_url, "write_url": hospital.write_url, "mapping": hospital.mapping}
    adapter = make(OPTIONS.model_validate(options))

    def freeze_at_write() -> None:
        """With the write account connected: one that must connect first has sent nothing, and says so."""
        adapter._write.write((parse("SELECT 1"), {}), time.monotonic() + 5)
        hospital.freeze()

    return Subject(
        hospital.mapping, Gateway(adapter), FACTS, close=hospital.stop, freeze=hospital.freeze, thaw=hospital.thaw,
        freeze_at_write=freeze_at_write, rows=rows, find_slot=find_slot,
    )  # fmt: skip
