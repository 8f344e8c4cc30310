"""What a views mapping and its options may say, and how a mistake is told; no server is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from core.errors import ConfigError
from his.faults import NotSent
from his.port import BY_OP, Command, Op
from his.views import OPTIONS, make
from his.views.sql import parse

URL = "postgresql://palm_read:s3cret-word@10.1.2.3:5432/his"


def test_names_are_found_and_texts_comments_and_casts_are_left_alone() -> None:
    statement = parse(
        "SELECT ':no', \"a:no\", `b:no`, x::date, '100%', 'it''s :no' FROM t -- :no\n WHERE /* :no */ a = :one AND b LIKE :two_2;"
    )
    assert statement.names == {"one", "two_2"}
    assert "a = %(one)s AND b LIKE %(two_2)s" in statement.text
    assert "'100%%'" in statement.text
    assert "x::date" in statement.text


@pytest.mark.parametrize("sql", ["", "  ;", "SELECT 1; DELETE FROM t", "SELECT ';' ; SELECT 2"])
def test_more_or_less_than_one_statement_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match="one SQL statement"):
        parse(sql)


def test_a_text_with_a_nul_or_half_a_character_is_never_sent() -> None:
    statement = parse("SELECT :name")
    for text in ("a\0b", "\ud842"):
        with pytest.raises(NotSent) as refused:
            statement.pick({"name": text}, "utf-8")
        assert refused.value.reason == "unsupported_text"


def write(tmp_path: Path, operations: str) -> str:
    path = tmp_path / "ours.yaml"
    path.write_text(f"vendor: test\noperations:\n{operations}", "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("operations", "line", "says"),
    [
        ('  balance:\n    send: {sql: "SELECT :patient"}\n', 4, "patient_id"),
        ('  balance:\n    send:\n      sql: "SELECT 1; SELECT 2"\n', 5, "one SQL statement"),
        ('  balance:\n    send: {sql: "SELECT 1"}\n    sent: 1\n', 5, "sent"),
        ('  top_up:\n    send:\n      sql: "SELECT 1"\n      parts: {a: "SELECT 2"}\n', 6, "reads"),
        ('  visit:\n    send:\n      sql: "SELECT 1"\n      parts:\n        charges: "SELECT :x"\n', 7, ":x"),
    ],
)
def test_a_mistake_in_the_mapping_is_named_with_its_line(tmp_path: Path, operations: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        make(OPTIONS(read_url=URL, write_url=URL, mapping=write(tmp_path, operations)))
    assert f"line {line}" in str(wrong.value)
    assert says in str(wrong.value)


@pytest.mark.parametrize(
    "url",
    [
        "oracle://a:s3cret-word@h/x",
        "mssql://a:s3cret-word@h/x",
        "postgresql://h/x",
        "postgresql://a:s3cret-word@h",
        "x",
    ],
)
def test_an_address_that_cannot_work_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        OPTIONS(read_url=url, mapping="views-postgresql")
    assert "s3cret-word" not in str(wrong.value)
    assert "s3cret-word" not in repr(OPTIONS(read_url=URL, mapping="views-postgresql"))


@pytest.mark.parametrize("name", ["views-postgresql", "views-mariadb"])
def test_the_worked_examples_compile_and_say_honestly_what_they_do(name: str) -> None:
    scheme = name.partition("-")[2]
    url = URL.replace("postgresql", scheme)
    adapter = make(OPTIONS(read_url=url, write_url=url, mapping=name))
    writes = {op for op in adapter.capabilities if issubclass(BY_OP[op], Command)}
    assert adapter.resolvable == adapter.dedups == writes
    assert Op.SETTLE not in adapter.capabilities
    adapter.close()


def test_the_mapping_and_the_options_of_the_document_work(tmp_path: Path) -> None:
    page = Path("docs/his/views.md").read_text("utf-8")
    shown = [
        page.split(f"<!-- example: {name} -->\n```yaml\n")[1].split("```")[0] for name in ("his-views", "views-mapping")
    ]
    path = tmp_path / "shown.yaml"
    path.write_text(shown[1], "utf-8")
    options = yaml.safe_load(shown[0])["his"]["options"]
    given = {
        **options,
        "read_url": URL,
        "write_url": URL.replace("postgresql", "mariadb"),
        "ca_file": None,
        "ssl": "off",
    }
    adapter = make(OPTIONS.model_validate({**given, "mapping": str(path)}))
    assert adapter.capabilities == {Op.QUERY_PATIENT, Op.TOP_UP}
    assert adapter.dedups == adapter.resolvable == {Op.TOP_UP}
