"""The rest adapter with renhe-json against the simulated HIS, beyond what tests/contracts asks of every adapter."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from pydantic import ValidationError

from core.clock import SHANGHAI
from his.faults import Broken
from his.gateway import Gateway
from his.mapping import Mapper, load
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionStatus,
    CardKind,
    CardStatus,
    Ctx,
    HealthQuery,
    HisPort,
    NotFound,
    Op,
    Patient,
    PatientQuery,
    Sex,
    Unavailable,
)
from his.rest import RestOptions
from tests.support.sims import HisSim

RENHE = Mapper(load("renhe-json"))


def read_patient(data: dict[str, object]) -> Patient:
    return RENHE.answer(PatientQuery(patient_id="P1"), {"code": "0", "data": data})


def read_admission(data: dict[str, object]) -> Admission:
    return RENHE.answer(AdmissionQuery(admission_no="1"), {"code": "0", "data": data})


Make = Callable[..., Gateway]
CTX = Ctx(deadline_s=5)


def test_the_adapter_is_a_his_port_and_says_what_it_can(make_his: Make) -> None:
    his: HisPort = make_his()
    assert his.capabilities == frozenset(Op)
    his.ask(HealthQuery(), CTX)


def test_a_patient_is_found_by_card_and_by_id(make_his: Make) -> None:
    his = make_his()
    fetched = his.ask(PatientQuery(card_no="600000000017"), CTX)
    patient = fetched.value
    assert (patient.patient_id, patient.name, patient.sex) == ("P0000001", "王小明", Sex.MALE)
    assert patient.birth_date == date(1985, 3, 12)
    assert (patient.id_no, patient.phone, patient.deceased) == ("990101198503120037", "19900000001", False)
    assert [(card.card_no, card.kind, card.status) for card in patient.cards] == [
        ("600000000017", CardKind.CLINIC, CardStatus.ACTIVE)
    ]
    assert not fetched.stale
    assert abs(datetime.now(SHANGHAI) - fetched.fetched_at) < timedelta(seconds=30)
    assert his.ask(PatientQuery(patient_id="P0000001"), CTX).value == patient


def test_a_lost_card_answers_with_its_status_and_the_new_card(make_his: Make) -> None:
    cards = make_his().ask(PatientQuery(card_no="600000000187"), CTX).value.cards
    assert [(card.card_no, card.status) for card in cards] == [
        ("600000000187", CardStatus.LOST),
        ("600000006834", CardStatus.ACTIVE),
    ]


def test_a_deceased_patient_says_so_and_a_child_has_a_birth_date(make_his: Make) -> None:
    his = make_his()
    assert his.ask(PatientQuery(card_no="600000000102"), CTX).value.deceased
    assert his.ask(PatientQuery(card_no="600000000085"), CTX).value.birth_date == date(2019, 6, 1)


@pytest.mark.parametrize("card_no", ["600000000018", "", "600000000017 ", "'; DROP TABLE cards--", "9" * 4000, "王"])
def test_an_unknown_card_is_not_found(make_his: Make, card_no: str) -> None:
    with pytest.raises(NotFound):
        make_his().ask(PatientQuery(card_no=card_no), CTX)


def test_a_stay_is_found_by_wristband_by_number_and_by_patient(make_his: Make) -> None:
    his = make_his()
    stay = his.ask(AdmissionQuery(wristband_no="W202600010101"), CTX).value
    assert (stay.admission_no, stay.admission_seq, stay.status) == ("2026000101", 1, AdmissionStatus.ADMITTED)
    assert (stay.ward_code, stay.ward_name, stay.bed_no) == ("W01", "心血管内科病区", "03")
    assert stay.patient.name == "李秀英"
    assert stay.admitted_at.tzinfo is SHANGHAI
    assert stay.discharged_at is None
    assert his.ask(AdmissionQuery(admission_no="2026000101"), CTX).value == stay
    assert his.ask(AdmissionQuery(patient_id="P0000002"), CTX).value == stay


def test_a_wristband_of_a_former_stay_stays_discharged_while_the_number_means_the_current_one(make_his: Make) -> None:
    his = make_his()
    former = his.ask(AdmissionQuery(wristband_no="W202600010601"), CTX).value
    assert former.status is AdmissionStatus.DISCHARGED
    assert former.discharged_at is not None
    assert former.discharged_at > former.admitted_at
    assert his.ask(AdmissionQuery(admission_no="2026000106"), CTX).value.admission_seq == 2


def test_a_patient_who_was_never_admitted_is_not_found(make_his: Make) -> None:
    with pytest.raises(NotFound):
        make_his().ask(AdmissionQuery(patient_id="P0000001"), CTX)


def test_a_query_needs_exactly_one_key() -> None:
    for wrong in (lambda: PatientQuery(), lambda: PatientQuery(card_no="1", patient_id="2"), lambda: AdmissionQuery()):
        with pytest.raises(ValueError, match="ask by"):
            wrong()


def test_codes_nobody_listed_become_unknown_and_are_never_guessed() -> None:
    patient = {"patient_id": "P1", "name": "某", "sex": "9", "birth_date": "1985-02-30", "deceased": "no",
               "cards": [{"card_no": "1", "kind": "77", "status": "x"}], "id_no": None, "phone": "-1"}  # fmt: skip
    read = read_patient(patient)
    assert (read.sex, read.birth_date, read.deceased, read.id_no, read.phone) == (Sex.UNKNOWN, None, False, "", "")
    assert (read.cards[0].kind, read.cards[0].status) == (CardKind.UNKNOWN, CardStatus.UNKNOWN)
    stay = {"admission_no": "1", "admission_seq": 1, "patient": patient, "status": "Z",
            "admitted_at": "2026-11-22 08:00:00"}  # fmt: skip
    assert read_admission(stay).status is AdmissionStatus.UNKNOWN


@pytest.mark.parametrize(
    "change",
    [{"admission_seq": "x"}, {"admission_seq": 0}, {"patient": None}, {"admitted_at": "22/11/2026"},
     {"admitted_at": "2026-13-22 08:00:00"}, {"admission_no": ""}],
)  # fmt: skip
def test_a_stay_that_cannot_be_told_is_a_bad_reply(change: dict[str, object]) -> None:
    stay = {"admission_no": "1", "admission_seq": 1, "patient": {"patient_id": "P1", "name": "某"}, "status": "I",
            "admitted_at": "2026-11-22 08:00:00", **change}  # fmt: skip
    with pytest.raises(Broken, match="bad_reply"):
        read_admission(stay)


def test_many_threads_through_few_connections_each_get_their_own_patient(make_his: Make, sim: HisSim) -> None:
    his, wrong = make_his(pool_size=3), []

    def ask(number: int) -> None:
        for _ in range(15):
            card_no = str(600_000_000_000 + 17 * number)
            got = his.ask(PatientQuery(card_no=card_no), Ctx(deadline_s=20)).value.patient_id
            if got != f"P{number:07d}":
                wrong.append((number, got))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(21, 37)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_wrong_token_is_unavailable_and_says_why(make_his: Make) -> None:
    with pytest.raises(Unavailable) as caught:
        make_his(token="another").ask(HealthQuery(), CTX)
    assert caught.value.reason == "unauthorized"


def test_after_close_nothing_is_sent(make_his: Make, sim: HisSim) -> None:
    his = make_his()
    his.ask(HealthQuery(), CTX)
    his.close()
    before = sim.calls("health")
    with pytest.raises(Unavailable, match="closed"):
        his.ask(HealthQuery(), CTX)
    assert sim.calls("health") == before


def test_options_refuse_what_is_no_address_and_never_show_the_token() -> None:
    for url in ("ftp://x", "http://user:secret@his", "10.1.2.3:8080", "http://his?x=1", "http://"):
        with pytest.raises(ValidationError):
            RestOptions(base_url=url, token="t")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        RestOptions.model_validate({"base_url": "http://his", "token": "t", "retries": 3})
    assert "s3cret" not in repr(RestOptions.model_validate({"base_url": "http://his", "token": "s3cret"}))
