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


def mllp_options(config: Config) -> ListenerOptions | None:
    """`his.mllp` checked; None when there is none. Raises ConfigError naming the option."""
    if config.his.mllp is None:
        return None
    try:
        return ListenerOptions.model_validate(config.his.mllp)
    except ValidationError as exc:
        fault = exc.errors()[0]
        key = ".".join(["his", "mllp", *map(str, fault["loc"])])
        raise ConfigError(str(fault["msg"]).replace("Input should", "should"), key=key) from exc


def mllp_listener(config: Config, handle_all: Callable[[Sequence[HisEvent]], Sequence[Any]]) -> MllpListener | None:
    """A listener that is not started yet, or None when the section is absent."""
    options = mllp_options(config)
    if options is None:
        return None

    def store(events: Sequence[HisEvent]) -> None:
        if Received.CLASH in handle_all(events):
            raise Reused

    return MllpListener(options, store)
