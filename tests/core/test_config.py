"""A wrong configuration names key and line; every key is documented; secrets come from elsewhere."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from core.config import Config, load
from core.errors import ConfigError
from core.placed import parse

ROOT = Path(__file__).parents[2]
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
GOOD = "secrets:\n  data_key: env:K\n"


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, {"K": KEY, **environ})


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("server:\n  prot: 1\n" + GOOD, 2, ("server.prot", "did you mean port")),
        ("server:\n  port: many\n" + GOOD, 2, ("server.port",)),
        ("server:\n  port: 70000\n" + GOOD, 2, ("server.port", "65535")),
        ("servr: {}\n" + GOOD, 1, ("servr", "did you mean server")),
        ("codes:\n  patterns:\n    card: ['\\d{18}']\n" + GOOD, 3, ("codes.patterns.card", "pay code")),
        ("server: 5\n" + GOOD, 1, ("server",)),
        ("a: [\n" + GOOD, 3, ("YAML",)),
        ("- 1\n", 1, ("mapping",)),
        ("secrets:\n  data_key: env:NOPE\n", 2, ("secrets.data_key", "NOPE")),
        ("secrets:\n  data_key: file:nope.key\n", 2, ("secrets.data_key", "nope.key")),
        ("server: {}\n", 1, ("secrets", "missing")),
    ],
)
def test_a_fault_names_key_and_line(tmp_path: Path, text: str, line: int | None, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    said = str(caught.value)
    assert "config.yaml" in said
    assert caught.value.line == line
    for word in words:
        assert word in said


def test_any_key_can_come_from_the_environment(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, HOSPITAL_SERVER__PORT="8123", HOSPITAL_POLICIES__BINDING__CARDS_PER_FOLLOWER="3")
    assert config.server.port == 8123
    assert config.policies.binding.cards_per_follower == 3


def test_a_fault_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HOSPITAL_SERVER__PORT"):
        read(tmp_path, GOOD, HOSPITAL_SERVER__PORT="many")


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    assert KEY not in repr(read(tmp_path, GOOD))


def test_a_relative_database_path_is_meant_from_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).database.url == f"sqlite:///{tmp_path / 'hospital.db'}"


def leaves(model: type[BaseModel], at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str | None]]:
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += leaves(kind, (*at, name))
        else:
            found.append(((*at, name), field.description))
    return found


def test_every_key_is_described_and_stands_in_the_shipped_file() -> None:
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for at, description in leaves(Config):
        assert description, at
        section = shipped
        for part in at:
            assert part in section, f"config.yaml does not show {'.'.join(at)}"
            section = section[part]


def test_what_init_writes_is_the_shipped_file() -> None:
    assert (ROOT / "config.yaml").read_text("utf-8") == (ROOT / "hospital/config.default.yaml").read_text("utf-8")


def test_yaml_is_read_as_people_mean_it() -> None:
    data, _ = parse("no: on\ncode: 010\nat: 8:30\nn: 12\nz: 0\nyes: true\nbelow: -1\n", "x.yaml")
    assert data == {"no": "on", "code": "010", "at": "8:30", "n": 12, "z": 0, "yes": True, "below": -1}


def test_a_key_written_twice_is_refused_with_both_lines() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml, line 4: server\.port: .*first in line 2"):
        parse("server:\n  port: 1\n  host: h\n  port: 2\n", "x.yaml")


def test_a_relative_mapping_file_is_meant_from_the_configurations_folder(tmp_path: Path) -> None:
    text = "his: {{options: {{mapping: {}}}}}\nsecrets: {{data_key: k}}\n"
    for written, meant in (
        ("ours.yaml", str(tmp_path / "ours.yaml")),
        ("renhe-json", "renhe-json"),
        ("/x.yaml", "/x.yaml"),
    ):
        (tmp_path / "config.yaml").write_text(text.format(written), "utf-8")
        assert load(tmp_path / "config.yaml", {}).his.options["mapping"] == meant
