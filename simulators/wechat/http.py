"""The simulated platform over HTTP: the authorise page redirects at once, as snsapi_base does inside WeChat."""

from __future__ import annotations

import html
import json
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from simulators.wechat.platform import Platform

USER_COOKIE = "wxsim_user"
USERS = 8
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MODES = ("ok", "slow", "down", "drip", "rubbish", "busy")


class Server(ThreadingHTTPServer):
    """A thread a connection; ``hosts`` are the redirect domains the account has registered."""

    daemon_threads = True

    def __init__(self, port: int, platform: Platform, hosts: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.platform = platform
        self.hosts = hosts

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


class Handler(BaseHTTPRequestHandler):
    """Routes of api.weixin.qq.com and open.weixin.qq.com, and ``/_sim/`` for whoever runs the simulator."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        platform = self.server.platform
        if url.path == "/_sim/calls":
            self._json(dict(platform.calls))
            return
        platform.count(url.path)
        if url.path == "/connect/oauth2/authorize":
            self._authorise(query)
        elif url.path == "/sns/oauth2/access_token":
            get = query.get
            self._answer(
                platform.access_token(get("appid", ""), get("secret", ""), get("code", ""), get("grant_type", ""))
            )
        elif url.path == "/sns/userinfo":
            self._answer(platform.userinfo(query.get("access_token", ""), query.get("openid", "")))
        elif url.path == "/":
            self._choose(query)
        else:
            self._send(404, b"", "text/plain")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        if urlsplit(self.path).path != "/_sim/faults" or body.get("mode") not in MODES:
            self._send(404, b"", "text/plain")
            return
        faults = self.server.platform.faults
        faults.mode, faults.seconds = body["mode"], float(body.get("seconds", 3.0))
        self._json({"mode": faults.mode, "seconds": faults.seconds})

    def _authorise(self, query: dict[str, str]) -> None:
        back = urlsplit(query.get("redirect_uri", ""))
        if query.get("appid") != self.server.platform.app_id:
            self._page("Scope 参数错误或没有 Scope 权限 (10005): appid")
        elif back.scheme not in ("http", "https") or (back.hostname or "") not in self.server.hosts:
            self._page("redirect_uri 参数错误 (10003)")
        elif query.get("scope") not in ("snsapi_base", "snsapi_userinfo"):
            self._page("Scope 参数错误或没有 Scope 权限 (10005)")
        elif query.get("response_type") != "code":
            self._page("response_type 参数错误 (10004)")
        else:
            code = self.server.platform.authorise(self._user(query), query["scope"])
            pairs = [*parse_qsl(back.query), ("code", code), ("state", query.get("state", ""))]
            self._redirect(back._replace(query=urlencode(pairs), fragment="").geturl())

    def _user(self, query: dict[str, str]) -> int:
        """Who holds the phone: ``?user=`` wins, then the cookie set on the front page, else user 1."""
        jar = SimpleCookie(self.headers.get("Cookie", ""))
        chosen = query.get("user") or (jar[USER_COOKIE].value if USER_COOKIE in jar else "")
        return int(chosen) if chosen.isdigit() and len(chosen) < 7 else 1

    def _choose(self, query: dict[str, str]) -> None:
        """The front page: pick whose phone this is."""
        now = self._user(query)
        links = " ".join(
            f'<a href="/?user={n}"{" aria-current=true" if n == now else ""}>{n}</a>' for n in range(1, USERS + 1)
        )
        text = f"<!doctype html><meta charset=utf-8><title>WeChat simulator</title><h1>WeChat simulator</h1><p>User {now}</p><p>{links}</p>"
        self._send(200, text.encode(), "text/html; charset=utf-8", ("Set-Cookie", f"{USER_COOKIE}={now}; Path=/"))

    def _answer(self, body: dict[str, object]) -> None:
        """A body through the fault that is switched on."""
        faults = self.server.platform.faults
        if faults.mode == "down":
            self.close_connection = True
            return
        if faults.mode == "slow":
            time.sleep(faults.seconds)
        if faults.mode == "rubbish":
            self._send(200, b"<html>502 upstream</html>", "text/html")
        elif faults.mode == "busy":
            self._json({"errcode": -1, "errmsg": "system error"})
        elif faults.mode == "drip":
            self._drip(body)
        else:
            self._json(body)

    def _drip(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        for byte in data:
            self.wfile.write(bytes((byte,)))
            time.sleep(self.server.platform.faults.seconds / len(data))

    def _json(self, body: object) -> None:
        # WeChat answers JSON as text/plain
        self._send(200, json.dumps(body, ensure_ascii=False).encode(), "text/plain")

    def _page(self, text: str) -> None:
        body = f"<!doctype html><meta charset=utf-8><title>出错了</title><p>{html.escape(text)}</p>"
        self._send(200, body.encode(), "text/html; charset=utf-8")

    def _redirect(self, where: str) -> None:
        self._send(302, b"", "text/plain", ("Location", where))

    def _send(self, status: int, body: bytes, kind: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Silent: the request line holds codes and secrets."""
