"""The worked examples of the documents run: the listener against a real hub, the JSON through the real readers."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from doc_pages import ROOT, page
from flask import Flask
from werkzeug.routing import Rule

import kiosk_ui
import portal
from bench.rawsio import RawSio
from his.fixtures import load as load_fixtures
from his.fixtures import replay
from his.port import Op, PatientQuery
from his.rest import RestAdapter, RestOptions
from his.soap import SoapAdapter, SoapOptions
from his.soap.envelope import elements
from tests.support.hub import HubHouse, cards

MakeHouse = Callable[..., HubHouse]
WAIT_S = 20


@contextlib.contextmanager
def listener(house: HubHouse, folder: Path, token: str = "") -> Iterator[Queue[dict[str, Any]]]:
    """The example of integrator.md as a process; what it prints."""
    script = folder / "listener.py"
    script.write_text(page("docs/integrator.md").example("listener"), encoding="utf-8")
    url, seq_file = f"http://127.0.0.1:{house.port}", folder / "seq"
    command = [sys.executable, str(script), url, "C1", token or house.tokens["C1"], str(seq_file)]
    heard: Queue[dict[str, Any]] = Queue()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as proc:

        def read() -> None:
            assert proc.stdout
            for line in proc.stdout:
                heard.put(json.loads(line))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield heard
        finally:
            proc.kill()
            thread.join()


def wait_for_file(path: Path, at_least: int = 0) -> None:
    """Until the listener has been greeted, or has noted this seq."""
    for _ in range(WAIT_S * 20):
        noted = path.read_text() if path.exists() else ""
        if noted and int(noted) >= at_least:
            return
        threading.Event().wait(0.05)
    raise AssertionError("the listener did not note it")


def test_the_listener_prints_each_scan_once_and_catches_up_after_its_own_restart(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house, numbers = make_house(), cards(3)
    scanner = house.add_scanner()
    house.start()
    house.await_device()
    with listener(house, tmp_path) as heard:
        wait_for_file(tmp_path / "seq")
        scanner.scan(numbers[0])
        first = heard.get(timeout=WAIT_S)
        wait_for_file(tmp_path / "seq", at_least=first["seq"])  # killed before it noted the scan, it would repeat it
    scanner.scan(numbers[1])
    screen = house.screen()
    screen.last_seq = first["seq"]
    screen.connect()
    screen.poll_until(lambda: screen.outcomes)
    screen.cut()
    with listener(house, tmp_path) as heard:
        second = heard.get(timeout=WAIT_S)
        scanner.scan(numbers[2])
        third = heard.get(timeout=WAIT_S)
        assert heard.empty()
    assert [one["outcome"] for one in (first, second, third)] == ["identified"] * 3
    assert [one["patient"]["card_last4"] for one in (first, second, third)] == [number[-4:] for number in numbers]
    shown = json.loads(page("docs/integrator.md").example("outcome"))
    assert set(first) == set(shown), "the outcome shown has the fields a real one has"
    assert set(first["patient"]) == set(shown["patient"])
    assert set(first["next"]) == set(shown["next"])


def test_a_greeting_and_a_refusal_look_as_the_page_says(make_house: MakeHouse) -> None:
    house = make_house()
    house.start()
    screen = house.screen()
    text = page("docs/integrator.md").text
    keys = re.search(r"`snapshot` is `\{(.+?)\}`;", text)
    assert keys
    said = set(re.findall(r"(\w+)(?=[,:]|$)", re.sub(r"\{[^}]*\}", "", keys[1])))
    snapshot = screen.connect()["snapshot"]
    assert said == set(snapshot)
    line = RawSio(house.port)
    refused = line.call("hello", {"station": "C1", "token": "wrong", "last_seq": None})
    line.close()
    assert refused["ok"] is False
    assert set(refused["error"]) == {"code", "zh", "en"}
    assert f"`{refused['error']['code']}`" in text


def test_the_mapping_shown_is_a_right_one_and_reads_the_reply_shown(tmp_path: Path) -> None:
    doc = page("docs/his/mapping.md")
    (tmp_path / "ours.yaml").write_text(doc.example("mapping"), "utf-8")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "patient.yaml").write_text(doc.example("mapping-fixture"), "utf-8")
    options = {"base_url": "http://his.example", "mapping": str(tmp_path / "ours.yaml"), "token": "t"}
    adapter = RestAdapter(RestOptions.model_validate(options))
    assert adapter.capabilities == {Op.HEALTH, Op.QUERY_PATIENT, Op.BOOK}
    (fixture,) = load_fixtures(adapter.fixtures)
    assert replay(adapter, fixture) == []
    adapter.close()


def test_the_soap_mapping_shown_reads_the_reply_shown_and_sends_what_is_shown(tmp_path: Path) -> None:
    doc = page("docs/his/soap.md")
    (tmp_path / "ours.yaml").write_text(doc.example("soap-mapping"), "utf-8")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "patient.yaml").write_text(doc.example("soap-fixture"), "utf-8")
    options = {"url": "http://his.example/x", "mapping": str(tmp_path / "ours.yaml"), "token": "t"}
    adapter = SoapAdapter(SoapOptions.model_validate(options))
    assert (adapter.capabilities, adapter.resolvable) == ({Op.QUERY_PATIENT, Op.BOOK}, {Op.BOOK})
    (fixture,) = load_fixtures(adapter.fixtures)
    assert replay(adapter, fixture) == []
    sent = adapter.envelope("GetCard").write(elements(adapter.mapper.request(PatientQuery(card_no="600000000017"))))
    shown = re.sub(r">\s+<", "><", doc.example("soap-sent").strip())
    assert sent.decode() == shown
    adapter.close()


# ---------------------------------------------------------------- nginx


def nginx_locations() -> list[tuple[str, str]]:
    """(location, upstream) in the operator's nginx example; regular expressions keep their ``~``."""
    body = next(body for lang, body in page("docs/operator.md").fences if lang == "nginx")
    found = re.findall(r"location ((?:~ )?\S+)\s*\{(?:[^}]*?proxy_pass http://(\w+);|[^}]*?return (\d+);)", body)
    return [(where, upstream or status) for where, upstream, status in found]


