"""A house with a PACS: the simulated HIS, one of whose imaging reports names a film of 8 MB, and a real Orthanc."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.house import House, run_house
from tests.support.orthanc import DX_STUDY, Orthanc, orthanc
from tests.support.sim_wechat import WechatSim
from tests.support.sims import HisSim, start_his

__all__ = ["film_house", "film_sim", "orthanc"]
LAB, FILM, ULTRASOUND = "B0000001", "B0000002", "B0000004"
"""Reports of 王小明: flags of every kind, the 8 MB film, a picture in colour or a structured report."""


@pytest.fixture(scope="module")
def film_sim(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[HisSim]:
    """A HIS of its own, made, given the studies of the PACS, and started again."""
    folder = tmp_path_factory.mktemp("his-with-films")
    start_his(folder).stop()
    with closing(sqlite3.connect(folder / "his.db")) as db, db:
        for number, study in ((FILM, DX_STUDY), (ULTRASOUND, orthanc.studies["test-SR.dcm"])):
            db.execute("UPDATE reports SET study_uid = ?, kind = 'imaging' WHERE report_no = ?", (study, number))
    sim = start_his(folder)
    yield sim
    sim.stop()


@pytest.fixture
def film_house(tmp_path: Path, film_sim: HisSim, wechat_sim: WechatSim, orthanc: Orthanc) -> Iterator[House]:
    """The portal of that hospital."""
    film_sim.fault("none")
    yield from run_house(tmp_path, film_sim, wechat_sim, his={"pacs": {**orthanc.options, "deadline_ms": 1500}})
