"""The errors every room may raise; adapters translate theirs at their own edge.

HospitalError
├── ConfigError        the deployment is described wrongly: names key and line, exit 2
└── Refusal            a person asked for something we cannot do: dotted code, zh-CN and en sentence, next step
    └── NotYours       the object is not this person's, or does not exist: both look the same
"""

from __future__ import annotations


class HospitalError(Exception):
    """Root of the house's own errors."""


class ConfigError(HospitalError):
    """A wrong configuration.

    Args:
        message: one plain sentence: what is wrong and what to do.
        key: dotted key, such as ``server.port``; empty when the whole file is meant.
        line: 1-based line in the file, or None when the value came from elsewhere.
        source: file name or ``environment``.
    """

    def __init__(self, message: str, *, key: str = "", line: int | None = None, source: str = "") -> None:
        self.message, self.key, self.line, self.source = message, key, line, source
        where = source + (f", line {line}" if line else "")
        super().__init__(": ".join(part for part in (where, key, message) if part))


class Refusal(HospitalError):
    """Something a person asked for and does not get, said so that they know what to do next.

    Args:
        code: dotted code, such as ``binding.mismatch``; the machine's word.
        zh: sentence for people, zh-CN.
        en: the same in English.
        next_step: endpoint-like word of the step that helps (``bind``, ``login``); empty if none does.
        retry_after_s: seconds until trying again makes sense; None when waiting does not help.
    """

    def __init__(self, code: str, zh: str, en: str, *, next_step: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {en}")
        self.code, self.zh, self.en, self.next_step, self.retry_after_s = (
            code,
            zh,
            en,
            next_step,
            retry_after_s,
        )


class NotYours(Refusal):
    """The object is someone else's or does not exist; the answer never tells which."""

    def __init__(self) -> None:
        super().__init__(
            "not_found",
            "没有找到这一项,它可能已被解绑",
            "We could not find this item; it may have been unbound",
            next_step="cards",
        )
