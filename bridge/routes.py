"""The addresses under /bridge: bearer token, one scope each, no session and no cookie."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol, cast

from flask import Blueprint, Response, current_app, g, render_template, request
from markupsafe import Markup, escape
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from bridge import openapi
from bridge.models import EVENTS_MAX, PARTS, EventIn, Json, ResolveIn, ScanIn, ScansQuery
from bridge.problems import PROBLEMS, BadInput, status_of
from bridge.reading import body, faults_of, fit, query
from core.errors import Refusal
from devices.text import decode
from his.port import HisEvent
from services.bridge_clients import BridgeClientService, Scope
from services.bridge_scans import BridgeScanService, Elsewhere, scopes_show_ids
from services.his_events import HisEventService, Received
from services.scan import Known
from store.port_bridge import BridgeClient

log = logging.getLogger(__name__)
blueprint = Blueprint(
    "bridge", __name__, url_prefix="/bridge", template_folder="templates", static_folder="static",
    static_url_path="/static",
)  # fmt: skip
AT_ONCE = 16
"""Calls handled at once: while the HIS hangs, the bridge must not take the threads of screens and health checks."""
_room = threading.BoundedSemaphore(AT_ONCE)


class Parts(Protocol):
    """What this door needs of the house."""

    bridge_clients: BridgeClientService
    bridge_scans: BridgeScanService
    his_events: HisEventService


def _parts() -> Parts:
    return cast("Parts", current_app.extensions["hospital"])


View = Callable[[BridgeClient], Response]


def needs(scope: Scope) -> Callable[[View], Callable[[], Response]]:
    """Admit the caller before anything of the request is read, and only so many at once."""

    def around(view: View) -> Callable[[], Response]:
        @wraps(view)
        def run() -> Response:
            started, client, status = time.monotonic(), "-", 500
            try:
                admitted = _parts().bridge_clients.admit(_token(), request.remote_addr or "", scope)
                client = admitted.name
                with _place():
                    response = view(admitted)
                status = response.status_code
                return response
            except (Refusal, HTTPException) as error:
                status = status_of(error)
                raise
            finally:
                # what went well is in the database; a program that asks each second must not fill the log
                log.log(
                    logging.DEBUG if status == 200 else logging.INFO,
                    "bridge %s client=%s status=%d ms=%.1f",
                    view.__name__, client, status, (time.monotonic() - started) * 1000,
                )  # fmt: skip

        return run

    return around


@contextmanager
def _place() -> Iterator[None]:
    """One of the few that may be handled at once."""
    if not _room.acquire(blocking=False):
        raise Refusal("busy", "同时的请求太多,请稍后再试", "too many calls at once; try again", retry_after_s=1)
    try:
        yield
    finally:
        _room.release()


def _token() -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip()[:256] if kind.lower() == "bearer" else ""


@blueprint.post("/v1/codes/resolve")
@needs(Scope.RESOLVE)
def resolve(client: BridgeClient) -> Response:
    """Whose code this is, with the HIS's identifiers."""
    asked = fit(ResolveIn, body())
    return _json(_with_ids(_parts().bridge_scans.resolve(client, asked.code, asked.station)))


@blueprint.post("/v1/scans")
@needs(Scope.SCANS_WRITE)
def take_scan(client: BridgeClient) -> Response:
    """A scan made elsewhere, once per scan_id."""
    given = fit(ScanIn, body())
    text, symbology = given.text or "", given.symbology
    if given.raw_hex is not None:
        read = decode(bytes.fromhex(given.raw_hex))
        text, symbology = read.text, symbology or read.symbology
    known = _parts().bridge_scans.take(
        client, Elsewhere(given.scan_id, given.station, given.device, text, symbology, given.at)
    )
    return _json(_with_ids(known) if scopes_show_ids(client) else dict(known.body))


