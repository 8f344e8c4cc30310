"""`views` with the bundled mapping views-mariadb, against a private MariaDB of its own."""

from pathlib import Path

from tests.contracts.subject import Subject
from tests.contracts.views_subject import views_subject


def start(_folder: Path) -> Subject:
    """The hospital's database, filled."""
    return views_subject("mariadb")
