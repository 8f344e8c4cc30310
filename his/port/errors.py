"""What a HIS, or the way to it, can answer instead of a value. Translated once, at the adapter's edge.

HisError
├── NotFound                          a well-formed answer: the HIS holds no such thing; final
├── Rejected(code, message, reason)   a well-formed answer: the HIS says no; final, tell the patient
├── Unavailable(reason)               nothing was changed: not sent, or a read that failed; may be retried
├── UnknownOutcome(op_key)            a write was sent and nobody knows; never repeat, ask first
└── Unsupported(op)                   this HIS has no such operation; hide the function
"""

from enum import StrEnum

from core.errors import HospitalError


class HisError(HospitalError):
    """Anything the HIS, or the way to it, can answer instead of a value."""


class NotFound(HisError):
    """The HIS answered: no such patient, card, stay or document."""


class RejectReason(StrEnum):
    """Why a HIS says no, as far as its mapping tells; the services choose the patient's next step by it."""

    SLOT_GONE = "slot_gone"  # 号源已满, or taken meanwhile
    CLINIC_STOPPED = "clinic_stopped"  # 停诊
    BALANCE_SHORT = "balance_short"  # 余额不足
    DUPLICATE = "duplicate"  # this patient has such a thing already; not the same op_key again
    LIMIT = "limit"  # a limit of the HIS per person, doctor or day
    TOO_LATE = "too_late"  # past the cancel or stop time, or already seen
    AMOUNT_CHANGED = "amount_changed"  # the charges are not what they were when shown
    AMBIGUOUS = "ambiguous"  # more than one patient fits
    HOLD_EXPIRED = "hold_expired"  # 锁号 ran out
    NOT_ALLOWED = "not_allowed"  # this patient, card or stay may not
    OTHER = "other"


class Rejected(HisError):
    """The HIS answered and refused; `code` is its own word, `message` its own sentence.

    `shortfall_fen`: how much is missing, when the HIS says it with BALANCE_SHORT.
    """

    def __init__(
        self, code: str, message: str = "", reason: RejectReason = RejectReason.OTHER, shortfall_fen: int | None = None
    ) -> None:
        super().__init__(f"rejected {code}")
        self.code = code
        self.message = message
        self.reason = reason
        self.shortfall_fen = shortfall_fen


class Unavailable(HisError):
    """No usable answer and nothing changed. `reason` is a machine word: see `his.guard`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownOutcome(HisError):
    """A write left this machine and its fate is unknown; `op_key` is what to ask about, `reason` as of `Unavailable`."""

    def __init__(self, op_key: str, reason: str = "") -> None:
        super().__init__("outcome unknown")
        self.op_key = op_key
        self.reason = reason


class Unsupported(HisError):
    """The operation is not among this HIS's capabilities."""
