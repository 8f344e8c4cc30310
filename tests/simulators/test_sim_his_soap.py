"""The SOAP face of the simulated HIS: its own WSDL, the same world, every operation, money in yuan."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.his import care, cash, clinic, ward
from simulators.his.soap_table import OPERATIONS, STATUS
from tests.support.his_wire import NS, Ask, envelope, json_client, post_soap, soap, soap_input
from tests.support.sims import HisSim, start_his

README = Path(__file__).parents[2] / "simulators" / "his" / "README.md"
MING = {"patientNo": "P0000001", "cardNo": "600000000017"}


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    running = start_his(tmp_path_factory.mktemp("sim_his"), soap=True)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ask(sim: HisSim) -> Iterator[Ask]:
    with json_client(sim) as client:
        yield client


def key() -> str:
    return secrets.token_hex(16)


def item(answer: Any) -> dict[str, str]:
    """The first Item's own fields."""
    first = answer.find("Items/Item")
    assert first is not None, answer.findtext("returnDesc")
    return {one.tag: one.text or "" for one in first if len(one) == 0}


def code(answer: Any) -> str:
    return answer.findtext("returnCode")


def test_zeep_reads_the_wsdl_and_calls_it_with_rare_characters(sim: HisSim) -> None:
    zeep = pytest.importorskip("zeep", reason="zeep is not installed here")
    client = zeep.Client(sim.soap_url + "?wsdl")
    assert {name for name in client.service._operations} == set(OPERATIONS) | set(STATUS)  # noqa: C416
    header = {"_soapheaders": {"Auth": {"token": sim.token}}}
    assert "𠮷田䶮" in client.service.GetPatientCardNo(cardNo="600000000051", **header)
    order = f"<Request><opKey>{key()}</opKey><patientNo>P0000001</patientNo></Request>"
    assert "<returnCode>-1</returnCode>" in client.service.InsertBooking(input=order, **header)
    with pytest.raises(zeep.exceptions.Fault, match="令牌无效"):
        client.service.HelloWorld(_soapheaders={"Auth": {"token": "guess"}})


