"""A HIS reduced to one lookup: keep-alive HTTP/1.1 in its own process, shared by all programs measured.

`POST /api/query_patient {"card_no": "…"}` → `{"code":"0","message":"","data":{patient}}`, as simulators/his.
`GET /stats` → `{"lookups": n}`; anything else (health) → an empty ok. Prints `port N` when it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys

_SURNAMES = "王李张刘陈杨黄赵吴周"
_GIVEN = "明华芳伟娜敏静丽强磊"


def patient(card_no: str) -> dict[str, object]:
    """The patient any card number stands for; the same every time."""
    n = sum(ord(c) * (i + 1) for i, c in enumerate(card_no))
    return {
        "patient_id": f"P{card_no[-8:]}",
        "name": _SURNAMES[n % 10] + _GIVEN[n // 10 % 10] + _GIVEN[n // 100 % 10],
        "sex": "2" if n % 2 else "1",
        "birth_date": f"{1950 + n % 60}-{1 + n % 12:02d}-{1 + n % 28:02d}",
        "id_no": "",
        "phone": "",
        "deceased": False,
        "cards": [{"card_no": card_no, "kind": "01", "status": "1"}],
    }


class LeanHis(asyncio.Protocol):
    """One connection. Requests are answered in order, as they complete in the buffer."""

    lookups = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buf = b""

    def data_received(self, data: bytes) -> None:
        self.buf += data
        while (end := self.buf.find(b"\r\n\r\n")) >= 0:
            head = self.buf[:end].lower()
            size = 0
            if (at := head.find(b"content-length:")) >= 0:
                size = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buf) < end + 4 + size:
                return
            body = self.buf[end + 4 : end + 4 + size]
            path = self.buf.split(b" ", 2)[1]
            self.buf = self.buf[end + 4 + size :]
            self._answer(self._reply(path, body))

    def _reply(self, path: bytes, body: bytes) -> dict[str, object]:
        if path.endswith(b"/stats"):
            return {"lookups": LeanHis.lookups}
        if not path.endswith(b"/query_patient"):
            return {"code": "0", "message": "", "data": {}}
        LeanHis.lookups += 1
        asked = json.loads(body or b"{}")
        return {"code": "0", "message": "", "data": patient(str(asked.get("card_no", "")))}

    def _answer(self, reply: dict[str, object]) -> None:
        out = json.dumps(reply, ensure_ascii=False).encode()
        self.transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(out), out)
        )


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(LeanHis, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
