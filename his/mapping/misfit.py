"""A reply that a mapping cannot read, said so that its author finds the line."""

from __future__ import annotations

from core.placed import At
from his.faults import Broken
from his.mapping.load import Loaded


class Misfit(Broken):
    """Broken, and where: `at` is a key of the mapping file, `what` a sentence without any value of the reply."""

    def __init__(self, reason: str, loaded: Loaded, at: At, what: str) -> None:
        super().__init__(reason)
        self._loaded, self.at, self.what = loaded, at, what

    @property
    def told(self) -> str:
        """File, line, key and sentence."""
        return str(self._loaded.wrong(self.at, self.what))
