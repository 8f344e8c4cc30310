"""The documents as the tests read them: tracked Markdown, inline code, fences, marked tables."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@lru_cache(maxsize=1)
def tracked() -> frozenset[str]:
    """Every tracked path, and every new one that is not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return frozenset(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def prose(self) -> str:
        """Without fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def fences(self) -> list[tuple[str, str]]:
        """(language, body) of every fenced block."""
        return _FENCE.findall(self.text)

    @property
    def code(self) -> list[str]:
        """Every inline code span outside fences."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    def table(self, name: str) -> list[list[str]]:
        """Cells of the rows between ``<!-- table: name -->`` and ``<!-- end -->``, heading left out."""
        block = self.text.split(f"<!-- table: {name} -->")[1].split("<!-- end -->")[0]
        rows = [line for line in block.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]

    def example(self, name: str) -> str:
        """The fenced block right after ``<!-- example: name -->``."""
        return _FENCE.search(self.text.split(f"<!-- example: {name} -->\n")[1])[2]

    def anchors(self) -> set[str]:
        """What ``#…`` may name, as GitHub makes it from headings."""
        heads = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def page(name: str) -> Page:
    """One page by its path from the root."""
    return Page(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """README, CHANGELOG and everything under docs/."""
    names = sorted(n for n in tracked() if n in ("README.md", "CHANGELOG.md") or re.fullmatch(r"docs/.*\.md", n))
    return [page(name) for name in names]
