"""What a HIS lookup costs beyond the wire, and what a HIS that is down costs.

`Gateway.ask(PatientQuery)` over the rest adapter (guard, checks, log line, mapping renhe-json) against bare kept-alive calls with
the same body plus `json`: `httpx.Client`, `http.client`, `requests.Session`; all on the same loopback server in another process,
interleaved in rounds. Also the mapping alone, on a reply that is there; then the time of an answer while the breaker is open. Times in µs of one call, CPU in µs of this process.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable

import httpx
import requests

from bench import kit
from bench.peers.lean_his import patient
from his.gateway import Gateway
from his.mapping import Mapper, load
from his.port import Ctx, PatientQuery, Unavailable
from his.rest import RestAdapter, RestOptions

CARD = "600000000017"
BARS = {
    "p50_ratio_httpx": "<= 1.3",
    "p50_ratio_http_client": "<= 1.3",
    "p50_ratio_requests": "<= 0.5",
    "open_breaker_p50_us": "< 1000",
}


def main(argv: list[str] | None = None) -> int:
    """Run it; the exit code."""
    args = kit.parser(__doc__).parse_args(argv)
    rounds, calls = (7, 200) if args.quick else (15, 1000)
    child = kit.python("bench.peers.lean_his")
    try:
        port = int(child.expect(r"port (\d+)").group(1))
        figures = measure(port, rounds, calls)
    finally:
        child.stop()
    figures["mapping_us"] = mapping()
    figures["open_breaker_p50_us"] = open_breaker(kit.free_port())
    return kit.finish("his", figures, BARS)


def measure(port: int, rounds: int, calls: int) -> dict[str, float]:
    """Medians over the rounds of each program's p50, and CPU a call."""
    bare = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    session = requests.Session()
    client = httpx.Client(headers={"X-Token": "bench"}, timeout=5, trust_env=False)
    session.trust_env = False
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": f"http://127.0.0.1:{port}", "token": "bench"})))
    asked, ctx = PatientQuery(card_no=CARD), Ctx()

    def by_http_client() -> None:
        headers = {"X-Token": "bench", "Content-Type": "application/json"}
        bare.request("POST", "/api/query_patient", json.dumps({"card_no": CARD}), headers)
        json.loads(bare.getresponse().read())

    def by_requests() -> None:
        url = f"http://127.0.0.1:{port}/api/query_patient"
        session.post(url, json={"card_no": CARD}, headers={"X-Token": "bench"}, timeout=5).json()

    def by_httpx() -> None:
        client.post(f"http://127.0.0.1:{port}/api/query_patient", json={"card_no": CARD}).json()

    programs: dict[str, Callable[[], object]] = {
        "rest_his": lambda: his.ask(asked, ctx),
        "httpx": by_httpx,
        "http_client": by_http_client,
        "requests": by_requests,
    }
    p50: dict[str, list[float]] = {name: [] for name in programs}
    cpu: dict[str, list[float]] = {name: [] for name in programs}
    for run in programs.values():
        run()
    for _ in range(rounds):
        for name, run in programs.items():
            begun, took = time.process_time(), []
            for _ in range(calls):
                started = time.perf_counter()
                run()
                took.append((time.perf_counter() - started) * 1e6)
            cpu[name].append((time.process_time() - begun) / calls * 1e6)
            p50[name].append(kit.median(took))
    his.close()
    bare.close()
    session.close()
    client.close()
    figures = {f"{name}_p50_us": kit.median(values) for name, values in p50.items()}
    figures |= {f"{name}_cpu_us": kit.median(values) for name, values in cpu.items()}
    for peer in ("httpx", "http_client", "requests"):
        figures[f"p50_ratio_{peer}"] = kit.ratio(figures["rest_his_p50_us"], figures[f"{peer}_p50_us"])
    return figures


def mapping() -> float:
    """Median µs of a request written and a reply read, no wire between."""
    mapper, asked = Mapper(load("renhe-json")), PatientQuery(card_no=CARD)
    reply = {"code": "0", "message": "", "data": patient(CARD)}
    took = []
    for _ in range(2000):
        started = time.perf_counter()
        mapper.request(asked)
        mapper.answer(asked, reply)
        took.append((time.perf_counter() - started) * 1e6)
    return kit.median(took)


def open_breaker(port: int) -> float:
    """Median µs of a refusal by the open breaker; nobody listens on `port`."""
    his = Gateway(RestAdapter(RestOptions.model_validate({"base_url": f"http://127.0.0.1:{port}", "token": "bench"})))
    took = []
    for _ in range(300):
        started = time.perf_counter()
        try:
            his.ask(PatientQuery(card_no=CARD), Ctx())
        except Unavailable as refusal:
            if refusal.reason == "breaker_open":
                took.append((time.perf_counter() - started) * 1e6)
    his.close()
    return kit.median(took)


if __name__ == "__main__":
    sys.exit(main())
