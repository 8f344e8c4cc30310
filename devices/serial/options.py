"""What can be set on a serial scanner; titles and descriptions draw the admin form."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from devices.port import DriverOptions
from devices.serial.framers import CAP, FixedFramer, Framer, IdleFramer, LineFramer, StxEtxFramer
from devices.serial.ssi import SsiFramer

_URL: Final = re.compile(r"(?:socket|rfc2217)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#]+):(?P<port>\d{1,5})")
_USB: Final = re.compile(r"usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(?::\S+)?")


def _check_port(port: str) -> str:
    """Accept a node's path, usb:VID:PID[:SERIAL], socket://host:port or rfc2217://host:port."""
    found = _URL.fullmatch(port)
    if found:
        if not 0 < int(found["port"]) < 65536:
            raise ValueError("the port number after the host must be between 1 and 65535")
    elif not (port.startswith("/") or _USB.fullmatch(port)):
        raise ValueError("give /dev/serial/by-path/…, usb:VID:PID, socket://host:port or rfc2217://host:port")
    return port


def _check_hex(text: str) -> str:
    """Accept pairs of hex digits with or without spaces."""
    try:
        bytes.fromhex(text)
    except ValueError:
        raise ValueError("write the bytes as pairs of hex digits, such as 16 54 0D") from None
    return text


Hex = Annotated[str, Field(max_length=512), AfterValidator(_check_hex)]


class SerialOptions(DriverOptions):
    """A scanner on a serial line, a USB serial port, or a serial-to-network converter."""

    port: Annotated[str, AfterValidator(_check_port)] = Field(
        max_length=500,
        title="Port",
        description="Best /dev/serial/by-path/… (stays with the socket in the wall); also /dev/serial/by-id/…, "
        "usb:VID:PID[:SERIAL], socket://host:port, rfc2217://host:port.",
    )
    baud: int = Field(
        default=9600, ge=300, le=4_000_000, title="Baud rate", description="As printed in the scanner's manual."
    )
    bytesize: Literal[7, 8] = Field(default=8, title="Data bits", description="Nearly always 8.")
    parity: Literal["none", "even", "odd"] = Field(default="none", title="Parity", description="Nearly always none.")
    stopbits: Literal[1, 2] = Field(default=1, title="Stop bits", description="Nearly always 1.")
    flow: Literal["none", "rtscts", "xonxoff"] = Field(
        default="none", title="Flow control", description="Only if the scanner is set to it."
    )
    dtr: bool = Field(default=True, title="Raise DTR", description="Some scanners sleep without it.")
    rts: bool = Field(default=True, title="Raise RTS", description="Some scanners send only while it is raised.")
    framing: Literal["line", "stx_etx", "idle", "fixed", "ssi"] = Field(
        default="line",
        title="How a code ends",
        description="line: a terminator; stx_etx: between STX and ETX; idle: silence; fixed: a length; "
        "ssi: Zebra packets with checksum.",
    )
    terminator: Literal["any", "cr", "lf", "crlf", "tab"] = Field(
        default="any", title="Terminator", description="For line. any takes CR, LF and CRLF."
    )
    gap_ms: int = Field(
        default=120,
        ge=5,
        le=5000,
        title="Silence that ends a code (ms)",
        description="For idle. Longer than any pause inside a code: network converters pause up to 80 ms.",
    )
    length: int = Field(default=20, ge=1, le=CAP, title="Length", description="For fixed: bytes in every code.")
    stale_ms: int = Field(
        default=1000,
        ge=100,
        le=60_000,
        title="Drop half a code after (ms)",
        description="So that a broken code is never glued to the next one.",
    )
    ssi_ack: bool = Field(
        default=True, title="Answer SSI packets", description="For ssi. Off if software handshaking is off."
    )
    open_hex: Hex = Field(
        default="", title="Send when opened", description="Bytes in hex, such as a command that turns it on."
    )
    accepted_hex: Hex = Field(
        default="", title="Send when accepted", description="Bytes in hex for a beep. SSI beeps without this."
    )
    unknown_hex: Hex = Field(
        default="", title="Send when unknown", description="Bytes in hex for the sound of an unknown code."
    )
    busy_hex: Hex = Field(
        default="", title="Send when busy", description="Bytes in hex for the sound of a HIS that does not answer."
    )
    silent_link_s: float = Field(
        default=12.0,
        ge=2.0,
        le=15.0,
        title="Dead link after (s)",
        description="For socket:// and rfc2217://. A link this long without any sign of life is opened anew.",
    )

    @model_validator(mode="after")
    def _network_has_no_modem_lines(self) -> Self:
        if self.port.startswith("socket://") and self.flow == "rtscts":
            raise ValueError("flow control rtscts has no meaning on socket://; set it on the converter")
        return self

    def endpoint(self) -> tuple[str, int]:
        """Host and port of a network port; only for socket:// and rfc2217://."""
        found = _URL.fullmatch(self.port)
        if found is None:
            raise ValueError("not a network port")
        return found["host"].strip("[]"), int(found["port"])

    def framer(self) -> Framer:
        """A fresh framer; one per opening, so that nothing is carried across a loss."""
        stale = self.stale_ms / 1000
        match self.framing:
            case "line":
                return LineFramer(self.terminator, stale)
            case "stx_etx":
                return StxEtxFramer(stale)
            case "idle":
                return IdleFramer(self.gap_ms / 1000)
            case "fixed":
                return FixedFramer(self.length, stale)
            case "ssi":
                return SsiFramer(acknowledge=self.ssi_ack)
