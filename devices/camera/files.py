"""Decodes image files in a child process, so that a poisonous image kills only that child."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devices.camera.lines import Child, ChildGoneError, ChildSilentError, Message

FORMATS: Final = ("QRCode", "Code128", "DataMatrix", "Aztec")
START_S: Final = 20.0
"""A child is up in 0.4 s; a machine busy with everything else may take long."""

LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class FileResult:
    """One code in one file; the first of a file is the best. No code: symbology and text None. Unreadable: `error`.

    `ms` counts reading and decoding in the child. `aim` is the AIM identifier: ]C1 is GS1-128.
    """

    file: Path
    symbology: str | None
    text: str | None
    ms: float
    error: str | None = None
    raw: bytes = b""
    step: str | None = None
    aim: str = ""


class FileDecoder:
    """Keeps one child for many files and replaces it when it dies. Use as a context manager, from one thread."""

    def __init__(self, formats: Sequence[str] = FORMATS, limit_s: float = LIMIT_S) -> None:
        self._formats = list(formats)
        self._limit_s = limit_s
        self._child: Child | None = None
        self.starts = 0

    def __enter__(self) -> "FileDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._child.pid if self._child else None

    def decode(self, file: Path) -> list[FileResult]:
        """Give one result for each code of the file, at least one. Never raises for a bad file."""
        began = time.monotonic()
        try:
            answer = self._ask(file)
        except ChildSilentError:
            answer = {"error": f"decoding took longer than {self._limit_s:.0f} s"}
        except ChildGoneError as gone:
            answer = {"error": f"the image could not be decoded: {gone}"}
        if "ms" not in answer:
            self.close()  # whatever state it is in, the next image gets a fresh child
            return [FileResult(file, None, None, (time.monotonic() - began) * 1000, str(answer["error"]))]
        return _results(file, answer)

    def close(self) -> None:
        """End the child. Safe twice."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _ask(self, file: Path) -> Message:
        if self._child is None:
            self.starts += 1
            self._child = Child("devices.camera.file_child")
            self._child.receive(START_S)
        self._child.send({"file": str(file), "formats": self._formats})
        return self._child.receive(self._limit_s) or {"error": "the worker process did not answer"}


def decode_files(
    paths: Iterable[Path | str], formats: Sequence[str] = FORMATS, limit_s: float = LIMIT_S
) -> Iterator[FileResult]:
    """Decode each file in turn; several results follow each other for a file with several codes."""
    with FileDecoder(formats, limit_s) as decoder:
        for path in paths:
            yield from decoder.decode(Path(path))


def _results(file: Path, answer: Message) -> list[FileResult]:
    if answer.get("error") or not answer["codes"]:
        return [FileResult(file, None, None, answer["ms"], answer.get("error"))]
    return [
        FileResult(
            file,
            code["symbology"],
            code["text"],
            answer["ms"],
            raw=bytes.fromhex(code["raw"]),
            step=code["step"],
            aim=code["aim"],
        )
        for code in answer["codes"]
    ]
