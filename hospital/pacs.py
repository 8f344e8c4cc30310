"""The PACS of `his.pacs`, or none."""

from __future__ import annotations

from pydantic import ValidationError

from core.config import Config
from core.errors import ConfigError
from his.port import PacsPort


def build_pacs(config: Config, page_threads: int | None = None) -> PacsPort | None:
    """None when the section is absent. `page_threads`: at most half of them may wait. Raises ConfigError naming the option."""
    if config.his.pacs is None:
        return None
    from his.pacs import OPTIONS, make

    try:
        options = OPTIONS.model_validate(config.his.pacs)
    except ValidationError as exc:
        fault = exc.errors(include_input=False)[0]
        key = ".".join(["his", "pacs", *map(str, fault["loc"])])
        raise ConfigError(str(fault["msg"]).replace("Input should", "should"), key=key) from None
    return make(options, 4 if page_threads is None else max(1, page_threads // 2))
