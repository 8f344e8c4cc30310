"""FHIR R4 writes: one slot is one patient's, one op_key is one Appointment, a death half way is finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from his.adapter import Call
from his.fhir import OPTIONS, make
from his.gateway import Gateway
from his.port import (
    AppointmentsQuery,
    BookingCancel,
    BookingOrder,
    CardApplication,
    CardStatus,
    Ctx,
    Done,
    IdType,
    NotDone,
    NotFound,
    PatientQuery,
    RegistrationCancel,
    RegistrationOrder,
    RegistrationsQuery,
    RegistrationState,
    Rejected,
    RejectReason,
    Sex,
    SlotLock,
    SlotRelease,
    SlotsQuery,
)
from tests.support.fhir import OP_KEY, PEERS, FhirServer, Hospital, make_his, plan, server, town

CTX = Ctx(deadline_s=10.0)
Make = Callable[..., Gateway]
pytestmark = pytest.mark.xdist_group("peer-fhir")
__all__ = ["make_his", "server", "town"]


@pytest.fixture
def slots(server: FhirServer, town: Hospital) -> tuple[str, list[str]]:
    """A fresh half day of six Slots: our schedule id and theirs."""
    plan_id = f"sch-{uuid.uuid4().hex[:8]}"
    return f"{plan_id}:{town.day:%Y%m%d}:m", plan(server, plan_id, town.day)


def key() -> str:
    return uuid.uuid4().hex


def order(where: tuple[str, list[str]], op_key: str | None = None, **more: Any) -> BookingOrder:
    said = {
        "op_key": op_key or key(),
        "patient_id": "pat-1",
        "card_no": "",
        "schedule_id": where[0],
        "slot_id": where[1][0],
    }
    return BookingOrder(**{**said, **more})


def together(jobs: int, work: Callable[[int], Any]) -> list[Any]:
    """What each of `jobs` threads, let go at once, answered or raised."""
    gate = threading.Barrier(jobs)

    def run(at: int) -> Any:
        gate.wait()
        try:
            return work(at)
        except Rejected as answer:
            return answer.reason

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(run, range(jobs)))


def with_key(server: FhirServer, kind: str, op_key: str) -> list[dict[str, Any]]:
    return server.all(kind, f"&identifier={OP_KEY}|{op_key}")


def on_slot(server: FhirServer, slot_id: str) -> list[dict[str, Any]]:
    return [
        it
        for it in server.all("Appointment")
        if it["slot"][0]["reference"] == f"Slot/{slot_id}" and it["status"] == "booked"
    ]


def test_a_booking_takes_the_slot_and_is_listed(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]]
) -> None:
    his = make_his()
    booked = his.do(order(slots), CTX)
    assert (booked.state, booked.schedule_id, booked.slot_id) == (RegistrationState.VALID, slots[0], slots[1][0])
    assert (booked.doctor_name, booked.department_name) == ("张医生", "心内科")
    assert server.get("Slot", slots[1][0])["status"] == "busy"
    assert [it.left for it in his.ask(SlotsQuery(schedule_id=slots[0]), CTX).value] == [0, 1, 1, 1, 1, 1]
    listed = his.ask(AppointmentsQuery(patient_id="pat-1"), CTX).value
    assert booked in listed
    assert booked.appointment_no not in {
        it.registration_no for it in his.ask(RegistrationsQuery(patient_id="pat-1"), CTX).value
    }


def test_twenty_people_want_one_slot_and_one_gets_it(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]]
) -> None:
    his = make_his(pool_size=20)
    got = together(20, lambda at: his.do(order(slots, patient_id="pat-1" if at % 2 else "pat-2"), CTX))
    assert Counter(it for it in got if isinstance(it, RejectReason)) == {RejectReason.SLOT_GONE: 19}
    assert len(on_slot(server, slots[1][0])) == 1


def test_without_if_match_the_same_race_oversells(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    his = make_his(pool_size=20)
    client = his._adapter._client
    monkeypatch.setattr(client, "update", lambda slot, _deadline: server.call("PUT", f"Slot/{slot['id']}", slot)[1])
    got = together(20, lambda _: his.do(order(slots), CTX))
    assert sum(not isinstance(it, RejectReason) for it in got) > 1
    assert len(on_slot(server, slots[1][0])) > 1


def test_one_op_key_sent_twenty_times_at_once_is_one_appointment(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]]
) -> None:
    his, op_key = make_his(pool_size=20), key()
    got = together(20, lambda _: his.do(order(slots, op_key), CTX))
    assert len({it.appointment_no for it in got}) == 1
    assert len(with_key(server, "Appointment", op_key)) == len(on_slot(server, slots[1][0])) == 1


def killed(server: FhirServer, wanted: BookingOrder, at: str) -> None:
    """A process of ours that books and is killed (SIGKILL) before the step `at`, or once it knows the answer."""
    pid = os.fork()
    if pid == 0:
        try:
            options = OPTIONS.model_validate({"base_url": server.url, "card_no_system": "urn:test:card"})
            adapter = make(options, lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == at else None)
            adapter.do(wanted, Call(time.monotonic() + 10))
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("round_", range(20))
@pytest.mark.parametrize("at", ["slot", "appointment", "answered"])
def test_a_booking_killed_at_a_step_is_finished_once_or_never_was(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]], at: str, round_: int
) -> None:
    wanted = order(slots, slot_id=slots[1][round_ % 6])
    killed(server, wanted, at)
    assert len(with_key(server, "Appointment", wanted.op_key)) == (at == "answered")
    his = make_his()
    found = his.resolve(wanted, CTX)
    if at == "slot":  # nothing had left: no trace, and the number is still to be had
        assert found == NotDone()
        assert server.get("Slot", wanted.slot_id)["status"] == "free"
        return
    assert isinstance(found, Done)
    assert his.resolve(wanted, CTX) == found
    assert his.do(wanted, CTX) == found.value
    assert len(with_key(server, "Appointment", wanted.op_key)) == len(on_slot(server, wanted.slot_id)) == 1


def test_a_naive_client_that_dies_there_loses_the_number(server: FhirServer, slots: tuple[str, list[str]]) -> None:
    slot = server.get("Slot", slots[1][0])
    server.call("PUT", f"Slot/{slot['id']}", {**slot, "status": "busy"})  # and here it dies, without a key on the Slot
    assert on_slot(server, slot["id"]) == []
    assert server.get("Slot", slot["id"])["status"] == "busy"  # nobody can tell whose it is


def test_an_appointment_that_is_refused_gives_the_slot_back(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    his = make_his()

    def refuse(*_: object) -> None:
        raise Rejected("business-rule", "", RejectReason.LIMIT)

    monkeypatch.setattr(his._adapter._client, "create", refuse)
    wanted = order(slots)
    with pytest.raises(Rejected) as caught:
        his.do(wanted, CTX)
    assert caught.value.reason is RejectReason.LIMIT
    assert server.get("Slot", wanted.slot_id)["status"] == "free"
    assert his.resolve(wanted, CTX) == NotDone()


def test_a_hold_keeps_others_out_until_it_is_used_released_or_old(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    his = make_his()
    lock = SlotLock(key(), "pat-1", slots[0], slots[1][0])
    hold = his.do(lock, CTX)
    assert his.resolve(lock, CTX) == Done(hold)
    assert his.do(lock, CTX) == hold
    with pytest.raises(Rejected) as caught:
        his.do(order(slots, patient_id="pat-2"), CTX)
    assert caught.value.reason is RejectReason.SLOT_GONE
    assert his.do(order(slots, hold_no=hold.hold_no), CTX).slot_id == slots[1][0]
    with pytest.raises(Rejected) as caught:
        his.do(SlotRelease(key(), "pat-1", hold.hold_no), CTX)
    assert caught.value.reason is RejectReason.HOLD_EXPIRED

    other = his.do(SlotLock(key(), "pat-1", slots[0], slots[1][1]), CTX)
    release = SlotRelease(key(), "pat-1", other.hold_no)
    assert his.do(release, CTX).hold_no == other.hold_no
    assert isinstance(his.resolve(release, CTX), Done)
    assert server.get("Slot", slots[1][1])["status"] == "free"

    his.do(SlotLock(key(), "pat-1", slots[0], slots[1][2]), CTX)
    monkeypatch.setattr("his.fhir.clinic.timedelta", lambda **_: timedelta(0))  # the hold's minutes have passed
    assert his.do(order(slots, slot_id=slots[1][2], patient_id="pat-2"), CTX).patient_id == "pat-2"


def test_cancelling_frees_the_slot_for_somebody_else_and_is_resolved(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]]
) -> None:
    his = make_his()
    booked = his.do(order(slots), CTX)
    cancel = BookingCancel(key(), "pat-1", booked.appointment_no, "有事")
    assert his.resolve(cancel, CTX) == NotDone()
    assert his.do(cancel, CTX).number == booked.appointment_no
    assert isinstance(his.resolve(cancel, CTX), Done)
    assert his.do(cancel, CTX).number == booked.appointment_no
    assert server.get("Slot", slots[1][0])["status"] == "free"
    again = his.do(order(slots, patient_id="pat-2"), CTX)
    assert his.do(cancel, CTX).number == booked.appointment_no  # a late repeat takes nobody's number away
    assert server.get("Slot", slots[1][0])["status"] == "busy"
    with pytest.raises(NotFound):
        his.do(BookingCancel(key(), "pat-1", again.appointment_no), CTX)
    server.call(
        "PUT",
        f"Appointment/{again.appointment_no}",
        {**server.get("Appointment", again.appointment_no), "status": "fulfilled"},
    )
    with pytest.raises(Rejected) as caught:
        his.do(BookingCancel(key(), "pat-2", again.appointment_no), CTX)
    assert caught.value.reason is RejectReason.TOO_LATE


def test_a_registration_is_free_of_charge_or_refused(make_his: Make, slots: tuple[str, list[str]]) -> None:
    his = make_his()
    wanted = RegistrationOrder(key(), "pat-1", "", slots[0], slots[1][0], fee_fen=1500)
    with pytest.raises(Rejected) as caught:
        his.do(wanted, CTX)
    assert caught.value.reason is RejectReason.AMOUNT_CHANGED
    free = his.do(RegistrationOrder(key(), "pat-1", "", slots[0], slots[1][0], fee_fen=0), CTX)
    assert free in his.ask(RegistrationsQuery(patient_id="pat-1"), CTX).value
    assert his.do(RegistrationCancel(key(), "pat-1", free.registration_no), CTX).number == free.registration_no
    [gone] = [
        it
        for it in his.ask(RegistrationsQuery(patient_id="pat-1"), CTX).value
        if it.registration_no == free.registration_no
    ]
    assert gone.state is RegistrationState.CANCELLED


def test_a_card_is_issued_once_a_person_and_its_fate_is_told_by_op_key(make_his: Make, server: FhirServer) -> None:
    his = make_his(issues_cards=True)
    wanted = CardApplication(
        key(), "𠮷䶮", Sex.FEMALE, date(2001, 2, 3), IdType.ID_CARD, "110101200102030027", "13900000001"
    )
    assert his.resolve(wanted, CTX) == NotDone()
    got = together(20, lambda _: his.do(wanted, CTX))
    assert {it.card_no for it in got} == {got[0].card_no}
    assert his.resolve(wanted, CTX) == Done(got[0])
    assert got[0].patient.name == "𠮷䶮"
    assert got[0].patient.cards[0].status is CardStatus.ACTIVE
    assert his.ask(PatientQuery(id_no=wanted.id_no), CTX).value == got[0].patient
    with pytest.raises(Rejected) as caught:
        his.do(CardApplication(key(), "𠮷䶮", Sex.FEMALE, date(2001, 2, 3), IdType.ID_CARD, wanted.id_no, ""), CTX)
    assert caught.value.reason is RejectReason.DUPLICATE
    assert len(with_key(server, "Patient", wanted.op_key)) == 1


def test_what_we_write_is_valid_to_a_validator_nobody_here_wrote(
    make_his: Make, server: FhirServer, slots: tuple[str, list[str]]
) -> None:
    his = make_his(issues_cards=True)
    card = his.do(
        CardApplication(
            key(), "赵小二", Sex.UNKNOWN, date(2015, 5, 5), IdType.ID_CARD, "110101201505050013", "139", "赵大"
        ),
        CTX,
    )
    booked = his.do(order(slots), CTX)
    his.do(SlotLock(key(), "pat-1", slots[0], slots[1][1]), CTX)
    cancelled = his.do(order(slots, slot_id=slots[1][2]), CTX)
    his.do(BookingCancel(key(), "pat-1", cancelled.appointment_no, "有事"), CTX)
    written = [server.get("Patient", card.patient.patient_id), server.get("Appointment", booked.appointment_no),
               server.get("Appointment", cancelled.appointment_no), *(server.get("Slot", slots[1][at]) for at in range(3))]  # fmt: skip
    wrong = {**written[0], "gender": "banana"}
    said = subprocess.run(
        ["node", str(PEERS / "fhir_validate.cjs"), str(server.modules / "node_modules")],
        input="".join(json.dumps(it) + "\n" for it in [*written, wrong]), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    verdicts = [json.loads(line) for line in said.stdout.splitlines()]
    assert [it["valid"] for it in verdicts[:-1]] == [True] * len(written), verdicts
    assert not verdicts[-1]["valid"]  # the control: it does look


def test_a_slot_of_another_half_day_than_shown_is_not_taken(make_his: Make, slots: tuple[str, list[str]]) -> None:
    with pytest.raises(NotFound):
        make_his().do(order((slots[0][:-1] + "a", slots[1])), CTX)
