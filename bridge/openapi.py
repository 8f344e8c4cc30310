"""The OpenAPI 3.1 document of the bridge, made from its models, and what the reference page shows of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bridge import models
from bridge.problems import MIMETYPE, PROBLEMS
from services.bridge_clients import Scope

_REF = "#/components/schemas/{model}"
_EVERYWHERE = (
    "token.missing",
    "token.wrong",
    "token.address",
    "token.scope",
    "token.too_many",
    "rate.limited",
    "busy",
    "server_error",
)
_BODY = ("body.type", "body.too_large", "body.not_json", "body.invalid")


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what it takes and gives, its scope, and the problems it may answer with beside those of every call."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    scope: Scope
    gives: type[BaseModel]
    takes: tuple[type[BaseModel], ...] = ()
    query: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    sent: Mapping[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> tuple[str, ...]:
        """Every problem code it may answer with."""
        return tuple(dict.fromkeys((*self.problems, *(_BODY if self.takes else ("query.invalid",)), *_EVERYWHERE)))


OPERATIONS = (
    Operation(
        "resolve", "post", "/bridge/v1/codes/resolve", "Whose code is this?",
        "For a workstation of the HIS with a scanner of its own. With a station it is a scan there: stored, shown on its "
        "screen, the patient's code used up. Without one it is only looked up: nothing is used up or shown, only noted for the "
        "audit; the same code again from you is `already_done`, one that a desk has accepted is `replayed`.",
        Scope.RESOLVE, models.OutcomeOut, (models.ResolveIn,), problems=("station.unknown", "station.not_yours"),
        sent={"code": "600000000017", "station": "C1"},
    ),
    Operation(
        "take_scan", "post", "/bridge/v1/scans", "A scan made elsewhere",
        "Handled like a scan of our own scanners, once per `scan_id`: sent again, the same outcome comes again. An electronic "
        "code is judged by our clock when it arrives. `his` is given to tokens that have `codes:resolve` too.",
        Scope.SCANS_WRITE, models.OutcomeOut, (models.ScanIn,),
        problems=("station.unknown", "station.not_yours", "scan.time", "scan.id_reused"),
        sent={
            "scan_id": "ws7-000042", "station": "C1", "device": "ws7", "text": "600000000017",
            "at": "2026-11-24T09:30:12+08:00",
        },
    ),
    Operation(
        "list_scans", "get", "/bridge/v1/scans", "What was scanned where",
        "Every scan of the token's stations after a cursor, oldest first, refused ones too. Ask again with the `next` of "
        "the answer; nothing is missed and nothing comes twice.",
        Scope.SCANS_READ, models.ScansOut, query=models.ScansQuery,
        problems=("station.unknown", "station.not_yours", "scans.cursor"), sent={"since": 0, "limit": 100},
    ),
    Operation(
        "take_events", "post", "/bridge/v1/events", "Something happened in the HIS",
        f"One event, or a list of 1 to {models.EVENTS_MAX}. Stored before it is answered; sent again under the same "
        "`event_id` it is seen, not done again. Of a list the good ones are stored and the bad ones named by index; when none is "
        "good the answer is a problem.",
        Scope.EVENTS, models.EventsOut, (models.EventIn,),
        problems=("event.id_reused", "events.refused", "station.not_yours"),
        sent={
            "event_id": "Q-20261124-0017", "kind": "queue_called", "at": "2026-11-24T09:30:12+08:00",
            "patient_id": "P0000001", "ref": "R202611240017",
            "data": {"queue_no": 17, "department": "心血管内科", "room": "3 诊室", "name": "王小明"},
        },
    ),
)  # fmt: skip


@lru_cache(maxsize=1)
def _made() -> dict[str, Any]:
    used: list[tuple[type[BaseModel], Any]] = [(models.ProblemOut, "serialization")]
    for operation in OPERATIONS:
        used += [(model, "validation") for model in operation.takes]
        used.append((operation.gives, "serialization"))
    refs, definitions = models_json_schema(list(dict.fromkeys(used)), ref_template=_REF)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "掌上医院 Bridge API",
            "version": "1.0.0",
            "description": "For the HIS and its workstations. Every error is application/problem+json with a dotted `code`.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "Made by IT with `hospital bridge clients add NAME --scope …`; shown once.",
                }
            },
        },
    }  # fmt: skip


def document() -> dict[str, Any]:
    """The document; a copy, so nobody changes the one that is served."""
    return copy.deepcopy(_made())


def _operation(operation: Operation, refs: Mapping[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.about,
        "security": [{"token": []}],
        "x-scope": operation.scope.value,
        "responses": {
            "200": {
                "description": "Done; every outcome of a scan is a 200." if "codes" in operation.path else "Done.",
                "content": {"application/json": {"schema": refs[(operation.gives, "serialization")]}},
            }
        },
    }
    if operation.takes:
        schema: dict[str, Any] = refs[(operation.takes[0], "validation")]
        if operation.id == "take_events":
            many = {"type": "array", "items": schema, "minItems": 1, "maxItems": models.EVENTS_MAX}
            schema = {"oneOf": [schema, many]}
        content = {"schema": schema, "example": dict(operation.sent)}
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.query is not None:
        made["parameters"] = [
            {
                "name": name, "in": "query", "required": False, "description": spec.get("description", ""),
                "schema": {key: value for key, value in spec.items() if key not in ("title", "description")},
            }
            for name, spec in operation.query.model_json_schema()["properties"].items()
        ]  # fmt: skip
    for code in operation.codes:
        status = str(PROBLEMS[code].status)
        entry = made["responses"].setdefault(status, _problem(refs))
        entry["description"] = ", ".join(filter(None, (entry["description"], code)))
        if status in ("429", "503"):
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return made


def _problem(refs: Mapping[Any, Any]) -> dict[str, Any]:
    return {"description": "", "content": {MIMETYPE: {"schema": refs[(models.ProblemOut, "serialization")]}}}


@dataclass(frozen=True, slots=True)
class Row:
    """A member as the reference page lists it."""

    name: str
    kind: str
    needed: bool
    about: str


def fields(model: type[BaseModel], mode: Any = "validation") -> list[Row]:
    """The members of a model, in order."""
    schema = model.model_json_schema(mode=mode, by_alias=True)
    needed = schema.get("required", [])
    return [
        Row(name, _kind(spec, schema.get("$defs", {})), name in needed, str(spec.get("description", "")))
        for name, spec in schema["properties"].items()
    ]


def _kind(spec: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "$ref" in spec:
        name = str(spec["$ref"]).rsplit("/", 1)[1]
        return _kind(defs[name], defs) if "enum" in defs.get(name, {}) else name.removesuffix("Out")
    if "enum" in spec:
        return "one of " + ", ".join(map(str, spec["enum"]))
    if "anyOf" in spec:
        return " or ".join(dict.fromkeys(_kind(one, defs) for one in spec["anyOf"]))
    if spec.get("type") == "array":
        return "list of " + _kind(spec.get("items", {}), defs)
    return str(spec.get("format") or spec.get("type", "any"))


def example(operation: Operation) -> str:
    """What is sent, as people read it."""
    return json.dumps(dict(operation.sent), ensure_ascii=False, indent=2)
