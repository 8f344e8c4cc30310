"""Zebra Simple Serial Interface, without I/O: packets in, scans and ACK/NAK out; repeated sends are dropped.

Source: Zebra, Simple Serial Interface Programmer's Guide (72E-40451). A packet is length, opcode, source,
status, data, and a two's-complement checksum of two bytes; the length counts neither checksum byte.
"""

from collections.abc import Iterator
from typing import Final

from devices.serial.framers import CAP, Frame

DECODE_DATA: Final = 0xF3
CMD_ACK: Final = 0xD0
CMD_NAK: Final = 0xD1
BEEP: Final = 0xE6
NAK_RESEND: Final = 1
FROM_DECODER: Final = 0x00
FROM_HOST: Final = 0x04
RESEND_BIT: Final = 0x01
MORE_BIT: Final = 0x02
HEADER: Final = 4
BEEP_HIGH: Final = 0x00
BEEP_THREE_LOW: Final = 0x07
BEEP_LONG_LOW: Final = 0x0F

# Pauses inside one packet are at most 200 ms by the guide; after a fault the line is quiet until we answer.
GAP_S: Final = 0.2
DRAIN_S: Final = 0.05
PARTS_S: Final = 5.0
# A scanner repeats at most twice, after at most 2 s each (host response timeout): later it is a new scan.
RESEND_WINDOW_S: Final = 10.0

SYMBOLOGIES: Final = {
    0x01: "Code39",
    0x02: "Codabar",
    0x03: "Code128",
    0x06: "ITF",
    0x07: "Code93",
    0x08: "UPCA",
    0x09: "UPCE",
    0x0A: "EAN8",
    0x0B: "EAN13",
    0x0F: "GS1-128",
    0x11: "PDF417",
    0x1B: "DataMatrix",
    0x1C: "QRCode",
    0x2D: "Aztec",
}


def checksum(body: bytes) -> bytes:
    """The two's complement of the sum of all bytes before it, high byte first."""
    return (-sum(body) & 0xFFFF).to_bytes(2, "big")


def packet(opcode: int, data: bytes = b"", *, source: int = FROM_HOST, status: int = 0) -> bytes:
    """One whole packet. `data` holds at most 251 bytes."""
    body = bytes((HEADER + len(data), opcode, source, status)) + data
    return body + checksum(body)


class SsiFramer:
    """The host's side of SSI. `acknowledge` False suits a scanner with software handshaking switched off."""

    def __init__(self, *, acknowledge: bool = True) -> None:
        self.bad = 0
        self.repeats = 0
        self._acknowledge = acknowledge
        self._buffer = bytearray()
        self._parts = bytearray()
        self._replies = bytearray()
        self._faulty = False
        self._last = 0.0
        self._accepted: bytes | None = None
        self._accepted_at = 0.0

    @property
    def deadline(self) -> float | None:
        if self._faulty:
            return self._last + DRAIN_S
        if self._buffer:
            return self._last + GAP_S
        return self._last + PARTS_S if self._parts else None

    def feed(self, data: bytes, now: float) -> list[Frame]:
        self._last = now
        self._buffer += data
        if len(self._buffer) > CAP:
            del self._buffer[:-CAP]
            self._faulty = True
        frames: list[Frame] = []
        while self._buffer and not self._faulty:
            size = self._whole_size(0)
            if size is None:
                self._faulty = True
            elif size == 0:
                break
            else:
                frames += self._handle(bytes(self._buffer[:size]), now)
                del self._buffer[:size]
        return frames

    def expire(self, now: float) -> list[Frame]:
        """The line is quiet after a fault: save the whole packets behind it, else ask for the packet again."""
        due = self.deadline
        if due is None or now < due:
            return []
        if not self._buffer:
            self.bad += 1
            self._parts.clear()
            return []
        self.bad += 1
        frames: list[Frame] = []
        saved = False
        for body in self._salvage():
            saved = True
            frames += self._handle(body, now)
        self._buffer.clear()
        self._faulty = False
        if not saved and self._acknowledge:
            self._replies += packet(CMD_NAK, bytes((NAK_RESEND,)))
        return frames

    def take_replies(self) -> bytes:
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def _whole_size(self, start: int) -> int | None:
        """Size of the packet at `start` with its checksum; 0 while bytes are missing, None when it is none."""
        head = self._buffer[start : start + HEADER]
        if head[0] < HEADER or (len(head) > 2 and head[2] != FROM_DECODER):
            return None
        end = start + head[0] + 2
        if len(self._buffer) < end:
            return 0
        body = bytes(self._buffer[start : end - 2])
        return head[0] + 2 if checksum(body) == self._buffer[end - 2 : end] else None

    def _salvage(self) -> Iterator[bytes]:
        """Whole decode packets anywhere behind a fault; needed when the scanner waits for no ACK."""
        start = 1
        while start + HEADER + 2 <= len(self._buffer):
            size = self._whole_size(start) if self._buffer[start + 1] == DECODE_DATA else None
            if size:
                yield bytes(self._buffer[start : start + size])
            start += size or 1

    def _handle(self, whole: bytes, now: float) -> list[Frame]:
        opcode, status, data = whole[1], whole[3], whole[HEADER:-2]
        if opcode in (CMD_ACK, CMD_NAK):
            return []
        if self._acknowledge:
            self._replies += packet(CMD_ACK)
        if opcode != DECODE_DATA or not data:
            return []
        identity = bytes((status & MORE_BIT,)) + data
        repeated = identity == self._accepted and now - self._accepted_at <= RESEND_WINDOW_S
        if status & RESEND_BIT and repeated:
            self.repeats += 1
            return []
        self._accepted, self._accepted_at = identity, now
        return self._assemble(data, more=bool(status & MORE_BIT))

    def _assemble(self, data: bytes, *, more: bool) -> list[Frame]:
        """Join the packets of a long code; each starts with its bar code type."""
        self._parts += data[1:]
        if len(self._parts) > CAP:
            self.bad += 1
            self._parts.clear()
            return []
        if more:
            return []
        payload = bytes(self._parts)
        self._parts.clear()
        return [Frame(payload, SYMBOLOGIES.get(data[0], f"SSI-{data[0]:02X}"))] if payload else []
