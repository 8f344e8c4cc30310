"""Cards and stays on the phone: binding guarded against guessing, listing, unbinding; always through the follower."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from core.clock import Clock
from core.errors import NotYours, Refusal
from core.ids import new_id
from core.policies import BindingLimits
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionStatus,
    CardStatus,
    Ctx,
    Fetched,
    HisError,
    HisPort,
    NotFound,
    Patient,
    PatientQuery,
    Rejected,
    Unavailable,
)
from store.port import Attempts, Binding, BindingKind, Bindings, Limit

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OUTAGE_FACTOR = 4
"""How many attempts an hour, in units of the follower's cap, an outage of the HIS may give back.

Without a bound, guesses sent while the HIS answers late would be free; with it, an honest patient never notices.
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says to prove that a card or stay is theirs; kept nowhere."""

    kind: BindingKind
    number: str
    name: str
    id_no: str
    phone: str

    def __repr__(self) -> str:
        """Nothing personal, wherever it is printed."""
        return f"Claim({self.kind.value})"


@dataclass(frozen=True, slots=True)
class Proven:
    """What the HIS holds under a claim that matched."""

    patient_id: str
    name: str
    scan_number: str


class CardService:
    """Binds, lists and unbinds. Safe from many threads.

    Args:
        bindings, attempts, his, clock: the ports.
        limits: ``policies.binding``.
        deadline_s: how long a binding waits for the HIS.
    """

    def __init__(
        self, bindings: Bindings, attempts: Attempts, his: HisPort, clock: Clock, limits: BindingLimits,
        *, deadline_s: float = 8.0,
    ) -> None:  # fmt: skip
        self._bindings, self._attempts, self._his, self._clock = bindings, attempts, his, clock
        self._limits, self._deadline_s = limits, deadline_s

    def bind(self, follower_id: str, claim: Claim, address: str) -> Binding:
        """Bind the card or stay when all four fields are what the HIS holds.

        The attempt is counted before the HIS is asked, and taken off again when it succeeds or the HIS is away.

        Args:
            address: where the request came from; one of the three counters.

        Raises:
            Refusal: ``binding.mismatch`` (the same whatever was wrong), ``binding.too_many_attempts`` with
                ``retry_after_s``, ``binding.unavailable``, ``binding.full``.
        """
        claim = normalised(claim)
        self._must_have_room(follower_id, claim)
        attempt = self._reserve(follower_id, claim, address)
        try:
            proven = self._prove(claim)
        except (NotFound, Rejected):
            proven = None
        except HisError as exc:
            self._give_back(follower_id, attempt)
            raise _UNAVAILABLE() from exc
        if proven is None:
            raise _MISMATCH()
        now = self._clock.now()
        binding = Binding(
            new_id(), follower_id, claim.kind, claim.number, proven.patient_id, proven.name, now, proven.scan_number
        )
        kept = self._bindings.add(binding, now)
        self._attempts.settle(attempt, success=True)
        return kept

    def cards(self, follower_id: str) -> list[Binding]:
        """The follower's cards, oldest first."""
        return self._bindings.of(follower_id, BindingKind.CARD)

    def admissions(self, follower_id: str) -> list[Binding]:
        """The follower's stays, oldest first."""
        return self._bindings.of(follower_id, BindingKind.ADMISSION)

    def get(self, follower_id: str, kind: BindingKind, binding_id: str) -> Binding:
        """One binding of this follower. Raises NotYours."""
        found = self._bindings.get(follower_id, binding_id)
        if found is None or found.kind is not kind:
            raise NotYours
        return found

    def unbind(self, follower_id: str, kind: BindingKind, binding_id: str) -> Binding:
        """End it; its codes are void at once. Returns what it was. Raises NotYours."""
        found = self.get(follower_id, kind, binding_id)
        if not self._bindings.end(follower_id, binding_id, self._clock.now()):
            raise NotYours
        return found

    def stay(self, binding: Binding, deadline_s: float = 1.5) -> Admission | None:
        """Ward and bed now, or None when the HIS cannot say: a wristband is shown without them too."""
        ctx = Ctx(deadline_s=deadline_s, actor="portal")
        band = binding.scan_number != binding.number
        query = (
            AdmissionQuery(wristband_no=binding.scan_number) if band else AdmissionQuery(admission_no=binding.number)
        )
        try:
            return self._his.ask(query, ctx).value
        except HisError:
            return None

    # ---------------------------------------------------------------- guards

    def _must_have_room(self, follower_id: str, claim: Claim) -> None:
        held = [*self.cards(follower_id), *self.admissions(follower_id)]
        again = any(one.kind is claim.kind and one.number == claim.number for one in held)
        if len(held) >= self._limits.cards_per_follower and not again:
            most = self._limits.cards_per_follower
            raise Refusal(
                "binding.full",
                f"最多绑定 {most} 张卡,请先解绑一张不用的",
                f"You can keep {most} cards; unbind one you no longer need first",
                next_step="cards",
            )

    def _reserve(self, follower_id: str, claim: Claim, address: str) -> str:
        caps = self._limits
        reserved = self._attempts.reserve(
            (
                Limit("bind_follower", follower_id, caps.fails_per_follower_hour, HOUR),
                Limit("bind_number", f"{claim.kind.value}:{claim.number}", caps.fails_per_number_day, DAY),
                Limit("bind_address", address, caps.fails_per_address_hour, HOUR),
            ),
            self._clock.now(),
        )
        if not reserved.allowed:
            raise _too_many(reserved.retry_after)
        return reserved.attempt_id

    def _give_back(self, follower_id: str, attempt: str) -> None:
        cap = self._limits.fails_per_follower_hour * OUTAGE_FACTOR
        free = self._attempts.reserve((Limit("bind_outage", follower_id, cap, HOUR),), self._clock.now())
        if free.allowed:
            self._attempts.settle(attempt, success=True)

    # ---------------------------------------------------------------- proof

    def _prove(self, claim: Claim) -> Proven | None:
        """What the HIS holds when everything matches, else None. Exactly one call. Raises HisError."""
        if claim.kind is BindingKind.CARD:
            patient, scan_number, live = self._card(claim.number)
        else:
            patient, scan_number, live = self._stay(claim.number)
        matches = _same(claim, patient)
        if not (matches & live) or patient.deceased:
            return None
        return Proven(patient.patient_id, patient.name, scan_number)

    def _card(self, number: str) -> tuple[Patient, str, bool]:
        """(holder, what a scanner reads, whether the card is in use)."""
        patient = _fresh(self._his.ask(PatientQuery(card_no=number), self._ctx()))
        live = any(card.card_no == number and card.status is CardStatus.ACTIVE for card in patient.cards)
        return patient, number, live

    def _stay(self, number: str) -> tuple[Patient, str, bool]:
        """The same for a stay; a discharged one may be bound, for its papers: its wristband is void anyway."""
        stay = _fresh(self._his.ask(AdmissionQuery(admission_no=number), self._ctx()))
        live = stay.admission_no == number and stay.status in _BINDABLE
        return stay.patient, stay.wristband_no or number, live

    def _ctx(self) -> Ctx:
        return Ctx(deadline_s=self._deadline_s, actor="portal")


