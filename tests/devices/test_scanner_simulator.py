"""The scanner simulator as a process: orders over HTTP, a cable to pull, a clean end."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.port import DeviceState
from tests.devices.conftest import Rig, serial

ROOT = Path(__file__).resolve().parents[2]


class Simulator:
    def __init__(self, folder: Path, *arguments: str) -> None:
        ready = folder / "ready.json"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulators.scanner", "--ready-file", str(ready), *arguments],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        said = json.loads(ready.read_text())
        self.control, self.device = said["control"], said["device"]

    def order(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(self.control + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(5)


@pytest.fixture
def scanner(tmp_path: Path) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path, "--link", str(tmp_path / "by-path-scanner"))
    yield simulator
    simulator.end()


def test_a_scan_ordered_over_http_is_read_from_the_pty(rig: Rig, scanner: Simulator) -> None:
    rig.online(serial("c1", scanner.device))
    answer = scanner.order("/scan", text="8712", suffix="\r\n", chunk=True, baud=115200)
    rig.wait(lambda: rig.readings)
    assert (rig.texts, answer["sent"]) == (["8712"], 6)
    assert rig.readings[0].t_read - answer["t_last"] < 1
    scanner.order("/scan", hex="d5c5ceb0")
    rig.wait(lambda: rig.texts[-1] == "张伟")
    scanner.order("/burst", texts=["8713", "8714"], suffixes=["\n"])
    rig.wait(lambda: rig.texts[-2:] == ["8713", "8714"])


def test_its_cable_can_be_pulled_and_plugged_under_a_new_node(rig: Rig, scanner: Simulator) -> None:
    rig.online(serial("c1", scanner.device))
    before = scanner.order("/state")["node"]
    scanner.order("/unplug")
    rig.wait_for("c1", DeviceState.BACKOFF)
    with pytest.raises(urllib.error.HTTPError) as refused:
        scanner.order("/scan", text="8712")
    assert refused.value.code == 409
    refused.value.close()
    assert scanner.order("/plug")["node"] != before
    rig.wait_for("c1", DeviceState.ONLINE)


def test_a_wrong_order_is_answered_and_changes_nothing(scanner: Simulator) -> None:
    for path, body, status in (("/scan", {}, 400), ("/scan", {"hex": "x"}, 400), ("/dance", {}, 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            scanner.order(path, **body)
        assert refused.value.code == status
        refused.value.close()
    assert scanner.order("/state")["plugged"]


def test_it_ends_cleanly_on_sigterm_and_takes_its_link_along(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--link", str(tmp_path / "link"))
    assert (tmp_path / "link").exists()
    assert simulator.end() == 0
    assert sorted(tmp_path.iterdir()) == []


def test_it_can_be_a_scanner_on_the_network(rig: Rig, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path, "--tcp", "--greeting", "8700\r")
    rig.online(serial("c1", simulator.device))
    rig.wait(lambda: rig.texts == ["8700"])
    simulator.order("/scan", text="8712")
    rig.wait(lambda: rig.texts == ["8700", "8712"])
    rig.supervisor.stop()
    assert simulator.end() == 0
