"""`his.pacs` of the configuration: secrets from the environment, a wrong option named, none at all allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import Config, load
from core.errors import ConfigError
from hospital.pacs import build_pacs
from tests.support.house import KEY

TEXT = """
database: {{url: "sqlite:///x.db"}}
secrets: {{data_key: "{key}"}}
his:
  pacs:
    url: http://127.0.0.1:9/dicom-web
    auth: env:PACS_AUTH_OF_TEST
    {more}
"""


def configured(folder: Path, more: str = "") -> Config:
    path = folder / "config.yaml"
    path.write_text(TEXT.format(key=KEY, more=more), "utf-8")
    return load(path, {"PACS_AUTH_OF_TEST": "palm:s3cret-word"})


def test_the_secret_comes_from_the_environment_and_shows_nowhere(tmp_path: Path) -> None:
    pacs = build_pacs(configured(tmp_path))
    assert pacs is not None
    assert "s3cret-word" not in repr(pacs) + repr(vars(pacs))
    pacs.close()


@pytest.mark.parametrize(
    ("more", "key"), [("dedline_ms: 3", "his.pacs.dedline_ms"), ("cache_mib: 0", "his.pacs.cache_mib")]
)
def test_a_wrong_option_is_named_without_the_others(tmp_path: Path, more: str, key: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        build_pacs(configured(tmp_path, more))
    assert key in str(wrong.value)
    assert "s3cret-word" not in str(wrong.value)


def test_no_section_means_no_images() -> None:
    assert build_pacs(Config.model_validate({"secrets": {"data_key": KEY}})) is None
