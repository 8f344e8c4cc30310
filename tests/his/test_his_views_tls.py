"""TLS to a database: asked for, insisted on, and never silently left out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from his.faults import NotSent
from his.views.driver import Driver, account
from his.views.mariadb import MariadbDriver
from his.views.postgresql import PostgresDriver
from his.views.sql import parse
from tests.support.certificate import self_signed
from tests.support.views_hospital import Hospital, MariadbHospital, PostgresHospital, start_hospital

pytestmark = pytest.mark.xdist_group("peer-views-tls")
CIPHER = {
    "postgresql": "SELECT COALESCE(cipher, '') AS cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mariadb": "SELECT variable_value AS cipher FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'",
}


def switch_on(hospital: Hospital, cert: Path) -> None:
    """Give the server its certificate and start it again."""
    for file in (cert, cert.with_suffix(".key")):
        file.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(file, "postgres" if hospital.kind == "postgresql" else "mysql")
    if isinstance(hospital, PostgresHospital):
        for setting, value in (("ssl_cert_file", cert), ("ssl_key_file", cert.with_suffix(".key")), ("ssl", "on")):
            hospital.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
    elif isinstance(hospital, MariadbHospital):
        hospital.server.options = (f"--ssl-cert={cert}", f"--ssl-key={cert.with_suffix('.key')}")
    hospital.restart()


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def hospital(request: pytest.FixtureRequest) -> Iterator[Hospital]:
    started = start_hospital(request.param)
    if isinstance(started, str):
        pytest.skip(started)
    yield started
    started.stop()


def connect(hospital: Hospital, ssl: str, ca_file: Path | None = None) -> Driver:
    where = account(hospital.read_url, 5432, 1, 2.0, ssl, str(ca_file) if ca_file else None)  # type: ignore[arg-type]
    return PostgresDriver(where) if hospital.kind == "postgresql" else MariadbDriver(where, read_only=True)


def cipher(hospital: Hospital, ssl: str, ca_file: Path | None = None) -> str:
    """The cipher of one connection as the server names it; "" for none."""
    driver = connect(hospital, ssl, ca_file)
    try:
        ((row,),) = driver.read([(parse(CIPHER[hospital.kind]), {})], time.monotonic() + 5)
    finally:
        driver.close()
    return str(row["cipher"])


def test_tls_is_used_when_asked_for_and_never_silently_left_out(hospital: Hospital) -> None:
    ours, others = hospital_folder(hospital) / "ours.crt", hospital_folder(hospital) / "others.crt"
    self_signed(ours)
    self_signed(others)
    authority = ours.with_name("authority.crt")
    shutil.copy(ours, authority)
    if hospital.kind == "postgresql":  # a MariaDB without a certificate has no TLS either
        assert cipher(hospital, "off") == ""
    for ssl in ("require", "verify"):
        with pytest.raises(NotSent) as refused:
            cipher(hospital, ssl, authority if ssl == "verify" else None)
        assert refused.value.reason == "tls", ssl
    switch_on(hospital, ours)
    assert cipher(hospital, "off") == ""
    assert cipher(hospital, "require")
    assert cipher(hospital, "verify", authority)
    with pytest.raises(NotSent) as stranger:
        cipher(hospital, "verify", others)
    assert stranger.value.reason == "tls"


def hospital_folder(hospital: Hospital) -> Path:
    """The server's own folder, which its user may read."""
    return hospital.cluster.folder if isinstance(hospital, PostgresHospital) else hospital.server.folder  # type: ignore[attr-defined]
