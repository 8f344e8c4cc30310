"""The text size a visitor chose: remembered in a cookie, put on <html> by every page."""

from __future__ import annotations

from flask import Response, request

SIZES = ("normal", "elder", "xl", "xxl")
"""16, 20, 26 and 30 px of body text; all but the first are the elder mode with its large targets."""
COOKIE = "size"
_YEAR_S = 365 * 24 * 3600


def text_size() -> str:
    """One of `SIZES`: chosen now by ``?size=``, else remembered."""
    asked = request.args.get("size", "")
    chosen = asked if asked in SIZES else request.cookies.get(COOKIE, "")
    return chosen if chosen in SIZES else "normal"


def remember(response: Response, *, secure: bool) -> None:
    """Keep what was chosen in this request, if anything was."""
    asked = request.args.get("size", "")
    if asked in SIZES:
        response.set_cookie(COOKIE, asked, max_age=_YEAR_S, secure=secure, httponly=True, samesite="Lax")
