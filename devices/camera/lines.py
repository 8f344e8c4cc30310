"""JSON objects, one a line, between a parent and the child process that touches pictures; reads have a deadline."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import Any, Final

Message = dict[str, Any]

LONGEST: Final = 1 << 20
MEMORY: Final = 3 << 30
"""Address space of a child: a 40 megapixel picture takes about 0.5 GiB, the libraries 1.5."""


class ChildGoneError(Exception):
    """The child ended or talks nonsense; the message is one plain sentence."""


class ChildSilentError(Exception):
    """The child said nothing in time."""


class Child:
    """A child process `python -m MODULE` that speaks JSON lines on its stdin and stdout. One thread at a time."""

    def __init__(self, module: str) -> None:
        # the path is handed on, so that a checkout run without installing works from any folder;
        # one thread each: more would only take cores from the scan path
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
        env.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", OPENCV_LOG_LEVEL="OFF")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries print addresses with passwords there
            env=env,
            start_new_session=True,  # Ctrl-C is for the parent, who ends its children in order
        )
        assert self._process.stdout is not None
        self._fd = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._fd, selectors.EVENT_READ)
        self._buffer = b""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wake_on(self, fd: int) -> None:
        """Let `receive` also return (None) when this descriptor becomes readable."""
        self._selector.register(fd, selectors.EVENT_READ)

    def send(self, message: Message) -> None:
        """Write one line; ChildGoneError when nobody reads any more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise ChildGoneError(self._obituary()) from None

    def receive(self, timeout_s: float) -> Message | None:
        """Read the next line; None when woken, ChildSilentError after `timeout_s`, ChildGoneError at its end."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready = [key.fd for key, _ in self._selector.select(max(0.0, deadline - time.monotonic()))]
            if any(fd != self._fd for fd in ready):
                return None
            if not ready:
                raise ChildSilentError(f"nothing came for {timeout_s:.0f} s")
            chunk = os.read(self._fd, 65536)
            if not chunk or len(self._buffer) > LONGEST:
                raise ChildGoneError(self._obituary())
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            message: Message = json.loads(line)
        except ValueError:
            raise ChildGoneError("the worker process wrote nonsense") from None
        return message

    def kill(self) -> None:
        """End it at once and release everything. Safe twice."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except OSError:
                    continue  # unsent bytes for a dead reader: nobody misses them

    def _obituary(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the worker process closed its output"
        if code < 0:
            return f"the worker process crashed ({signal.Signals(-code).name})"
        return f"the worker process ended (exit {code})"