_BINDABLE = frozenset({AdmissionStatus.ADMITTED, AdmissionStatus.DISCHARGED})
T = TypeVar("T")


def _fresh(fetched: Fetched[T]) -> T:
    """The value; what the HIS said some time ago proves nothing today. Raises Unavailable."""
    if fetched.stale:
        raise Unavailable("stale")
    return fetched.value


def normalised(claim: Claim) -> Claim:
    """The claim as people mean it: no blanks in it, full-width characters as ASCII, ``x`` as ``X``."""
    return Claim(
        claim.kind,
        plain(claim.number).upper(),
        plain(claim.name),
        plain(claim.id_no).upper(),
        plain(claim.phone).replace("-", "").removeprefix("+86"),
    )


def plain(text: str) -> str:
    """``６００ 1`` → ``6001``: compatibility forms folded, every blank gone."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _same(claim: Claim, patient: Patient) -> bool:
    """Whether name, ID number and phone match; every field is always compared, in constant time."""
    held = normalised(Claim(claim.kind, claim.number, patient.name, patient.id_no, patient.phone))
    pairs = ((claim.name, held.name), (claim.id_no, held.id_no), (claim.phone, held.phone))
    result = True
    for said, known in pairs:
        # hashed first: compare_digest gives away the length
        equal = hmac.compare_digest(hashlib.sha256(said.encode()).digest(), hashlib.sha256(known.encode()).digest())
        result = result & equal & bool(known)
    return result


def _MISMATCH() -> Refusal:  # noqa: N802 - reads as the constant it is; a raised exception must not be shared
    return Refusal(
        "binding.mismatch",
        "没有绑定:填写的信息与医院登记的不一致。请对照就诊卡和办卡时登记的姓名、证件号、手机号再试;仍不行请到窗口核对",
        "Not bound: what you entered differs from what the hospital holds. Check the card and the name, ID number and "
        "phone given when it was issued; if it still fails, ask at a counter",
        next_step="bind",
    )


def _UNAVAILABLE() -> Refusal:  # noqa: N802
    return Refusal(
        "binding.unavailable",
        "医院系统暂时没有回应,还没有绑定,也不占用您的尝试次数。请过几分钟再试",
        "The hospital system does not answer; nothing was bound and no attempt was counted. Please try again in a few minutes",
        next_step="bind",
    )


def _too_many(wait: timedelta) -> Refusal:
    seconds = max(1, int(wait.total_seconds()) + 1)
    minutes = -(-seconds // 60)
    hours, rest = divmod(minutes, 60)
    zh = f"{hours} 小时 {rest} 分钟" if hours else f"{minutes} 分钟"
    en = f"{hours} h {rest} min" if hours else f"{minutes} min"
    return Refusal(
        "binding.too_many_attempts",
        f"尝试次数过多,为保护您的信息,请 {zh}后再试,或到窗口办理",
        f"Too many attempts; to protect your data please try again in {en}, or ask at a counter",
        next_step="cards",
        retry_after_s=seconds,
    )
