"""Codes of HIS workstations: scanned at a station of ours, or only looked at; used up once, told apart, never kept."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.bridge.conftest import CARD, PATIENT, Bridge
from tests.support.sims import HisSim

NEVER_KEPT = [
    "135902746183920574", "287310594826173059", "6281947350261849375", "11010519491231002X",
    "7493018265749302816574930281", "A1B2C3D4E5F60718293A4B5C6D7E8F90" * 2 + ":3",
]  # fmt: skip


def test_a_card_gives_the_outcome_and_the_his_identifiers(bridge: Bridge) -> None:
    found = bridge.resolve(CARD)
    assert found["outcome"] == "identified"
    assert found["his"] == {"patient_id": PATIENT, "card_no": CARD}
    assert found["patient"]["name"] == "王*明"
    assert (found["seq"], found["station"]) == (None, "bridge:his")


def test_a_wristband_gives_the_stay(bridge: Bridge) -> None:
    his = bridge.resolve("W202600010101")["his"]
    assert his["admission_no"] == "2026000101"
    assert his["admission_seq"] == 1
    assert his["wristband_no"] == "W202600010101"
    assert his["patient_id"]


@pytest.mark.parametrize("code", ["600000000999", "unknown", "600000000102"])
def test_who_is_not_identified_has_no_identifiers(bridge: Bridge, code: str) -> None:
    found = bridge.resolve(code)
    assert found["outcome"] in ("unknown_code", "not_bound")
    assert "his" not in found


def test_at_a_station_it_is_a_scan_that_the_screen_shows_and_uses_the_code_up(bridge: Bridge) -> None:
    _, code = bridge.e_card()
    first = bridge.resolve(code, "C1")
    assert (first["outcome"], first["seq"], first["station"]) == ("identified", 1, "C1")
    assert first["his"] == {"patient_id": PATIENT, "card_no": CARD}
    again = bridge.resolve(code, "C1")
    assert (again["outcome"], again["seq"]) == ("already_done", 2)
    assert again["his"] == {"patient_id": PATIENT}, "an answer that got lost can be had again"
    elsewhere = bridge.resolve(code, "C2")
    assert elsewhere["outcome"] == "replayed"
    assert "his" not in elsewhere
    assert "patient" not in elsewhere
    shown = bridge.shown("C1")
    assert [event["outcome"] for event in shown] == ["identified", "already_done"]
    assert all("his" not in event for event in shown), "a screen never shows what only the HIS may know"


def test_without_a_station_nothing_is_used_up_or_pushed_and_it_is_noted(bridge: Bridge) -> None:
    row, code = bridge.e_card()
    assert bridge.resolve(code)["outcome"] == "identified"
    assert bridge.count("pass_use") == 0
    assert bridge.count("scan") == 0
    assert bridge.count("station_event") == 0
    with bridge.parts.store.durable.read() as database:
        noted = database.execute_sql("SELECT client, outcome, pass_no, patient_id FROM bridge_look").fetchall()
    assert noted == [("his", "identified", row.pass_no, PATIENT)]
    assert bridge.resolve(code, "C1")["outcome"] == "identified", "the patient may still show it at a desk"


def test_the_client_is_judged_as_a_station_of_its_own(bridge: Bridge) -> None:
    _, code = bridge.e_card()
    first, again = bridge.resolve(code), bridge.resolve(code)
    assert (first["outcome"], again["outcome"]) == ("identified", "already_done")
    assert again["his"] == first["his"]
    assert again["patient"] == first["patient"]
    assert again["first_station"] == "his"
    assert bridge.resolve(code, token=bridge.client("other"))["outcome"] == "identified", "a look uses nothing up"
    assert bridge.resolve(code, "C1")["outcome"] == "identified"
    after = bridge.resolve(code, token=bridge.client("third"))
    assert after["outcome"] == "replayed", "a desk has accepted it"
    assert "his" not in after


def test_a_forged_code_is_forged_here_too(bridge: Bridge) -> None:
    _, code = bridge.e_card()
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert bridge.resolve(wrong)["outcome"] == "forged"
    assert bridge.resolve(wrong, "C1")["outcome"] == "forged"


def test_a_his_that_is_gone_is_said_in_time(bridge: Bridge, his_process: HisSim) -> None:
    his_process.fault("down")
    found = bridge.resolve(CARD)
    assert found["outcome"] == "his_unavailable"
    assert found["ms"] < 2500
    assert found["next"]["code"] == "retry"


# ---------------------------------------------------------------- never kept


def traces(bridge: Bridge, log_lines: list[str], answers: list[Any], secrets: list[str]) -> list[str]:
    """Which secrets are found, whole or as a run of nine characters, in files, logs and answers."""
    kept = b"".join(path.read_bytes() for path in bridge.folder.iterdir())
    assert len(kept) > 50_000, "there is a database to look into"
    everything = (kept + "\n".join(log_lines).encode() + json.dumps(answers, ensure_ascii=False).encode()).lower()
    runs = {secret: {secret[i : i + 9].lower().encode() for i in range(len(secret) - 8)} for secret in secrets}
    return [secret for secret in secrets if any(run in everything for run in runs[secret])]


def test_pay_codes_and_identity_numbers_leave_no_trace_on_any_way_in(bridge: Bridge, log_lines: list[str]) -> None:
    answers: list[Any] = []
    for n, code in enumerate(NEVER_KEPT):
        for text in (code, "]C1" + code):
            answers += [bridge.resolve(text), bridge.resolve(text, "C1")]
            body = bridge.scan(f"s{n}{len(text)}", text=text)
            answers += [bridge.post("/v1/scans", body).json(), bridge.post("/v1/scans", body).json()]
        raw = bridge.scan(f"r{n}", text=None, raw_hex=code.encode().hex())
        answers.append(bridge.post("/v1/scans", raw).json())
    answers.append(bridge.call("GET", "/v1/scans").json())
    assert {answer["outcome"] for answer in answers if "outcome" in answer} == {"pay_code", "foreign_code"}
    assert traces(bridge, log_lines, answers, NEVER_KEPT) == []


def test_the_search_for_traces_finds_what_is_there(bridge: Bridge, log_lines: list[str]) -> None:
    logging.getLogger("careless").info("read %s", NEVER_KEPT[0])
    assert traces(bridge, log_lines, [], NEVER_KEPT) == [NEVER_KEPT[0]]
    bridge.post("/v1/events", bridge.event(NEVER_KEPT[1]))
    assert NEVER_KEPT[1] in traces(bridge, log_lines, [], NEVER_KEPT)


def test_a_patient_is_nowhere_in_the_clear_after_scans_and_events(bridge: Bridge, log_lines: list[str]) -> None:
    _, code = bridge.e_card()
    bridge.resolve(code, "C1")
    bridge.resolve(CARD)
    bridge.post("/v1/scans", bridge.scan("s1"))
    bridge.post("/v1/events", bridge.event("e1", data={"name": "欧阳修竹", "queue_no": 1}))
    assert traces(bridge, log_lines, [], [CARD]) == []
    kept = b"".join(path.read_bytes() for path in bridge.folder.iterdir()) + "\n".join(log_lines).encode()
    for name in ("王小明", "欧阳修竹"):
        assert name.encode() not in kept
