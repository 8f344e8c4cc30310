"""A small HIS of another style, in a process of its own: signed forms in GB 2312 (18030 on the wire), amounts in yuan.

    python tests/support/form_his.py READY_FILE     writes its port there; key of the signature: `sign-key-of-tests`

It knows nothing of the house; it refuses a wrong signature, and takes a slot under a lock.
"""

import hashlib
import json
import sys
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

KEY = "sign-key-of-tests"
SHANGHAI = ZoneInfo("Asia/Shanghai")
NAMES = ["王小明", "李秀英", "\U00020bb7田\u4dae"]
LOCK = threading.Lock()
COUNT = 120
SLOTS = 12


def now():
    return datetime.now(SHANGHAI)


def day(ahead):
    return f"{now() + timedelta(days=ahead):%Y%m%d}"


class Hospital:
    """Its books; `seen` counts requests."""

    def __init__(self):
        self.seen = 0
        self.orders = {}  # orderId -> order
        self.by_key = {}  # outTradeNo -> orderId
        self.taken = {}  # (scheduleId, timeId) -> orderId

    def users(self):
        for n in range(1, COUNT + 1):
            name = NAMES[n - 1] if n <= len(NAMES) else f"患者{n}"
            yield {"userId": f"U{n:04d}", "name": name, "sexFlag": n % 2, "birth": "19850312" if n != 2 else "-1",
                   "certNo": f"99010119850312{n:04d}", "mobile": f"1990000{n:04d}",
                   "cards": [{"cardNo": f"7000{n:08d}", "lx": "A", "zt": "Y"}]}  # fmt: skip

    def schedules(self):
        for ahead in range(7):
            for doc in range(1, 6):
                id_ = f"{day(ahead)}-{doc}"
                taken = sum(1 for place in self.taken if place[0] == id_)
                yield {"id": id_, "workDate": day(ahead), "noon": doc % 2, "doccode": f"D{doc}", "docname": "石大夫",
                       "depcode": f"K{doc}", "depname": "内科", "title": "主任医师", "amount": "12.50", "total": str(SLOTS),
                       "rest": SLOTS - taken, "status": 1 if doc != 5 else -9}  # fmt: skip

    def find(self, **asked):
        field, value = next(iter(asked.items()))
        for user in self.users():
            if value in (user.get(field), *(card["cardNo"] for card in user["cards"] if field == "cardNo")):
                return user
        return None


HOSPITAL = Hospital()


def answer(path, form):
    """(code, data) of one operation."""
    here = HOSPITAL
    with LOCK:
        here.seen += not path.startswith("/_")
        match path:
            case "/api/hosp/ping":
                return 200, {"now": f"{now():%Y%m%d%H%M%S}"}
            case "/api/user/find":
                asked = {k: form[k] for k in ("userId", "cardNo", "certNo") if k in form}
                user = here.find(**asked)
                return (201, None) if user is None else (200, {"list": [user]})
            case "/api/dept/list":
                return 200, {"list": [{"depcode": f"K{n}", "depname": "内科", "hosArea": "本部"} for n in range(1, 6)]}
            case "/api/schedule/list":
                days = (form["beginDate"], form["endDate"])
                return 200, {"list": [one for one in here.schedules() if days[0] <= one["workDate"] <= days[1]]}
            case "/api/schedule/times":
                return times(form["id"])
            case "/api/account/balance":
                return 200, {"leftAmount": "200.10"}
            case "/api/order/submit":
                return submit(form)
            case "/api/order/query":
                order = here.orders.get(here.by_key.get(form["outTradeNo"]))
                return 200, {"found": 0 if order is None else 1, "order": order or {}}
            case "/api/order/cancel":
                return cancel(form)
            case "/api/order/list":
                mine = [one for one in here.orders.values() if one["userId"] == form["userId"]]
                return 200, {"list": [*mine[::-1], {"kind": "gh", "orderId": "other"}]}
            case "/_rows":
                return 200, {"orders": len(here.orders), "seen": here.seen}
    return 500, None


def times(id_):
    one = next((it for it in HOSPITAL.schedules() if it["id"] == id_), None)
    if one is None:
        return 201, None
    rows = [{"timeId": f"{n:02d}", "begin": f"{8 + n // 2:02d}:{n % 2 * 30:02d}", "end": f"{8 + (n + 1) // 2:02d}:{(n + 1) % 2 * 30:02d}",
             "rest": 0 if (id_, f"{n:02d}") in HOSPITAL.taken else 1} for n in range(SLOTS)]  # fmt: skip
    return 200, {"workDate": one["workDate"], "list": rows}


def submit(form):
    here = HOSPITAL
    if form["outTradeNo"] in here.by_key:
        return 201, None
    one = next((it for it in here.schedules() if it["id"] == form["scheduleId"]), None)
    if one is None or here.find(userId=form["userId"]) is None:
        return 205, None
    place = (form["scheduleId"], form["timeId"])
    if one["status"] != 1:
        return 207, None
    if place in here.taken:
        return 208, None
    number = f"O{len(here.orders) + 1:06d}"
    here.taken[place] = number
    here.by_key[form["outTradeNo"]] = number
    here.orders[number] = {
        "orderId": number, "userId": form["userId"], "scheduleId": place[0], "timeId": place[1], "kind": form["kind"],
        "orderStatus": 0, "createTime": f"{now():%Y%m%d%H%M%S}",
        **{k: one[k] for k in ("workDate", "noon", "docname", "depname", "amount")},
    }  # fmt: skip
    return 200, {"order": here.orders[number]}


def cancel(form):
    here = HOSPITAL
    order = here.orders.get(form["orderId"])
    if order is None or order["userId"] != form["userId"]:
        return 205, None
    if order["orderStatus"] != 0:
        return 210, None
    order["orderStatus"] = -9
    del here.taken[(order["scheduleId"], order["timeId"])]
    return 200, {"orderId": order["orderId"], "refund": "0.00"}


class Handler(BaseHTTPRequestHandler):
    """POST only; keeps connections alive."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        form = dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, encoding="gb18030", errors="strict"))
        sign = form.pop("sign", "")
        text = "|".join(form[name] for name in sorted(form) if form[name]) + "|" + KEY
        right = hashlib.md5(text.encode("gb18030")).hexdigest()
        internal = self.path.startswith("/_")
        code, data = answer(self.path, form) if internal or sign == right else (205, None)
        said = {"code": code, "message": {200: "成功", 208: "号源已满"}.get(code, "失败"), "data": data}
        body = json.dumps(said, ensure_ascii=False).encode("gb18030")
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=gb2312")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    ready = Path(sys.argv[1])
    ready.with_suffix(".new").write_text(str(server.server_port))
    ready.with_suffix(".new").rename(ready)
    server.serve_forever()
