"""Builds the Flask app of one role: which doors are open, and what every door shares."""

from __future__ import annotations

from typing import Literal

from flask import Flask, redirect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

import bridge
import kiosk_ui
import portal
from hospital.bootstrap import Parts
from hospital.health import health_blueprint
from hospital.wiring import HubParts
from web import errors, i18n, security, sessions, static_files

Role = Literal["all", "hub", "portal"]


def create_app(parts: Parts, role: Role = "all", hub: HubParts | None = None) -> Flask:
    """The WSGI app. ``hub`` is required for the roles ``hub`` and ``all``; nothing is started here."""
    app = Flask("web", static_folder="static", template_folder="templates")
    app.extensions["hospital"] = parts
    app.config.update(MAX_CONTENT_LENGTH=1024 * 1024)
    config, steps = parts.config, {}
    if config.server.proxies:
        count = config.server.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]
    url = config.server.public_url
    i18n.init_app(app, secure=url.startswith("https://"))
    sessions.init_app(app, parts.store.sessions, parts.clock, public_url=url, hours=config.policies.session_hours)
    # no session to protect: pairing takes a one-time code and gives a token in JSON, the bridge takes a bearer token
    exempt = (kiosk_ui.blueprint, bridge.blueprint)
    security.init_app(app, public_url=url, secret_key=parts.vault.session_key, exempt=exempt)
    static_files.init_app(app)
    app.register_blueprint(health_blueprint(parts, hub))
    if role in ("all", "portal"):
        app.register_blueprint(portal.blueprint)
        app.add_url_rule("/", "root", _to_portal)
        steps = portal.STEPS
    if role in ("all", "hub"):
        if hub is None:
            raise ValueError("the roles hub and all need the hub's parts")
        app.register_blueprint(kiosk_ui.blueprint)
        # with the screens, not with the pages: a scan that comes in here must reach them in their order (ADR 15)
        app.register_blueprint(bridge.blueprint)
        hub.hub.init_app(app)
    errors.init_app(app, steps=steps, doors={bridge.PREFIX: bridge.answer_error})
    return app


def _to_portal() -> Response:
    return redirect("/portal/")
