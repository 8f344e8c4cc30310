"""The HIS-facing HTTP API: codes resolved for HIS workstations, scans in and out, events from the HIS."""

from bridge.problems import answer as answer_error
from bridge.routes import blueprint

PREFIX = "/bridge"

__all__ = ["PREFIX", "answer_error", "blueprint"]
