"""What every picture-touching child process does first: private output, low priority, bounded memory."""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from devices.camera.lines import MEMORY

Emit = Callable[[dict[str, Any]], None]


def settle(niceness: int = 10, memory: int = MEMORY) -> Emit:
    """Prepare this process and return the function that writes one JSON line to the parent.

    Standard output is moved away first, for C libraries print there. A parent that is gone ends us.
    """
    private = os.dup(1)
    os.dup2(2, 1)
    os.nice(niceness)
    with contextlib.suppress(OSError):  # batch work: a decoder that wakes does not push a running scan aside
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold pictures of patients' phones
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or hard > memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def emit(message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        try:
            while line:
                line = line[os.write(private, line) :]
        except OSError:
            sys.exit(0)  # the parent is gone, and with it all reason to go on

    return emit
