"""Every error becomes a page or JSON here, in the visitor's language; nothing personal, and a number to quote."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from core.errors import Refusal
from core.ids import new_id
from web.i18n import refusal_text
from web.text_size import text_size

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that helps, as a link: endpoint and its name in both languages."""

    endpoint: str
    zh: str
    en: str


_GENERIC = Refusal(
    "server_error",
    "医院系统出了点问题,您刚才的操作可能没有完成。请稍后再试;仍不行,请把编号告诉窗口",
    "Something went wrong on our side and your last action may not be complete. Please try again; if it persists, give the reference to a counter",
)
_HTTP = {
    400: ("bad_request", "这个请求不完整,请返回上一页再试", "The request was incomplete; go back and try again"),
    401: ("login.required", "请先用微信登录", "Please sign in with WeChat first"),
    403: ("forbidden", "这一页没有对您开放", "This page is not open to you"),
    404: ("not_found", "没有找到这一页", "We could not find this page"),
    405: ("method_not_allowed", "这个地址不能这样打开,请从首页进入", "This address cannot be opened this way; start from the home page"),
    413: ("too_large", "内容太大了", "That was too large"),
    429: ("too_many", "太频繁了,请稍等再试", "Too many requests; wait a moment and try again"),
}  # fmt: skip
_CSRF = Refusal(
    "csrf",
    "这一页打开太久,已失效。请返回并刷新后再提交一次",
    "This page has been open too long. Go back, refresh it and submit again",
)


def status_of(refusal: Refusal) -> int:
    """HTTP status of a refusal."""
    if refusal.retry_after_s is not None:
        return 429
    if refusal.code == "not_found":
        return 404
    if refusal.code == "login.required":
        return 401
    if refusal.code.endswith((".unavailable", ".off")):
        return 503
    return 400


def wants_json() -> bool:
    """Whether the caller prefers JSON to a page."""
    best = request.accept_mimetypes.best_match(("text/html", "application/json"), default="text/html")
    return best == "application/json" or (request.is_json and "text/html" not in request.accept_mimetypes.values())


def body_of(refusal: Refusal, reference: str = "") -> dict[str, Any]:
    """The JSON of a refusal: the same keys from every door."""
    error: dict[str, Any] = {
        "code": refusal.code, "zh": refusal.zh, "en": refusal.en, "say": refusal_text(refusal),
        "next": refusal.next_step,
    }  # fmt: skip
    if refusal.retry_after_s is not None:
        error["retry_after_s"] = refusal.retry_after_s
    if reference:
        error["reference"] = reference
    return {"error": error}


def answer(refusal: Refusal, status: int, steps: Mapping[str, Step], reference: str = "") -> Response:
    """A refusal as page or JSON."""
    if wants_json():
        response = jsonify(body_of(refusal, reference))
    else:
        step = steps.get(refusal.next_step or "home")
        link = (url_for(step.endpoint), step) if step else None
        page = render_template(
            "web/error.html", refusal=refusal, status=status, reference=reference, link=link, size=text_size()
        )
        response = make_response(page)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


Door = Callable[[Exception], Response]
"""Answers every error under one prefix, also where no view was reached."""


def init_app(app: Flask, *, steps: Mapping[str, Step], doors: Mapping[str, Door] | None = None) -> None:
    """Answer this app's errors; ``steps`` turns a refusal's next step into a link.

    ``doors``: what answers instead under an address such as ``/bridge``.
    """
    own = doors or {}

    def door() -> Door | None:
        path = request.path
        return next((own[prefix] for prefix in own if path == prefix or path.startswith(f"{prefix}/")), None)

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        if (there := door()) is not None:
            return there(refusal)
        return answer(refusal, status_of(refusal), steps)

    @app.errorhandler(CSRFError)
    def csrf(_error: CSRFError) -> Response:
        return answer(_CSRF, 400, steps)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        if (there := door()) is not None:
            return there(error)
        if error.response is not None or (error.code or 500) < 400:
            return make_response(error.get_response())
        status = error.code or 500
        code, zh, en = _HTTP.get(status, (_GENERIC.code, _GENERIC.zh, _GENERIC.en))
        response = answer(Refusal(code, zh, en), status, steps)
        if error.code == 405 and getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
        return response

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        if (there := door()) is not None:
            return there(error)
        reference = new_id()[-8:].upper()
        # the route, not the address: an address may hold what must not be logged
        log.error("unexpected error, reference %s, at %s", reference, request.endpoint, exc_info=error)
        return answer(_GENERIC, 500, steps, reference)
