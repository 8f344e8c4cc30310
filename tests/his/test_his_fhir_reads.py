"""FHIR R4 reads, over a server nobody here wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from core.clock import SHANGHAI
from core.config import Config
from his.fhir import OPTIONS
from his.gateway import Gateway
from his.port import (
    AbnormalFlag,
    AdmissionQuery,
    AdmissionsQuery,
    AdmissionStatus,
    CardStatus,
    Ctx,
    DayPart,
    DepartmentsQuery,
    DoctorsQuery,
    HealthQuery,
    InvoicesQuery,
    NotFound,
    Op,
    PatientQuery,
    PendingChargesQuery,
    Rejected,
    RejectReason,
    ReportKind,
    ReportQuery,
    ReportsQuery,
    SchedulesQuery,
    ScheduleState,
    Sex,
    SlotsQuery,
    Unavailable,
    Unsupported,
)
from hospital.bootstrap import his_adapter
from hospital.his_check import probe
from tests.support.fhir import FhirServer, Hospital, make_his, patient, plan, server, town

CTX = Ctx(deadline_s=8.0)
Make = Callable[..., Gateway]
pytestmark = pytest.mark.xdist_group("peer-fhir")
__all__ = ["make_his", "server", "town"]


def test_a_server_without_metadata_is_asked_something_cheap(make_his: Make) -> None:
    assert make_his().ask(HealthQuery(), CTX).value.at is None


def test_a_patient_is_found_by_card_by_number_and_by_id_number(make_his: Make, town: Hospital) -> None:
    his = make_his()
    found = his.ask(PatientQuery(card_no=town.card), CTX).value
    assert (found.patient_id, found.name, found.sex, found.birth_date) == (
        "pat-1",
        "王小明",
        Sex.MALE,
        date(1980, 1, 1),
    )
    assert (found.phone, found.cards[0].status) == ("13800000017", CardStatus.ACTIVE)
    assert his.ask(PatientQuery(patient_id="pat-1"), CTX).value == found
    assert his.ask(PatientQuery(id_no=town.id_no), CTX).value == found
    for nobody in (PatientQuery(card_no="600000000999"), PatientQuery(patient_id="pat-9"), PatientQuery(card_no="a|b")):
        with pytest.raises(NotFound):
            his.ask(nobody, CTX)


def test_a_gender_outside_the_value_set_is_unknown_and_guessed_by_nobody(make_his: Make, server: FhirServer) -> None:
    server.put(patient("pat-b", "600000000033", "110101199003030011", gender="banana"))
    assert make_his().ask(PatientQuery(card_no="600000000033"), CTX).value.sex is Sex.UNKNOWN


def test_two_patients_with_one_number_are_ambiguous_unless_one_was_merged(make_his: Make, server: FhirServer) -> None:
    for patient_id in ("pat-c", "pat-d"):
        server.put(patient(patient_id, "600000000041", f"11010119900404{patient_id[-1] == 'c':04d}"))
    with pytest.raises(Rejected) as caught:
        make_his().ask(PatientQuery(card_no="600000000041"), CTX)
    assert caught.value.reason is RejectReason.AMBIGUOUS
    merged = {"active": False, "link": [{"type": "replaced-by", "other": {"reference": "Patient/pat-c"}}]}
    server.put(patient("pat-d", "600000000041", "110101199004040000", **merged))
    assert make_his().ask(PatientQuery(card_no="600000000041"), CTX).value.patient_id == "pat-c"


def test_departments_doctors_schedules_and_slots_hang_together(make_his: Make, town: Hospital) -> None:
    his = make_his()
    [department] = his.ask(DepartmentsQuery(), CTX).value
    assert (department.code, department.name, department.campus_name) == ("dep-1", "心内科", "本部")
    [doctor] = his.ask(DoctorsQuery(department_code="dep-1"), CTX).value
    assert (doctor.code, doctor.name, doctor.title, doctor.skill) == ("doc-1", "张医生", "主任医师", "冠心病")
    assert his.ask(DoctorsQuery(department_code="dep-9"), CTX).value == ()
    [schedule] = his.ask(SchedulesQuery(from_day=town.day, to_day=town.day), CTX).value
    assert (schedule.schedule_id, schedule.day, schedule.day_part) == (town.schedule, town.day, DayPart.MORNING)
    assert (schedule.doctor_code, schedule.doctor_name, schedule.department_name) == ("doc-1", "张医生", "心内科")
    assert (schedule.total, schedule.left, schedule.title, schedule.fee_fen) == (6, 6, "主任医师", 0)
    slots = his.ask(SlotsQuery(schedule_id=schedule.schedule_id), CTX).value
    assert [slot.slot_id for slot in slots] == town.slots
    assert slots[0].starts_at == datetime(town.day.year, town.day.month, town.day.day, 8, tzinfo=SHANGHAI)
    for nothing in ("sch-1", "sch-1:20261399:m", "sch-9:20261124:m"):
        with pytest.raises(NotFound):
            his.ask(SlotsQuery(schedule_id=nothing), CTX)


def test_only_released_reports_exist_and_a_strange_flag_is_undetermined(make_his: Make) -> None:
    his = make_his()
    listed = his.ask(ReportsQuery(patient_id="pat-1"), CTX).value
    assert [(it.report_no, it.kind) for it in listed] == [("rep-1", ReportKind.LAB), ("rep-3", ReportKind.IMAGING)]
    assert listed[0].released_at == datetime(2026, 11, 21, 9, tzinfo=SHANGHAI)
    found = his.ask(ReportQuery(patient_id="pat-1", report_no="rep-1"), CTX).value
    assert [(it.name, it.value, it.flag) for it in found.items] == [
        ("白细胞", "12.3", AbnormalFlag.HIGH), ("淋巴细胞", "2.1", AbnormalFlag.UNDETERMINED),
        ("血小板", "4", AbnormalFlag.NORMAL), ("红细胞", "1.1", AbnormalFlag.CRITICAL_LOW),
    ]  # fmt: skip
    assert (found.items[0].low, found.items[0].high, found.items[0].unit, found.doctor_name) == (
        "3.5",
        "9.5",
        "10^9/L",
        "李检验",
    )
    assert his.ask(ReportQuery(patient_id="pat-1", report_no="rep-3"), CTX).value.study_uid == "1.2.826.0.1.17"
    for owner, number in (("pat-1", "rep-2"), ("pat-2", "rep-1"), ("pat-1", "rep-9")):
        with pytest.raises(NotFound):
            his.ask(ReportQuery(patient_id=owner, report_no=number), CTX)


def test_a_corrected_report_takes_the_place_of_the_first(make_his: Make, server: FhirServer) -> None:
    base = {"resourceType": "DiagnosticReport", "id": "rep-7", "subject": {"reference": "Patient/pat-2"},
            "code": {"text": "尿常规"}, "issued": "2026-11-21T01:00:00Z"}  # fmt: skip
    server.put({**base, "status": "final", "conclusion": "阴性"})
    first = make_his().ask(ReportQuery(patient_id="pat-2", report_no="rep-7"), CTX).value
    server.put({**base, "status": "corrected", "conclusion": "阳性"})
    second = make_his().ask(ReportQuery(patient_id="pat-2", report_no="rep-7"), CTX).value
    assert (first.conclusion, second.conclusion) == ("阴性", "阳性")
    assert first.version != second.version
    assert len(make_his().ask(ReportsQuery(patient_id="pat-2"), CTX).value) == 1


def test_stays_are_numbered_and_lie_in_ward_and_bed(make_his: Make) -> None:
    his = make_his(admission_no_system="urn:test:adm", wristband_system="urn:test:band")
    stay = his.ask(AdmissionQuery(wristband_no="B0001"), CTX).value
    assert (stay.admission_no, stay.admission_seq, stay.ward_name, stay.bed_no) == ("ZY0001", 2, "三病区", "12")
    assert (stay.status, stay.department, stay.doctor) == (AdmissionStatus.ADMITTED, "心内科", "张医生")
    assert stay.admitted_at == datetime(2026, 11, 20, 10, 30, tzinfo=SHANGHAI)
    assert his.ask(AdmissionQuery(admission_no="ZY0001"), CTX).value == stay
    assert his.ask(AdmissionQuery(patient_id="pat-1"), CTX).value == stay
    listed = his.ask(AdmissionsQuery(patient_id="pat-1"), CTX).value
    assert [(it.admission_seq, it.status) for it in listed] == [
        (2, AdmissionStatus.ADMITTED),
        (1, AdmissionStatus.DISCHARGED),
    ]
    reports = his.ask(ReportsQuery(patient_id="pat-1", admission_no="ZY0001"), CTX).value
    assert [it.report_no for it in reports] == ["rep-1"]


def test_invoices_are_exact_to_the_fen(make_his: Make) -> None:
    [found] = make_his().ask(InvoicesQuery(patient_id="pat-1"), CTX).value
    assert (found.total_fen, found.self_paid_fen, [it.amount_fen for it in found.items]) == (8835, 8835, [2505, 6330])
    assert len(make_his().ask(InvoicesQuery(patient_id="pat-1", admission_no="enc-1"), CTX).value) == 1
    assert make_his().ask(InvoicesQuery(patient_id="pat-1", admission_no="enc-0"), CTX).value == ()


@pytest.mark.parametrize("change", [{"totalGross": {"value": 1.005, "currency": "CNY"}}, {"totalGross": {"value": 5, "currency": "USD"}},
                                    {"recipient": {}}])  # fmt: skip
def test_an_amount_that_cannot_be_said_exactly_is_not_shown(
    make_his: Make, server: FhirServer, change: dict[str, object]
) -> None:
    server.put({
        "resourceType": "Invoice", "id": "inv-2", "status": "issued", "date": "2026-11-20T10:00:00+08:00",
        "subject": {"reference": "Patient/pat-2"}, "recipient": {"reference": "Patient/pat-2"},
        "totalGross": {"value": 5, "currency": "CNY"}, **change,
    })  # fmt: skip
    with pytest.raises(Unavailable):
        make_his().ask(InvoicesQuery(patient_id="pat-2"), CTX)


def test_charges_are_a_capability_only_where_items_carry_their_price(make_his: Make, server: FhirServer) -> None:
    with pytest.raises(Unsupported):
        make_his().ask(PendingChargesQuery(patient_id="pat-1"), CTX)
    item = {"resourceType": "ChargeItem", "id": "ci-1", "status": "billable", "code": {"text": "CT"},
            "subject": {"reference": "Patient/pat-1"}, "priceOverride": {"value": 320.1, "currency": "CNY"}}  # fmt: skip
    server.put(item)
    his = make_his(charges="charge_item")
    assert his.ask(PendingChargesQuery(patient_id="pat-1"), CTX).value.total_fen == 32010
    del item["priceOverride"]
    server.put({**item, "id": "ci-2"})
    with pytest.raises(Unavailable):
        his.ask(PendingChargesQuery(patient_id="pat-1"), CTX)


def test_departments_may_be_healthcare_services_and_patients_have_numbers_of_their_own(
    make_his: Make, server: FhirServer, town: Hospital
) -> None:
    server.put({"resourceType": "HealthcareService", "id": "hs-1", "active": True, "name": "发热门诊", "comment": "24 小时",
                "providedBy": {"reference": "Organization/campus-1", "display": "本部"}})  # fmt: skip
    server.put({"resourceType": "HealthcareService", "id": "hs-2", "active": False, "name": "旧门诊"})
    server.put({"resourceType": "Practitioner", "id": "doc-2", "name": [{"family": "Smith", "given": ["John"]}]})
    server.put({"resourceType": "PractitionerRole", "id": "role-2", "active": True, "practitioner": {"reference": "Practitioner/doc-2"},
                "healthcareService": [{"reference": "HealthcareService/hs-1", "display": "发热门诊"}]})  # fmt: skip
    number = {"system": "urn:test:patient-no", "value": "P77"}
    server.put(
        {
            "resourceType": "Patient",
            "id": "uuid-77",
            "identifier": [number],
            "name": [{"family": "欧阳", "given": ["娜娜"]}],
        }
    )
    server.put({"resourceType": "DiagnosticReport", "id": "rep-77", "status": "final", "code": {"text": "B 超"},
                "subject": {"reference": "Patient/uuid-77"}, "issued": "2026-11-21T01:00:00+08:00"})  # fmt: skip
    his = make_his(departments="HealthcareService", patient_id_system="urn:test:patient-no")
    [department] = his.ask(DepartmentsQuery(), CTX).value
    assert (department.code, department.name, department.intro, department.campus_code) == (
        "hs-1",
        "发热门诊",
        "24 小时",
        "campus-1",
    )
    assert his.ask(DepartmentsQuery(campus_code="campus-2"), CTX).value == ()
    [doctor] = his.ask(DoctorsQuery(department_code="hs-1"), CTX).value
    assert (doctor.name, doctor.department_name) == ("John Smith", "发热门诊")
    found = his.ask(PatientQuery(patient_id="P77"), CTX).value
    assert (found.patient_id, found.name, found.sex, found.birth_date, found.cards) == (
        "P77",
        "欧阳娜娜",
        Sex.UNKNOWN,
        None,
        (),
    )
    for _ in range(2):  # the second time its id is known
        assert his.ask(ReportQuery(patient_id="P77", report_no="rep-77"), CTX).value.patient_id == "P77"
    with pytest.raises(NotFound):
        his.ask(ReportsQuery(patient_id="uuid-77"), CTX)


def test_a_panel_gives_its_members_and_another_patients_result_breaks_the_report(
    make_his: Make, server: FhirServer
) -> None:
    one = {
        "resourceType": "Observation",
        "status": "final",
        "subject": {"reference": "Patient/pat-2"},
        "valueString": "阴性",
    }
    server.put({**one, "id": "pan-1", "code": {"text": "尿蛋白"}, "interpretation": [{"coding": [{"code": "NEG"}]}]})
    server.put({**one, "id": "pan-2", "code": {"text": "尿糖"}, "status": "preliminary"})
    server.put({"resourceType": "Observation", "id": "pan-0", "status": "final", "code": {"text": "尿常规"},
                "subject": {"reference": "Patient/pat-2"}, "hasMember": [{"reference": "Observation/pan-1"}, {"reference": "Observation/pan-2"}]})  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "id": "rep-8", "status": "final", "subject": {"reference": "Patient/pat-2"},
              "code": {"text": "尿常规"}, "issued": "2026-11-21T01:00:00Z", "result": [{"reference": "Observation/pan-0"}]}  # fmt: skip
    server.put(report)
    [item] = make_his().ask(ReportQuery(patient_id="pat-2", report_no="rep-8"), CTX).value.items
    assert (item.name, item.value, item.flag) == ("尿蛋白", "阴性", AbnormalFlag.NEGATIVE)
    for wrong in ("Observation/obs-1", "Observation/gone"):
        server.put({**report, "result": [{"reference": wrong}]})
        with pytest.raises(Unavailable):
            make_his().ask(ReportQuery(patient_id="pat-2", report_no="rep-8"), CTX)


def test_a_stopped_schedule_gives_no_numbers(make_his: Make, server: FhirServer, town: Hospital) -> None:
    day = town.day + timedelta(days=20)
    plan(server, "stop-1", day, 2)
    plan(server, "stop-2", day, 2)
    server.put({**server.get("Schedule", "stop-1"), "active": False})
    for slot_id in ("stop-2-0", "stop-2-1"):
        server.put({**server.get("Slot", slot_id), "status": "busy-unavailable"})
    his = make_his()
    found = his.ask(SchedulesQuery(from_day=day, to_day=day), CTX).value
    assert [it.state for it in found] == [ScheduleState.STOPPED, ScheduleState.STOPPED]
    assert all(slot.left == 0 for it in found for slot in his.ask(SlotsQuery(schedule_id=it.schedule_id), CTX).value)


def test_every_page_is_read_and_more_pages_than_allowed_are_refused(make_his: Make, server: FhirServer) -> None:
    for at in range(23):
        server.put({"resourceType": "DiagnosticReport", "id": f"many-{at}", "status": "final", "code": {"text": "x"},
                    "subject": {"reference": "Patient/pat-p"}, "issued": "2026-11-21T01:00:00Z"})  # fmt: skip
    assert len(make_his(page_size=5).ask(ReportsQuery(patient_id="pat-p"), CTX).value) == 23
    with pytest.raises(Unavailable, match="too_large"):
        make_his(page_size=5, max_pages=4).ask(ReportsQuery(patient_id="pat-p"), CTX)


def test_capabilities_name_no_money_that_fhir_cannot_move(make_his: Make) -> None:
    assert not make_his().capabilities & {
        Op.TOP_UP,
        Op.BALANCE,
        Op.SETTLE,
        Op.REFUND,
        Op.PAY_PREPAYMENT,
        Op.CREATE_CARD,
    }
    assert Op.CREATE_CARD in make_his(issues_cards=True).capabilities


def test_hospital_his_check_finds_every_operation_well_and_writes_nothing(server: FhirServer, town: Hospital) -> None:
    options = {"base_url": server.url, "card_no_system": "urn:test:card", "issues_cards": True}
    chosen = {
        "query_patient": {"card_no": town.card},
        "list_reports": {"patient_id": "pat-1"},
        "query_admission": {"admission_no": "enc-1"},
    }
    config = Config.model_validate(
        {"secrets": {"data_key": "k"}, "his": {"adapter": "fhir", "options": options, "check": chosen}}
    )
    adapter, before = his_adapter(config), len(server.all("Slot")) + len(server.all("Appointment"))
    found = list(probe(config, adapter))
    adapter.close()
    assert [it.line() for it in found if it.bad] == []
    assert {it.op for it in found} == adapter.capabilities
    assert {it.op for it in found if it.answer} >= {
        Op.LIST_SLOTS,
        Op.LIST_DEPARTMENTS,
        Op.LIST_DOCTORS,
        Op.REPORT,
        Op.QUERY_PATIENT,
    }
    assert len(server.all("Slot")) + len(server.all("Appointment")) == before


def test_secrets_of_the_options_stay_out_of_their_repr(tmp_path: Path) -> None:
    options = OPTIONS.model_validate({"base_url": "http://h/f", "auth": "bearer", "token": "very-secret"})
    assert "very-secret" not in repr(options)
    with pytest.raises(ValueError, match="token"):
        OPTIONS.model_validate({"base_url": "http://h/f", "auth": "bearer"})
