"""The store under test, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.privacy import Vault
from store.store import Store
from tests.support.postgres import Cluster, start_cluster

VAULT = Vault(b"k" * 32)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster | str]:
    running = start_cluster()
    yield running
    if isinstance(running, Cluster):
        running.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hospital.db'}"
    cluster = request.getfixturevalue("cluster")
    if isinstance(cluster, str):
        pytest.skip(cluster)
    name = "t_" + tmp_path.name.lower().replace("-", "_")[-40:]
    with psycopg.connect(cluster.url, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
        admin.execute(f'CREATE DATABASE "{name}"')
    return cluster.url.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url, VAULT)
    yield opened
    opened.close()
