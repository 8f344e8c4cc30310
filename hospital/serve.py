"""`hospital serve`: one process by default, or a hub and a portal side by side."""

from __future__ import annotations

import gc
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from core.config import Config, load
from core.errors import ConfigError
from hospital.app import Role, create_app
from hospital.bootstrap import Parts, build
from hospital.his_news import HisNews
from hospital.logs import configure
from hospital.server import SPARE_THREADS, Server, lower_priority
from hospital.slices import ask_for_short_slices
from hospital.wiring import HubParts

log = logging.getLogger(__name__)
Extra = Callable[[Flask, Parts], None]


class Worker:
    """What lives inside the worker process: made after the fork, closed when it stops."""

    def __init__(self, config: Config, role: Role, extra: Extra | None = None) -> None:
        self._config, self._role, self._extra = config, role, extra
        self._parts: Parts | None = None
        self._hub: HubParts | None = None
        self._news: HisNews | None = None

    def make(self) -> Any:
        """Build everything, start the hub's work, return the WSGI app."""
        configure(self._config.log)
        if self._role == "portal":
            lower_priority(5)
        else:
            ask_for_short_slices()
        alone = self._role == "portal"
        self._parts = build(self._config, page_threads=self._config.server.portal_threads if alone else None)
        if self._role != "portal":
            self._hub = HubParts(self._parts)
        app = create_app(self._parts, self._role, self._hub)
        self._parts.calls.start()
        if self._extra is not None:
            self._extra(app, self._parts)
        if self._hub is not None:
            self._hub.start()
        else:
            self._news = HisNews(self._parts)
            self._news.start()
        gc.collect()
        gc.freeze()  # what is built now lives as long as the process: the collector need not look at it during a scan
        gc.set_threshold(10_000, 50, 50)
        return app

    def let_go(self) -> None:
        """End the screens' connections; requests under way go on."""
        if self._hub is not None:
            self._hub.hub.close()

    def close(self) -> None:
        """Stop devices and jobs, close the database."""
        if self._hub is not None:
            self._hub.stop()
        if self._news is not None:
            self._news.stop()
        if self._parts is not None:
            self._parts.close()


def serve(config_path: Path, role: Role, extra: Extra | None = None) -> None:
    """Run until told to stop. Raises ConfigError before anything listens."""
    config = load(config_path)
    configure(config.log)
    build(config).close()  # a wrong configuration is said here, once, not by a worker that dies again and again
    worker = Worker(config, role, extra)
    server = config.server
    portal_only = role == "portal"
    port = server.portal_port if portal_only else server.port
    must_be_free(server.host, port, "server.portal_port" if portal_only else "server.port")
    Server(
        worker.make,
        worker.let_go,
        worker.close,
        bind=f"{server.host}:{port}",
        threads=server.portal_threads if portal_only else server.screens + SPARE_THREADS,
        header_deadline_s=server.header_deadline_s,
    ).run()


def must_be_free(host: str, port: int, key: str) -> None:
    """Raises ConfigError when somebody else listens there already, or the address is not ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise ConfigError(f"cannot listen on {host}:{port} ({exc.strerror}); choose another", key=key) from exc
