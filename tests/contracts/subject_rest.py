"""`rest` with the bundled mapping renhe-json, against the simulated HIS."""

import os
import signal
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from core.clock import SHANGHAI
from his.adapter import Call
from his.gateway import Gateway
from his.port import AppointmentsQuery, DayPart, Op, RegistrationsQuery, SchedulesQuery, SlotsQuery
from his.rest import RestAdapter, RestOptions
from tests.contracts.subject import Facts, Person, Place, Stay, Subject
from tests.support.sims import HisSim, start_his

FACTS = Facts(
    patient=Person("P0000001", "600000000017"),
    name="王小明",
    id_no="990101198503120037",
    rare=(Person("P0000003", "600000000051"), "\U00020bb7田\u4dae"),
    other=Person("P0000002", "600000000034"),
    report_no="B0000001",
    odd_report_no="B0000001",
    stay=Stay("P0000002", "2026000101", 1, "W202600010101"),
)


def start(folder: Path) -> Subject:
    """The simulator with its clock at half past seven, when every clinic of today is still to come."""
    sim = start_his(folder)
    now = datetime.now(SHANGHAI)
    sim.clock((now.replace(hour=7, minute=30, second=0) - now).total_seconds())
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": sim.url, "token": sim.token})))
    return subject_of("rest", sim, his)


def subject_of(name: str, sim: HisSim, his: Gateway) -> Subject:
    """Any adapter on the simulated HIS: the same facts and controls."""
    places, crowd = _places_and_people(sim)
    return Subject(
        name, his, replace(FACTS, crowd=crowd),
        close=sim.stop,
        freeze=lambda: os.kill(sim.proc.pid, signal.SIGSTOP),
        thaw=lambda: os.kill(sim.proc.pid, signal.SIGCONT),
        calls=lambda: sum(sim.calls().values()),
        rows=lambda op: int(sim.rows()["ops"].get(op.value, {}).get("rows", 0)),
        find_slot=lambda op: places[op].pop(0),
    )  # fmt: skip


def _places_and_people(sim: HisSim) -> tuple[dict[Op, list[Place]], tuple[Person, ...]]:
    """Free slots of some clinics, and people with no number there: the HIS gives one per person, doctor and half day."""
    his = RestAdapter(RestOptions.model_validate({"base_url": sim.url, "token": sim.token}))
    call, today = Call(time.monotonic() + 60), datetime.now(SHANGHAI).date()
    clinics = [
        one for one in his.ask(SchedulesQuery(today, today + timedelta(6)), call) if one.state == "open" and one.left
    ]
    chosen = [one for one in clinics if one.day == today][:12] + [one for one in clinics if one.day > today][:24]
    places: dict[Op, list[Place]] = {Op.REGISTER: [], Op.BOOK: []}
    for clinic in chosen:
        slots = [slot for slot in his.ask(SlotsQuery(clinic.schedule_id), call) if slot.left]
        op = Op.REGISTER if clinic.day == today else Op.BOOK
        places[op] += [Place(clinic.schedule_id, slot.slot_id, clinic.fee_fen) for slot in slots]
    people = (Person(f"P{n:07d}", str(600_000_000_000 + 17 * n)) for n in range(21, 380))
    there = {(one.doctor_code, one.day, one.day_part) for one in chosen}
    free = tuple(who for who in people if not there & _numbers(his, who, today, call))
    his.close()
    return places, free


def _numbers(his: RestAdapter, who: Person, today: date, call: Call) -> set[tuple[str, date, DayPart]]:
    """(doctor, day, half) of what a person has from today on."""
    lists = (RegistrationsQuery(who.patient_id, today), AppointmentsQuery(who.patient_id, today))
    return {(one.doctor_code, one.day, one.day_part) for query in lists for one in his.ask(query, call)}
