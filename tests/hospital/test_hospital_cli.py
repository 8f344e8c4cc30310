"""The command line as people meet it: what it makes, what it says, and one sentence with exit 2 when something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hospital.cli import main
from tests.support.hub import HubHouse, ScannerSim, cards
from tests.support.sims import ROOT, HisSim

TOKEN = {"HOSPITAL_HIS_TOKEN": "token-of-tests"}


def hospital(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command in a folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HOSPITAL_")}
    return subprocess.run(
        [sys.executable, "-m", "hospital", *arguments], cwd=cwd, env={**clean, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def inside(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Any:
    """The same command without a process of its own, for the many small cases."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(
            main, arguments, env={**{k: None for k in os.environ if k.startswith("HOSPITAL_")}, **(env or {})}
        )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def assert_refused(done: Any, *words: str) -> None:
    """Exit 2 and one plain sentence that holds these words."""
    assert getattr(done, "returncode", getattr(done, "exit_code", None)) == 2, done
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("hospital: ")
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after `hospital init`; the HIS is named in its configuration, not running."""
    folder = tmp_path_factory.mktemp("home")
    done = hospital("init", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_init_makes_a_documented_configuration_a_private_key_and_a_database_and_overwrites_nothing(home: Path) -> None:
    assert "# " in (home / "config.yaml").read_text()
    key = home / "var" / "data.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (home / "var" / "hospital.db").stat().st_size > 0
    before = {path: path.read_bytes() for path in (key, home / "config.yaml")}
    assert hospital("init", cwd=home).returncode == 0
    assert {path: path.read_bytes() for path in before} == before
    assert hospital("check-config", cwd=home, env=TOKEN).returncode == 0


FAULTS = {
    "unknown key": ("  port: 8000 ", "  prot: 8000 ", ("server.prot", "line", "did you mean port")),
    "wrong type": ("  port: 8000 ", "  port: eight ", ("server.port", "line")),
    "out of range": ("  port: 8000 ", "  port: 80000 ", ("server.port", "line")),
    "unknown section": ("log:", "lgo:", ("lgo", "line")),
    "a pattern that takes pay codes": (r"card: ['60\d{10}']", r"card: ['\d{18}']", ("codes.patterns.card", "WeChat")),
    "a pattern that is none": (r"card: ['60\d{10}']", "card: ['60(']", ("codes.patterns.card", "regular expression")),
    "unknown HIS option": ("    base_url:", "    base_ulr:", ("his.options", "line")),
    "not YAML": ("server:", "server: [", ("YAML", "line")),
    "missing secret file": ("file:var/data.key", "file:var/none.key", ("secrets.data_key", "none.key")),
    "missing environment": ("env:HOSPITAL_HIS_TOKEN", "env:NO_SUCH_NAME", ("NO_SUCH_NAME", "line")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_configuration_is_one_sentence_naming_key_and_line(home: Path, fault: str) -> None:
    old, new, words = FAULTS[fault]
    text = (home / "config.yaml").read_text()
    assert old in text, "the shipped configuration has this line"
    broken = home / "broken.yaml"
    broken.write_text(text.replace(old, new, 1))
    assert_refused(inside("check-config", "--config", "broken.yaml", cwd=home, env=TOKEN), *words)


def test_a_missing_file_and_a_wrong_environment_are_said_plainly(home: Path) -> None:
    assert_refused(hospital("check-config", "--config", "none.yaml", cwd=home), "none.yaml", "hospital init")
    assert_refused(inside("check-config", "--config", "none.yaml", cwd=home), "none.yaml", "hospital init")
    wrong = {**TOKEN, "HOSPITAL_SERVER__PORT": "many"}
    assert_refused(inside("check-config", cwd=home, env=wrong), "HOSPITAL_SERVER__PORT")


@pytest.mark.parametrize("content", [None, "c2hvcnQ="])
def test_serve_refuses_to_start_without_a_sound_data_key(home: Path, content: str | None) -> None:
    text = (home / "config.yaml").read_text().replace("file:var/data.key", "file:var/odd.key")
    (home / "odd.yaml").write_text(text)
    key = home / "var" / "odd.key"
    key.unlink(missing_ok=True)
    if content is not None:
        key.write_text(content)
    done = hospital("serve", "--role", "hub", "--config", "odd.yaml", cwd=home, env=TOKEN)
    assert_refused(done, "secrets.data_key")
    assert content is None or content not in done.stderr
    for odd in ("", "not base64 \u00e9", "AAAA\nAAAA"):
        key.write_text(odd)
        assert_refused(inside("check-config", "--config", "odd.yaml", cwd=home, env=TOKEN), "secrets.data_key")


def test_serve_refuses_a_port_that_is_taken(house: HubHouse) -> None:
    done = hospital("serve", "--role", "hub", "--config", str(house.config), cwd=house.folder)
    assert_refused(done, str(house.port))


def test_stations_are_added_paired_listed_and_revoked(home: Path) -> None:
    assert inside("stations", "add", "C1", "一号窗口", cwd=home, env=TOKEN).exit_code == 0
    ward = ("stations", "add", "W1", "一病区", "--kind", "ward", "--ward", "W01", "--staff-only")
    assert inside(*ward, cwd=home, env=TOKEN).exit_code == 0
    listed = inside("stations", "list", cwd=home, env=TOKEN).stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["C1", "W1"]
    assert "accepts wristband ward W01 staff-only" in listed[1]
    paired = inside("stations", "pair", "C1", "--json", cwd=home, env=TOKEN)
    said = json.loads(paired.stdout)
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", said["pairing_code"])
    assert said["url"].endswith("/screens/C1")
    shown = inside("stations", "pair", "C1", cwd=home, env=TOKEN)
    assert "/screens/C1#pair=" in shown.stdout
    assert len(inside("stations", "pair", "C1", "--token", cwd=home, env=TOKEN).stdout.strip()) == 43
    assert "1 screens" in inside("stations", "revoke", "C1", cwd=home, env=TOKEN).stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("stations", "pair", "NONE"), "NONE"),
        (("stations", "add", "W9", "病区", "--kind", "ward"), "--ward"),
        (("stations", "revoke", "NONE"), "NONE"),
        (("devices", "remove", "NONE"), "NONE"),
        (("devices", "test", "NONE"), "NONE"),
        (("devices", "add", "D1", "扫码器", "-o", "port=/dev/x", "--station", "NONE"), "NONE"),
        (("devices", "add", "D1", "扫码器"), "port"),
        (("devices", "add", "D1", "扫码器", "-o", "port"), "KEY=VALUE"),
        (("devices", "add", "D1", "扫码器", "-o", "port=/dev/x", "-o", "baud=fast"), "baud"),
        (("devices", "add", "D1", "扫码器", "-o", "port=/dev/x", "-o", "colour=red"), "colour"),
        (("devices", "add", "D1", "扫码器", "-o", "port=[/dev/x"), "port"),
    ],
)
def test_a_wrong_word_is_one_sentence(home: Path, arguments: tuple[str, ...], word: str) -> None:
    assert_refused(inside(*arguments, cwd=home, env=TOKEN), word)


def test_his_check_says_yes_or_why_not(house: HubHouse, his: HisSim) -> None:
    done = hospital("his", "check", "--config", str(house.config), cwd=house.folder)
    assert (done.returncode, "query_patient" in done.stdout) == (0, True)
    his.fault("down")
    done = hospital("his", "check", "--config", str(house.config), cwd=house.folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def house(shared_houses: Callable[..., HubHouse]) -> HubHouse:
    house = shared_houses()
    house.start()
    return house


def test_a_running_hub_opens_an_added_device_and_closes_a_removed_one_by_itself(house: HubHouse) -> None:
    """Between the commit and the hub's next look at most two seconds pass; both are said on the screen."""
    config = ("--config", str(house.config))
    scanner = house.scanners["D9"] = ScannerSim(house.folder, "D9")
    screen = house.screen()
    screen.connect()

    def states() -> list[str]:
        return [body["state"] for kind, _, body in screen.seen if kind == "device"]

    added = hospital(
        "devices", "add", "D9", "扫码器九", "--station", "C1", "-o", f"port={scanner.link}", "-o", "baud=115200",
        *config, cwd=house.folder,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    screen.poll_until(lambda: states()[-1:] == ["online"], 10)
    scanner.scan(cards(1)[0])
    screen.poll_until(lambda: screen.outcomes == ["identified"], 5)
    listed = hospital("devices", "list", *config, cwd=house.folder).stdout
    assert "D9\tserial\t扫码器九\tstation C1\ton" in listed
    assert hospital("devices", "add", "D9", "x", "-o", "port=/dev/y", *config, cwd=house.folder).returncode == 2
    assert hospital("devices", "remove", "D9", *config, cwd=house.folder).returncode == 0
    screen.poll_until(lambda: states()[-1:] == ["disabled"], 10)
    assert house.screen().connect()["snapshot"]["devices"] == []
    scanner.scan(cards(2)[1])
    screen.poll(0.5)
    assert screen.outcomes == ["identified"], "nobody listens any more"


def test_devices_test_prints_what_it_reads_but_never_a_pay_code(house: HubHouse, tmp_path: Path) -> None:
    scanner = house.scanners["D8"] = ScannerSim(house.folder, "D8")
    config = ("--config", str(house.config))
    add = ("devices", "add", "D8", "扫码器八", "-o", f"port={scanner.link}", "-o", "baud=115200")
    assert hospital(*add, *config, cwd=house.folder).returncode == 0
    house.stop()
    command = [sys.executable, "-m", "hospital", "devices", "test", "D8", "--seconds", "3", *config]
    listening = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert listening.stdout is not None
    said = [listening.stdout.readline() for _ in range(3)]
    assert any("listening" in line for line in said), said
    for text in ("134567890123456789", cards(1)[0]):
        scanner.scan(text)
    rest, _ = listening.communicate(timeout=20)
    house.start()
    assert "pay_wechat" in rest
    assert "134567890123456789" not in rest
    assert b"134567890123456789".hex() not in rest
    assert f"patient_card\t-\t{cards(1)[0]}" in rest
    assert "2 codes read" in rest


def test_decode_prints_one_json_object_a_line_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    import cv2
    import numpy as np
    import segno

    row = "8712345678901234567890"[:20]
    for name, text in (("pass.png", row), ("pay.png", "134567890123456789")):
        segno.make_qr(text).save(str(tmp_path / name), scale=6, border=4)
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((64, 64), 255, np.uint8))
    done = hospital("decode", "--json", "pass.png", "pay.png", "blank.png", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (
        done.returncode,
        [one["file"].endswith(name) for one, name in zip(found, ("pass.png", "pay.png", "blank.png"), strict=True)],
    ) == (0, [True] * 3)
    assert (found[0]["class"], found[0]["text"], found[0]["symbology"]) == ("e_card", row, "QRCode")
    assert found[1]["class"] == "pay_wechat"
    assert found[2]["text"] is None
    plain = hospital("decode", "pay.png", cwd=tmp_path)
    assert "pay_wechat: [not shown]" in plain.stdout
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    broken = hospital("decode", "--json", "broken.png", "pass.png", "none.png", cwd=tmp_path)
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr
    lines = [json.loads(line) for line in broken.stdout.splitlines()]
    assert ["error" in line for line in lines] == [True, False, True]
