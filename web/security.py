"""What guards every page of every door: CSRF on unsafe methods, a CSP with a nonce, and the other headers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, session
from flask_wtf.csrf import CSRFProtect, generate_csrf

_FEATURES = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), screen-wake-lock=(self)"


def csp_nonce() -> str:
    """The nonce of this response; the same wherever the page asks."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)


def csrf_value() -> str:
    """The session's CSRF token, signed once: an answer rendered twice has the same bytes both times."""
    if "csrf_signed" not in session:
        session["csrf_signed"] = generate_csrf()
    return str(session["csrf_signed"])


def init_app(app: Flask, *, public_url: str, secret_key: bytes, exempt: Iterable[Any] = ()) -> CSRFProtect:
    """Guard ``app``.

    Args:
        public_url: scheme and host people type; https adds HSTS.
        secret_key: signs CSRF tokens.
        exempt: blueprints or views without CSRF, because they use no session (a bearer or pairing token in JSON).
    """
    app.secret_key = secret_key
    # a form may stand open as long as its session lives; the session's own end is the limit
    app.config.update(WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_HEADERS=["X-CSRFToken"])
    csrf = CSRFProtect(app)
    for view in exempt:
        csrf.exempt(view)
    app.jinja_env.globals.update(csp_nonce=csp_nonce, csrf_value=csrf_value)
    host = urlsplit(public_url).netloc
    https = public_url.startswith("https://")

    @app.after_request
    def guard(response: Response) -> Response:
        return _with_headers(response, host, https=https)

    return csrf


def _with_headers(response: Response, host: str, *, https: bool) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", _policy(host))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "SAMEORIGIN")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", _FEATURES)
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if https:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


def _policy(host: str) -> str:
    """Views may set ``g.frame_sources`` to embed others. Browsers before CSP 3 do not count ws: and wss: of the own host as 'self', so both are named."""
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    frames = " ".join(("'self'", *g.get("frame_sources", ())))
    return (
        f"default-src 'self'; script-src 'self'{nonce}; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' ws://{host} wss://{host}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        f"frame-src {frames}; frame-ancestors 'self'"
    )
