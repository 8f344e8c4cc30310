"""Run one simulated scanner: python -m simulators.scanner --link PATH | --tcp."""

import argparse
import contextlib
import json
import os
import signal
import threading
from pathlib import Path

from simulators.scanner.control import Scanner, serve
from simulators.scanner.lines import Line, PtyLine, TcpLine


def main(arguments: list[str] | None = None) -> int:
    """Plug in, say where, serve the control port until SIGTERM or SIGINT, unplug."""
    parser = argparse.ArgumentParser(prog="simulators.scanner", description=__doc__)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--link", type=Path, help="be a serial scanner: make this link to the pty")
    kind.add_argument("--tcp", action="store_true", help="be a scanner behind a network converter")
    parser.add_argument("--tcp-port", type=int, default=0)
    parser.add_argument("--greeting", default="", help="with --tcp: sent at each connect")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path, help="written as JSON when ready: control, device, pid")
    options = parser.parse_args(arguments)

    line: Line = TcpLine(options.greeting.encode(), options.tcp_port) if options.tcp else PtyLine(options.link)
    line.plug()
    server = serve(Scanner(line), options.control_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    ready = {
        "control": f"http://127.0.0.1:{server.server_address[1]}",
        "device": line.name,
        "pid": os.getpid(),
    }
    print(json.dumps(ready), flush=True)
    if options.ready_file:
        fresh = options.ready_file.with_name(options.ready_file.name + ".new")
        fresh.write_text(json.dumps(ready), encoding="utf-8")
        fresh.replace(options.ready_file)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.shutdown()
    server.server_close()
    line.unplug()
    if options.ready_file:
        with contextlib.suppress(OSError):
            options.ready_file.unlink()
    return 0


if __name__ == "__main__":
    # blocked before any thread starts, so that only sigwait sees them
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    raise SystemExit(main())
