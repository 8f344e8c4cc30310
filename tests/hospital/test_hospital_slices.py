"""Short time slices are asked of the kernel for this thread and those it starts, and nothing else changes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, re, threading
from pathlib import Path
from hospital.slices import ask_for_short_slices
def slice_ns():
    text = Path(f"/proc/self/task/{threading.get_native_id()}/sched").read_text()
    found = re.search(r"se.slice +: +(\\d+)", text)
    return int(found[1]) if found else -1
os.nice(3)
before = slice_ns()
print(ask_for_short_slices())
inner = []
thread = threading.Thread(target=lambda: inner.append(slice_ns()))
thread.start(); thread.join()
print(before, slice_ns(), inner[0], os.nice(0), os.sched_getscheduler(0))
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux has the call")
def test_threads_started_afterwards_have_the_short_slice_and_niceness_stays() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=20, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    asked, figures = ran.stdout.split("\n", 1)
    before, own, inner, nice, policy = map(int, figures.split())
    assert (nice, policy) == (3 + os.nice(0), os.SCHED_OTHER)
    if asked != "True" or before < 0 or own == before:
        pytest.skip("this kernel grants no slices of one's own, or does not show them")
    assert own == inner == 100_000


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux has the policy")
def test_a_process_of_lower_priority_and_its_threads_run_as_batch_work() -> None:
    program = """
import os, threading
from hospital.server import lower_priority
before = os.nice(0)
lower_priority(5)
inner = []
thread = threading.Thread(target=lambda: inner.append(os.sched_getscheduler(0)))
thread.start(); thread.join()
print(os.nice(0) - before, os.sched_getscheduler(0), inner[0])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.stdout.split() == ["5", str(os.SCHED_BATCH), str(os.SCHED_BATCH)]