@blueprint.get("/v1/scans")
@needs(Scope.SCANS_READ)
def list_scans(client: BridgeClient) -> Response:
    """What was scanned where, after a cursor."""
    asked = query(ScansQuery)
    page = _parts().bridge_scans.feed(client, asked.since, asked.limit, asked.station)
    scans = [{"cursor": cursor, **_with_ids(known)} for cursor, known in zip(page.cursors, page.scans, strict=True)]
    return _json({"scans": scans, "next": page.next})


@blueprint.post("/v1/events")
@needs(Scope.EVENTS)
def take_events(client: BridgeClient) -> Response:
    """One event, or a list of them: the good ones are stored, the bad ones named."""
    given = body()
    if not isinstance(given, list):
        faults, results = _receive(client, [fit(EventIn, given)])
        if faults:
            code = str(faults[0]["code"])
            raise BadInput(code, "这个事件没有收下,请看 errors", str(faults[0]["detail"]), faults)
        return _json(_summary(results, []))
    if not 1 <= len(given) <= EVENTS_MAX:
        raise BadInput(
            "body.invalid", f"一次 1 至 {EVENTS_MAX} 个事件", f"a list holds 1 to {EVENTS_MAX} events; send more lists"
        )
    faults, results = _receive(client, given)
    if all(status == "refused" for status in results):
        raise BadInput("events.refused", "没有收下任何事件,请看 errors", "none of the events fits; see errors", faults)
    return _json(_summary(results, faults))


def _receive(client: BridgeClient, given: list[Any]) -> tuple[list[Json], list[str]]:
    """(faults with the index of their event, what became of each)."""
    results, faults = ["refused"] * len(given), []
    good: dict[int, HisEvent] = {}
    for index, value in enumerate(given):
        try:
            event = EventIn.model_validate(value)
        except ValidationError as exc:
            faults += [{"index": index, "code": "body.invalid", **fault} for fault in faults_of(exc, EventIn)[:3]]
            continue
        named = event.data.get("station")
        if named is not None and not _parts().bridge_scans.may_name(client, named):
            faults.append({
                "index": index, "pointer": "/data", "code": "station.not_yours",
                "detail": "this token is not for this station; ask IT to add it",
            })  # fmt: skip
            continue
        good[index] = HisEvent(
            f"bridge:{client.name}", event.event_id, event.kind, event.at, event.patient_id, event.ref, event.data
        )
    received = _parts().his_events.handle_all(list(good.values()), client.stations) if good else []
    for index, what in zip(good, received, strict=True):
        if what is Received.CLASH:
            faults.append({
                "index": index, "pointer": "/event_id", "code": "event.id_reused",
                "detail": "this event_id was used before for something else; give every event a new one",
            })  # fmt: skip
        else:
            results[index] = what.value
    return sorted(faults, key=lambda fault: int(fault["index"])), results


def _summary(results: list[str], faults: list[Json]) -> Json:
    return {
        **{status: results.count(status) for status in ("new", "seen", "refused")},
        "results": [{"index": index, "status": status} for index, status in enumerate(results)],
        **({"errors": faults} if faults else {}),
    }


def _with_ids(known: Known) -> Json:
    return {**known.body, **({"his": dict(known.his)} if known.his else {})}


def _json(value: Mapping[str, Any]) -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(text, content_type="application/json", headers={"Cache-Control": "no-store"})


@blueprint.get("/openapi.json")
def document() -> Response:
    """The OpenAPI document; it tells nothing of this deployment, so it needs no token."""
    response = _json(openapi.document())
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/docs")
def docs() -> str:
    """The same as a page: plain HTML, nothing from elsewhere."""
    g.language = "en"
    return render_template(
        "bridge/docs.html", document=openapi.document(), operations=openapi.OPERATIONS, problems=PROBLEMS,
        fields=openapi.fields, parts=PARTS, example=openapi.example, marked=_marked,
    )  # fmt: skip


def _marked(text: str) -> Markup:
    """Words between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts)
    )
