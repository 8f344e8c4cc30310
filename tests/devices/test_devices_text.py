"""Text of a frame: AIM prefixes come off, Chinese in either encoding is read, rubbish is marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.text import decode


@pytest.mark.parametrize(
    ("raw", "text", "symbology"),
    [
        (b"]C08712", "8712", "Code128"),
        (b"]C180181234", "80181234", "GS1-128"),
        (b"]d28018", "8018", "GS1DataMatrix"),
        (b"]Q38018", "8018", "GS1QRCode"),
        (b"]Q1abc", "abc", "QRCode"),
        (b"]E06901234567892", "6901234567892", "EAN13"),
        (b"]?0abc", "]?0abc", None),
        (b"]", "]", None),
        (b"8712", "8712", None),
    ],
)
def test_an_aim_prefix_names_the_symbology_and_comes_off(raw: bytes, text: str, symbology: str | None) -> None:
    decoded = decode(raw)
    assert (decoded.text, decoded.symbology) == (text, symbology)


def test_chinese_names_come_right_from_utf8_and_from_gbk() -> None:
    assert decode("张伟|𠮷田".encode()).text == "张伟|𠮷田"
    gbk = decode("姓名:张伟;科室:心内科".encode("gbk"))
    assert (gbk.text, gbk.encoding) == ("姓名:张伟;科室:心内科", "gb18030")


def test_bytes_of_no_encoding_are_marked_as_not_to_be_believed() -> None:
    decoded = decode(b"\xff\xfe\x80")
    assert (decoded.text, decoded.encoding) == ("ÿþ\x80", "unknown")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert decode(raw).encoding in {"utf-8", "gb18030", "unknown"}
