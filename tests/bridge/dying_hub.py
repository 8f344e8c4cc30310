"""A hub that is killed (-9, with its whole group) at a step around storing, once, as soon as DYING_FILE is there.

DYING_AT: before or after the commit. DYING_NAIVE: the store keeps nothing unique, for the control.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hospital.cli import main
from store.bridge import BridgeScanStore
from store.his_events import HisEventStore
from store.scans import ScanStore


def dying(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step``, with the death before or after it."""
    file, at = Path(os.environ["DYING_FILE"]), os.environ["DYING_AT"]

    def die_if_told() -> None:
        if file.exists():
            file.unlink()
            os.killpg(os.getpgid(0), signal.SIGKILL)

    def run(*args: Any, **kwargs: Any) -> Any:
        if at == "before":
            die_if_told()
        done = step(*args, **kwargs)
        if at == "after":
            die_if_told()
        return done

    return run


if os.environ.get("DYING_NAIVE"):
    from core.ids import new_id

    real_add = HisEventStore.add

    def add(self: Any, events: Any, now: Any) -> Any:
        """As if every sending were another event."""
        from dataclasses import replace

        return real_add(self, [replace(event, event_id=event.event_id + new_id()) for event in events], now)

    HisEventStore.add = add  # type: ignore[method-assign]
    BridgeScanStore.claim = lambda *_: (new_id(), True)  # type: ignore[method-assign, assignment]

HisEventStore.add = dying(HisEventStore.add)  # type: ignore[method-assign]
ScanStore.commit = dying(ScanStore.commit)  # type: ignore[method-assign]
main()
