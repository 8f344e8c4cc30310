"""MLLP framing without sockets: bytes in, whole messages out, however the network cut them.

A frame is VT, the message, FS, CR (HL7 "Minimal Lower Layer Protocol", release 1). FS alone ends a frame here, because
some senders leave the CR away; a VT inside a frame begins a new one, because its sender gave the old one up. None of
the three bytes can be part of a character in UTF-8 or GB18030, so frames are cut before anything is decoded.
"""

VT, FS, CR = b"\x0b", b"\x1c", b"\r"
_BETWEEN = b"\r\n"
"""What may stand between frames without being noise."""


class FrameTooLarge(Exception):
    """More than the cap without an end: the peer does not speak MLLP, or sends what we must not hold."""


def frame(message: bytes) -> bytes:
    """One message as it goes over the wire; ValueError when it holds a byte that would end or begin a frame."""
    if VT in message or FS in message:
        raise ValueError("a message cannot hold VT or FS: escape them")
    return VT + message + FS + CR


class Framer:
    """Collects bytes and gives whole messages; one for each connection, not thread-safe.

    `noise`: bytes outside frames since the last whole frame; `open`: a frame has begun and not ended.
    """

    def __init__(self, cap: int) -> None:
        """`cap`: bytes of the largest message, and of noise before one."""
        self._cap = cap
        self._buffer = bytearray()
        self.open = False
        self.noise = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Messages completed by `data`, in order. Raises FrameTooLarge; the connection is then of no use."""
        whole: list[bytes] = []
        at = 0
        while at < len(data):
            at = self._inside(data, at, whole) if self.open else self._outside(data, at)
        return whole

    def _outside(self, data: bytes, at: int) -> int:
        start = data.find(VT, at)
        end = len(data) if start < 0 else start
        self.noise += len(data[at:end].strip(_BETWEEN))
        if self.noise > self._cap:
            raise FrameTooLarge
        self.open = start >= 0
        return end + 1

    def _inside(self, data: bytes, at: int, whole: list[bytes]) -> int:
        end, again = data.find(FS, at), data.find(VT, at)
        if again >= 0 and (end < 0 or again < end):
            self.noise += len(self._buffer) + again - at
            self._buffer.clear()
            return again + 1
        self._buffer += data[at:] if end < 0 else data[at:end]
        if len(self._buffer) > self._cap:
            raise FrameTooLarge
        if end < 0:
            return len(data)
        whole.append(bytes(self._buffer))
        self._buffer.clear()
        self.open, self.noise = False, 0
        return end + 1