def routed(path: str) -> str:
    """Where nginx would send a path: the first fitting expression, else the longest prefix."""
    locations = nginx_locations()
    for where, to in locations:
        if where.startswith("~ ") and re.search(where[2:], path):
            return to
    return max(
        ((w, to) for w, to in locations if not w.startswith("~") and path.startswith(w)), key=lambda pair: len(pair[0])
    )[1]


def test_nginx_sends_every_address_to_the_role_that_serves_it() -> None:
    def paths(blueprint: Any) -> list[str]:
        app = Flask("routes")
        app.register_blueprint(blueprint)
        rules: list[Rule] = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
        return [re.sub(r"<[^>]+>", "x", rule.rule) for rule in rules]

    assert {path: routed(path) for path in [*paths(kiosk_ui.blueprint), "/socket.io/"] if routed(path) != "hub"} == {}
    assert {
        path: routed(path) for path in [*paths(portal.blueprint), "/", "/static/x"] if routed(path) != "portal"
    } == {}
    assert [routed(path) for path in ("/healthz", "/readyz", "/metrics")] == ["404"] * 3


def test_nginx_itself_takes_the_example(tmp_path: Path) -> None:
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("no nginx here: apt install nginx")
    body = next(body for lang, body in page("docs/operator.md").fences if lang == "nginx")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    body = body.replace("/etc/ssl/private/hospital.key", str(key)).replace("/etc/ssl/hospital.pem", str(cert))
    config = tmp_path / "nginx.conf"
    own = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {own} {body} }}")
    done = subprocess.run(
        ["nginx", "-t", "-c", str(config), "-p", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_example_listener_is_plain_python() -> None:
    compile(page("docs/integrator.md").example("listener"), "listener.py", "exec")
    assert (ROOT / "docs/integrator.md").exists()
