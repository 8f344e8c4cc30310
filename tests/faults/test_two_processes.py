"""Two processes on one hospital.db: a command beside a running hub never takes the hub's WAL away."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from core.clock import SHANGHAI
from core.ids import new_id
from core.privacy import Vault
from store.port import Accepts, Station, StationKind
from store.store import Store
from tests.support.sims import ROOT

NOW = datetime(2026, 11, 22, tzinfo=SHANGHAI)
OTHER = """
import sys
from core.privacy import Vault
from store.store import Store
store = Store(sys.argv[1], Vault(b"k" * 32))
store.stations.all()
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store(f"sqlite:///{tmp_path / 'hospital.db'}", Vault(b"k" * 32)).close()
    opened = Store(f"sqlite:///{tmp_path / 'hospital.db'}", Vault(b"k" * 32))
    opened.stations.add(Station(new_id(), "C1", "一号窗口", StationKind.COUNTER, Accepts.CARD))
    yield opened
    opened.close()


def another_process_opens_and_closes(folder: Path) -> None:
    url = f"sqlite:///{folder / 'hospital.db'}"
    subprocess.run([sys.executable, "-c", OTHER, url], cwd=ROOT, check=True, timeout=30)


def test_another_process_that_comes_and_goes_leaves_the_wal_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    wal = tmp_path / "hospital.db-wal"
    before = wal.stat().st_ino
    for n in range(3):
        store.scans.add_event("C1", "notice", {"n": n}, NOW)
        another_process_opens_and_closes(tmp_path)
        assert wal.stat().st_ino == before
    assert [event.seq for event in store.scans.events_after("C1", 0, 100)] == [1, 2, 3]
    with closing(sqlite3.connect(tmp_path / "hospital.db")) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_after_our_own_descriptor_was_closed_the_same_visit_takes_the_wal_away(store: Store, tmp_path: Path) -> None:
    """Control: POSIX drops a process's locks on a file when it closes any descriptor of it."""
    wal = tmp_path / "hospital.db-wal"
    store.scans.add_event("C1", "notice", {"n": 1}, NOW)
    before = wal.stat().st_ino
    os.close(os.open(tmp_path / "hospital.db", os.O_RDONLY))
    another_process_opens_and_closes(tmp_path)
    assert not wal.exists() or wal.stat().st_ino != before
    store.quick.peewee.close()
    store.durable.peewee.close()
