"""`hospital his check` and `his adapters`: each operation a line, what is wrong with file and line, and never a write."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from his.mapping.load import VENDORS
from his.port import COMMANDS, Op
from hospital.cli import main
from tests.support.his_check import run, write_config
from tests.support.sims import HisSim

RENHE = (VENDORS / "renhe-json.yaml").read_text("utf-8")


@pytest.fixture
def home(tmp_path: Path, his: HisSim) -> Path:
    configure(tmp_path, his)
    return tmp_path


def configure(home: Path, his: HisSim, **options: Any) -> None:
    write_config(home, "rest", {"base_url": his.url, "token": his.token, **options})


def mapping(home: Path, his: HisSim, old: str, new: str) -> int:
    """Use renhe-json with one text changed; the line of the change."""
    assert RENHE.count(old) >= 1
    (home / "ours.yaml").write_text(RENHE.replace(old, new, 1), "utf-8")
    configure(home, his, mapping="ours.yaml")
    return RENHE[: RENHE.index(old)].count("\n") + 1


def test_every_operation_gets_its_line_and_no_write_is_ever_sent(home: Path, his: HisSim) -> None:
    before = his.calls()
    code, said = run(home, "check")
    assert code == 0, said
    named = dict(re.findall(r"^(ok  |--  |FAIL)  (\w+) ", said, re.MULTILINE)[i][::-1] for i in range(len(Op)))
    assert set(named) == {op.value for op in Op}
    assert "FAIL" not in named.values()
    after = his.calls()
    asked = {op for op in after if after[op] != before.get(op, 0)}
    assert asked & {command.op.value for command in COMMANDS} == set()
    assert after["query_op"] - before.get("query_op", 0) == len(COMMANDS)


def test_a_his_that_is_gone_says_for_each_operation_what_to_do(home: Path, his: HisSim) -> None:
    his.fault("down")
    code, said = run(home, "check")
    assert code == 1
    assert "refused; nothing listens at that address" in said
    assert said.count("FAIL") == len(Op) - 2  # slots and a visit hang on lists that did not come


def test_a_wrong_token_is_named(home: Path, his: HisSim) -> None:
    configure(home, his, token="another")
    code, said = run(home, "check")
    assert (code, "unauthorized; it does not take our token" in said) == (1, True)


def test_a_reply_that_does_not_fit_names_field_and_key_of_the_mapping(home: Path, his: HisSim) -> None:
    line = mapping(
        home, his, "Admission: {admission_seq: {min: 1}}", "Admission: {admission_seq: {path: times, min: 1}}"
    )
    code, said = run(home, "check")
    assert code == 1
    (told,) = [row for row in said.splitlines() if " query_admission " in row]
    assert told.startswith("FAIL")
    at = f"ours.yaml, line {line}: types.Admission.admission_seq: Admission.admission_seq must be there and is not"
    assert at in told


def test_an_unlisted_code_is_named(home: Path, his: HisSim) -> None:
    mapping(home, his, 'ok: ["0"]', 'ok: ["000"]')
    code, said = run(home, "check")
    assert code == 1
    assert 'operations.balance.codes: the code "0" stands in no list' in said


def test_a_mapping_with_a_fault_is_one_sentence_with_file_and_line(home: Path, his: HisSim) -> None:
    line = mapping(home, his, "answer: departments", "anwser: departments")
    code, said = run(home, "check")
    assert code == 2
    assert said.startswith(f"hospital: ours.yaml, line {line}: operations.list_departments.anwser: is not a known key")


def test_the_bundled_replies_are_read_as_expected_without_asking_anybody(home: Path, his: HisSim) -> None:
    before = his.calls()
    code, said = run(home, "check", "--offline")
    assert code == 0, said
    assert int(re.search(r"(\d+) recorded replies, 0 not", said)[1]) >= 40
    assert his.calls() == before


def test_a_changed_mapping_fails_its_replies_with_file_and_line(home: Path, his: HisSim) -> None:
    mapping(home, his, '"1": male, "2": female', '"2": male, "1": female')
    code, said = run(home, "check", "--offline", "--fixtures", str(VENDORS / "renhe-json"))
    assert code == 1
    text = (VENDORS / "renhe-json" / "query_patient.yaml").read_text("utf-8")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.strip() == "sex: male")
    assert f'query_patient.yaml, line {line}: expect.sex: should be "male", the mapping gives "female"' in said


@pytest.mark.parametrize(
    ("fixture", "line", "words"),
    [
        ("op: balance\nreply: '{}'\n", 2, "ends as bad_reply, not as ok: renhe-json.yaml, line"),
        ('op: balance\nreply: \'{"code": "1"}\'\noutcome: rejected\n', 3, "ends as not_found, not as rejected"),
        ("op: book\nasked: {op_key: k}\nreply: '{}'\n", 2, "is no question for book"),
        ("op: bok\nreply: '{}'\n", 1, "should be 'health'"),
        ("op: balance\nreply: '{}'\nexpected: {}\n", 3, "did you mean expect"),
    ],
)
def test_a_wrong_fixture_is_named_with_its_line(home: Path, his: HisSim, fixture: str, line: int, words: str) -> None:
    (home / "fx").mkdir()
    asked = "" if "asked" in fixture else "asked: {patient_id: P1}\n"
    (home / "fx" / "one.yaml").write_text(fixture + asked, "utf-8")
    code, said = run(home, "check", "--offline", "--fixtures", "fx")
    assert code in (1, 2)
    assert f"one.yaml, line {line}: " in said
    assert words in said


def test_replies_are_recorded_for_this_user_only_without_anybodys_numbers_and_replay(home: Path, his: HisSim) -> None:
    code, said = run(home, "check", "--record", "--fixtures", "fx")
    assert code == 0, said
    kept = {path.stem: path for path in (home / "fx").iterdir()}
    assert {"query_patient", "list_slots", "visit", "report", "query_admission"} <= set(kept)
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.values()} == {0o600}
    everything = "".join(path.read_text("utf-8") for path in kept.values())
    for secret in ("990101198503120037", "19900000001", "王小明", "李秀英", his.token):
        assert secret not in everything
    code, said = run(home, "check", "--offline", "--fixtures", "fx")
    assert (code, f"{len(kept)} recorded replies, 0 not" in said) == (0, True), said


def test_questions_may_be_chosen_in_the_configuration(home: Path, his: HisSim) -> None:
    config = yaml.safe_load((home / "config.yaml").read_text("utf-8"))
    config["his"]["check"] = {"query_patient": {"card_no": "600000000018"}, "list_visits": {"patient_id": "P0000007"}}
    (home / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    code, said = run(home, "check")
    assert code == 0
    assert re.search(r"query_patient .*holds no such thing", said)
    config["his"]["check"] = {"query_patient": {"card": "600000000018"}}
    (home / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    code, said = run(home, "check")
    assert (code, "his.check.query_patient: is no question" in said) == (2, True), said


def test_adapters_are_listed_with_their_options_and_the_bundled_mappings() -> None:
    done = CliRunner().invoke(main, ["his", "adapters"])
    assert done.exit_code == 0
    assert re.search(r"^rest: ", done.output, re.MULTILINE)
    assert "  mapping [renhe-json]: A bundled mapping by its name" in done.output
    assert "  base_url [required]: " in done.output
    assert re.search(r"bundled mappings: .*form-gb2312-md5.*renhe-json", done.output)
