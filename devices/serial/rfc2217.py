"""A serial port behind an RFC 2217 server, spoken by pyserial; slower to cancel than our own lines."""

import contextlib
import socket
import threading
import time
from typing import Any, Final

import serial
from serial import rfc2217

from devices.port import DeviceLost, DeviceMisconfigured, DeviceUnavailable
from devices.serial.options import SerialOptions
from devices.serial.transports import Waker, watch_link

# pyserial offers no way to break into its read: look up this often.
_SLICE_S: Final = 0.1
_PARITY: Final = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class Rfc2217Transport:
    """Satisfies `devices.serial.transports.Transport`."""

    def __init__(self, options: SerialOptions, waker: Waker) -> None:
        self._what = options.port
        self._waker = waker
        self._woken = threading.Event()
        self._line = _open(options)
        self._socket: socket.socket | None = getattr(self._line, "_socket", None)
        if self._socket is not None:
            watch_link(self._socket, options.silent_link_s)

    def read(self, timeout: float | None) -> bytes:
        """As the protocol says; a wake is seen within _SLICE_S."""
        ends = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._woken.is_set():
                left = _SLICE_S if ends is None else min(_SLICE_S, max(0.0, ends - time.monotonic()))
                self._line.timeout = left
                data: bytes = self._line.read(1)
                if data:
                    # never ask for more than is there: read() would wait for the rest
                    return data + bytes(self._line.read(self._line.in_waiting))
                if ends is not None and time.monotonic() >= ends:
                    return b""
        except (OSError, TypeError, AttributeError) as gone:
            raise DeviceLost(f"{self._what} closed the connection.", "device.closed") from gone
        return b""

    def write(self, data: bytes) -> bool:
        try:
            self._line.write(data)
        except (OSError, TypeError, AttributeError):
            return False
        return True

    def wake(self) -> None:
        self._woken.set()
        self._waker.pull()

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._line.close()
        # pyserial skips its socket's close when the peer has already reset the connection
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()


def _open(options: SerialOptions) -> Any:
    line = rfc2217.Serial()
    line.timeout = _SLICE_S
    try:
        line.baudrate, line.bytesize = options.baud, options.bytesize
        line.parity, line.stopbits = _PARITY[options.parity], options.stopbits
        line.rtscts, line.xonxoff = options.flow == "rtscts", options.flow == "xonxoff"
        line.dtr, line.rts = options.dtr, options.rts
        line.port = options.port
        line.open()
    except ValueError as wrong:
        raise DeviceMisconfigured(f"{options.port} refused these settings: {wrong}.") from wrong
    except OSError as failed:
        raise DeviceUnavailable(f"{options.port} cannot be opened as RFC 2217.", "device.refused") from failed
    return line
