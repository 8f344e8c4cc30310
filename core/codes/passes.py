"""The pass a phone shows: 20 digits = type (87 e-card, 88 e-wristband), pass number, 8-digit TOTP (RFC 6238)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

STEP_S = 30
"""Seconds a code is shown (RFC 6238 time step)."""
SKEW = 1
"""Steps accepted either side of now."""
AHEAD = 20
"""Steps the page holds beyond now: ten minutes without signal."""
PASS_DIGITS = 20
_BACK = 2 * 3600 // STEP_S
"""How far back a stale code is still told from a forged one: two hours; older ones get the neutral answer."""


class PassKind(StrEnum):
    """The two type prefixes; no pay code begins with either (WeChat 10–15, Alipay 25–30, UnionPay 62)."""

    E_CARD = "87"
    E_WRISTBAND = "88"


KINDS = {kind.value: kind for kind in PassKind}
"""Kinds by prefix; asking the enum takes three calls, on a path this hot."""


class Verdict(StrEnum):
    """What a check of the TOTP part says."""

    VALID = "valid"
    EXPIRED = "expired"
    EARLY = "early"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class Pass:
    """The parts of a 20-digit code as read."""

    kind: PassKind
    pass_no: str
    totp: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Verdict with the step the code belongs to; ``step`` is None when forged."""

    verdict: Verdict
    step: int | None


def new_pass_no() -> str:
    """Ten random digits. Random, not counted: a number seen tells nothing about any other."""
    return f"{secrets.randbelow(10**10):010d}"


def new_secret() -> bytes:
    """A TOTP secret of the hash's length (RFC 6238 recommends so). It never leaves the server."""
    return secrets.token_bytes(32)


def step_at(epoch_s: float) -> int:
    """The TOTP step of a Unix time."""
    return int(epoch_s // STEP_S)


def totp(secret: bytes, step: int) -> str:
    """Eight digits for one step: HOTP dynamic truncation (RFC 4226 part 5.3) over HMAC-SHA-256."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha256")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 10**8:08d}"


def render(kind: PassKind, pass_no: str, secret: bytes, step: int) -> str:
    """The 20 digits to show during ``step``."""
    return f"{kind.value}{pass_no}{totp(secret, step)}"


def parse(text: str) -> Pass | None:
    """The parts, or None when the text is not shaped like a pass."""
    if len(text) != PASS_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    kind = KINDS.get(text[:2])
    return Pass(kind, text[2:12], text[12:]) if kind else None


def accepts(code: Pass, secret: bytes, now_step: int) -> int | None:
    """The step this code is good for now, one either side, or None; compared in constant time."""
    for step in (now_step, now_step - SKEW, now_step + SKEW):
        if hmac.compare_digest(code.totp, totp(secret, step)):
            return step
    return None


def check(code: Pass, secret: bytes, now_step: int) -> Checked:
    """`accepts`, and for a refusal the reason.

    A code of an earlier step within two hours is EXPIRED; one of the steps a page holds ahead is EARLY
    (the phone's clock is wrong); anything else is FORGED.
    """
    if (step := accepts(code, secret, now_step)) is not None:
        return Checked(Verdict.VALID, step)
    for step in range(now_step + SKEW + 1, now_step + AHEAD + SKEW + 1):
        if hmac.compare_digest(code.totp, totp(secret, step)):
            return Checked(Verdict.EARLY, step)
    for step in range(now_step - SKEW - 1, now_step - _BACK, -1):
        if hmac.compare_digest(code.totp, totp(secret, step)):
            return Checked(Verdict.EXPIRED, step)
    return Checked(Verdict.FORGED, None)
