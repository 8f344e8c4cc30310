"""Whatever a FHIR server answers, the adapter gives a value of the port's types or a HisError, and in time."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from his.adapter import Call
from his.faults import Broken, NotSent
from his.fhir import OPTIONS, make
from his.gateway import Gateway
from his.guard import GuardOptions
from his.port import (
    AdmissionQuery,
    AdmissionsQuery,
    AppointmentsQuery,
    BookingOrder,
    Ctx,
    DepartmentsQuery,
    DoctorsQuery,
    HisError,
    InvoicesQuery,
    PatientQuery,
    PendingChargesQuery,
    Query,
    RegistrationsQuery,
    ReportQuery,
    ReportsQuery,
    SchedulesQuery,
    SlotLock,
    SlotsQuery,
    answer_type,
)
from his.wire import Response
from tests.support.fhir import FhirServer, Hospital, seed, server
from tests.support.spoil import spoilt
from tests.support.typed import fits

pytestmark = pytest.mark.xdist_group("peer-fhir")
__all__ = ["server"]
ROUNDS = 150


@pytest.fixture(scope="module")
def town(server: FhirServer) -> Hospital:
    town = seed(server)
    server.put({"resourceType": "ChargeItem", "id": "ci-1", "status": "billable", "code": {"text": "CT"},
                "subject": {"reference": "Patient/pat-1"}, "priceOverride": {"value": 320.1, "currency": "CNY"}})  # fmt: skip
    return town


@pytest.fixture
def his(server: FhirServer, town: Hospital) -> Iterator[Gateway]:
    """A gateway whose server's answers are spoilt, each round otherwise."""
    options = OPTIONS.model_validate({
        "base_url": server.url, "card_no_system": "urn:test:card", "charges": "charge_item", "wristband_system": "urn:test:band",
        "admission_no_system": "urn:test:adm",
    })  # fmt: skip
    gateway = Gateway(make(options), GuardOptions(fail_max=10**9, attempts=1))
    endpoint = gateway._adapter._client._endpoint
    plain, dice = endpoint.request, random.Random(2026)

    def request(*arguments: Any, **named: Any) -> Response:
        found = plain(*arguments, **named)
        if dice.random() < 0.4:  # the first ones come through, so that every depth is reached
            return found
        return Response(found.status, found.media_type, spoilt(found.body, dice))

    endpoint.request = request
    yield gateway
    gateway.close()


ASKED: list[Callable[[Hospital], Query[Any]]] = [
    lambda town: PatientQuery(card_no=town.card),
    lambda town: PatientQuery(patient_id="pat-1"),
    lambda town: DepartmentsQuery(),
    lambda town: DoctorsQuery(),
    lambda town: SchedulesQuery(town.day, town.day),
    lambda town: SlotsQuery(town.schedule),
    lambda town: AppointmentsQuery("pat-1"),
    lambda town: RegistrationsQuery("pat-1"),
    lambda town: ReportsQuery("pat-1"),
    lambda town: ReportQuery("pat-1", "rep-1"),
    lambda town: ReportQuery("pat-1", "rep-3"),
    lambda town: AdmissionQuery(wristband_no="B0001"),
    lambda town: AdmissionQuery(admission_no="ZY0001"),
    lambda town: AdmissionsQuery("pat-1"),
    lambda town: InvoicesQuery("pat-1"),
    lambda town: PendingChargesQuery("pat-1"),
]


@pytest.mark.parametrize("asked", range(len(ASKED)))
def test_a_spoilt_answer_is_a_value_or_a_his_error(his: Gateway, town: Hospital, asked: int) -> None:
    query, good = ASKED[asked](town), 0
    for _ in range(ROUNDS):
        try:
            value = his._adapter.ask(query, Call(time.monotonic() + 5))
        except (HisError, Broken, NotSent):
            continue
        assert fits(value, answer_type(type(query)))
        good += 1
    assert 0 < good < ROUNDS


def test_a_booking_answered_with_spoilt_words_never_sells_a_slot_twice(
    his: Gateway, server: FhirServer, town: Hospital
) -> None:
    for _ in range(ROUNDS):
        slot = random.Random(_).choice(town.slots)
        for command in (SlotLock(uuid.uuid4().hex, "pat-1", town.schedule, slot),
                        BookingOrder(uuid.uuid4().hex, "pat-1", "", town.schedule, slot)):  # fmt: skip
            try:
                his.do(command, Ctx(deadline_s=5))
            except HisError:
                continue
    booked = [it["slot"][0]["reference"] for it in server.all("Appointment") if it["status"] == "booked"]
    assert len(booked) == len(set(booked))
