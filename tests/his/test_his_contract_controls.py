"""The suite's own control: a HIS that doubles, mixes people up or adds up wrongly does not pass it."""

from collections.abc import Callable, Iterator

import pytest

from his.gateway import Gateway
from his.port import HisError, Op
from his.rest import RestAdapter, RestOptions
from tests.contracts import subject_rest, test_contract_reads, test_contract_writes
from tests.contracts.subject import Subject
from tests.support.sims import HisSim, start_his


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subject, HisSim]]:
    sim = start_his(tmp_path_factory.mktemp("sick"))
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": sim.url, "token": sim.token})))
    yield subject_rest.subject_of("rest", sim, his), sim
    his.close()
    sim.stop()


def test_a_his_that_books_a_repeated_op_key_again_is_caught(sick: tuple[Subject, HisSim]) -> None:
    subject, sim = sick
    sim.fault("none", dedup=False)
    try:
        with pytest.raises(AssertionError):
            test_contract_writes.test_the_same_op_key_again_is_one_row_and_the_same_answer(subject, Op.BOOK)
        with pytest.raises(AssertionError):
            test_contract_writes.test_a_top_up_is_credited_once_and_stands_in_the_days_account(subject)
    finally:
        sim.fault("none")


@pytest.mark.parametrize(
    ("mode", "case"),
    [
        (
            "wrong_record",
            lambda it: test_contract_reads.test_a_patient_is_found_by_each_key_and_is_the_same(it, "card_no"),
        ),
        ("wrong_sums", test_contract_reads.test_pending_charges_sum_to_their_total),
    ],
    ids=["wrong_record", "wrong_sums"],
)
def test_a_his_that_answers_about_others_or_adds_up_wrongly_is_caught(
    sick: tuple[Subject, HisSim], mode: str, case: Callable[[Subject], None]
) -> None:
    subject, sim = sick
    sim.fault(mode)
    try:
        with pytest.raises((AssertionError, HisError)):
            case(subject)
    finally:
        sim.fault("none")
