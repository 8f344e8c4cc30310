"""The OpenAPI document is valid, complete and true; no JSON whatever makes a call fail; the reference page reads well."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic import TypeAdapter

import bridge as door
from bridge import openapi
from bridge.models import EventsOut, OutcomeOut, ProblemOut, ScansOut
from bridge.problems import PROBLEMS
from core.codes.classify import CodeClass
from core.outcomes import Outcome
from his.port import HisEventKind
from tests.bridge.conftest import CARD, SCOPES, Bridge, problem
from tests.support.browser import violations


def test_the_document_is_a_valid_openapi_3_1_document() -> None:
    validate(openapi.document(), cls=OpenAPIV31SpecValidator)


def test_the_check_of_the_document_finds_a_fault() -> None:
    broken = openapi.document()
    broken["paths"]["/bridge/v1/scans"]["get"]["responses"] = {"nonsense": 1}
    with pytest.raises(Exception, match="nonsense"):
        validate(broken, cls=OpenAPIV31SpecValidator)


def test_the_document_has_every_route_and_no_other(bridge: Bridge) -> None:
    served = {
        (rule.rule, method.lower())
        for rule in bridge.app.url_map.iter_rules()
        if rule.rule.startswith("/bridge/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {(path, method) for path, item in openapi.document()["paths"].items() for method in item}
    assert served == told
    assert {operation.scope.value for operation in openapi.OPERATIONS} == set(SCOPES)


def test_the_document_is_served_without_a_token_and_is_the_same_each_time(bridge: Bridge) -> None:
    first, second = (bridge.call("GET", "/openapi.json", "") for _ in range(2))
    assert first.status_code == 200
    assert first.headers["Content-Type"] == "application/json"
    assert first.text == second.text
    assert first.json() == openapi.document()


def test_every_problem_code_is_told_of_some_call(bridge: Bridge) -> None:
    told = {code for operation in openapi.OPERATIONS for code in operation.codes}
    assert set(PROBLEMS) - told == {"not_found", "method_not_allowed", "bad_request"}


def test_every_refusal_of_the_services_has_a_status() -> None:
    from pathlib import Path

    root = Path(door.__file__).parents[1]
    source = "".join(
        (root / name).read_text("utf-8")
        for name in ("services/bridge_scans.py", "bridge/routes.py", "bridge/reading.py")
    )
    admit = (root / "services/bridge_clients.py").read_text("utf-8").split("def admit")[1].split("def _networks")[0]
    codes = re.findall(r'(?:Refusal|BadInput)\(\s*"([a-z_.]+)"', source + admit)
    assert len(codes) >= 12
    assert set(codes) <= set(PROBLEMS)


def test_real_answers_are_what_the_document_says(bridge: Bridge) -> None:
    outcome, scans, events = TypeAdapter(OutcomeOut), TypeAdapter(ScansOut), TypeAdapter(EventsOut)
    _, code = bridge.e_card()
    for text in (CARD, code, code, "W202600010101", "135902746183920574", "x"):
        for station in (None, "C1", "C2"):
            outcome.validate_python(bridge.resolve(text, station))
    outcome.validate_python(bridge.post("/v1/scans", bridge.scan("a")).json())
    scans.validate_python(bridge.call("GET", "/v1/scans").json())
    events.validate_python(bridge.post("/v1/events", [bridge.event("a"), bridge.event("a"), 1]).json())
    for answer in (bridge.call("GET", "/nothing"), bridge.post("/v1/events", {}), bridge.call("GET", "/v1/scans", "")):
        ProblemOut.model_validate(answer.json())
    enums = openapi.document()["components"]["schemas"]
    assert enums["Outcome"]["enum"] == [one.value for one in Outcome]
    assert enums["CodeClass"]["enum"] == [one.value for one in CodeClass]


def test_the_examples_shown_are_taken(bridge: Bridge) -> None:
    for operation in openapi.OPERATIONS:
        body = dict(operation.sent)
        if "scan_id" in body:
            body["at"] = bridge.parts.clock.now().isoformat()
        path = operation.path.removeprefix("/bridge")
        answer = bridge.post(path, body) if operation.takes else bridge.call("GET", path, params=body)
        assert answer.status_code == 200, answer.text


# ---------------------------------------------------------------- any JSON at all

words = st.sampled_from(
    ["code", "station", "scan_id", "device", "text", "raw_hex", "at", "event_id", "kind", "patient_id", "ref", "data",
     "symbology", "C1", "Q1", "admitted", "queue_called", "clinic_stopped", "2026-11-24T09:30:12+08:00", "00", CARD, "a"]
)  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words,
    st.text(max_size=40), st.text(alphabet="\x00\x1d\ud800\udfff𠮷䶮'\"%\\", max_size=8),
)  # fmt: skip
anything = st.recursive(
    leaves, lambda more: st.one_of(st.lists(more, max_size=4), st.dictionaries(words | st.text(max_size=6), more, max_size=6)),
    max_leaves=12,
)  # fmt: skip
tags = st.text(alphabet="abAB019._-:", min_size=1, max_size=6)
fits = {
    "/v1/codes/resolve": st.fixed_dictionaries({"code": st.text(min_size=1, max_size=30)}, optional={"station": st.just("C1")}),
    "/v1/scans": st.fixed_dictionaries(
        {"scan_id": tags, "station": st.sampled_from(["C1", "C2"]), "device": tags, "text": st.text(min_size=1, max_size=30)},
        optional={"symbology": tags},
    ),
    "/v1/events": st.fixed_dictionaries(
        {"event_id": tags, "kind": st.sampled_from([kind.value for kind in HisEventKind]), "patient_id": tags, "ref": tags,
         "at": st.integers(946_771_200, 4_070_908_800).map(lambda at: datetime.fromtimestamp(at, UTC).isoformat())},
        optional={"data": st.dictionaries(st.sampled_from(["queue_no", "name", "station", "room"]), st.integers(0, 999) | st.text(max_size=20))},
    ),
}  # fmt: skip
"""Bodies that fit; a scan's time is put in when it is sent."""
spoilt = st.dictionaries(words, leaves, max_size=2)


