"""The integrator's guide to the Bridge API: its worked example runs with curl, its tables are the code's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doc_pages import ROOT, page

from bridge import openapi
from his.port import HisEventKind
from tests.support.hub import HubHouse

GUIDE = "docs/integrator.md"


def test_the_curl_example_runs_and_answers_as_it_says(make_house: Callable[..., HubHouse], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here: apt install curl")
    house = make_house()
    house.start()
    made = subprocess.run(
        [sys.executable, "-m", "hospital", "bridge", "clients", "add", "his", "--scope", "codes:resolve",
         "--scope", "scans:write", "--scope", "scans:read", "--scope", "events:write", "--config", str(house.config)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    env = {**os.environ, "BASE": f"http://127.0.0.1:{house.port}", "TOKEN": made.stdout.strip()}
    done = subprocess.run(
        ["sh", "-eu"], input=page(GUIDE).example("curl"), cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    at_desk, looked, scan, again, feed, called, repeated, some = (json.loads(line) for line in done.stdout.splitlines())
    assert (at_desk["outcome"], at_desk["station"], at_desk["his"]["card_no"]) == ("identified", "C1", "600000000017")
    assert (looked["seq"], looked["his"]) == (None, at_desk["his"])
    assert scan == again
    assert scan["scan_id"] == "ws7-000042"
    assert [one["scan_id"] for one in feed["scans"]] == [at_desk["scan_id"], "ws7-000042"]
    assert (called["new"], repeated["seen"]) == (1, 1)
    assert (some["new"], some["refused"], some["errors"][0]["index"], some["errors"][0]["pointer"]) == (
        1,
        1,
        1,
        "/kind",
    )
    assert (tmp_path / "bridge.curl").stat().st_mode & 0o077 == 0


def test_the_table_of_calls_is_the_calls() -> None:
    shown = [(row[0].strip("`"), row[1].strip("`")) for row in page(GUIDE).table("bridge")]
    assert shown == [(f"{one.method.upper()} {one.path}", one.scope.value) for one in openapi.OPERATIONS]


def test_the_table_of_events_is_the_kinds() -> None:
    assert [row[0].strip("`") for row in page(GUIDE).table("events")] == [kind.value for kind in HisEventKind]


def test_every_problem_code_named_in_the_guide_exists() -> None:
    from bridge.problems import PROBLEMS

    named: set[Any] = {span for span in page(GUIDE).code if span.split(".")[0] in ("scans", "event", "token", "scan")}
    codes = {span for span in named if "." in span}
    assert codes
    assert codes <= set(PROBLEMS)
