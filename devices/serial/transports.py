"""Byte pipes to a scanner: a tty or a TCP socket, read by poll with a wake-up that any thread may pull."""

import contextlib
import errno
import os
import select
import socket
import stat
import threading
import time
from pathlib import Path
from typing import Final, Protocol

import serial

from devices.discover import resolve
from devices.port import DeviceBusy, DeviceLost, DeviceMisconfigured, DeviceUnavailable
from devices.serial.options import SerialOptions

CONNECT_S: Final = 3.0
WRITE_S: Final = 0.25
CHUNK: Final = 4096
_PARITY: Final = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class Transport(Protocol):
    """An open line. Only `wake` and `write` are called from other threads than the reader's."""

    def read(self, timeout: float | None) -> bytes:
        """Bytes as soon as there are any; b"" after `timeout` seconds of silence or a wake; or DeviceLost."""

    def write(self, data: bytes) -> bool:
        """Send all within WRITE_S; False when it did not go out."""

    def wake(self) -> None:
        """Make a present or future read return."""

    def close(self) -> None:
        """Release the line; safe twice, never raises."""


class Waker:
    """One descriptor that turns readable when pulled, for waiting on a line and on a cancel at once."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._fd

    def pull(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


class FdTransport:
    """A line that is one non-blocking descriptor."""

    def __init__(self, fd: int, waker: Waker, what: str) -> None:
        self._fd = fd
        self._what = what
        self._waker = waker
        self._write_lock = threading.Lock()
        self._closed = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(waker.fileno(), select.POLLIN)

    def read(self, timeout: float | None) -> bytes:
        events = self._poll.poll(None if timeout is None else max(0.0, timeout) * 1000 + 0.5)
        for fd, _ in events:
            if fd == self._fd:
                return self._read_ready()
        return b""

    def _read_ready(self) -> bytes:
        try:
            data = os.read(self._fd, CHUNK)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as gone:
            raise lost(self._what, gone) from gone
        if not data:
            raise self._ended()
        return data

    def _ended(self) -> DeviceLost:
        """Word the end of the stream."""
        return DeviceLost(f"{self._what} closed the connection.", "device.closed")

    def write(self, data: bytes) -> bool:
        deadline = time.monotonic() + WRITE_S
        with self._write_lock:
            if self._closed:
                return False
            poller = select.poll()
            poller.register(self._fd, select.POLLOUT)
            left = memoryview(data)
            while left:
                if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    return False
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError:
                    continue
                except OSError:
                    return False
        return True

    def wake(self) -> None:
        self._waker.pull()

    def close(self) -> None:
        with self._write_lock:
            if not self._closed:
                self._closed = True
                self._release()

    def _release(self) -> None:
        """Close the descriptor's owner."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


class TtyTransport(FdTransport):
    """A tty opened by pyserial (line settings, exclusive lock) and read by us (latency, clean cancel)."""

    def __init__(self, options: SerialOptions, waker: Waker) -> None:
        node = resolve(options.port)
        check_node(node, options.port)
        self._serial = _open_tty(node, options)
        super().__init__(self._serial.fileno(), waker, options.port)

    def _ended(self) -> DeviceLost:
        return DeviceLost(f"{self._what} was unplugged.", "device.unplugged")

    def _release(self) -> None:
        fd = self._fd
        try:
            self._serial.close()
        except (OSError, TypeError, ValueError):
            with contextlib.suppress(OSError):
                os.close(fd)


class TcpTransport(FdTransport):
    """A TCP line of our own: nothing is flushed at connect, a silent peer is noticed by the kernel."""

    def __init__(self, options: SerialOptions, waker: Waker) -> None:
        host, port = options.endpoint()
        self._socket = connect(host, port, waker)
        watch_link(self._socket, options.silent_link_s)
        super().__init__(self._socket.fileno(), waker, options.port)

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def lost(what: str, gone: OSError) -> DeviceLost:
    """Word an error of an open line."""
    if gone.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return DeviceLost(f"{what} no longer answers; the link is dead.", "device.silent")
    if gone.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return DeviceLost(f"{what} reset the connection.", "device.reset")
    return DeviceLost(f"{what} was unplugged ({gone.strerror or type(gone).__name__}).", "device.unplugged")


