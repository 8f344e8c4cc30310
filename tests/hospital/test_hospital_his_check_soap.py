"""`hospital his check` on a SOAP service: the WSDL first, then every operation, then recorded replies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from his.mapping.load import VENDORS
from his.port import COMMANDS, Op
from simulators.his.wsdl import wsdl
from tests.support.his_check import run, write_config
from tests.support.sims import HisSim, start_his

RENHE = (VENDORS / "renhe-soap.yaml").read_text("utf-8")


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HisSim]:
    started = start_his(tmp_path_factory.mktemp("his"), soap=True)
    yield started
    started.stop()


@pytest.fixture
def home(tmp_path: Path, sim: HisSim) -> Iterator[Path]:
    configure(tmp_path, sim)
    yield tmp_path
    sim.fault("none")


def configure(home: Path, sim: HisSim, **options: Any) -> None:
    given = {"url": sim.soap_url, "token": sim.token, "wsdl": f"{sim.soap_url}?wsdl", **options}
    write_config(home, "soap", given)


def test_wsdl_operations_and_recorded_replies_are_all_well_and_no_write_is_ever_sent(home: Path, sim: HisSim) -> None:
    before = sim.calls()
    code, said = run(home, "check")
    assert code == 0, said
    assert "the mapping is what the WSDL says" in said
    assert set(re.findall(r"^(?:ok  |--  )  (\w+) ", said, re.MULTILINE)) == {op.value for op in Op}
    assert int(re.search(r"(\d+) recorded replies, 0 not", said)[1]) >= 40  # type: ignore[index]
    after = sim.calls()
    asked = {op for op in after if after[op] != before.get(op, 0)}
    assert asked & {command.op.value for command in COMMANDS} == set()


def test_what_the_wsdl_does_not_have_is_named_with_file_and_line(home: Path, sim: HisSim) -> None:
    (home / "ours.yaml").write_text(RENHE.replace("hosCode: $campus_code~", "hospCode: $campus_code~"), "utf-8")
    configure(home, sim, mapping="ours.yaml")
    code, said = run(home, "check")
    line = RENHE[: RENHE.index("hosCode: $campus_code~")].count("\n") + 1
    assert code == 1
    at = f"FAIL  ours.yaml, line {line}: operations.list_departments.request.hospCode: GetDeptInfo has no argument hospCode"
    assert at in said


def test_a_wsdl_beside_the_configuration_is_compared_without_asking_anybody(home: Path, sim: HisSim) -> None:
    configure(home, sim, wsdl="his.wsdl")
    code, said = run(home, "check", "--offline")
    assert (code, "his.wsdl: his.options.wsdl: cannot be read (No such file or directory)" in said) == (1, True)
    (home / "his.wsdl").write_bytes(wsdl(sim.soap_url))
    before = sim.calls()
    code, said = run(home, "check", "--offline")
    assert (code, "the mapping is what the WSDL says" in said) == (0, True)
    assert sim.calls() == before
    configure(home, sim)
    code, said = run(home, "check", "--offline")
    assert (code, "WSDL" in said) == (0, False)


def test_a_wrong_token_and_a_fault_are_said_for_each_operation(home: Path, sim: HisSim) -> None:
    configure(home, sim, token="another")
    code, said = run(home, "check")
    assert (code, "unauthorized; it does not take our token" in said) == (1, True)


def test_what_is_recorded_from_the_service_replays_without_it(home: Path) -> None:
    code, said = run(home, "check", "--record", "--fixtures", "kept")
    assert code == 0, said
    kept = yaml.safe_load((home / "kept" / "query_patient.yaml").read_text("utf-8"))
    assert kept["reply"].startswith("<Response>")
    assert "王小明" not in kept["reply"]
    code, said = run(home, "check", "--offline", "--fixtures", "kept")
    assert code == 0, said
