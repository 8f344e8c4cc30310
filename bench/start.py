"""Start of `hospital demo`, first and again: from the command to an answering /demo/, simulators and all.

The first start makes keys, databases and the simulated hospital; the second finds them. Against nothing: the bar is
the newcomer's patience (3 s for a second start). Medians over the rounds; the first start is told, not judged.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench import kit


def start(folder: Path) -> float:
    """Seconds from the command to the first answer; stopped again when this returns."""
    port = kit.free_port()
    command = [sys.executable, "-m", "hospital", "demo", "--port", str(port), "--dir", str(folder)]
    began = time.monotonic()
    demo = subprocess.Popen(command, cwd=kit.ROOT, stdout=subprocess.DEVNULL)
    try:
        while demo.poll() is None and time.monotonic() < began + 60:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/demo/", timeout=2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return time.monotonic() - began
        raise RuntimeError("the demo did not answer within a minute")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(15)


def main(argv: list[str] | None = None) -> int:
    args = kit.parser(__doc__).parse_args(argv)
    first: list[float] = []
    again: list[float] = []
    for _ in range(2 if args.quick else 5):
        with tempfile.TemporaryDirectory() as folder:
            first.append(start(Path(folder)))
            again.append(start(Path(folder)))
    figures: dict[str, Any] = {"first_start_s": kit.median(first), "second_start_s": kit.median(again)}
    return kit.finish("start", figures, {"second_start_s": "<= 3"})


if __name__ == "__main__":
    sys.exit(main())