def check_node(node: str, port: str) -> None:
    """Say plainly why a node cannot be a serial port, before pyserial tries."""
    try:
        mode = Path(node).stat().st_mode
    except PermissionError as refused:
        raise DeviceUnavailable(f"No permission to look at {port}.", "device.forbidden") from refused
    except OSError as absent:
        raise DeviceUnavailable(f"{port} is not there: the scanner is not plugged in.", "device.absent") from absent
    if not stat.S_ISCHR(mode):
        raise DeviceMisconfigured(f"{port} is not a serial port.", "device.not_a_port")


def _open_tty(node: str, options: SerialOptions) -> serial.Serial:
    line = serial.Serial(exclusive=True, timeout=0, write_timeout=WRITE_S)
    line.port = node
    line.dtr, line.rts = options.dtr, options.rts
    try:
        line.baudrate, line.bytesize = options.baud, options.bytesize
        line.parity, line.stopbits = _PARITY[options.parity], options.stopbits
        line.rtscts, line.xonxoff = options.flow == "rtscts", options.flow == "xonxoff"
        line.open()
    except ValueError as wrong:
        raise DeviceMisconfigured(f"{options.port} cannot work with these settings: {wrong}.") from wrong
    except OSError as failed:  # SerialException is one; close, for a failed lock leaves the descriptor open
        with contextlib.suppress(OSError):
            line.close()
        raise _cannot_open(options.port, failed) from failed
    with contextlib.suppress(OSError, ValueError, NotImplementedError, AttributeError):
        line.set_low_latency_mode(True)  # FTDI holds bytes back for 16 ms otherwise
    return line


def _cannot_open(port: str, failed: OSError) -> DeviceUnavailable:
    if failed.errno in (errno.EAGAIN, errno.EBUSY):
        return DeviceBusy(f"{port} is in use by another program.")
    if failed.errno in (errno.EACCES, errno.EPERM):
        return DeviceUnavailable(
            f"No permission to open {port}: add this account to the group dialout.", "device.forbidden"
        )
    if failed.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return DeviceUnavailable(f"{port} is not there: the scanner is not plugged in.", "device.absent")
    return DeviceUnavailable(f"{port} cannot be opened ({failed.strerror or failed}).", "device.unavailable")


def connect(host: str, port: int, waker: Waker) -> socket.socket:
    """A connected, non-blocking socket; DeviceUnavailable when refused, silent for CONNECT_S, or cancelled."""
    where = f"{host}:{port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as unknown:
        raise DeviceUnavailable(f"The name {host} is not known on this network.", "device.no_address") from unknown
    line = socket.socket(family, kind, proto)
    try:
        line.setblocking(False)
        _finish_connect(line, address, waker, where)
    except OSError as refused:
        line.close()
        raise DeviceUnavailable(f"{where} refused the connection.", "device.refused") from refused
    except BaseException:
        line.close()
        raise
    return line


def _finish_connect(
    line: socket.socket, address: tuple[str | int, ...] | tuple[int, bytes], waker: Waker, where: str
) -> None:
    with contextlib.suppress(BlockingIOError):
        line.connect(address)
    poller = select.poll()
    poller.register(line, select.POLLOUT)
    poller.register(waker.fileno(), select.POLLIN)
    ready = {fd for fd, _ in poller.poll(CONNECT_S * 1000)}
    if waker.fileno() in ready:
        raise DeviceUnavailable("Opening was cancelled.", "device.cancelled")
    if not ready:
        raise DeviceUnavailable(f"{where} does not answer.", "device.no_answer")
    error = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def watch_link(line: socket.socket, silent_s: float) -> None:
    """Have the kernel end a link whose peer gave no sign of life for about `silent_s` seconds (2 to 15)."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = max(1, int(silent_s / 3))
    interval = max(1, int((silent_s - idle) / 3))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, max(1, int((silent_s - idle) / interval)))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silent_s * 1000))
