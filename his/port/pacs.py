"""Exam images: what a study holds and one of its images for a phone, and the `PacsPort`.

A study is named by the `study_uid` of a report the HIS gave to its patient, never by what a browser says.
"""

from dataclasses import dataclass
from typing import Protocol

from his.port.errors import HisError

WIDTHS = (600, 1080)
"""Longest edges, in pixels, an image can be had in."""
PICTURE_CAP = 200_000
"""Most bytes of a picture."""


class NotAnImage(HisError):
    """The study holds this object, but it is no picture a PACS can draw: a structured report, a waveform."""


@dataclass(frozen=True, slots=True)
class StudyImage:
    """One object of a study, in the order a reader turns the pages; `columns` and `rows` 0 where it has no pixels."""

    study_uid: str
    series_uid: str
    instance_uid: str
    modality: str = ""
    columns: int = 0
    rows: int = 0
    frames: int = 1


class PacsPort(Protocol):
    """The PACS; thread-safe. Raises NotFound, NotAnImage and Unavailable."""

    def images(self, study_uid: str, deadline_s: float) -> tuple[StudyImage, ...]:
        """What the study holds. NotFound when the PACS holds no such study."""

    def picture(self, image: StudyImage, width: int, deadline_s: float) -> bytes:
        """A JPEG of at most `PICTURE_CAP` bytes whose longest edge is at most `width` pixels, one of `WIDTHS`."""

    def close(self) -> None:
        """Give back every connection; calls after it raise Unavailable."""
