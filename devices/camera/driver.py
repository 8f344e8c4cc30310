"""The camera as a scanner: keeps one worker process, believes its heartbeat only, hands its codes on."""

import os
import re
import threading
import time
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from core.clock import SHANGHAI
from devices.camera.files import FORMATS
from devices.camera.lines import Child, ChildGoneError, ChildSilentError, Message
from devices.port import (
    Backoff,
    Capability,
    DeviceLost,
    DeviceState,
    DeviceUnavailable,
    DriverHost,
    DriverOptions,
    Feedback,
    Reading,
)

READY_S: Final = 5.0
SILENT_S: Final = 2.5
"""A worker beats every 0.5 s; silent this long it hangs in a read that OpenCV may never end."""

KNOWN_FORMATS: Final = (*FORMATS, "Code39", "ITF", "EAN13")
_SOURCE: Final = re.compile(r"/.+|(?:rtsps?|https?)://\S+")
_GS1: Final = {"]C1": "GS1-128", "]d2": "GS1DataMatrix", "]Q3": "GS1QRCode"}


def _check_source(source: str) -> str:
    if not _SOURCE.fullmatch(source):
        raise ValueError("give /dev/v4l/by-id/…, rtsp://…, http://… or a folder of pictures")
    return source


def _check_formats(formats: str) -> str:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    unknown = sorted(set(names) - set(KNOWN_FORMATS))
    if unknown or not names:
        raise ValueError(f"known kinds are {', '.join(KNOWN_FORMATS)}")
    return ",".join(dict.fromkeys(names))


class CameraOptions(DriverOptions):
    """A camera that reads codes held before it."""

    source: Annotated[str, AfterValidator(_check_source)] = Field(
        max_length=500,
        title="Camera",
        description="Best /dev/v4l/by-id/… or /dev/v4l/by-path/…; also /dev/video0, rtsp://…, http://… or a folder "
        "of pictures.",
        json_schema_extra={"sensitive": True},
    )
    fps: float = Field(
        default=10.0, ge=1, le=30, title="Pictures a second", description="Looked at each second; 10 is plenty."
    )
    width: int = Field(default=1280, ge=160, le=3840, title="Width", description="Asked of the camera, in pixels.")
    height: int = Field(default=720, ge=120, le=2160, title="Height", description="Asked of the camera, in pixels.")
    formats: Annotated[str, AfterValidator(_check_formats)] = Field(
        default=",".join(FORMATS),
        max_length=200,
        title="Kinds of code",
        description=f"Separated by commas; known are {', '.join(KNOWN_FORMATS)}.",
    )
    motion_gate: bool = Field(
        default=True,
        title="Rest when nothing moves",
        description="Decode only once a second while the picture stands still; spares the processor.",
    )
    freeze_s: float = Field(
        default=2.0,
        ge=0,
        le=60,
        title="Frozen after (s)",
        description="A camera repeating one identical picture this long is restarted; 0 switches this off.",
    )
    reread_ms: int = Field(
        default=1500,
        ge=0,
        le=600_000,
        title="Ignore repeats for (ms)",
        description="A code counts again only after it was out of sight this long; 0 lets every repeat through.",
    )


