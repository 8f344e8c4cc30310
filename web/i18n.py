"""Languages of the pages: zh-CN unless the visitor chose English; ``?lang=`` is remembered in a cookie."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request, url_for
from flask_babel import Babel

from core.errors import Refusal
from core.outcomes import Say

TRANSLATIONS = Path(__file__).parent / "translations"
LANGUAGES = {"zh-CN": "zh_CN", "en": "en"}
"""As in ``<html lang>`` and ``?lang=``, and as Babel calls them. Templates are written in zh-CN."""
COOKIE = "lang"
_YEAR_S = 365 * 24 * 3600
_DAYS_ZH = "一二三四五六日"


def language() -> str:
    """``zh-CN`` or ``en`` for this request."""
    if "language" not in g:
        asked = request.args.get("lang", "")
        chosen = asked if asked in LANGUAGES else request.cookies.get(COOKIE, "")
        g.language = chosen if chosen in LANGUAGES else "zh-CN"
    return str(g.language)


def spoken(say: Say) -> str:
    """One sentence of an outcome in this request's language."""
    return say.get(language()) or say["zh-CN"]


def refusal_text(refusal: Refusal) -> str:
    """What a refusal says in this request's language."""
    return refusal.en if language() == "en" else refusal.zh


def when(at: datetime) -> str:
    """``11月22日 周日 08:30`` or ``Sun 22 Nov 08:30``."""
    if language() == "en":
        return f"{at:%a} {at.day} {at:%b} {at:%H:%M}"
    return f"{at.month}月{at.day}日 周{_DAYS_ZH[at.weekday()]} {at:%H:%M}"


def in_language(lang: str) -> str:
    """Address of this very page in another language."""
    if request.endpoint is None or request.method != "GET":
        return f"?lang={lang}"
    values: dict[str, Any] = {**request.args.to_dict(), **(request.view_args or {}), "lang": lang}
    return url_for(request.endpoint, **values)


def init_app(app: Flask, *, secure: bool) -> None:
    """Translate this app's pages; ``secure`` marks the cookie."""
    app.config.update(
        BABEL_DEFAULT_LOCALE="zh_CN",
        BABEL_DEFAULT_TIMEZONE="Asia/Shanghai",
        BABEL_TRANSLATION_DIRECTORIES=str(TRANSLATIONS),
    )
    Babel(app, locale_selector=lambda: LANGUAGES[language()])
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.globals.update(
        language=language, spoken=spoken, refusal_text=refusal_text, when=when, in_language=in_language
    )

    @app.after_request
    def remember(response: Response) -> Response:
        if request.args.get("lang") in LANGUAGES and response.mimetype == "text/html":
            response.set_cookie(
                COOKIE, request.args["lang"], max_age=_YEAR_S, secure=secure, httponly=True, samesite="Lax"
            )
        return response
