"""The simulated scanner's control port: loopback HTTP that holds codes before it and pulls its cable."""

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulators.scanner.lines import Line, send_paced

LARGEST_BODY = 4_000_000


class Scanner:
    """One scanner on one line; its sends never overlap."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._sending = threading.Lock()
        self._random = random.Random(1)

    def scan(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send one code: `text` or `hex`, `suffix`, `chunk`, `baud`. Answers the time of the last byte."""
        data = bytes.fromhex(order["hex"]) if "hex" in order else str(order["text"]).encode()
        data += str(order.get("suffix", "\r")).encode()
        with self._sending:
            at = self._send(data, order)
        return {"sent": len(data), "t_last": at}

    def burst(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send `texts` one after another, each with a random one of `suffixes`; `every` seconds apart."""
        times = []
        suffixes = order.get("suffixes", ["\r"])
        start = time.monotonic()
        with self._sending:
            for index, text in enumerate(order["texts"]):
                wait = start + index * float(order.get("every", 0)) - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                data = text.encode() + self._random.choice(suffixes).encode()
                times.append(self._send(data, order))
        return {"times": times}

    def _send(self, data: bytes, order: dict[str, Any]) -> float:
        chunks = None
        if order.get("chunk"):
            chunks = [self._random.randint(1, 16) for _ in data]
        return send_paced(self.line, data, int(order.get("baud", 115200)), chunks)

    def unplug(self, order: dict[str, Any]) -> dict[str, Any]:
        """Pull the cable; `how` is "fin" or "rst" for TCP."""
        self.line.unplug(str(order.get("how", "fin")))
        return self.state({})

    def plug(self, order: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - one shape for all orders
        """Plug it in again, under a new node name."""
        self.line.plug()
        return self.state({})

    def state(self, order: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - one shape for all orders
        """Where the scanner is to be found, and whether it is plugged in."""
        return {
            "device": self.line.name,
            "node": getattr(self.line, "node", ""),
            "plugged": self.line.plugged,
            "heard_hex": self.line.heard().hex(),
        }


def serve(scanner: Scanner, port: int) -> ThreadingHTTPServer:
    """The control server, bound to loopback, not yet running."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        orders = {  # noqa: RUF012 - read only
            "/scan": scanner.scan,
            "/burst": scanner.burst,
            "/unplug": scanner.unplug,
            "/plug": scanner.plug,
            "/state": scanner.state,
        }

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if size > LARGEST_BODY:
                self._answer(413, {"error": "too large"})
                return
            body = self.rfile.read(size)
            order = self.orders.get(self.path)
            if order is None:
                self._answer(404, {"error": f"no such order: {self.path}"})
                return
            try:
                self._answer(200, order(json.loads(body or b"{}")))
            except (KeyError, TypeError, ValueError, AttributeError) as wrong:
                self._answer(400, {"error": f"{type(wrong).__name__}: {wrong}"})
            except OSError as failed:
                self._answer(409, {"error": str(failed)})

        def do_GET(self) -> None:
            if self.path == "/state":
                self._answer(200, scanner.state({}))
            else:
                self._answer(404, {"error": f"no such page: {self.path}"})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent: codes do not belong in logs."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server
