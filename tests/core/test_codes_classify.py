"""Every code is named before anyone acts on it; money and identity codes are never kept."""

import pytest

from core.codes.classify import NEVER_KEPT, CodeClass, Patterns, classify, is_id_number
from core.errors import ConfigError

HOSPITAL = Patterns([r"60\d{10}"], [r"W\d{12}"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("87012345678901234567", CodeClass.E_CARD),
        ("88012345678901234567", CodeClass.E_WRISTBAND),
        ("600000000017", CodeClass.PATIENT_CARD),
        ("W202600010101", CodeClass.WRISTBAND),
        ("]C1801812345678901234567", CodeClass.UNKNOWN),
        ("134567890123456789", CodeClass.PAY_WECHAT),
        ("100000000000000000", CodeClass.PAY_WECHAT),
        ("281234567890123456", CodeClass.PAY_ALIPAY),
        ("301234567890123456789012", CodeClass.PAY_ALIPAY),
        ("6212345678901234567", CodeClass.PAY_UNIONPAY),
        ("11010519491231002X", CodeClass.ID_NUMBER),
        ("11010519491231002x", CodeClass.ID_NUMBER),
        ("990101198503120037", CodeClass.ID_NUMBER),
        ("A1B2" * 16 + ":1", CodeClass.E_HEALTH_CARD),
        ("1" * 28, CodeClass.INSURANCE_TOKEN),
        ("https://example.invalid/a?b=1", CodeClass.URL),
        ("weixin://wxpay/bizpayurl?pr=x", CodeClass.URL),
        ("你好", CodeClass.UNKNOWN),
        ("", CodeClass.UNKNOWN),
    ],
)
def test_each_kind_is_named(text: str, expected: CodeClass) -> None:
    assert classify(text, HOSPITAL).code_class is expected


def test_an_aim_prefix_is_taken_off_and_means_gs1_where_it_says_so() -> None:
    assert classify("]Q187012345678901234567", HOSPITAL).value == "87012345678901234567"
    body = "8018" + "501234512345678907"
    for text in (f"]C1{body}", f"]d2{body}", f"]Q3{body}\x1d801912", f"(8018){body[4:]}(8019)12"):
        found = classify(text, HOSPITAL)
        assert found.code_class is CodeClass.GS1_GSRN, text
        assert found.value == body[4:]
    assert classify(f"]Q3{body}\x1d801912", HOSPITAL).instance == "12"


def test_a_gsrn_with_a_wrong_check_digit_is_unknown() -> None:
    assert classify("]C18018501234512345678908", HOSPITAL).code_class is CodeClass.UNKNOWN


def test_money_and_identity_codes_leave_no_text_behind() -> None:
    for text in ("134567890123456789", "281234567890123456", "6212345678901234567", "11010519491231002X", "1" * 28):
        found = classify(text, HOSPITAL)
        assert found.code_class in NEVER_KEPT
        assert found.value == ""


def test_an_id_number_that_looks_like_a_pay_code_is_told_by_date_and_check_digit() -> None:
    assert is_id_number("110105194912310021") is False
    assert classify("110105194912310021", HOSPITAL).code_class is CodeClass.PAY_WECHAT
    assert is_id_number("11010519491331002X") is False


@pytest.mark.parametrize("pattern", [r"\d{18}", r".*", r"1\d{17}", r"\d{20}", "(", r"62\d{17}"])
def test_a_pattern_that_would_take_money_identity_or_our_pass_for_a_card_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Patterns([pattern], [])
    assert "codes.patterns.card" in str(caught.value)
