"""HL7 v2 in: the listener of `his.mllp`, whose messages are acknowledged once the HIS event service has stored them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from core.config import Config
from core.errors import ConfigError
from his.hl7v2.answering import Reused
from his.hl7v2.listener import MllpListener
from his.hl7v2.options import ListenerOptions
from his.port import HisEvent
from services.his_events import Received


def mllp_options(config: Config) -> ListenerOptions:
    """`his.mllp` checked. Raises ConfigError naming the option."""
    try:
        return ListenerOptions.model_validate(config.his.mllp or {})
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(["his", "mllp", *map(str, fault["loc"])])
        raise ConfigError(str(fault["msg"]).replace("Input should", "should"), key=key) from exc


class Hl7In:
    """The listener and the event service behind it. Raises ConfigError."""

    def __init__(self, config: Config, handle_all: Callable[[Sequence[HisEvent]], Sequence[Any]]) -> None:
        def store(events: Sequence[HisEvent]) -> None:
            if Received.CLASH in handle_all(events):
                raise Reused

        self._listener = MllpListener(mllp_options(config), store)

    def start(self) -> None:
        """Listen."""
        try:
            self._listener.start()
        except OSError as exc:
            raise ConfigError(f"cannot be listened on ({exc.strerror})", key="his.mllp.port") from exc

    def stop(self) -> None:
        """End every connection."""
        self._listener.stop()
