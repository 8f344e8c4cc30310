"""The bare program: tty (pyserial-asyncio) → HTTP lookup (aiohttp) → WebSocket (websockets); no check, no store.

`python -m bench.peers.bare_asyncio TTY HIS_URL`; prints `port N` when screens may connect.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
import serial_asyncio
from websockets.asyncio.server import ServerConnection, serve


async def main(tty: str, his: str) -> None:
    screens: set[ServerConnection] = set()

    async def screen(conn: ServerConnection) -> None:
        screens.add(conn)
        try:
            await conn.wait_closed()
        finally:
            screens.discard(conn)

    reader, _writer = await serial_asyncio.open_serial_connection(url=tty, baudrate=115200, exclusive=True)
    async with aiohttp.ClientSession() as http, serve(screen, "127.0.0.1", 0, compression=None) as server:
        print("port", next(iter(server.sockets)).getsockname()[1], flush=True)
        while True:
            code = (await reader.readuntil(b"\r")).decode().strip()
            async with http.post(his, json={"card_no": code}) as answer:
                found = await answer.json()
            text = json.dumps({"code": code, "patient": found["data"]}, ensure_ascii=False)
            for conn in list(screens):
                await conn.send(text)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(0)