class CameraDriver:
    """Satisfies `devices.port.Driver`."""

    options_model: ClassVar[type[DriverOptions]] = CameraOptions
    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    def __init__(self, device: str, options: CameraOptions) -> None:
        self._device = device
        self._options = options
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._wake = -1, -1
        self._cancelled = False

    @property
    def resource(self) -> str:
        """The node or the stream's address without its password; a folder may be watched by many."""
        source = self._options.source
        if source.startswith("/"):
            return os.path.realpath(source) if source.startswith("/dev/") else ""
        return re.sub(r"//[^/@]*@", "//", source).split("?")[0]

    @property
    def backoff(self) -> Backoff:
        """Quick at first: a frozen or hung camera must read again within 6 s."""
        return Backoff(first=0.2, cap=5.0)

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id while there is one."""
        return self._child.pid if self._child else None

    def open(self) -> None:
        """Start the worker and wait for the camera's first picture."""
        options = self._options
        self._open_wake()
        self._child = Child("devices.camera.worker")
        self._child.wake_on(self._wake[0])
        deadline = time.monotonic() + READY_S
        try:
            self._child.send(
                {
                    "source": options.source,
                    "fps": options.fps,
                    "width": options.width,
                    "height": options.height,
                    "formats": options.formats.split(","),
                    "freeze_s": options.freeze_s,
                    "gate": options.motion_gate,
                }
            )
            first = self._child.receive(max(0.0, deadline - time.monotonic()))
        except ChildSilentError:
            raise DeviceUnavailable("The camera gives no picture.", "device.no_picture") from None
        except ChildGoneError as gone:
            raise DeviceUnavailable(f"The camera cannot be watched: {gone}.", "device.worker") from None
        if first is not None and first["is"] == "end":
            raise DeviceUnavailable(str(first["reason"]), str(first["code"]))

    def _open_wake(self) -> None:
        with self._lock:
            if self._cancelled:
                raise DeviceUnavailable("Opening was cancelled.", "device.cancelled")
            if self._wake == (-1, -1):
                self._wake = os.pipe()
                os.set_blocking(self._wake[1], False)

    def read_loop(self, host: DriverHost) -> None:
        """Hand on codes until cancelled; DeviceLost when the worker ends, hangs, or says its camera is frozen."""
        child = self._child
        if child is None:
            raise DeviceLost("The camera is not open.", "device.lost")
        while not self._cancelled:
            try:
                message = child.receive(SILENT_S)
            except ChildSilentError:
                raise DeviceLost("The camera's worker hangs and was ended.", "device.hung") from None
            except ChildGoneError as gone:
                raise DeviceLost(f"The camera is lost: {gone}.", "device.worker") from None
            if message is not None:
                self._take(message, host)

    def _take(self, message: Message, host: DriverHost) -> None:
        match message["is"]:
            case "code":
                host.reading(self._reading(message))
            case "beat":
                host.heard()
                host.measure("fps", message["fps"])
                host.measure("decode_p95_ms", message["decode_p95_ms"])
                self._health(message, host)
            case "end":
                raise DeviceLost(message["reason"], message["code"])

    def _health(self, beat: Message, host: DriverHost) -> None:
        slow = beat["frames"] > 30 and beat["fps"] < self._options.fps / 3
        if beat["dark"]:
            host.health(DeviceState.DEGRADED, "The picture is black; is the camera covered?", "device.dark")
        elif slow:
            host.health(DeviceState.DEGRADED, "The camera gives fewer pictures than asked for.", "device.slow")
        else:
            host.health(DeviceState.ONLINE, "Reading.", "device.online")

    def _reading(self, code: Message) -> Reading:
        t_read = float(code["t"])
        encoding = str(code["encoding"])
        return Reading(
            device=self._device,
            raw=bytes.fromhex(code["raw"]),
            text=code["text"],
            symbology=_GS1.get(code["aim"], code["symbology"]),
            t_read=t_read,
            at=datetime.now(SHANGHAI) - timedelta(seconds=max(0.0, time.monotonic() - t_read)),
            encoding=encoding,
        )

    def cancel(self) -> None:
        """Wake a present or future read_loop for the last time."""
        with self._lock:  # else close could give our descriptor's number to somebody else meanwhile
            self._cancelled = True
            if self._wake[1] >= 0:
                try:
                    os.write(self._wake[1], b"x")
                except BlockingIOError:
                    return  # the pipe is full of wakes already

    def feedback(self, kind: Feedback) -> bool:  # noqa: ARG002 - the port's shape
        """A camera has no beeper."""
        return False

    def close(self) -> None:
        """Kill the worker, and with it let go of the camera."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        with self._lock:
            wake, self._wake = self._wake, (-1, -1)
            for fd in wake:
                if fd >= 0:
                    os.close(fd)
