"""Static files for a slow LAN: addresses carry the content's hash, so they may be kept for ever; text goes gzipped."""

from __future__ import annotations

import gzip
import hashlib
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

_TEXT = frozenset({".css", ".js", ".svg", ".html", ".json"})
_FOREVER = "public, max-age=31536000, immutable"
_GZIP_MIN = 400


class _Files:
    """Hashes and gzipped bodies, by path and time of change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, int], tuple[str, bytes]] = {}

    def of(self, path: Path) -> tuple[str, bytes] | None:
        """(hash, gzipped body; empty when it is not worth it), or None when there is no such file."""
        try:
            key = (path, path.stat().st_mtime_ns)
        except OSError:
            return None
        with self._lock:
            if key not in self._known:
                body = path.read_bytes()
                small = path.suffix not in _TEXT or len(body) < _GZIP_MIN
                packed = b"" if small else gzip.compress(body, 9, mtime=0)
                self._known[key] = (hashlib.sha256(body).hexdigest()[:10], packed)
            return self._known[key]


def init_app(app: Flask) -> None:
    """Add ``?v=`` to every ``*.static`` address, and cache and gzip what is served there."""
    files = _Files()

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if _is_static(endpoint) and "v" not in values:
            path = _path(app, endpoint, values.get("filename", ""))
            found = files.of(path) if path else None
            if found:
                values["v"] = found[0]

    @app.after_request
    def pack(response: Response) -> Response:
        if request.endpoint is None or not _is_static(request.endpoint) or response.status_code not in (200, 304):
            return response
        path = _path(app, request.endpoint, (request.view_args or {}).get("filename", ""))
        found = files.of(path) if path else None
        if found is None:
            return response
        if request.args.get("v") == found[0]:
            response.headers["Cache-Control"] = _FOREVER
        if (
            response.status_code == 200
            and found[1]
            and request.accept_encodings.quality("gzip") > 0
            and not request.range
        ):
            opened = response.response
            response.direct_passthrough = False
            response.set_data(found[1])
            if hasattr(opened, "close"):
                opened.close()
            response.headers["Content-Encoding"] = "gzip"
            response.vary.add("Accept-Encoding")
        return response


def _is_static(endpoint: str) -> bool:
    return endpoint == "static" or endpoint.endswith(".static")


def _path(app: Flask, endpoint: str, filename: str) -> Path | None:
    """Where the file lies; None for a name that leaves its folder."""
    owner = app if endpoint == "static" else app.blueprints.get(endpoint.rpartition(".")[0])
    if owner is None or not owner.static_folder or not filename:
        return None
    folder = Path(owner.static_folder)
    path = (folder / filename).resolve()
    return path if path.is_relative_to(folder.resolve()) else None
