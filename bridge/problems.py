"""Every error under /bridge as application/problem+json (RFC 9457): a dotted code, what to do, nothing of the request."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, make_response, request
from werkzeug.exceptions import HTTPException

from core.errors import Refusal
from core.ids import new_id

log = logging.getLogger(__name__)

MIMETYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """Status and title of a code; `PROBLEMS` holds all there are, and the reference page lists them."""

    status: int
    title: str


PROBLEMS: Mapping[str, Problem] = {
    "token.missing": Problem(401, "A token is needed"),
    "token.wrong": Problem(401, "The token is wrong or was revoked"),
    "token.address": Problem(403, "The token may not be used from this address"),
    "token.scope": Problem(403, "The token lacks the scope"),
    "token.too_many": Problem(429, "Too many wrong tokens from this address"),
    "rate.limited": Problem(429, "Too many calls"),
    "station.not_yours": Problem(403, "The token is not for this station"),
    "station.unknown": Problem(422, "There is no such station"),
    "scan.id_reused": Problem(409, "The scan_id stood for another scan"),
    "scan.time": Problem(422, "The time of the scan cannot be right"),
    "scans.cursor": Problem(409, "The cursor is of another database"),
    "event.id_reused": Problem(409, "The event_id stood for another event"),
    "events.refused": Problem(422, "None of the events was taken"),
    "body.type": Problem(415, "Only application/json is taken"),
    "body.too_large": Problem(413, "The body is too large"),
    "body.not_json": Problem(400, "The body is not JSON"),
    "body.invalid": Problem(422, "The body does not fit"),
    "query.invalid": Problem(422, "The query does not fit"),
    "bad_request": Problem(400, "The request is not well-formed"),
    "not_found": Problem(404, "There is nothing at this address"),
    "method_not_allowed": Problem(405, "This address does not take this method"),
    "busy": Problem(503, "Too many calls at once"),
    "server_error": Problem(500, "Something went wrong here"),
}
_WORDS = {
    "bad_request": ("请求格式不对", "send a well-formed HTTP request; /bridge/docs shows how"),
    "not_found": ("没有这个地址,请看 /bridge/docs", "there is nothing at this address; /bridge/docs lists all there are"),
    "method_not_allowed": ("这个地址不支持这种方法", "use one of the methods in the Allow header"),
    "body.too_large": ("内容太大,请分几次发送", "send less at once: at most 100 events, 256 KiB"),
    "body.type": ("只接受 application/json", "send JSON as 'Content-Type: application/json', not compressed"),
    "rate.limited": ("请求太频繁,请稍后再试", "wait as long as Retry-After says"),
    "server_error": (
        "服务出了点问题,请稍后用同样的编号再发一次", "send the same again in a moment: nothing is done twice; give IT the instance",
    ),
}  # fmt: skip
_BY_STATUS = {
    400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "body.too_large", 415: "body.type",
    429: "rate.limited",
}  # fmt: skip


class BadInput(Refusal):
    """A body or query that does not fit; ``faults`` are ``{pointer, detail}`` and, in a list, ``index``, no values."""

    def __init__(self, code: str, zh: str, en: str, faults: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(code, zh, en)
        self.faults = tuple(faults)


def body_of(refusal: Refusal, status: int = 0) -> dict[str, Any]:
    """The problem of a refusal. ``instance`` names this occurrence; the log has it where there is more to know."""
    problem = PROBLEMS[refusal.code]
    body: dict[str, Any] = {
        "type": f"/bridge/docs#{refusal.code}",
        "title": problem.title,
        "status": status or problem.status,
        "detail": refusal.en,
        "instance": f"urn:palm-hospital:{new_id()}",
        "code": refusal.code,
        "say": {"zh-CN": refusal.zh, "en": refusal.en},
    }
    if isinstance(refusal, BadInput) and refusal.faults:
        body["errors"] = list(refusal.faults)
    return body


def answer(error: Exception) -> Response:
    """Any error met under /bridge."""
    if isinstance(error, HTTPException) and (error.response is not None or (error.code or 500) < 400):
        return make_response(error.get_response())
    refusal, status = _refusal(error)
    body = body_of(refusal, status)
    if body["status"] >= 500 and refusal.code == "server_error":
        # the route, not the address, and no values: an address or a value may hold what must not be logged
        log.error("unexpected error %s at %s", body["instance"], request.endpoint, exc_info=error)
    response = Response(json.dumps(body, ensure_ascii=False), body["status"], content_type=MIMETYPE)
    response.headers["Cache-Control"] = "no-store"
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    if body["status"] == 401:
        known = ', error="invalid_token"' if refusal.code == "token.wrong" else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="hospital bridge"{known}'
    elif refusal.code == "token.scope":
        response.headers["WWW-Authenticate"] = 'Bearer realm="hospital bridge", error="insufficient_scope"'
    if body["status"] == 405 and getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return response


def status_of(error: Exception) -> int:
    """The status an error is answered with."""
    refusal, status = _refusal(error)
    return status or PROBLEMS[refusal.code].status


def _refusal(error: Exception) -> tuple[Refusal, int]:
    """The refusal that says this error, and its status when it is not the code's own."""
    if isinstance(error, Refusal) and error.code in PROBLEMS:
        return error, 0
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        code = _BY_STATUS.get(error.code, "bad_request")
        wait = 1 if error.code == 429 else None
        return Refusal(code, *_WORDS[code], retry_after_s=wait), error.code
    return Refusal("server_error", *_WORDS["server_error"]), 0
