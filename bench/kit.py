"""What every bench needs: arguments, ptys, percentiles, CPU of a process tree, children, bars, the last line."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import operator
import os
import queue
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
_OPS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


def parser(doc: str | None) -> argparse.ArgumentParser:
    """An argument parser whose help is the bench's docstring, with the `--quick` every bench has."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="a short version that ends within 50 s")
    return p


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0..100) by linear interpolation; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    at = (len(ordered) - 1) * q / 100
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return statistics.median(values) if values else math.nan


def ratio(ours: float, theirs: float) -> float:
    """ours / theirs; NaN when there is nothing to divide by."""
    return ours / theirs if theirs else math.nan


# --- processes ----------------------------------------


def tree(pid: int) -> list[psutil.Process]:
    """A process and everything it started that still lives; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _process_ns(pid: int) -> int:
    """Nanoseconds on a CPU of one process, its ended threads included: its POSIX CPU clock; 0 when it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)  # clock_getcpuclockid(3) as Linux numbers it
    except OSError:
        return 0


def cpu_ns(pid: int) -> int:
    """CPU nanoseconds spent so far by a process tree. Differences over a block are what one compares."""
    return sum(_process_ns(p.pid) for p in tree(pid))


def pss_mib(pid: int) -> float:
    """Memory of a process tree in MiB, pages shared between its processes counted once (PSS)."""
    total = 0
    for p in tree(pid):
        with contextlib.suppress(psutil.Error):
            total += p.memory_full_info().pss
    return total / 2**20


def census(pid: int) -> tuple[int, int]:
    """(threads, open descriptors) of a process tree."""
    threads = fds = 0
    for p in tree(pid):
        with contextlib.suppress(psutil.Error):
            threads += p.num_threads()
            fds += p.num_fds()
    return threads, fds


@dataclass
class Child:
    """A child process in its own group, its output lines kept for waiting on and for the error message."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self.proc = subprocess.Popen(
            self.argv,
            cwd=self.cwd or ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._drain, daemon=True).start()

    @property
    def pid(self) -> int:
        return self.proc.pid

    def _drain(self) -> None:
        assert self.proc.stdout
        for line in self.proc.stdout:
            self.lines.append(line.rstrip())
            del self.lines[:-400]
            self._fresh.put(line)
        self._fresh.put(None)

    def expect(self, pattern: str, timeout: float = 30.0) -> re.Match[str]:
        """Wait for an output line that matches; RuntimeError with the last lines when it does not come."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._fresh.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if found := re.search(pattern, line):
                return found
        tail = "\n".join(self.lines[-15:])
        raise RuntimeError(f"{self.argv[0]} did not print /{pattern}/ within {timeout:.0f} s:\n{tail}")

    def stop(self, grace: float = 8.0) -> None:
        """TERM to its group, KILL after the grace; only this child's own group."""
        for sig, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.proc.pid, sig)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.proc.wait(wait)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.proc.pid, signal.SIGKILL)


def python(module: str, *args: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Child:
    """Run `python -m module args…` as a child."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return Child([sys.executable, "-m", module, *args], {"PYTHONPATH": paths, **(env or {})}, cwd)


def free_port() -> int:
    """A loopback port nobody holds now; for programs that cannot bind port 0 and say which they got."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_tcp(child: Child, port: int, timeout: float = 30.0) -> None:
    """Until the child accepts on the loopback port; RuntimeError with its last lines when it dies or is too slow."""
    end = time.monotonic() + timeout
    while time.monotonic() < end and child.proc.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on 127.0.0.1:{port}:\n" + "\n".join(child.lines[-40:]))


# --- pty ----------------------------------------


class Pty:
    """A raw pseudo-terminal standing for a scanner's cable: we write the master, the program opens `path`."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        tty.setraw(self.master)
        self.path = os.ttyname(self.slave)

    def send(self, data: bytes) -> int:
        """Write all in one call and return perf_counter_ns taken immediately before the write."""
        t0 = time.perf_counter_ns()
        n = os.write(self.master, data)
        if n != len(data):
            raise OSError(f"pty took {n} of {len(data)} bytes: nobody reads {self.path}")
        return t0

    def close(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)


class Scratch:
    """A folder that goes when the bench does."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="palm-bench-"))

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def scratch(things: list[Any]) -> Path:
    """A fresh folder, removed with the other things."""
    made = Scratch()
    things.append(made)
    return made.path


# --- the last line ----------------------------------------


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.4g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value


def holds(value: Any, bar: str) -> bool:
    """Whether a figure meets a bar such as "<= 1.5"; a missing figure or NaN does not."""
    sign, limit = bar.split()
    return isinstance(value, (int, float)) and not math.isnan(value) and _OPS[sign](value, float(limit))


def finish(name: str, figures: dict[str, Any], bars: dict[str, str]) -> int:
    """Print each bar with its figure, then the one JSON line; the exit code."""
    broken = [key for key, bar in bars.items() if not holds(figures.get(key), bar)]
    for key, bar in bars.items():
        print(f"  {'MISSED' if key in broken else 'ok    '} {key} = {_rounded(figures.get(key))} (bar {bar})")
    out = {"name": name, "figures": _rounded(figures), "bars": bars, "ok": not broken}
    print(json.dumps(out, ensure_ascii=False), flush=True)
    return 1 if broken else 0


@contextlib.contextmanager
def closing_all(things: list[Any]) -> Iterator[list[Any]]:
    """Stop or close whatever was put in the list, last first, whatever happened."""
    try:
        yield things
    finally:
        for thing in reversed(things):
            with contextlib.suppress(Exception):
                (thing.stop if hasattr(thing, "stop") else thing.close)()