def test_every_operation_of_the_json_wire_has_a_soap_operation_and_a_line_in_the_readme() -> None:
    named = {"health", "query_patient", "query_admission", "create_card"}
    for module in (clinic, cash, care, ward):
        named |= set(module.READS) | set(getattr(module, "WRITES", {}))
    assert {operation.op for operation in OPERATIONS.values()} == named
    text = README.read_text("utf-8")
    for operation in (*OPERATIONS, *STATUS):
        assert re.search(rf"^\| `{operation}` \|", text, re.MULTILINE), operation
    for op in (*named, "query_op"):
        assert re.search(rf"^\| `{op}`", text, re.MULTILINE), op
    for operation in OPERATIONS.values():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{operation.name}` |"))
        for field in (*operation.asked, *operation.head, *operation.item.fields):
            assert f"`{field.xml}`" in line, (operation.name, field.xml)


def test_reads_say_the_same_as_the_json_wire_in_the_vendors_words(sim: HisSim, ask: Ask) -> None:
    who = item(soap(sim, "GetPatientCardNo", cardNo="600000000051", patientNo="", idenNo=""))
    same = ask("query_patient", card_no="600000000051")["data"]
    assert (who["patientName"], who["birthday"], who["sexCode"]) == (same["name"], "19781102", "1")
    fees = soap(sim, "GetFeeListByClinicCode", clinicCode="P0000001")
    pending = ask("charges", patient_id="P0000001")["data"]
    assert fees.findtext("totCost") == f"{pending['total_fen'] / 100:.2f}"
    assert fees.findtext("version") == pending["version"]
    costs = [one.text or "" for one in fees.iterfind("Items/Item/totCost")]
    assert all(re.fullmatch(r"\d+\.\d\d", cost) for cost in costs)
    assert sum(round(float(cost) * 100) for cost in costs) == pending["total_fen"]
    stay = {"patientNo": "P0000002", "inpatientNo": "2026000101", "inTimes": "1"}
    day = ask("health")["data"]["time"][:10]
    statement = soap(sim, "QueryInMainMxInfo", **stay, feeDate=day.replace("-", ""))
    assert statement.findtext("feeDate") == day.replace("-", "")
    assert code(soap(sim, "QueryInMainMxInfo", **stay, feeDate="19990101")) == "0"
    assert soap(sim, "QueryInMainInfo", wristbandNo="W202600010101").findtext(".//Patient/patientName") == "李秀英"
    assert soap(sim, "GetLisResultInfo", patientNo="P0000001", reportNo="B0000001").findtext(
        ".//Results/Result/resultFlag"
    ) == "↑"  # fmt: skip
    assert code(soap(sim, "GetPacsResultInfo", patientNo="P0000001", reportNo="B0000001")) == "0"
    assert item(soap(sim, "QueryReportInfo", patientNo="P0000001", reportNo="B0000002"))["studyUid"].startswith("1.3.")


def test_every_read_answers_for_somebody(sim: HisSim, ask: Ask) -> None:
    stay = {"patientNo": "P0000007", "inpatientNo": "2026000105", "inTimes": "1"}
    days = {"beginDate": "", "endDate": ""}
    schedule = ask("list_schedules")["data"]["schedules"][0]["schedule_id"]
    visit = ask("list_visits", patient_id="P0000001")["data"]["visits"][0]["visit_no"]
    arguments: dict[str, dict[str, str]] = {
        "GetPatientCardNo": {"idenNo": "990101198503120037"}, "GetShemaPointInfo": {"schemaId": schedule},
        "QueryAppRegistRecords": MING | days, "QueryAppointRecords": MING | days, "GetQueue": MING,
        "GetCardBalance": MING, "QueryCardCharge": MING, "GetFeeListByClinicCode": {"clinicCode": "P0000001"},
        "QueryPatientDiag": MING, "QueryPrescriptionInfo": {**MING, "visitNo": visit}, "QueryReportList": MING,
        "QueryReportInfo": {**MING, "reportNo": "B0000001"}, "GetLisResultInfo": {**MING, "reportNo": "B0000001"},
        "GetPacsResultInfo": {**MING, "reportNo": "B0000002"}, "QueryInMainInfo": {"patientNo": "P0000002"},
        "QueryInMainList": {"patientNo": "P0000002"}, "QueryInFeeSummary": stay, "QueryPrefeeMaster": stay,
        "QueryInMainMxInfo": {"patientNo": "P0000010", "inpatientNo": "2026000106", "inTimes": "2",
                              "feeDate": ask("health")["data"]["time"][:10].replace("-", "")},
        "QueryInvoiceInfo": stay, "CheckWristband": {"wristbandNo": "W202600010101", "itemCode": "M000000001"},
    }  # fmt: skip
    for name, operation in OPERATIONS.items():
        if operation.style == "scalar" and operation.op != "settle":
            answer = soap(sim, name, **arguments.get(name, {}))
            assert code(answer) == "1", (name, answer.findtext("returnDesc"))
            assert answer.find("Items/Item") is not None, name
    lines = soap_input(sim, "QueryReconcileInfo", accountDate=ask("health")["data"]["time"][:10].replace("-", ""))
    assert code(lines) == "1"


def a_slot(ask: Ask, ahead: int) -> dict[str, str]:
    open_ones = [one for one in ask("list_schedules")["data"]["schedules"] if one["status"] == "open"]
    day = sorted({one["day"] for one in open_ones})[ahead]
    schedule = next(one for one in open_ones if one["day"] == day and one["left_count"] > 2)
    slots = ask("list_slots", schedule_id=schedule["schedule_id"])["data"]["slots"]
    free = next(one for one in slots if one["free"])
    return {
        "schemaId": schedule["schedule_id"], "pointNo": free["slot_id"], "regCost": f"{schedule['fee_fen'] / 100:.2f}",
    }  # fmt: skip


def test_every_write_books_once_says_duplicate_and_its_status_query_gives_the_answer(sim: HisSim, ask: Ask) -> None:
    paid = {"totCost": "50.00", "payMode": "02", "tradeNo": "42", "payDate": "2026-11-24 09:00:00"}
    status = {op: name for name, ops in STATUS.items() for op in ops}

    def write(name: str, **given: str) -> dict[str, str]:
        operation = OPERATIONS[name]
        call = soap if operation.style == "scalar" else soap_input
        arguments = {"opKey": key(), **given}
        assert code(soap(sim, status[operation.op], opKey=arguments["opKey"])) == "0"
        first, again = call(sim, name, **arguments), call(sim, name, **arguments)
        assert (code(first), code(again)) == ("1", "2"), (name, first.findtext("returnDesc"))
        held = soap(sim, status[operation.op], opKey=arguments["opKey"])
        assert item(held) == item(first), name
        assert sim.booked(operation.op)[0] == sim.booked(operation.op)[1] >= 1
        return item(first)

    today, later = a_slot(ask, 0), a_slot(ask, 3)
    child = {"patientNo": "P0000005", "cardNo": "600000000085"}
    lock = write("LockPoint", **child, **today)
    write("UnLockPoint", **child, lockNo=lock["lockNo"])
    number = write("InsertRegisterTemp", **child, **today, payMode="05")
    write("SignIn", **child, regNo=number["regNo"])
    another = write("InsertRegisterTemp", **MING, **a_slot(ask, 0), payMode="05")
    assert write("CancelRegister", **MING, regNo=another["regNo"])["refundCost"] == today["regCost"]
    booking = write("InsertBooking", **MING, **later)
    write("CancelBooking", **MING, bookNo=booking["bookNo"])
    assert write("SaveCardCharge", **MING, **paid)["totCost"] == "50.00"
    write("SaveCardRefund", **MING, totCost="12.34")
    write("SavePrefee", patientNo="P0000002", inpatientNo="2026000101", inTimes="1", **paid)
    write(
        "InsertPatientInfo",
        patientName="周<&>䶮",
        sexCode="2",
        birthday="20000101",
        idenType="03",
        idenNo="E1",
        mobile="1",
    )
    fees = soap(sim, "GetFeeListByClinicCode", clinicCode="P0000001")
    numbers = ",".join(one.text or "" for one in fees.iterfind("Items/Item/feeNo"))
    bill = {"clinicCode": "P0000001", "feeNos": numbers, "totCost": fees.findtext("totCost") or ""}
    parts = write("PreSaveFee", **bill)
    write("SaveFee", **bill, settleNo=parts["settleNo"], ownCost=parts["ownCost"], payMode="02", tradeNo="42")
    assert set(sim.rows()["ops"]) == {
        operation.op for operation in OPERATIONS.values() if "opKey" in {f.xml for f in operation.asked}
    }


def test_a_refusal_has_its_word_and_what_is_missing_and_an_exception_has_none(sim: HisSim, ask: Ask) -> None:
    poor = {"patientNo": "P0000009", "cardNo": "600000000153"}
    slot = a_slot(ask, 0)
    short = soap_input(sim, "InsertRegisterTemp", opKey=key(), **poor, **slot, payMode="05")
    assert (code(short), short.findtext("errCode"), short.findtext("lackCost")) == ("-1", "BALANCE", slot["regCost"])
    wrong = soap_input(sim, "SaveCardCharge", opKey=key(), **MING, totCost="1.234", payMode="01")
    assert (code(wrong), wrong.find("errCode")) == ("-1", None)
    assert code(soap(sim, "SaveCardCharge", input="<Request><opKey>")) == "-1"
    assert code(soap(sim, "GetRegState", opKey="nobody")) == "0"


def test_a_wrong_token_a_wrong_action_and_no_envelope_are_faults(sim: HisSim) -> None:
    right = envelope(sim, "HelloWorld", {})
    for body, action in (
        (envelope(sim, "HelloWorld", {}, token="guess"), None),
        (right, f"{NS}GetDeptInfo"),
        (envelope(sim, "NoSuchThing", {}), None),
        (right[:-20], None),
        (right.replace(b"?>", b"?><!DOCTYPE x []>", 1), None),
    ):
        status, answer = post_soap(sim, "HelloWorld", body, action)
        assert status == 500
        assert b"<faultcode>soap:Client</faultcode>" in answer
    assert post_soap(sim, "HelloWorld", right)[0] == 200


def test_without_the_switch_there_is_no_soap(tmp_path: Path) -> None:
    plain = start_his(tmp_path)
    assert post_soap(plain, "HelloWorld", envelope(plain, "HelloWorld", {}))[0] == 404
    plain.stop()
