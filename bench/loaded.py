"""The second half of scan_latency: our scans as hub + portal, idle, with the portal saturated, with a camera at work."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segno

from bench import kit
from bench.ours import House, Plan, station_code
from bench.rotation import Block, Rotation, Subject
from core.ids import new_id
from store.port import Device

CONNECTIONS = 8
PAGE = "/portal/"
CAMERA = "CAM"


def saturate(port: int) -> kit.Child:
    """Ask the portal's page on 8 kept-alive connections as fast as it answers: wrk, or our own little asker."""
    if shutil.which("wrk"):
        return kit.Child(["nice", "-n10", "wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", f"http://127.0.0.1:{port}{PAGE}"])
    child = kit.python("bench.peers.page_load", str(port), PAGE, str(CONNECTIONS))
    child.expect("loading")
    return child


def draw_frames(folder: Path, count: int = 12) -> None:
    """720p grey pictures: one foreign QR wandering over a textured, noisy ground, so that each is really decoded."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    modules = np.array(
        [[0 if dark else 255 for dark in row] for row in segno.make("https://example.org/").matrix_iter(4, 2)]
    )
    code = cv2.resize(modules.astype(np.uint8), (260, 260), interpolation=cv2.INTER_NEAREST)
    for n in range(count):
        ground = cv2.GaussianBlur(rng.integers(60, 200, (720, 1280), dtype=np.uint8), (0, 0), 2.5)
        y, x = 40 + 30 * n, 60 + 75 * n
        ground[y : y + 260, x : x + 260] = code
        noisy = np.clip(ground.astype(np.int16) + rng.normal(0, 6, ground.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{n:02d}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])


def p95(blocks: list[Block]) -> float:
    """Median over the blocks of each block's p95."""
    return kit.median([kit.percentile(b.ms, 95) for b in blocks])


class Conditions:
    """The deployment under its three conditions; each context starts what it needs and ends it."""

    def __init__(self, his_port: int, things: list[Any]) -> None:
        self.frames = Path(kit.scratch(things), "frames")
        draw_frames(self.frames)
        options = {"source": str(self.frames), "fps": 10, "motion_gate": False, "freeze_s": 0}
        camera = Device(new_id(), CAMERA, "摄像头", "camera", options, station_code(1), False, 1)
        self.house = House(Plan(his_port, stations=2, split=True, passes=700, extra_devices=[camera]))
        things.append(self.house)
        self.lamp = ""
        watch = Subject(CAMERA, 0, self.house.ptys[0], self.house.screen(1), self.house.wire, self._note)
        self.subject = self.house.subject()
        self.house.await_devices(self.subject)
        self.rotation = Rotation([self.subject, watch])
        self.rotation.block(self.subject, 20)
        self.pages, self.errors = 0.0, 0

    def _note(self, payload: Any) -> None:
        if payload[0] == "device" and payload[1].get("device") == CAMERA:
            self.lamp = payload[1]["state"]

    def idle(self, measure: Callable[[], None]) -> None:
        measure()

    def portal(self, measure: Callable[[], None]) -> None:
        """With the portal asked as fast as it answers."""
        begun = time.monotonic()
        load = saturate(self.house.portal_port)
        try:
            self.rotation.idle(0.3)
            measure()
        finally:
            load.stop()
        answers = re.search(r"answers (\d+) errors (\d+)", "\n".join(load.lines))
        if answers:
            self.pages, self.errors = int(answers[1]) / (time.monotonic() - begun), self.errors + int(answers[2])

    def camera(self, measure: Callable[[], None]) -> None:
        """With a camera's worker decoding 10 frames a second."""
        self.house.switch_device(CAMERA, enabled=True)
        try:
            self._await_lamp("online")
            self.rotation.idle(0.5)
            measure()
        finally:
            self.house.switch_device(CAMERA, enabled=False)
        self._await_lamp("disabled")

    def _await_lamp(self, state: str, seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while self.lamp != state:
            if time.monotonic() > end:
                raise RuntimeError(
                    f"the camera is {self.lamp or 'silent'}, not {state}:\n" + "\n".join(self.house.hub.lines[-10:])
                )
            self.rotation.idle(0.1)


def measure(his_port: int, shape: tuple[list[int], int], figures: dict[str, Any], bars: dict[str, str]) -> None:
    """Rotate the three conditions; p95 of each against idle of the same run. `shape`: (rounds a chunk, scans a block)."""
    chunks, size = shape
    with kit.closing_all([]) as things:
        at = Conditions(his_port, things)
        blocks: dict[str, list[Block]] = {"idle": [], "portal": [], "camera": []}

        def take(name: str, times: int) -> Callable[[], None]:
            return lambda: blocks[name].extend(at.rotation.block(at.subject, size) for _ in range(times))

        for chunk in chunks:  # a camera takes seconds to come and go, so its blocks stand together
            for _ in range(chunk):
                at.idle(take("idle", 1))
                at.portal(take("portal", 1))
            at.camera(take("camera", chunk))
        faults = at.subject.faults()
    figures.update({f"loaded_{key}": value for key, value in faults.items()})
    bars.update({f"loaded_{key}": "== 0" for key in faults})
    for name, got in blocks.items():
        figures[f"{name}_p95_ms"] = p95(got)
        print(f"  hub + portal, {name:<7} p95 {p95(got):.2f} ms", flush=True)
    figures["portal_pages_per_s"], figures["portal_errors"] = at.pages, at.errors
    bars["portal_errors"] = "== 0"
    for name in ("portal", "camera"):
        figures[f"{name}_p95_vs_idle"] = kit.ratio(p95(blocks[name]), p95(blocks["idle"]))
        bars[f"{name}_p95_vs_idle"] = "<= 1.5"
