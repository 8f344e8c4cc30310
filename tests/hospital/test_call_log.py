"""Every call is written down masked; a read costs its caller next to nothing, a write is never dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from core.clock import SHANGHAI
from core.privacy import Vault
from his.gateway import CallRecord
from his.port import (
    CardApplication,
    Ctx,
    Done,
    HealthQuery,
    IdType,
    IssuedCard,
    Lane,
    NotDone,
    Op,
    Patient,
    PatientCard,
    PatientQuery,
    Sex,
)
from hospital.call_log import CallLog
from store.port_his import HisCall, NotStored
from store.store import Store

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)
CARD, ID_NO, PHONE = "600000000017", "990101198503120037", "19900000001"
WANG = Patient("P0000001", "王小明", Sex.MALE, date(1985, 3, 12), ID_NO, PHONE, cards=(PatientCard(CARD),))
ASKED = PatientQuery(card_no=CARD)
APPLIED = CardApplication("k1", "王小明", Sex.MALE, date(1985, 3, 12), IdType.ID_CARD, ID_NO, PHONE)
CTX = Ctx(actor="station:C1", lane=Lane.SCAN)


def read(n: int = 0, asked: Any = ASKED, answer: Any = WANG) -> CallRecord:
    return CallRecord(NOW, asked.op, "ok", "", float(n), CTX, asked, answer)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'h.db'}", Vault(b"k" * 32))
    yield opened
    opened.close()


def test_a_read_is_written_down_at_the_flush_masked_and_without_its_answer(store: Store) -> None:
    calls = CallLog(store.his_calls)
    calls.record(read())
    assert store.his_calls.latest(5) == []
    calls.flush()
    (line,) = store.his_calls.latest(5)
    assert (line.op, line.actor, line.lane, line.outcome) == ("query_patient", "station:C1", "scan", "ok")
    assert line.patient_id == "P0000001"
    assert line.asked == '{"card_no":"**** 0017","id_no":null,"patient_id":null}'
    assert line.answered == ""
    assert line.at == NOW


def test_a_write_is_written_down_at_once_with_its_masked_answer(store: Store) -> None:
    calls = CallLog(store.his_calls)
    calls.record(CallRecord(NOW, Op.CREATE_CARD, "ok", "", 3.0, CTX, APPLIED, IssuedCard(CARD, WANG)))
    (line,) = store.his_calls.latest(5, "k1")
    assert line.patient_id == "P0000001", "whose it is, as the answer says"
    for secret in (CARD, ID_NO, PHONE, "王小明", "1985-03-12"):
        assert secret not in line.asked + line.answered
    assert "王*明" in line.asked
    assert "**** 0017" in line.answered


def test_what_asking_about_a_write_found_is_the_outcome(store: Store) -> None:
    calls = CallLog(store.his_calls)
    for found in (NotDone(), Done(IssuedCard(CARD, WANG))):
        calls.record(CallRecord(NOW, Op.CREATE_CARD, "ok", "", 3.0, CTX, APPLIED, found, resolving=True))
    done, not_done = store.his_calls.latest(5)
    assert (not_done.outcome, not_done.answered) == ("NotDone", "")
    assert (done.outcome, done.resolving) == ("Done", True)
    assert "**** 0017" in done.answered


def test_pings_are_not_kept_and_the_oldest_reads_go_when_there_is_no_room(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    calls = CallLog(store.his_calls, room=150)
    calls.record(read(asked=HealthQuery()))
    for n in range(200):
        calls.record(read(n))
    calls.record(CallRecord(NOW, Op.CREATE_CARD, "UnknownOutcome", "", 999.0, CTX, APPLIED))
    calls.flush()
    assert sorted(line.ms for line in store.his_calls.latest(500)) == [*range(50, 200), 999]
    assert "50 reads were not written down" in caplog.text


def test_closing_writes_what_is_left(store: Store) -> None:
    calls = CallLog(store.his_calls)
    calls.start()
    calls.record(read())
    calls.close()
    assert len(store.his_calls.latest(5)) == 1


def test_a_database_that_fails_or_an_answer_of_no_type_never_reaches_the_caller(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def add(self, _calls: list[HisCall]) -> None:
            raise NotStored("disk full")

    CallLog(Full()).record(CallRecord(NOW, Op.CREATE_CARD, "ok", "", 3.0, CTX, APPLIED))  # type: ignore[arg-type]
    assert "1 calls were not written down" in caplog.text
    CallLog(store.his_calls).record(CallRecord(NOW, Op.CREATE_CARD, "ok", "", 3.0, CTX, APPLIED, object()))
    assert "cannot be written down" in caplog.text


def test_a_scan_pays_microseconds_for_its_line(store: Store) -> None:
    calls, call = CallLog(store.his_calls), read()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(1000):
            calls.record(call)
        took.append((time.perf_counter() - began) * 1000)
    assert min(took) < 10, f"{min(took):.2f} µs a call"
    print(f"{min(took):.2f} µs a call")
