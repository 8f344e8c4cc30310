"""The small hospital of `views_hospital/` on a private PostgreSQL or MariaDB: a HIS that shows views and offers procedures."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psycopg

from tests.support.mariadb import MariaDB, start_mariadb
from tests.support.postgres import Cluster, start_cluster

FILES = Path(__file__).with_suffix("")


class Hospital(Protocol):
    """One database with the hospital in it."""

    kind: str
    mapping: str
    read_url: str
    write_url: str

    def sql(self, statement: str) -> list[tuple[str, ...]]:
        """Run a statement as the owner; its rows as text."""

    def freeze(self) -> None:
        """Stop every process of the server where it stands."""

    def thaw(self) -> None:
        """Let them go on."""

    def restart(self) -> None:
        """End the server and start it again on the same port."""

    def stop(self) -> None:
        """End it for good."""


@dataclass
class PostgresHospital:
    """See `Hospital`."""

    cluster: Cluster
    kind: str = "postgresql"
    mapping: str = "views-postgresql"
    read_url: str = ""
    write_url: str = ""
    _frozen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill the cluster."""
        at = self.cluster.url.split("@", 1)[1]
        self.read_url = f"postgresql://palm_read:read-only-of-tests@{at}"
        self.write_url = f"postgresql://palm_write:write-of-tests@{at}"
        with psycopg.connect(self.cluster.url, autocommit=True) as owner:
            owner.execute("ALTER DATABASE postgres SET timezone TO 'Asia/Shanghai'")
        with psycopg.connect(self.cluster.url) as owner:
            owner.execute("CREATE SCHEMA his; CREATE SCHEMA palm; CREATE DOMAIN public.datetime AS timestamp(0)")
            for name in ("tables", "data", "views", "postgresql"):
                owner.execute((FILES / f"{name}.sql").read_text("utf-8"))

    def sql(self, statement: str) -> list[tuple[str, ...]]:
        """See `Hospital`."""
        with psycopg.connect(self.cluster.url, autocommit=True) as owner:
            cursor = owner.execute(statement)
            return [tuple(str(cell) for cell in row) for row in cursor.fetchall()] if cursor.description else []

    def freeze(self) -> None:
        """See `Hospital`."""
        postmaster = self._postmaster()
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        self._frozen = [postmaster, *map(int, children)]
        for pid in self._frozen:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """See `Hospital`."""
        for pid in self._frozen:
            _signal(pid, signal.SIGCONT)
        self._frozen = []

    def restart(self) -> None:
        """See `Hospital`."""
        data = str(self.cluster.folder / "data")
        subprocess.run(
            [str(self.cluster._bin / "pg_ctl"), "-D", data, "-m", "fast", "-w", "-l", str(self.cluster.folder / "log"), "restart"],
            user="postgres" if os.getuid() == 0 else None, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            timeout=60, check=True,
        )  # fmt: skip

    def stop(self) -> None:
        """See `Hospital`."""
        self.thaw()
        self.cluster.stop()

    def _postmaster(self) -> int:
        return int((self.cluster.folder / "data" / "postmaster.pid").read_text().split()[0])


def _signal(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # workers of the server come and go
        os.kill(pid, what)


@dataclass
class MariadbHospital:
    """See `Hospital`."""

    server: MariaDB
    kind: str = "mariadb"
    mapping: str = "views-mariadb"
    read_url: str = ""
    write_url: str = ""

    def __post_init__(self) -> None:
        """Fill the server."""
        self.read_url = f"mariadb://palm_read:read-only-of-tests@127.0.0.1:{self.server.port}/palm"
        self.write_url = f"mariadb://palm_write:write-of-tests@127.0.0.1:{self.server.port}/palm"
        texts = [(FILES / f"{name}.sql").read_text("utf-8") for name in ("tables", "data", "views", "mariadb")]
        self.server.run("CREATE DATABASE his; CREATE DATABASE palm; USE palm;\n" + "\n".join(texts))

    def sql(self, statement: str) -> list[tuple[str, ...]]:
        """See `Hospital`."""
        return [tuple(line.split("\t")) for line in self.server.run(statement + ";").splitlines()]

    def freeze(self) -> None:
        """See `Hospital`."""
        self.server.freeze()

    def thaw(self) -> None:
        """See `Hospital`."""
        self.server.thaw()

    def restart(self) -> None:
        """See `Hospital`."""
        self.server.halt()
        said = self.server.start()
        assert said is None, said

    def stop(self) -> None:
        """See `Hospital`."""
        self.server.stop()


def start_hospital(kind: str) -> Hospital | str:
    """The hospital on `postgresql` or `mariadb`, or the reason why there is none."""
    if kind == "postgresql":
        cluster = start_cluster()
        return cluster if isinstance(cluster, str) else PostgresHospital(cluster)
    server = start_mariadb()
    return server if isinstance(server, str) else MariadbHospital(server)
