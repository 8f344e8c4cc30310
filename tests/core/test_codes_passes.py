"""The 20-digit pass: issued as designed, accepted one step either side, and nothing else is."""

import random

from core.codes import passes
from core.codes.passes import PassKind, Verdict

SECRET = b"12345678901234567890123456789012"
NOW = 58_000_000


def shown(step: int, kind: PassKind = PassKind.E_CARD, number: str = "0123456789", secret: bytes = SECRET) -> str:
    return passes.render(kind, number, secret, step)


def verdict(text: str, secret: bytes = SECRET) -> Verdict | None:
    read = passes.parse(text)
    return passes.check(read, secret, NOW).verdict if read else None


def test_the_totp_is_that_of_rfc_6238_appendix_b() -> None:
    # SHA-256 column of the RFC's test vectors: eight digits, 30 s
    for epoch, expected in ((59, "46119246"), (1111111109, "68084774"), (20000000000, "77737706")):
        assert passes.totp(SECRET, passes.step_at(epoch)) == expected


def test_a_code_is_twenty_digits_of_type_number_and_totp() -> None:
    text = shown(NOW, PassKind.E_WRISTBAND)
    assert len(text) == 20
    assert text.isdigit()
    assert text[:2] == "88"
    assert text[2:12] == "0123456789"


def test_this_step_and_one_either_side_are_accepted() -> None:
    assert [verdict(shown(NOW + d)) for d in (-2, -1, 0, 1, 2)] == [
        Verdict.EXPIRED, Verdict.VALID, Verdict.VALID, Verdict.VALID, Verdict.EARLY,
    ]  # fmt: skip


def test_a_code_of_an_hour_ago_is_expired_and_of_yesterday_is_not_accepted() -> None:
    assert verdict(shown(NOW - 120)) is Verdict.EXPIRED
    assert verdict(shown(NOW - 2880)) is Verdict.FORGED


def test_each_pass_has_its_own_secret_and_number() -> None:
    assert len({passes.new_pass_no() for _ in range(1000)}) > 990
    assert verdict(shown(NOW), secret=passes.new_secret()) is Verdict.FORGED


def test_a_hundred_thousand_mutated_or_stale_codes_are_all_refused() -> None:
    rng = random.Random(7)
    accepted = {shown(NOW + d)[12:] for d in (-1, 0, 1)}
    refused = 0
    for number in range(100_000):
        totp = f"{rng.randrange(10**8):08d}" if number % 2 else shown(NOW - rng.randrange(2, 100_000))[12:]
        if totp in accepted:
            continue  # 3 in 100 million: it would be the right code, not a mutation
        read = passes.Pass(PassKind.E_CARD, "0123456789", totp)
        refused += passes.accepts(read, SECRET, NOW) is None
        if number % 500 == 0:  # the long search back only words the refusal
            assert passes.check(read, SECRET, NOW).verdict is not Verdict.VALID
    assert refused >= 99_990


def test_the_control_accepts_what_is_right() -> None:
    """If `check` refused everything, the test above could not fail; this one would."""
    assert all(verdict(shown(NOW + d)) is Verdict.VALID for d in (-1, 0, 1))


def test_what_is_not_shaped_like_a_pass_is_no_pass() -> None:
    for text in ("", "8" * 19, "87" + "1" * 19, "86" + "1" * 18, "87" + "x" * 18, "８７" + "1" * 18):
        assert passes.parse(text) is None
