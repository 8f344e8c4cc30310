"""/healthz: this process lives. /readyz: it can do its duty, or 503 with the reasons. /metrics: Prometheus."""

from __future__ import annotations

import contextlib
from typing import Any

import peewee
from flask import Blueprint, Response, jsonify
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from devices.port import TROUBLE_STATES
from his.port import Ctx, HealthQuery, HisError, Lane
from hospital.bootstrap import Parts
from hospital.wiring import HubParts
from services.scan import ScanDone
from store.port_his import FINAL_STATES, IntentState, NotStored


def health_blueprint(parts: Parts, hub: HubParts | None) -> Blueprint:
    """The three addresses of the operator; no patient data in any of them."""
    blueprint = Blueprint("health", __name__)
    registry = CollectorRegistry()
    _count_scans(parts, registry)
    writes = Gauge(
        "hospital_his_writes", "Writes to the HIS that are not settled, by state", ["state"], registry=registry
    )

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        reasons = _reasons(parts, hub)
        return jsonify(status="unready" if reasons else "ready", reasons=reasons), 503 if reasons else 200

    @blueprint.get("/metrics")
    def metrics() -> Response:
        _count_writes(parts, writes)
        return Response(generate_latest(registry) + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _reasons(parts: Parts, hub: HubParts | None) -> list[dict[str, Any]]:
    reasons: list[dict[str, Any]] = []
    try:
        parts.store.ping()
    except peewee.PeeweeException as exc:
        reasons.append({"part": "database", "reason": type(exc).__name__})
    try:
        parts.his.ask(HealthQuery(), Ctx(deadline_s=2.0, actor="readyz", lane=Lane.JOB))
    except HisError as exc:
        reasons.append({"part": "his", "reason": str(exc)})
    for code, change in (hub.devices.states() if hub else {}).items():
        if change.state in TROUBLE_STATES:
            reasons.append({"part": f"device {code}", "reason": change.reason})
    return reasons


def _count_writes(parts: Parts, gauge: Gauge) -> None:
    """A database that fails leaves the last figures; /readyz says so."""
    with contextlib.suppress(NotStored):
        counts = parts.store.intents.counts()
        for state in set(IntentState) - FINAL_STATES:
            gauge.labels(state.value).set(counts.get(state, 0))


def _count_scans(parts: Parts, registry: CollectorRegistry) -> None:
    scans = Counter("hospital_scans_total", "Scans by outcome", ["outcome"], registry=registry)
    took = Histogram(
        "hospital_scan_seconds", "From the last byte to the stored outcome", registry=registry,
        buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2, 5),
    )  # fmt: skip

    def count(done: ScanDone) -> None:
        scans.labels(done.body["outcome"]).inc()
        took.observe(done.body["ms"] / 1000)

    parts.bus.subscribe(ScanDone, count)
