"""What the phone shows: right codes for ten minutes, drawn so that they read back, and the tick after a scan."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import zxingcpp

from core.clock import SHANGHAI, SetClock
from core.codes import passes
from core.config import CodeModes
from core.ids import new_id
from hospital.bootstrap import Parts, build
from services.phone_codes import PhoneCodes
from services.scan import Scanned
from store.port import Accepts, Binding, BindingKind, Station, StationKind
from tests.support.house import CARD, STAY_BAND, config_for, his_sim, wechat_sim
from tests.support.sim_wechat import WechatSim
from tests.support.sims import HisSim

__all__ = ["his_sim", "wechat_sim"]


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime.now(SHANGHAI))


@pytest.fixture
def parts(tmp_path: Path, his_sim: HisSim, wechat_sim: WechatSim, clock: SetClock) -> Iterator[Parts]:
    his_sim.fault("none")
    made = build(config_for(tmp_path, his_sim, wechat_sim), clock)
    yield made
    made.close()


def card(parts: Parts, kind: BindingKind = BindingKind.CARD) -> Binding:
    me = parts.store.followers.seen("openid", parts.clock.now()).id
    number, scan = (CARD, CARD) if kind is BindingKind.CARD else ("2026000101", STAY_BAND)
    made = Binding(new_id(), me, kind, number, "P0000001", "王小明", parts.clock.now(), scan)
    return parts.store.bindings.add(made, parts.clock.now())


@pytest.mark.parametrize(("kind", "prefix"), [(BindingKind.CARD, "87"), (BindingKind.ADMISSION, "88")])
def test_the_codes_of_the_next_ten_minutes_verify_in_their_step(parts: Parts, kind: BindingKind, prefix: str) -> None:
    binding = card(parts, kind)
    shown = parts.codes.show(binding)
    row = parts.store.bindings.pass_for(binding, parts.clock.now())
    now = passes.step_at(parts.clock.epoch())
    assert [code.step for code in shown.codes] == list(range(now, now + 21))
    assert (shown.name, shown.last4, shown.mode) == ("王*明", binding.number[-4:], "rotating")
    for code in shown.codes:
        assert code.text.startswith(prefix)
        read = passes.parse(code.text)
        assert read is not None
        assert passes.check(read, row.secret, code.step) == passes.Checked(passes.Verdict.VALID, code.step)
    assert shown.valid_until() == (now + 2) * 30


def test_what_is_packed_for_the_script_draws_the_same_code(parts: Parts) -> None:
    for code in parts.codes.show(card(parts)).codes[:3]:
        _step, text, packed, widths = code.packed()
        bits = np.unpackbits(np.frombuffer(base64.b64decode(str(packed)), np.uint8))
        size = int(len(bits) ** 0.5)
        square = np.pad(bits[: size * size].reshape(size, size), 4)
        row = np.repeat(np.arange(len(str(widths))) % 2 == 0, [int(w) for w in str(widths)])
        line = np.repeat(np.pad(row, 10)[None, :], 30, 0)
        for picture in (square, line):
            grey = np.where(np.kron(picture, np.ones((4, 4))) > 0, 0, 255).astype(np.uint8)
            assert [found.text for found in zxingcpp.read_barcodes(grey)] == [text]


def test_static_mode_shows_the_bare_printed_number(parts: Parts) -> None:
    modes = CodeModes(e_card="static", e_wristband="static")
    codes = PhoneCodes(parts.store.bindings, parts.store.scans, parts.clock, modes)
    assert [code.text for code in codes.show(card(parts)).codes] == [CARD]
    assert [code.text for code in codes.show(card(parts, BindingKind.ADMISSION)).codes] == [STAY_BAND]


def test_a_scan_is_seen_by_the_phone_and_only_by_that_phone(parts: Parts) -> None:
    mine, other = card(parts), card(parts, BindingKind.ADMISSION)
    assert parts.codes.last_scan(mine) is None
    station = Station(new_id(), "C1", "一号窗口", StationKind.COUNTER, Accepts.CARD)
    parts.store.stations.add(station)
    text = parts.codes.show(mine).codes[0].text
    parts.scan.handle(station, Scanned("S1", text, None, parts.clock.monotonic(), parts.clock.now()))
    seen = parts.codes.last_scan(mine)
    assert seen is not None
    assert (seen.place, seen.outcome.value, seen.accepted) == ("一号窗口", "identified", True)
    assert parts.codes.last_scan(other) is None
