"""The pages of the screens and the exchange of a printed pairing code for a screen's token."""

from __future__ import annotations

from typing import Any, Protocol, cast

from flask import Blueprint, Response, abort, current_app, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue

from core.errors import Refusal

blueprint = Blueprint(
    "kiosk_ui",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/screens-static",
)

LAYOUTS = {"counter": "counter", "ward": "full", "kiosk": "full"}
"""Which layout a kind of station gets; a kind not named here has no screen."""
KEEP_SECONDS = 60
"""How long a patient stays on a screen unless the app's SCREEN_KEEP_SECONDS says otherwise."""
LANGUAGES = {"zh": "zh-CN", "zh-CN": "zh-CN", "en": "en"}


class StationView(Protocol):
    """What a screen's page needs to know of its station."""

    code: str
    name: str
    kind: str


class Stations(Protocol):
    """The part of the stations service this door uses."""

    def get(self, code: str) -> StationView | None: ...

    def redeem_pairing(self, code: str, station_code: str, client_ip: str) -> str: ...


def _stations() -> Stations:
    return cast("Stations", current_app.extensions["hospital"].stations)


def _language() -> str:
    return LANGUAGES.get(request.args.get("lang", ""), "")


@blueprint.get("/screens/<station_code>")
def screen(station_code: str) -> ResponseReturnValue:
    """The page of one station; it holds no secret, so anybody on the LAN may load it and nobody learns anything."""
    station = _stations().get(station_code)
    layout = LAYOUTS.get(station.kind) if station else None
    if station is None or layout is None:
        page = render_template("kiosk_ui/no_screen.html", code=station_code, station=station)
        return page, 404
    keep = int(current_app.config.get("SCREEN_KEEP_SECONDS", KEEP_SECONDS))
    page = render_template("kiosk_ui/screen.html", station=station, layout=layout, lang=_language(), keep=keep)
    response = make_response(page)
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.post("/screens/<station_code>/pair")
def pair(station_code: str) -> ResponseReturnValue:
    """Exchange ``{code}`` for ``{token}``; a refusal is ``{error: {code, zh, en, retry_after_s?}}`` with 403 or 429.

    Only JSON is taken, which another site cannot post without asking first: there is no session here to ride on.
    """
    body: Any = request.get_json(silent=True) if request.is_json else None
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(code, str) or not 1 <= len(code) <= 32:
        return _refused(Refusal("pairing.malformed", "请输入 8 位配对码", "Enter the 8-character pairing code"), 400)
    if _stations().get(station_code) is None:
        abort(404)
    try:
        token = _stations().redeem_pairing(code.strip().upper(), station_code, request.remote_addr or "")
    except Refusal as refusal:
        return _refused(refusal, 403 if refusal.retry_after_s is None else 429)
    response = jsonify(token=token)
    response.headers["Cache-Control"] = "no-store"
    return response


def _refused(refusal: Refusal, status: int) -> Response:
    error: dict[str, Any] = {"code": refusal.code, "zh": refusal.zh, "en": refusal.en}
    if refusal.retry_after_s is not None:
        error["retry_after_s"] = refusal.retry_after_s
    response = jsonify(error=error)
    response.status_code = status
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response
