"""What the phone shows for a binding: the current code and ten minutes of codes ahead, and whether it was scanned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.clock import Clock
from core.codes import draw, passes
from core.config import CodeModes
from core.outcomes import ACCEPTED, WORDS, Outcome, Say
from core.privacy import last4, mask_name
from store.port import Binding, BindingKind, Bindings, Scans


@dataclass(frozen=True, slots=True)
class Code:
    """One code, drawn. ``step`` is the TOTP step it belongs to; 0 in static mode."""

    step: int
    qr: draw.Qr
    bar: draw.Bar

    @property
    def text(self) -> str:
        """What a scanner reads."""
        return self.qr.text

    def packed(self) -> list[int | str]:
        """``[step, text, qr bits in base64, bar widths]``: what the page's script draws from."""
        return [self.step, self.text, self.qr.packed(), self.bar.widths()]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page's worth of codes. ``epoch`` is the server's Unix time they were made at, the page's only clock."""

    kind: BindingKind
    name: str
    last4: str
    mode: str
    step_s: int
    epoch: float
    codes: tuple[Code, ...]

    def valid_until(self) -> float:
        """Unix time the first code is accepted to, the one step of tolerance included."""
        return float((self.codes[0].step + 1 + passes.SKEW) * self.step_s)


@dataclass(frozen=True, slots=True)
class LastScan:
    """The latest scan of a binding's pass, said as everywhere else."""

    at: datetime
    place: str
    outcome: Outcome
    say: Say

    @property
    def accepted(self) -> bool:
        """Whether the code did its work (and is used up)."""
        return self.outcome in ACCEPTED or self.outcome is Outcome.ALREADY_DONE


class PhoneCodes:
    """Makes codes from the binding's pass; its secret goes no further than here."""

    def __init__(self, bindings: Bindings, scans: Scans, clock: Clock, modes: CodeModes) -> None:
        self._bindings, self._scans, self._clock, self._modes = bindings, scans, clock, modes

    def show(self, binding: Binding) -> Shown:
        """Codes for this binding, each decoded back after drawing. Raises core.codes.draw.DrawFault."""
        card = binding.kind is BindingKind.CARD
        mode = self._modes.e_card if card else self._modes.e_wristband
        epoch = self._clock.epoch()
        codes = self._rotating(binding, epoch) if mode == "rotating" else _static(binding)
        return Shown(binding.kind, mask_name(binding.name), last4(binding.number), mode, passes.STEP_S, epoch, codes)

    def last_scan(self, binding: Binding) -> LastScan | None:
        """For the live tick; None while the pass has never been scanned."""
        row = self._bindings.pass_for(binding, self._clock.now())
        found = self._scans.last_of_pass(row.pass_no)
        if found is None:
            return None
        at, place, word = found
        outcome = Outcome(word)
        return LastScan(at, place, outcome, WORDS[outcome].say)

    def _rotating(self, binding: Binding, epoch: float) -> tuple[Code, ...]:
        row = self._bindings.pass_for(binding, self._clock.now())
        first = passes.step_at(epoch)
        if self._scans.find_use(row.pass_no, first) is not None:
            first += 1  # the current code did its work; the next one is accepted already and works at the next desk
        return tuple(
            _drawn(step, passes.render(row.kind, row.pass_no, row.secret, step))
            for step in range(first, first + passes.AHEAD + 1)
        )


def _static(binding: Binding) -> tuple[Code, ...]:
    return (_drawn(0, binding.scan_number or binding.number),)


def _drawn(step: int, text: str) -> Code:
    return Code(step, draw.qr(text), draw.code128(text))
