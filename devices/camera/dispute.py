"""Two different readings of one and the same bars cannot both be right: neither is believed. Pure."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import Final

import numpy as np
import zxingcpp

END_SLACK: Final = 0.1
ROW_SLACK: Final = 0.25
ALIKE: Final = 0.5
"""As shares of the width: how near ends and rows must be; then how alike the texts. All three, so that labels
stacked closely above each other, which end alike but say different things, are not taken for one."""


def undisputed(codes: Sequence[zxingcpp.Barcode], row_step: int = 1) -> list[zxingcpp.Barcode]:
    """Drop 1-D codes that contradict each other; `row_step` is how many frame rows a picture row stands for.

    Seen with a blurred Code128: zxing-cpp read its sharp rows rightly and its blurred rows as another number with
    a fitting check character, in both of two frames. Looking closer decides which is right.
    """
    doubtful = set()
    for (at, one), (other_at, other) in combinations(enumerate(codes), 2):
        if one.format == other.format and one.text != other.text and _same_bars(one, other, row_step):
            doubtful |= {at, other_at}
    return [code for at, code in enumerate(codes) if at not in doubtful]


def _same_bars(one: zxingcpp.Barcode, other: zxingcpp.Barcode, row_step: int) -> bool:
    first, second = _ends(one, row_step), _ends(other, row_step)
    along = first[1] - first[0]
    width = float(np.linalg.norm(along))
    if width < 1:
        return False
    along = along / width
    across = np.array([-along[1], along[0]])
    offsets = second - first
    same_ends = np.abs(offsets @ along).max() <= END_SLACK * width
    same_rows = np.abs(offsets @ across).max() <= ROW_SLACK * width
    return bool(same_ends and same_rows) and SequenceMatcher(None, one.text, other.text).ratio() >= ALIKE


def _ends(code: zxingcpp.Barcode, row_step: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """(2, 2): the middles of the bars' left and right edge, left first however the code was read."""
    place = code.position
    left = [(place.top_left.x + place.bottom_left.x) / 2, (place.top_left.y + place.bottom_left.y) / 2 * row_step]
    right = [(place.top_right.x + place.bottom_right.x) / 2, (place.top_right.y + place.bottom_right.y) / 2 * row_step]
    return np.array(sorted([left, right]), np.float64)
