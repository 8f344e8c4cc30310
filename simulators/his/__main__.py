"""`python -m simulators.his`: a hospital information system on loopback, with its own database file."""

import argparse
import asyncio
import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from simulators.his.generate import open_hospital
from simulators.his.server import HisServer
from simulators.his.soap import PATH
from simulators.his.world import SHANGHAI, World


def main() -> None:
    """Start, say where, serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="simulators.his", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--db", type=Path, required=True, help="made at the first start")
    parser.add_argument("--seed", type=int, default=2026, help="another seed, another hospital")
    parser.add_argument("--token", default=os.environ.get("HIS_SIM_TOKEN", "his-demo-token"), help="X-Token to accept")
    parser.add_argument("--soap", action="store_true", help=f"serve {PATH} on the same port too")
    parser.add_argument("--ready-file", type=Path, help="written when ready: url, admin_url, pid as JSON")
    asyncio.run(serve(parser.parse_args()))


async def serve(options: argparse.Namespace) -> None:
    """Run until a signal; exit at once then, nobody's money is in here."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options.db.parent.mkdir(parents=True, exist_ok=True)
    world = World(open_hospital(options.db, options.seed, datetime.now(SHANGHAI).date()), options.seed)
    server = HisServer(world, options.token, soap=options.soap)
    await server.start(options.host, options.port)
    url, admin = (f"http://{options.host}:{port}" for port in (server.port, server.admin_port))
    if options.ready_file is not None:
        fresh = options.ready_file.with_name(options.ready_file.name + ".new")
        ready = {"url": url, "admin_url": admin, "pid": os.getpid()}
        if options.soap:
            ready["soap_url"] = url + PATH
        fresh.write_text(json.dumps(ready), "utf-8")
        fresh.replace(options.ready_file)
    sys.stdout.write(f"his simulator on {url}\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop()
    world.close()


if __name__ == "__main__":
    main()
