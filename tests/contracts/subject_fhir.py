"""`fhir` against Medplum's router and memory repository, which nobody here wrote."""

import os
import signal
from datetime import datetime
from pathlib import Path

import pytest

from core.clock import SHANGHAI
from his.fhir import OPTIONS, make
from his.fhir.booking import WALK_IN
from his.gateway import Gateway
from his.port import Op
from tests.contracts.subject import Facts, Person, Stay, Subject
from tests.support.fhir import CARD, FhirServer, patient, plan, seed, start_fhir

CROWD = tuple(Person(f"many-{n}", str(600_000_001_000 + n)) for n in range(60))


def start(folder: Path) -> Subject:
    """The server with a small hospital in it, sixty people, and times for today and tomorrow."""
    server = start_fhir(folder)
    if isinstance(server, str):
        pytest.skip(server)
    town = seed(server)
    for n, who in enumerate(CROWD):
        server.put(patient(who.patient_id, who.card_no, f"1101012000010{n:05d}", f"患者{n}"))
    today = datetime.now(SHANGHAI).date()
    for n in range(3):
        plan(server, f"today-{n}", today, 20)
        plan(server, f"later-{n}", town.day, 20)
    armed = Armed(server)
    options = OPTIONS.model_validate({
        "base_url": server.url, "card_no_system": CARD, "admission_no_system": "urn:test:adm",
        "wristband_system": "urn:test:band", "issues_cards": True, "charges": "charge_item",
    })  # fmt: skip
    return Subject(
        "fhir",
        Gateway(make(options, armed.step)),
        Facts(
            patient=Person(town.patient, town.card), name="王小明", id_no=town.id_no, absent_patient_id="nobody",
            absent_card_no="600000009999", rare=(Person(town.other, "600000000025"), "𠮷田䶮"),
            other=Person(town.other, "600000000025"), report_no="rep-1", odd_report_no="rep-1",
            stay=Stay(town.patient, "ZY0001", 2, "B0001"), crowd=CROWD,
        ),
        close=server.stop,
        freeze=lambda: os.kill(server.proc.pid, signal.SIGSTOP),
        thaw=armed.thaw,
        freeze_at_write=armed.arm,
        rows=lambda op: _rows(server, op),
    )  # fmt: skip


class Armed:
    """Stops the server when a booking is about to take its Slot: everything before that are reads."""

    def __init__(self, server: FhirServer) -> None:
        self._server = server
        self._armed = False

    def arm(self) -> None:
        self._armed = True

    def step(self, name: str) -> None:
        if self._armed and name == "slot":
            self._armed = False
            os.kill(self._server.proc.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        self._armed = False
        os.kill(self._server.proc.pid, signal.SIGCONT)


def _rows(server: FhirServer, op: Op) -> int:
    kinds = [it["appointmentType"]["coding"][0]["code"] == WALK_IN for it in server.all("Appointment")]
    return sum(kinds) if op is Op.REGISTER else len(kinds) - sum(kinds)
