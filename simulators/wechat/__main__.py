"""``python -m simulators.wechat --port 0``: serve until SIGTERM; prints ``ready http://127.0.0.1:PORT``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path

from simulators.wechat.http import LOOPBACK, Server
from simulators.wechat.platform import Platform


def main() -> int:
    """Parse, bind, say so, serve."""
    parser = argparse.ArgumentParser(prog="python -m simulators.wechat", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="also write the address here once it answers")
    parser.add_argument("--app-id", default="wx5f0e5f0e5f0e5f0e")
    parser.add_argument("--app-secret", default="simulated-app-secret")
    parser.add_argument("--redirect-host", action="append", default=[], help="registered besides loopback")
    args = parser.parse_args()
    server = Server(args.port, Platform(args.app_id, args.app_secret), (*LOOPBACK, *args.redirect_host))
    address = f"http://127.0.0.1:{server.server_address[1]}"

    def stop(*_: object) -> None:
        # shutdown() waits for the serving loop, which is this thread
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if args.ready_file:
        args.ready_file.write_text(address + "\n")
    with contextlib.suppress(BrokenPipeError):
        print(f"ready {address}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
