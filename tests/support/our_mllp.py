"""Our HL7 listener as a process of its own, with the house's real store: our_mllp PORT FOLDER DIE_AT [naive]

It kills itself (SIGKILL) once, after message number DIE_AT has been stored and before it is answered. `naive` stores
every message it is handed, which is what the house would do without the events' key: the control.
"""

from __future__ import annotations

import base64
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.config import Config
from his.port import HisEvent
from hospital.bootstrap import build
from hospital.mllp import Hl7In

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


def config_for(folder: Path, port: int) -> Config:
    return Config.model_validate(
        {
            "database": {"url": f"sqlite:///{folder / 'hospital.db'}"},
            "his": {
                "options": {"base_url": "http://127.0.0.1:1", "token": "x"},
                "mllp": {"port": port, "peers": ["127.0.0.1"], "processing_id": "P"},
            },
            "secrets": {"data_key": KEY},
        }
    )


def main() -> None:
    port, folder, die_at = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    naive = sys.argv[4:] == ["naive"]
    config = config_for(folder, port)
    parts = build(config)
    died, count = folder / "died", [0]

    def handle_all(events: Sequence[HisEvent]) -> Sequence[Any]:
        received: Sequence[Any] = []
        if naive:
            with (folder / "naive.txt").open("a", encoding="utf-8") as book:
                book.writelines(f"{event.event_id}\n" for event in events)
        else:
            received = parts.his_events.handle_all(events)
        count[0] += 1
        if count[0] == die_at and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return received

    Hl7In(config, handle_all).start()
    print("ready", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
