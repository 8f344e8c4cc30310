"""Classify a code before anyone acts on it: ours, the hospital's printed numbers, or somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.codes.passes import Pass, PassKind, parse
from core.errors import ConfigError


class CodeClass(StrEnum):
    """What a code is; the ``code_class`` of every outcome."""

    E_CARD = "e_card"
    E_WRISTBAND = "e_wristband"
    PATIENT_CARD = "patient_card"
    WRISTBAND = "wristband"
    E_HEALTH_CARD = "e_health_card"
    INSURANCE_TOKEN = "insurance_token"
    ID_NUMBER = "id_number"
    PAY_WECHAT = "pay_wechat"
    PAY_ALIPAY = "pay_alipay"
    PAY_UNIONPAY = "pay_unionpay"
    GS1_GSRN = "gs1_gsrn"
    URL = "url"
    UNKNOWN = "unknown"


PASSES = frozenset({CodeClass.E_CARD, CodeClass.E_WRISTBAND})
PAY_CODES = frozenset({CodeClass.PAY_WECHAT, CodeClass.PAY_ALIPAY, CodeClass.PAY_UNIONPAY})
CARDS = frozenset({CodeClass.E_CARD, CodeClass.PATIENT_CARD})
WRISTBANDS = frozenset({CodeClass.E_WRISTBAND, CodeClass.WRISTBAND, CodeClass.GS1_GSRN})
NEVER_KEPT = PAY_CODES | {CodeClass.ID_NUMBER, CodeClass.INSURANCE_TOKEN, CodeClass.E_HEALTH_CARD}
"""Classes whose text is neither stored nor logged nor returned, not even as a hash: they open money or identity."""


@dataclass(frozen=True, slots=True)
class Classified:
    """A class and the value to act on (number without AIM prefix or GS1 syntax; empty for `NEVER_KEPT`)."""

    code_class: CodeClass
    value: str
    shown: Pass | None = None
    """The parts of a pass of ours."""
    instance: str = ""
    """AI 8019 service relation instance number, which tells one band of a patient from the next."""


class Patterns:
    """The hospital's printed numbers, as configured regular expressions, compiled and checked once.

    Raises ConfigError for an expression that does not compile or that also matches a pay code or
    ID number: such a pattern would let somebody's money or identity number pass as a card.
    """

    def __init__(self, card: Iterable[str], wristband: Iterable[str]) -> None:
        self._card = [_compile("codes.patterns.card", text) for text in card]
        self._wristband = [_compile("codes.patterns.wristband", text) for text in wristband]

    def printed(self, text: str) -> CodeClass | None:
        """PATIENT_CARD, WRISTBAND, or None."""
        if any(p.fullmatch(text) for p in self._card):
            return CodeClass.PATIENT_CARD
        if any(p.fullmatch(text) for p in self._wristband):
            return CodeClass.WRISTBAND
        return None


_PROBES = {
    "a WeChat pay code": "134567890123456789",
    "an Alipay pay code": "281234567890123456",
    "a UnionPay pay code": "6212345678901234567",
    "an 18-digit ID number": "11010519491231002X",
    "a pass of ours": "87012345678901234567",
}


def _compile(key: str, text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as exc:
        raise ConfigError(f"{text!r} is not a regular expression: {exc}", key=key) from exc
    for what, probe in _PROBES.items():
        if pattern.fullmatch(probe):
            raise ConfigError(f"{text!r} also matches {what}; make it narrower, such as '60\\d{{10}}'", key=key)
    return pattern


def classify(text: str, patterns: Patterns, symbology: str | None = None) -> Classified:
    """Say what a code is.

    Args:
        text: as read, AIM prefix allowed (``]Q3…``, ``]C1…``, ``]d2…`` mean GS1).
        patterns: the hospital's printed numbers.
        symbology: as the reader named it; ``GS1…`` names mean GS1 element strings.
    """
    body, gs1 = _strip_aim(text.strip("\r\n\t "), symbology)
    ours = parse(body)
    if ours is not None:
        return Classified(CodeClass.E_CARD if ours.kind is PassKind.E_CARD else CodeClass.E_WRISTBAND, body, ours)
    if (gsrn := _gsrn(body, gs1)) is not None:
        return gsrn
    if is_id_number(body):
        return Classified(CodeClass.ID_NUMBER, "")
    if (printed := patterns.printed(body)) is not None:
        return Classified(printed, body)
    foreign = _foreign(body)
    return Classified(foreign, "" if foreign in NEVER_KEPT else body)


def _strip_aim(text: str, symbology: str | None) -> tuple[str, bool]:
    """AIM identifier is ``]``, a letter and a digit or letter (ISO/IEC 15424)."""
    gs1 = bool(symbology and symbology.upper().startswith("GS1"))
    if len(text) >= 3 and text[0] == "]" and text[1].isalpha() and text[2].isalnum():
        return text[3:], gs1 or text[:3] in ("]C1", "]d2", "]Q3", "]e0")
    return text, gs1


_WECHAT = re.compile(r"1[0-5]\d{16}")
_ALIPAY = re.compile(r"(?:2[5-9]|30)\d{14,22}")
_UNIONPAY = re.compile(r"62\d{17}")
_HEALTH_CARD = re.compile(r"[0-9A-Fa-f]{64}(?::\S*)?")
_INSURANCE = re.compile(r"\d{28}")
_URL = re.compile(r"(?i)(?:https?|weixin|alipays?)://\S+|www\.\S+")


def _foreign(body: str) -> CodeClass:
    for pattern, found in (
        (_WECHAT, CodeClass.PAY_WECHAT),
        (_ALIPAY, CodeClass.PAY_ALIPAY),
        (_UNIONPAY, CodeClass.PAY_UNIONPAY),
        (_INSURANCE, CodeClass.INSURANCE_TOKEN),
        (_HEALTH_CARD, CodeClass.E_HEALTH_CARD),
        (_URL, CodeClass.URL),
    ):
        if pattern.fullmatch(body):
            return found
    return CodeClass.UNKNOWN


_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID = re.compile(r"[1-9]\d{16}[\dXx]")


def is_id_number(text: str) -> bool:
    """Whether this is an 18-digit resident ID number (GB 11643-1999: birth date and MOD 11-2 check).

    A WeChat pay code has 18 digits too, and IDs of five provinces begin with 11–15: the date and the
    check digit tell them apart, but for about 4 in 100,000 pay codes; neither is ever kept.
    """
    if not _ID.fullmatch(text):
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    if not date(1900, 1, 1) <= born <= date.today():  # noqa: DTZ011 - a birth date has no zone
        return False
    total = sum(int(d) * w for d, w in zip(text, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == text[17].upper()


_GS1 = re.compile(r"\(?8018\)?(\d{18})(?:\x1d?\(?8019\)?(\d{1,10}))?\x1d?")


def _gsrn(body: str, gs1: bool) -> Classified | None:
    """AI 8018 (GSRN of the patient, 18 digits with a MOD 10 check) and AI 8019 (which band), ISO 18530."""
    body = body.lstrip("\x1d")
    if not (gs1 or body.startswith("(8018)") or (body.startswith("8018") and len(body) >= 22)):
        return None
    match = _GS1.fullmatch(body)
    if match is None or not _mod10(match[1]):
        return None
    return Classified(CodeClass.GS1_GSRN, match[1], instance=match[2] or "")


def _mod10(digits: str) -> bool:
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(reversed(digits)))
    return total % 10 == 0
