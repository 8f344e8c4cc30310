"""What a received message is answered: AA only after its events are stored, AE to be sent again, AR for nothing of ours."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from core.clock import SHANGHAI
from his.hl7v2.build import DECLARED, Draft, fresh_id, header
from his.hl7v2.events import NotForUs, read_events
from his.hl7v2.message import BadMessage, Message, control_id_of
from his.hl7v2.options import ListenerOptions
from his.port.events import HisEvent

log = logging.getLogger("his.hl7v2")
Store = Callable[[Sequence[HisEvent]], None]
"""Stores the events of one message together, each once by (source, event_id); returns when they will survive a crash.

Raises Reused when one was stored with another content, and anything else when they cannot be stored now.
"""
_COMMIT = {"AA": "CA", "AE": "CE", "AR": "CR"}
_WORDS = {
    "101": "Required field missing", "102": "Data type error", "200": "Unsupported message type",
    "201": "Unsupported event code", "202": "Unsupported processing id", "203": "Unsupported version id",
    "205": "Duplicate key identifier", "207": "Application internal error",
}  # fmt: skip
"""Table 0357."""


class Reused(Exception):
    """This control id came before with other content: a sender whose counter began again must not lose messages."""


class Answerer:
    """Turns one received message into its acknowledgements; thread-safe as far as `store` is."""

    def __init__(self, options: ListenerOptions, store: Store) -> None:
        self._options, self._store = options, store

    def answer(self, raw: bytes) -> list[bytes]:
        """The acknowledgements to send, in order; none when the sender asked for none (MSH-15 and MSH-16)."""
        try:
            message = Message.read(raw, self._options.charset or "")
        except BadMessage as bad:
            log.warning("mllp: unreadable message: %s", bad.reason)
            return [_acknowledge(None, control_id_of(raw), "AR", "102", bad.reason)]
        code, error, text = self._judge(message)
        log.log(
            logging.DEBUG if code == "AA" else logging.WARNING,
            "mllp: %s id=%s answered %s %s",
            _printable("^".join(message.type)), _printable(message.control_id), code, _printable(text),
        )  # fmt: skip
        return [_acknowledge(message, message.control_id, one, error, text) for one in _wanted(message, code)]

    def _judge(self, message: Message) -> tuple[str, str, str]:
        """(AA, AE or AR; error code; why)."""
        try:
            self._admit(message)
            events = read_events(message, self._options, datetime.now(SHANGHAI))
        except NotForUs as no:
            return "AR", no.code, no.text
        try:
            self._store(events)
        except Reused:
            return "AR", "205", "control id was used for another message"
        except Exception:  # whatever a database does: the sender keeps the message and sends it again
            log.exception("mllp: a message could not be stored")
            return "AE", "207", "cannot be stored now, send again"
        return "AA", "", ""

    def _admit(self, message: Message) -> None:
        options = self._options
        sender, receiver = message.get("MSH-3"), message.get("MSH-5")
        if options.sending_applications and sender not in options.sending_applications:
            raise NotForUs("200", "sending application is not known here")
        if options.receiving_application and receiver != options.receiving_application:
            raise NotForUs("200", "receiving application is not us")
        if (processing := message.get("MSH-11")) != options.processing_id:
            raise NotForUs("202", f"processing id {processing[:3]} is not taken here")
        if not message.get("MSH-12").startswith("2."):
            raise NotForUs("203", "version is not 2.x")


def _printable(text: str) -> str:
    """What a sender wrote, on one line of the log: an escape such as \\X0A\\ must not begin another."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:50])


def _wanted(message: Message, code: str) -> list[str]:
    """Which acknowledgements the sender asks for (2.9.2 original mode, 2.9.3 enhanced mode, table 0155)."""
    accept, application = message.get("MSH-15"), message.get("MSH-16")
    if not accept and not application:
        return [code]
    wanted = {"AL": True, "NE": False, "SU": code == "AA", "ER": code != "AA"}
    both = ((accept, _COMMIT[code]), (application, code))
    return [word for condition, word in both if wanted.get(condition, False)]


def _acknowledge(message: Message | None, control_id: str, code: str, error: str, text: str) -> bytes:
    """ACK with MSA-1 and MSA-2; ERR as v2.5 has it, and MSA-3 for those who look there."""

    def said(path: str) -> str:
        return message.get(path) if message is not None else ""

    charset = message.charset if message is not None and message.charset in DECLARED else "utf-8"
    draft = Draft()
    more = {
        9: ("ACK", said("MSH-9.2")), 10: fresh_id(), 11: said("MSH-11") or "P", 12: said("MSH-12") or "2.5",
        18: DECLARED[charset],
    }  # fmt: skip
    sender, receiver = (said("MSH-5"), said("MSH-6")), (said("MSH-3"), said("MSH-4"))
    draft.add("MSH", header((more.pop(9)), sender, receiver, more))
    draft.add("MSA", {1: code, 2: control_id, 3: text})
    if error:
        draft.add("ERR", {3: (error, _WORDS.get(error, ""), "HL70357"), 4: "E", 8: text})
    return draft.encode(charset)
