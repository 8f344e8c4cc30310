"""A HIS that is slow, down or answers rubbish: said within the deadline, nothing used up, well again by itself."""

import json
import time
from collections.abc import Callable

import pytest

from his.guard import GuardOptions
from tests.services.conftest import DEADLINE_S, Desk
from tests.support.sims import HisSim

CARD = "600000000017"
MODES = ["slow", "hang", "drip", "reset", "html500", "garbage", "truncated", "down"]


@pytest.mark.parametrize("mode", MODES)
def test_the_screen_says_so_within_the_deadline_and_the_same_code_works_afterwards(
    make_desk: Callable[..., Desk], his_process: HisSim, mode: str
) -> None:
    desk = make_desk()
    row = desk.bind(CARD, "P0000001")
    code = desk.shown(row)
    his_process.fault(mode, ms=5000 if mode == "slow" else 100)
    begun = time.monotonic()
    body = desk.scan(code)
    took = time.monotonic() - begun
    assert body["outcome"] == "his_unavailable"
    assert body["next"]["code"] == "retry"
    assert "patient" not in body
    assert took < DEADLINE_S + 0.3, f"{mode}: {took:.2f} s"
    his_process.fault("none")
    after = desk.scan(code, "C2")
    assert after["outcome"] == "identified", "the code was not used up by a scan that found nothing"
    assert desk.scan(code)["outcome"] == "replayed"


@pytest.mark.parametrize("mode", ["hang", "down"])
def test_an_open_breaker_answers_at_once_and_closes_without_a_restart(
    make_desk: Callable[..., Desk], his_process: HisSim, mode: str
) -> None:
    desk = make_desk(GuardOptions(fail_max=2, probe_s=0.1))
    code = desk.shown(desk.bind(CARD, "P0000001"))
    his_process.fault(mode)
    for _ in range(2):
        assert desk.scan(code)["outcome"] == "his_unavailable"
    begun = time.monotonic()
    assert desk.scan(code)["outcome"] == "his_unavailable"
    assert time.monotonic() - begun < 0.1
    his_process.fault("none")
    recovering = time.monotonic()
    while desk.scan(code)["outcome"] != "identified":
        assert time.monotonic() - recovering < 2
        time.sleep(0.02)


def test_a_his_that_answers_about_somebody_else_is_unavailable_not_believed(
    make_desk: Callable[..., Desk], tmp_path
) -> None:
    """A proxy that mixes up answers: the one error that would show the wrong patient."""
    import http.server
    import threading

    person = {
        "patient_id": "P9", "name": "赵六", "sex": "1", "birth_date": "1990-01-01", "id_no": "", "phone": "",
        "deceased": False, "cards": [{"card_no": "600000000034", "kind": "01", "status": "1"}],
    }  # fmt: skip

    class Mixed(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"code": "0", "message": "", "data": person}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Mixed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        desk = make_desk(base_url=f"http://127.0.0.1:{server.server_port}")
        body = desk.scan(CARD)
        assert body["outcome"] == "his_unavailable"
        assert "赵" not in json.dumps(body, ensure_ascii=False)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
