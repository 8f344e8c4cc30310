"""What every page of the portal shares: the blueprint, who is signed in, no-store, text size, safe addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from core.clock import Clock
from core.config import Config
from core.errors import Refusal
from core.privacy import last4, mask_name, mask_number
from services.cards import CardService
from services.login import LoginService
from services.phone_codes import PhoneCodes
from services.reports import ReportService
from web.errors import Step, wants_json
from web.i18n import language
from web.security import csrf_value
from web.sessions import ServerSession
from web.text_size import remember, text_size

blueprint = Blueprint("portal", __name__, url_prefix="/portal", template_folder="templates", static_folder="static")

STEPS = {
    "": Step("portal.home", "回到首页", "Home page"),
    "home": Step("portal.home", "回到首页", "Home page"),
    "login": Step("portal.login", "微信登录", "Sign in with WeChat"),
    "bind": Step("portal.bind", "绑定就诊卡", "Bind a card"),
    "cards": Step("portal.cards", "我的就诊卡", "My cards"),
}
"""Where a refusal's ``next_step`` leads; a refusal without one leads home."""


class Services(Protocol):
    """The part of the house this door uses."""

    config: Config
    clock: Clock
    cards: CardService
    login: LoginService
    codes: PhoneCodes
    reports: ReportService


def services() -> Services:
    """The house's services for this request."""
    return cast("Services", current_app.extensions["hospital"])


def my_session() -> ServerSession:
    """The session of this request with its own methods."""
    return cast("ServerSession", session._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001


def follower_id() -> str:
    """Who is signed in; empty for nobody."""
    return str(session.get("follower", ""))


View = Callable[..., ResponseReturnValue]


def signed_in(view: View) -> View:
    """A page for followers: others go to the sign-in and come back here; scripts are told so."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if not follower_id():
            if wants_json():
                raise Refusal("login.required", "请先用微信登录", "Please sign in with WeChat first", next_step="login")
            back = request.full_path.rstrip("?") if request.method == "GET" else url_for("portal.home")
            return redirect(url_for("portal.login", next=back), 303)
        return view(*args, **kwargs)

    return guarded


def safe_next(target: str) -> str:
    """``target`` when it is a plain address inside the portal, else the home page.

    Anything a browser could read as another host is refused: schemes, ``//``, backslashes, control characters.
    """
    home = url_for("portal.home")
    if not target.startswith(home) or len(target) > 500:
        return home
    if any(ord(char) < 33 or char == "\\" or ord(char) == 127 for char in target) or ".." in target:
        return home
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc and not parts.path.startswith("//") else home


def here(**changes: str) -> str:
    """Address of this page with query values changed; the home page when this was no GET."""
    if request.method != "GET" or request.endpoint is None:
        return url_for("portal.home", **dict[str, Any](changes))
    values: dict[str, Any] = {**request.args.to_dict(), **(request.view_args or {}), **changes}
    return url_for(request.endpoint, **values)


@blueprint.context_processor
def _common() -> dict[str, Any]:
    policies = services().config.policies
    return {
        "hospital": policies.hospital_name_en if language() == "en" else policies.hospital_name,
        "size": text_size(),
        "here": here,
        "is_signed_in": bool(follower_id()),
        "csrf_value": csrf_value,
        "mask_name": mask_name,
        "mask_number": mask_number,
        "last4": last4,
    }


@blueprint.after_request
def _private(response: Response) -> Response:
    """Patient pages are kept by nobody; the chosen text size is remembered."""
    if request.endpoint == "portal.static":
        return response
    response.headers.setdefault("Cache-Control", "no-store")  # a picture says itself how long its phone may keep it
    remember(response, secure=services().config.server.public_url.startswith("https://"))
    return response
