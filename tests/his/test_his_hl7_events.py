"""What received messages say happened: one typed event each, by chapter of the standard."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from core.clock import SHANGHAI
from his.hl7v2.events import NotForUs, read_events
from his.hl7v2.message import Message
from his.hl7v2.options import ListenerOptions
from his.port import HisEvent, HisEventKind

RECEIVED = datetime(2026, 11, 24, 12, tzinfo=SHANGHAI)
PID = "PID|1||60^^^HIS^HC~P1^^^HIS^PI||王^小明"
PV1 = "PV1|1|I|W01^3^05||||0210^石^子诺|||CARD|||||||||Z1"


def events(
    kind: str, *segments: str, control_id: str = "C1", msh7: str = "20261124093000", **options: Any
) -> list[HisEvent]:
    text = "\r".join([f"MSH|^~\\&|HIS|RENHE|PALM|H|{msh7}||{kind}|{control_id}|P|2.5", *segments]) + "\r"
    return read_events(Message.read(text.encode()), ListenerOptions(peers=("127.0.0.1",), **options), RECEIVED)


def one(kind: str, *segments: str, **options: Any) -> HisEvent:
    (event,) = events(kind, *segments, **options)
    return event


@pytest.mark.parametrize(
    ("event", "kind", "cancelled"),
    [
        ("A01", HisEventKind.ADMITTED, None),
        ("A02", HisEventKind.TRANSFERRED, None),
        ("A03", HisEventKind.DISCHARGED, None),
        ("A11", HisEventKind.DISCHARGED, "admission"),
        ("A12", HisEventKind.TRANSFERRED, "transfer"),
        ("A13", HisEventKind.ADMITTED, "discharge"),
    ],
)
def test_a_stays_events_say_what_is_so_now(event: str, kind: HisEventKind, cancelled: str | None) -> None:
    got = one(f"ADT^{event}", f"EVN|{event}|20261124092000||||20261124091500", PID, PV1)
    assert (got.kind, got.ref, got.patient_id, got.event_id) == (kind, "Z1", "P1", "C1")
    assert got.at == datetime(2026, 11, 24, 9, 15, tzinfo=SHANGHAI)
    assert got.source == "hl7:HIS@RENHE"
    assert (got.data["ward_code"], got.data["bed_no"], got.data["trigger"]) == ("W01", "05", f"ADT^{event}")
    assert got.data.get("cancelled") == cancelled


def test_an_outpatients_registration_and_its_cancellation() -> None:
    outpatient = PV1.replace("|I|", "|O|")
    made = one("ADT^A04", PID, outpatient)
    assert (made.kind, made.ref) == (HisEventKind.REGISTERED, "Z1")
    gone = one("ADT^A11", PID, outpatient)
    assert (gone.kind, gone.ref, gone.data["state"]) == (HisEventKind.APPOINTMENT_CHANGED, "Z1", "cancelled")


@pytest.mark.parametrize("event", ["A08", "A28", "A31"])
def test_a_persons_data_changed(event: str) -> None:
    got = one(f"ADT^{event}", PID)
    assert (got.kind, got.ref, got.patient_id) == (HisEventKind.PATIENT_UPDATED, "P1", "P1")


def test_a_merge_names_who_is_left_and_who_is_gone() -> None:
    got = one("ADT^A40", PID, "MRG|P9^^^HIS^PI")
    assert (got.patient_id, got.data["merged_from"]) == ("P1", "P9")


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ("S12", "valid"), ("S13", "valid"), ("S14", "valid"), ("S15", "cancelled"), ("S16", "cancelled"),
        ("S17", "cancelled"), ("S26", "no_show"),
    ],
)  # fmt: skip
def test_appointments(event: str, state: str) -> None:
    sch = "SCH|PL1|AP1|||SCHED1|R^复诊|||15|min|^^15^20261201090000"
    got = one(f"SIU^{event}", sch, PID, "RGS|1", "AIP|1||0210^石")
    assert (got.kind, got.ref) == (HisEventKind.APPOINTMENT_CHANGED, "AP1")
    assert (got.data["state"], got.data["starts_at"]) == (state, "2026-12-01T09:00:00+08:00")
    assert one(f"SIU^{event}", sch, PID, appointment_no="SCH-1").ref == "PL1"


def obr(number: str, status: str = "F", section: str = "LAB") -> str:
    return f"OBR|1|O1|{number}|CBC^血常规^L||||||||||||||||||20261124093000||{section}|{status}"


def obx(flag: str = "N", status: str = "F") -> str:
    return f"OBX|1|NM|WBC||12.3|x|3.5-9.5|{flag}|||{status}"


def test_a_report_says_its_number_version_and_how_many_results_are_not_normal() -> None:
    got = one("ORU^R01", PID, obr("R1"), obx("H"), obx("A^A^HL70078"), obx("N"), obx("??"), obx(""))
    assert (got.kind, got.ref, got.patient_id) == (HisEventKind.REPORT_RELEASED, "R1", "P1")
    data = dict(got.data)
    assert data.pop("version") == "20261124093000"
    assert data == {
        "trigger": "ORU^R01", "kind": "lab", "name": "血常规", "corrected": 0, "results": 5, "abnormal": 2,
        "undetermined": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("obr_status", "obx_status", "corrected"), [("C", "F", 1), ("F", "C", 1), ("", "C", 1), ("F", "F", 0), ("", "F", 0), ("F", "W", 1)]
)  # fmt: skip
def test_a_correction_is_a_new_version_of_the_same_report(obr_status: str, obx_status: str, corrected: int) -> None:
    got = one("ORU^R01", PID, obr("R1", obr_status), obx(status=obx_status))
    assert (got.ref, got.data["corrected"]) == ("R1", corrected)


@pytest.mark.parametrize(
    ("obr_status", "obx_status"), [("P", "F"), ("I", "F"), ("X", "X"), ("", "P"), ("", ""), ("S", "F")]
)
def test_what_is_not_released_is_not_told(obr_status: str, obx_status: str) -> None:
    with pytest.raises(NotForUs, match="released"):
        events("ORU^R01", PID, obr("R1", obr_status), obx(status=obx_status))


def test_a_report_in_parts_waits_for_its_last_part() -> None:
    with pytest.raises(NotForUs):
        events("ORU^R01", PID, obr("R1", "F"), obx(), obr("R1", "P"), obx())
    assert one("ORU^R01", PID, obr("R1", "F"), obx(), obr("R1", "F"), obx("H")).data["results"] == 2


def test_several_reports_in_one_message_are_one_event_each() -> None:
    got = events("ORU^R01", PID, obr("R1"), obx(), obr("R2", "P"), obx(), obr("R3", section="CT"), obx())
    assert [(event.event_id, event.ref, event.data["kind"]) for event in got] == [
        ("C1", "R1", "lab"),
        ("C1/2", "R3", "imaging"),
    ]


def test_charges_are_summed_in_fen_and_payments_are_none() -> None:
    lines = (
        "FT1|1|F1||20261124||CG|XR^胸片|||2|100.50&CNY|50.25",
        "FT1|2|F2||20261124||CG|CT|||2||80.05",
        "FT1|3|||||PY|PAY|||1|260.60",
    )
    got = one("DFT^P03", PID, PV1, *lines)
    assert (got.kind, got.ref, got.data["amount_fen"], got.data["items"]) == (HisEventKind.FEE_ADDED, "F1", 26060, 2)
    with pytest.raises(NotForUs):
        events("DFT^P03", PID, lines[2])


@pytest.mark.parametrize("amount", ["1.005", "abc", "NaN", "1e99999999", "1E+999990", "0E+999990", "Infinity"])
def test_an_amount_that_is_no_money_is_not_told_and_the_event_is(amount: str) -> None:
    assert "amount_fen" not in one("DFT^P03", PID, f"FT1|1|F1||20261124||CG|X|||1|{amount}").data


def test_times_fall_back_to_the_header_and_then_to_now() -> None:
    assert one("ADT^A08", "EVN|A08", PID).at == datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)
    assert one("ADT^A08", PID, msh7="").at == RECEIVED
    assert one("ADT^A08", "EVN|A08|20261124092000+9999", PID, msh7="").at == RECEIVED  # no zone is that far away


def test_the_patient_number_is_the_configured_identifier() -> None:
    assert one("ADT^A08", PID, patient_id_type="HC").patient_id == "60"
    assert one("ADT^A08", PID, patient_id_type="").patient_id == "60"
    assert one("ADT^A08", "PID|1||P7||王").patient_id == "P7"
    with pytest.raises(NotForUs, match="PID-3"):
        events("ADT^A08", PID, patient_id_type="MR")


def test_no_event_shows_a_person_when_it_is_printed() -> None:
    assert "小明" not in repr(one("ADT^A01", PID, PV1))