def bodies(path: str) -> st.SearchStrategy[Any]:
    """Anything, what fits, and what nearly fits."""
    near = st.builds(lambda fit, wrong: {**fit, **wrong}, fits[path], spoilt)
    lists = st.lists(fits[path] | near | leaves, max_size=4)
    return st.one_of(fits[path], near, lists, anything)


def dated(body: Any, at: str) -> Any:
    """A scan with its time, unless it was spoilt."""
    return {"at": at, **body} if isinstance(body, dict) and "scan_id" in body else body


@pytest.mark.parametrize("path", list(fits))
def test_no_json_whatever_makes_a_call_fail(fuzzed: Bridge, path: str) -> None:
    told = openapi.document()["paths"][f"/bridge{path}"]["post"]["responses"]
    statuses: Counter[int] = Counter()

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=bodies(path))
    def send(body: Any) -> None:
        answer = fuzzed.app.test_client().post(
            f"/bridge{path}", data=json.dumps(dated(body, fuzzed.parts.clock.now().isoformat())),
            content_type="application/json", headers={"Authorization": f"Bearer {fuzzed.token}"},
        )  # fmt: skip
        assert answer.status_code in (200, 400, 409, 422), answer.text
        assert str(answer.status_code) in told
        assert answer.content_type == ("application/json" if answer.status_code == 200 else "application/problem+json")
        statuses[answer.status_code] += 1

    send()
    assert statuses[200] > 30, "many of them must get through, or nothing was tried"
    assert statuses[422] > 30


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(query=st.dictionaries(st.sampled_from(["since", "limit", "station", "x"]), st.text(max_size=25), max_size=3))
def test_no_query_whatever_makes_a_call_fail(fuzzed: Bridge, query: dict[str, str]) -> None:
    answer = fuzzed.app.test_client().get(
        "/bridge/v1/scans", query_string={key: value.encode("utf-8", "replace") for key, value in query.items()},
        headers={"Authorization": f"Bearer {fuzzed.token}"},
    )  # fmt: skip
    assert answer.status_code in (200, 409, 422), answer.text


@pytest.fixture
def fuzzed(make_bridge: Any) -> Bridge:
    """One bridge for all examples of a test."""
    made: Bridge = make_bridge(bridge={"requests_per_minute": 60_000})
    return made


# ---------------------------------------------------------------- the page


def test_the_reference_page_has_no_script_and_every_call_and_problem(bridge: Bridge) -> None:
    answer = bridge.call("GET", "/docs", "")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    for needed in (*PROBLEMS, *(operation.path for operation in openapi.OPERATIONS), *SCOPES):
        assert needed in answer.text
    ids = re.findall(r'id="([^"]+)"', answer.text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', answer.text)) <= set(ids)
    problem(bridge.call("POST", "/docs"), 405, "method_not_allowed")


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_reference_page_passes_axe_and_loads_only_what_is_ours(
    bridge: Bridge, chromium: Any, width: int, dark: bool, tmp_path: Any
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", bypass_csp=False
    )
    asked, said = [], []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    try:
        page.goto(f"{bridge.url}/bridge/docs")
        page.screenshot(path=str(tmp_path / f"docs-{width}-{'dark' if dark else 'light'}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert said == []
        assert all(url.startswith((bridge.url, "data:,")) for url in asked)
        assert violations(page) == []
    finally:
        context.close()
