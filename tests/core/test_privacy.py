"""Names are masked, fields sealed to their place, logs redacted."""

import pytest

from core.errors import ConfigError
from core.privacy import Undecryptable, Vault, decode_key, last4, mask_name, redact


@pytest.mark.parametrize(
    ("name", "masked"),
    [("王小明", "王*明"), ("李雷", "李*"), ("欧阳娜娜", "欧**娜"), ("王", "王"), ("𠮷田䶮", "𠮷*䶮"), ("", ""),
     ("John Smith", "J*** S****"), ("买买提·艾力", "买****力")],
)  # fmt: skip
def test_names_are_masked(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_short_numbers_show_nothing() -> None:
    assert last4("600000000017") == "0017"
    assert last4("123456") == "******"


def test_a_sealed_field_opens_only_in_its_own_place() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal("王小明", "binding:1:name")
    assert vault.open(sealed, "binding:1:name") == "王小明"
    assert "王".encode() not in sealed
    for other in ("binding:2:name", "binding:1:number"):
        with pytest.raises(Undecryptable):
            vault.open(sealed, other)
    with pytest.raises(Undecryptable):
        Vault(b"j" * 32).open(sealed, "binding:1:name")


def test_blind_indexes_are_equal_for_equal_values_and_purposes_only() -> None:
    vault = Vault(b"k" * 32)
    assert vault.index("a", "1") == vault.index("a", "1") != vault.index("b", "1")


def test_a_key_of_the_wrong_length_or_shape_is_refused() -> None:
    for text in ("short", "QUJD"):
        with pytest.raises(ConfigError):
            Vault(decode_key(text))


def test_log_lines_lose_numbers_and_secrets() -> None:
    line = redact(
        "card 600000000017 id 11010519491231002X phone 19900000001 code=abc token: xyz {'openid': 'oX'} took 12 ms"
    )
    for secret in ("600000000017", "11010519491231002X", "19900000001", "abc", "xyz", "oX"):
        assert secret not in line
    assert "took 12 ms" in line
