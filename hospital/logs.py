"""Logging: one line an event to standard error, long numbers and secrets redacted whatever was formatted."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

from core.clock import SHANGHAI
from core.config import Log
from core.privacy import redact


class _Lines(logging.Formatter):
    def __init__(self, *, json_lines: bool) -> None:
        super().__init__()
        self._json = json_lines

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, SHANGHAI).isoformat(timespec="milliseconds")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = redact(text)
        if self._json:
            return json.dumps(
                {"at": at, "level": record.levelname, "logger": record.name, "text": text}, ensure_ascii=False
            )
        return f"{at} {record.levelname:<7} {record.name}: {text}"


def configure(settings: Log) -> None:
    """Send everything to standard error in one shape."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(json_lines=settings.json_lines))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    for chatty in ("engineio", "socketio", "werkzeug", "peewee", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
