"""A reply that a mapping cannot read, said so that its author finds the line."""

from __future__ import annotations

from core.placed import At
from his.faults import Broken


class Misfit(Broken):
    """Broken, and where: `at` is a key of the mapping file, `what` a sentence without any value of the reply."""

    def __init__(self, reason: str, at: At, what: str) -> None:
        super().__init__(reason)
        self.at, self.what = at, what
