"""/demo/: a phone and a screen side by side; what the phone shows goes through the real decoder and the real pty."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from flask import Blueprint, Flask, Response, abort, jsonify, make_response, render_template, request

from devices.camera.cascade import Cascade
from devices.camera.images import UnreadableImageError, read_gray
from hospital.bootstrap import Parts

_MODES = {"none": "none", "hang": "hang", "down": "down", "garbage": "garbage"}


@dataclass
class DemoPage:
    """Where the simulators of this run are, and the pages the phone opens."""

    his: str
    his_admin: str
    wechat: str
    lines: dict[str, Path]
    scanners: dict[str, str]
    ecard: str = ""
    wristband: str = ""
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(timeout=5, retries=False))

    def add_to(self, app: Flask, parts: Parts) -> None:
        """Open the demo's door on this app."""
        blueprint = Blueprint("demo", __name__, template_folder="templates", static_folder="static", url_prefix="/demo")
        cascade = Cascade()

        @blueprint.get("/")
        def page() -> Response:
            pages = {"C1": f"/portal/login?next={self.ecard}", "W1": f"/portal/login?next={self.wristband}"}
            response = make_response(render_template("hospital/demo.html", pages=pages))
            # the phone's login passes through the simulated WeChat, which is another origin
            response.headers["Content-Security-Policy"] = (
                f"default-src 'self'; img-src 'self' data:; frame-src 'self' {self.wechat}; frame-ancestors 'none'"
            )
            return response

        @blueprint.post("/pair/<station>")
        def pair(station: str) -> Response:
            return jsonify(code=parts.stations.offer_pairing(self._known(station)))

        @blueprint.post("/hold/<station>")
        def hold(station: str) -> Response:
            """Body: a PNG of what the phone shows. Decoded like a camera frame, then typed by the scanner."""
            control = self.scanners[self._known(station)]
            try:
                found = cascade.full(read_gray(request.get_data()))
            except UnreadableImageError:
                abort(400)
            if not found:
                return jsonify(read=False)
            result = found[0]
            self._http.request("POST", f"{control}/scan", json={"text": result.text})
            return jsonify(read=True, symbology=result.symbology, ms=round(result.ms, 1), digits=len(result.text))

        @blueprint.post("/scanner/<station>/<action>")
        def scanner(station: str, action: str) -> Response:
            if action not in ("plug", "unplug"):
                abort(404)
            self._http.request("POST", f"{self.scanners[self._known(station)]}/{action}")
            return jsonify(ok=True)

        @blueprint.post("/his/<mode>")
        def his(mode: str) -> Response:
            if mode not in _MODES:
                abort(404)
            self._http.request("POST", f"{self.his_admin}/_sim/fault", json={"mode": mode})
            return jsonify(ok=True)

        @blueprint.before_request
        def only_from_the_page() -> None:
            """The demo has no session of its own; a header no foreign form can send stands in for the CSRF token."""
            if request.method == "POST" and request.headers.get("X-Requested-With") != "demo":
                abort(400)

        app.extensions["csrf"].exempt(blueprint)
        app.register_blueprint(blueprint)

    def _known(self, station: str) -> str:
        if station not in self.scanners:
            abort(404)
        return station
