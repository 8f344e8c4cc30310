"""The serial scanner's driver: one transport, one framer, readings out as the last byte comes in."""

import threading
import time
from datetime import datetime
from typing import ClassVar, Final

from core.clock import SHANGHAI
from devices.discover import resolve
from devices.port import (
    Backoff,
    Capability,
    DeviceLost,
    DeviceUnavailable,
    DriverHost,
    DriverOptions,
    Feedback,
    Reading,
)
from devices.serial.framers import Frame, Framer
from devices.serial.options import SerialOptions
from devices.serial.rfc2217 import Rfc2217Transport
from devices.serial.ssi import BEEP, BEEP_HIGH, BEEP_LONG_LOW, BEEP_THREE_LOW, packet
from devices.serial.transports import TcpTransport, Transport, TtyTransport, Waker
from devices.text import decode

_TTY_BACKOFF: Final = Backoff(0.05, 1.0)
_NETWORK_BACKOFF: Final = Backoff(0.05, 15.0)
_SSI_BEEPS: Final = {
    Feedback.ACCEPTED: BEEP_HIGH,
    Feedback.UNKNOWN: BEEP_THREE_LOW,
    Feedback.BUSY: BEEP_LONG_LOW,
}


class SerialDriver:
    """Satisfies `devices.port.Driver` for ttys, socket:// and rfc2217://."""

    options_model: ClassVar[type[DriverOptions]] = SerialOptions
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.FEEDBACK, Capability.DISCOVER})

    def __init__(self, device: str, options: SerialOptions) -> None:
        self._device = device
        self._options = options
        self._transport: Transport | None = None
        self._waker: Waker | None = None
        self._framer: Framer = options.framer()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()

    @property
    def resource(self) -> str:
        """host:port, or the node the port means now."""
        if self._network:
            host, port = self._options.endpoint()
            return f"{host}:{port}"
        return resolve(self._options.port)

    @property
    def backoff(self) -> Backoff:
        """A tty comes back within a second of its cable; a network is asked more gently."""
        return _NETWORK_BACKOFF if self._network else _TTY_BACKOFF

    @property
    def _network(self) -> bool:
        return "://" in self._options.port

    def open(self) -> None:
        """Open the line afresh, with a fresh framer."""
        waker = Waker()
        with self._lock:
            self._waker = waker
            if self._cancelled.is_set():
                waker.pull()
        transport = self._make_transport(waker)
        with self._lock:
            self._transport = transport
            self._framer = self._options.framer()
        if self._options.open_hex:
            transport.write(bytes.fromhex(self._options.open_hex))

    def _make_transport(self, waker: Waker) -> Transport:
        if self._cancelled.is_set():
            raise DeviceUnavailable("Opening was cancelled.", "device.cancelled")
        if self._options.port.startswith("socket://"):
            return TcpTransport(self._options, waker)
        if self._options.port.startswith("rfc2217://"):
            return Rfc2217Transport(self._options, waker)
        return TtyTransport(self._options, waker)

    def read_loop(self, host: DriverHost) -> None:
        """Read until cancelled; DeviceLost when the line is gone."""
        transport, framer = self._transport, self._framer
        if transport is None:
            raise DeviceLost("The line is not open.", "device.closed")
        bad = 0
        while not self._cancelled.is_set():
            due = framer.deadline
            data = transport.read(None if due is None else due - time.monotonic())
            now = time.monotonic()
            frames = framer.feed(data, now) if data else framer.expire(now)
            for frame in frames:
                host.reading(self._reading(frame, now))
            if data:
                host.heard()
            replies = framer.take_replies()
            if replies:
                transport.write(replies)
            if framer.bad != bad:
                host.bad_frames(framer.bad - bad)
                bad = framer.bad

    def _reading(self, frame: Frame, now: float) -> Reading:
        decoded = decode(frame.payload)
        return Reading(
            device=self._device,
            raw=frame.payload,
            text=decoded.text,
            symbology=decoded.symbology or frame.symbology,
            t_read=now,
            at=datetime.now(SHANGHAI),
            encoding=decoded.encoding,
        )

    def cancel(self) -> None:
        """Wake the reader, wherever it waits."""
        self._cancelled.set()
        with self._lock:
            transport, waker = self._transport, self._waker
        if transport is not None:
            transport.wake()
        if waker is not None:
            waker.pull()

    def feedback(self, kind: Feedback) -> bool:
        """Send the configured bytes, or an SSI beep."""
        options = self._options
        configured = {
            Feedback.ACCEPTED: options.accepted_hex,
            Feedback.UNKNOWN: options.unknown_hex,
            Feedback.BUSY: options.busy_hex,
        }[kind]
        data = bytes.fromhex(configured)
        if not data and options.framing == "ssi":
            data = packet(BEEP, bytes((_SSI_BEEPS[kind],)))
        with self._lock:
            transport = self._transport
        return bool(data) and transport is not None and transport.write(data)

    def close(self) -> None:
        """Release the line and the waker."""
        with self._lock:
            transport, self._transport = self._transport, None
            waker, self._waker = self._waker, None
        if transport is not None:
            transport.close()
        if waker is not None:
            waker.close()
