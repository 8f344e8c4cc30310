"""Two ports over one world: the HIS itself, and the switches, which answer even while the HIS is `down`."""

import asyncio
import json
import socket
from collections import Counter
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from simulators.his import clinic, faults
from simulators.his.answers import Data, Duplicate, NoData, Refused
from simulators.his.connection import Connection, bound
from simulators.his.faces import Outcome
from simulators.his.world import ALIASES, World

OTHERS = ("P0000009", "P0000008")  # whose numbers an answer of `wrong_record` carries
COUNTED = (
    "patients", "cards", "holds", "registrations", "appointments", "ledger", "settlements", "invoices", "op_log",
)  # fmt: skip


class HisServer:
    """Listens, answers, counts, and goes wrong when told to."""

    def __init__(self, world: World, token: str, *, soap: bool = False) -> None:
        self.world = world
        self.token = token
        self.soap = soap
        self.faults: list[faults.Fault] = []
        self.calls: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self.host = ""
        self.port = 0
        self.admin_port = 0
        self._server: asyncio.Server | None = None
        self._parked: socket.socket | None = None
        self._admin: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` and `admin_port` are set afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, admin=False), host, port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        self._admin = await loop.create_server(lambda: Connection(self, admin=True), host, 0)
        self.admin_port = self._admin.sockets[0].getsockname()[1]
        self.host = host

    async def stop(self) -> None:
        """Close both ports and every connection."""
        for server in (self._server, self._admin):
            if server is not None:
                server.close()
        for connection in list(self.connections):
            connection.abort()
        if self._parked is not None:
            self._parked.close()

    def answer(self, op: str, asked: Data | None, *, twice: bool = False) -> Outcome:
        """Carry out one operation; what became of it."""
        op = ALIASES.get(op, op)
        self.calls[op] += 1
        try:
            if asked is None or (op not in self.world.reads and op not in self.world.writes):
                return Outcome("exception", "无此接口或参数错误")
            data = self.world.call_twice(op, asked) if twice else self.world.call(op, asked)
            return Outcome("ok", "", data)
        except NoData:
            return Outcome("nodata", "未查询到数据")
        except Duplicate:
            return Outcome("duplicate", "重复请求")
        except Refused as no:
            return Outcome("refused", str(no), {}, no.reason, no.shortfall_fen)
        except (ValueError, TypeError, KeyError):
            return Outcome("exception", "参数错误")

    def fault_for(self, op: str) -> faults.Fault | None:
        """The fault that strikes this call, the newest first; it is used up by it."""
        if not self.faults:
            return None
        op = ALIASES.get(op, op)
        for fault in reversed(self.faults):
            if fault.strikes(op):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def mistaken(self, mode: str, outcome: Outcome) -> Outcome:
        """A right answer made wrong: `wrong_sums` or `wrong_record`."""
        if mode == "wrong_sums":
            return Outcome(outcome.kind, outcome.message, faults.wrong_sums(outcome.data))
        asked_for = str(outcome.data.get("patient_id", ""))
        other = self.world.patients[next(one for one in OTHERS if one != asked_for)]
        stay = next(one for one in self.world.by_wristband.values() if one["patient_id"] != asked_for)
        return Outcome(outcome.kind, outcome.message, faults.wrong_record(outcome.data, other, stay))

    def fetch_url(self) -> str:
        """Where the external entity points: on the switches' port, which counts who comes."""
        return f"http://{self.host}:{self.admin_port}/_sim/entity"

    async def set_fault(self, fault: faults.Fault, *, add: bool = False) -> None:
        """Switch; `down` closes the port but keeps its number, so nobody else can take it meanwhile."""
        self.faults = [*(self.faults if add else []), *([] if fault.mode == "none" else [fault])]
        down = any(one.mode == "down" for one in self.faults)
        loop = asyncio.get_running_loop()
        if down and self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self.connections):
                if not connection.admin:
                    connection.abort()
            await asyncio.sleep(0)
            self._parked = bound(self.host, self.port)
        elif not down and self._parked is not None:
            self._parked.close()
            listener = bound(self.host, self.port)
            self._parked = None
            self._server = await loop.create_server(lambda: Connection(self, admin=False), sock=listener, backlog=512)

    async def switch(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """The switches and the counts: a status and a JSON value."""
        path, _, query = path.partition("?")
        if method == "GET":
            return self._counts(path, dict(parse_qsl(query)))
        try:
            asked = json.loads(body or b"{}")
            if (method, path) == ("POST", "/_sim/fault"):
                fault = faults.read(asked, ALIASES)
                if fault.mode == "none" or "dedup" in asked:
                    self.world.dedup = asked.get("dedup", True) is True
                await self.set_fault(fault, add=asked.get("add") is True)
                return 200, {"mode": fault.mode}
            if (method, path) == ("POST", "/_sim/clock"):
                self.world.clock_offset = timedelta(seconds=float(asked["offset_s"]))
                return 200, {"now": self.world.wall()}
            if (method, path) == ("POST", "/_sim/stop_clinic"):
                return 200, {"stopped": clinic.stop_clinic(self.world, str(asked["schedule_id"]))}
        except (ValueError, TypeError, KeyError) as wrong:
            return 400, {"error": str(wrong)}
        return 404, {"error": "no such switch"}

    def _counts(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        world = self.world
        match path:
            case "/_sim/calls":
                return 200, dict(self.calls)
            case "/_sim/entity":
                self.calls["_entity"] += 1
                return 200, {}
            case "/_sim/rows":
                ops = world.rows("SELECT op, COUNT(*) AS rows, COUNT(DISTINCT op_key) AS keys FROM op_log GROUP BY op")
                tables = {name: world.rows(f"SELECT COUNT(*) AS n FROM {name}")[0]["n"] for name in COUNTED}
                return 200, {"tables": tables, "ops": {row.pop("op"): row for row in ops}}
            case "/_sim/ledger":
                return 200, self._ledger(query)
        return 404, {"error": "no such switch"}

    def _ledger(self, query: dict[str, str]) -> Any:
        keys = [key for key in ("op_key", "patient_id", "op", "account") if key in query]
        where = " AND ".join(f"{key} = ?" for key in keys) or "1"
        values = [query[key] for key in keys]
        rows = self.world.rows(f"SELECT * FROM ledger WHERE {where} ORDER BY txn", *values)
        accounts: Counter[str] = Counter()
        for row in rows:
            accounts[row["account"]] += row["amount_fen"]
        return {"rows": rows, "total_fen": sum(row["amount_fen"] for row in rows), "accounts": accounts}

    def later(self, ms: int, op: str, asked: Data | None) -> None:
        """Book a write when its caller has long gone."""
        asyncio.get_running_loop().call_later(ms / 1000, self.answer, op, asked)
