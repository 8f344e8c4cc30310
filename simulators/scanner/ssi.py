"""The scanner's side of Zebra SSI on a bad cable: sends, waits for the ACK, repeats at most twice.

Written from the Programmer's Guide, on purpose without the house's own packet code.
"""

import random
from collections.abc import Callable
from typing import Final

_DECODE_DATA: Final = 0xF3
_ACK: Final = 0xD0
_NAK: Final = 0xD1
_CODE128: Final = 0x03

# Hand over what the cable makes of one packet; answer what the host sent back until the line was quiet.
Exchange = Callable[[bytes], bytes]


def decode_packet(text: bytes, *, again: bool = False) -> bytes:
    """A DECODE_DATA packet for a Code128 of at most 250 bytes; `again` sets the retransmit bit."""
    body = bytes((5 + len(text), _DECODE_DATA, 0, int(again), _CODE128)) + text
    total = 0x10000 - sum(body) & 0xFFFF
    return body + bytes((total >> 8, total & 0xFF))


class SsiScanner:
    """One scanner; `faults` counts what the cable did to it. `wait` passes simulated or real seconds."""

    def __init__(self, exchange: Exchange, wait: Callable[[float], None], dice: random.Random) -> None:
        self._exchange = exchange
        self._wait = wait
        self._dice = dice
        self.faults = 0

    def hold_up(self, text: bytes) -> bool:
        """Send one code; True when the host acknowledged it, False after the second repeat in vain."""
        for attempt in range(3):
            reply = self._exchange(self._damage(decode_packet(text, again=attempt > 0)))
            if reply and self._dice.random() < 0.3:
                self.faults += 1
                reply = b""
            if len(reply) > 1 and reply[1] == _ACK:
                return True
            self._wait(0.01 if len(reply) > 1 and reply[1] == _NAK else 2.0)
        return False

    def _damage(self, packet: bytes) -> bytes:
        """In four of ten packets: a flipped bit, a cut end, noise inside, or a lost byte."""
        if self._dice.random() >= 0.4:
            return packet
        self.faults += 1
        wire, at = bytearray(packet), self._dice.randrange(len(packet))
        match self._dice.randrange(4):
            case 0:
                wire[at] ^= 1 << self._dice.randrange(8)
            case 1:
                del wire[at:]
            case 2:
                wire[at:at] = self._dice.randbytes(self._dice.randint(1, 8))
            case _:
                del wire[at]
        return bytes(wire)
