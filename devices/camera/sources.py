"""Where frames come from: a V4L2 camera, a network stream, or a folder of pictures that stands for a camera."""

import os
import time
from pathlib import Path
from typing import Final, Protocol

import cv2

from devices.camera.images import Gray, UnreadableImageError, read_gray, to_gray
from devices.camera.looks import shrunk

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
NETWORK: Final = ("rtsp://", "rtsps://", "http://", "https://")
OPEN_MS: Final = 4000
READ_MS: Final = 2500
"""OpenCV's own deadlines for network streams; a V4L2 read knows none, the parent's heartbeat does."""


class SourceError(Exception):
    """The source cannot be opened or has ended. `reason` is a sentence without the address (it may hold a password)."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Source(Protocol):
    """Gives one grey frame after another, at the pace it was asked for."""

    lifelike: bool
    """Whether equal frames in a row mean that it is frozen."""

    def read(self) -> Gray:
        """Block for the next frame; SourceError when there are no more. May hang for ever: keep a watch on it."""

    def close(self) -> None:
        """Let go of it."""


def open_source(address: str, fps: float, width: int, height: int) -> Source:
    """Open what the address means; SourceError when it cannot be."""
    if address.startswith(NETWORK):
        return CaptureSource(address, fps, width, height)
    if Path(address).is_dir():
        return FolderSource(Path(address), fps, max(width, height))
    return CaptureSource(address, fps, width, height)


class FolderSource:
    """The pictures of a folder by name, over and over; those added or removed count from the next round on."""

    lifelike = False

    def __init__(self, folder: Path, fps: float, longest: int) -> None:
        self._folder = folder
        self._longest = longest
        self._pace = 1.0 / fps
        self._due = time.monotonic()
        self._round: list[Path] = []
        self._list()

    def read(self) -> Gray:
        """Wait for the next tick and give the next readable picture."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._pace, time.monotonic())
        for _ in range(1000):
            if not self._round:
                self._list()
            try:
                return shrunk(read_gray(self._round.pop(0).read_bytes()), self._longest)
            except (OSError, UnreadableImageError):
                continue  # removed or half written since listed: the next round sees it as it then is
        raise SourceError("The folder holds no readable picture.", "device.absent")

    def close(self) -> None:
        """Nothing is held."""

    def _list(self) -> None:
        try:
            self._round = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in PICTURES)
        except OSError:
            raise SourceError("The folder of pictures cannot be read.", "device.absent") from None
        if not self._round:
            raise SourceError("The folder holds no pictures.", "device.absent")


class CaptureSource:
    """A camera or stream through OpenCV."""

    lifelike = True

    def __init__(self, address: str, fps: float, width: int, height: int) -> None:
        self._pace = 1.0 / fps
        self._due = 0.0
        self._capture = cv2.VideoCapture()
        if address.startswith(NETWORK):
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
            opened = self._capture.open(address, cv2.CAP_FFMPEG, limits)
        else:
            opened = self._open_local(address, fps, width, height)
        if not opened:
            self._capture.release()
            raise SourceError("The camera does not open.", "device.unavailable")

    def read(self) -> Gray:
        """Take frames as they come, so that none is stale, and give the first that is due."""
        while True:
            if not self._capture.grab():
                raise SourceError("The camera gives no more pictures.", "device.lost")
            now = time.monotonic()
            if now < self._due:
                continue
            # a frame 5 % early is due: else a 10 fps camera asked for 10 fps would give 5
            self._due = max(self._due + self._pace, now) - self._pace * 0.05
            good, frame = self._capture.retrieve()
            if not good or frame is None:
                raise SourceError("The camera gives damaged pictures.", "device.lost")
            return to_gray(frame)

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()

    def _open_local(self, address: str, fps: float, width: int, height: int) -> bool:
        node = os.path.realpath(address)  # by-id and by-path names are links to the node of the day
        if not Path(node).exists():
            raise SourceError("The camera is not plugged in.", "device.absent")
        if not os.access(node, os.R_OK | os.W_OK):
            raise SourceError("This user may not open the camera (group video).", "device.forbidden")
        if not self._capture.open(node, cv2.CAP_V4L2):
            return False
        # compressed, or USB 2 carries 720p at 10 frames a second only
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        for key, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            self._capture.set(key, value)
        return True
