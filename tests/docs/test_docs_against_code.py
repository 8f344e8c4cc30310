"""The documents say what the code says: commands, settings, options, outcomes, classes, make targets, files."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click
import pytest
import yaml
from doc_pages import ROOT, Page, page, pages, tracked
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from bench.__main__ import names as bench_names
from core.codes.classify import NEVER_KEPT, CodeClass
from core.config import Config, Section
from core.outcomes import WORDS, Outcome
from devices.camera.driver import CameraOptions
from devices.replay import ReplayOptions
from devices.serial.options import SerialOptions
from his.fhir import OPTIONS as FHIR_OPTIONS
from his.fixtures import Recorded
from his.gnuhealth import OPTIONS as GNUHEALTH_OPTIONS
from his.hl7v2.options import Hl7Options, ListenerOptions
from his.mapping import schema as mapping
from his.mapping.writing import Sent
from his.pacs import PacsOptions
from his.rest import RestOptions
from his.rest.options import Signing, Transport, Way
from his.soap import SoapOptions
from his.soap import options as soap
from his.views import ViewsOptions
from his.views import plan as views
from hospital.cli import main
from hospital.mllp import mllp_options

every_page = pytest.mark.parametrize("doc", pages(), ids=lambda doc: str(doc.path.relative_to(ROOT)))
COLOURS = {"ok": "green", "info": "blue", "warn": "amber", "stop": "red", "down": "grey"}


# ---------------------------------------------------------------- commands


def shown_commands(doc: Page) -> list[str]:
    """What a reader would type after ``hospital``, in spans, shell blocks and systemd units."""
    lines = [
        line.split(" #")[0].split("&&")[0]
        for lang, body in doc.fences
        if lang in ("sh", "ini")
        for line in body.splitlines()
    ]
    found = [re.search(r"(?:^|ExecStart=\S*/|\.venv/bin/)hospital (.+)$", text.strip()) for text in [*lines, *doc.code]]
    return [match[1] for match in found if match]


def fault_of(command: str) -> str:
    """Why click would not know this command line; empty when it does."""
    words, node = shlex.split(command.replace("…", "X")), main
    while words and isinstance(node, click.Group) and not words[0].startswith("-"):
        known = node.commands.get(words.pop(0))
        if known is None:
            return f"no such command: hospital {command}"
        node = known
    options = {name: param for param in node.params for name in param.opts}
    for at, word in enumerate(words):
        if not word.startswith("-") or word == "--help":
            continue
        if word not in options:
            return f"{word} is no option of hospital {command}"
        kind = options[word].type
        given = words[at + 1] if at + 1 < len(words) else ""
        if isinstance(kind, click.Choice) and given not in (*kind.choices, "%i"):
            return f"{given!r} is no choice for {word}"
    return ""


@every_page
def test_every_command_shown_exists_with_its_options(doc: Page) -> None:
    assert [fault for command in shown_commands(doc) if (fault := fault_of(command))] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert fault_of("backup PATH")
    assert fault_of("serve --rolle all")
    assert fault_of("serve --role none")
    assert not fault_of("stations add W1 x --kind ward --ward W01")


def test_every_command_of_the_house_is_in_the_operators_table() -> None:
    def leaves(group: click.Group, before: str) -> set[str]:
        out: set[str] = set()
        for name, command in group.commands.items():
            here = f"{before} {name}".strip()
            out |= leaves(command, here) if isinstance(command, click.Group) else {here}
        return out

    shown = shown_commands(page("docs/operator.md"))
    assert {leaf for leaf in leaves(main, "") if not any(s == leaf or s.startswith(leaf + " ") for s in shown)} == set()


# ---------------------------------------------------------------- settings


def keys(model: type[BaseModel] = Config, before: str = "") -> set[str]:
    """Dotted keys of the configuration's leaves."""
    out: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        section = isinstance(kind, type) and issubclass(kind, Section)
        out |= keys(kind, f"{before}{name}.") if section else {f"{before}{name}"}
    return out


def test_the_operators_table_has_every_key_and_no_other() -> None:
    assert {row[0].strip("`") for row in page("docs/operator.md").table("config")} == keys()


@every_page
def test_every_key_mentioned_exists(doc: Page) -> None:
    sections = "|".join(Config.model_fields)
    said = {m[1] for span in doc.code if (m := re.fullmatch(rf"((?:{sections})\.[a-z_.]+?)(?:: .*)?", span))}
    known = keys() | {f"his.options.{name}" for name in RestOptions.model_fields}
    assert {key for key in said if key not in known and not any(k.startswith(key + ".") for k in known)} == set()


@every_page
def test_every_environment_name_of_a_key_exists(doc: Page) -> None:
    said = {name.lower().replace("__", ".") for name in re.findall(r"HOSPITAL_([A-Z_]+__[A-Z_]+)=", doc.text)}
    assert said <= keys()


def test_the_his_section_shown_is_a_right_one() -> None:
    shown = yaml.safe_load(page("docs/his/rest.md").example("his"))
    checked = Config.model_validate({**shown, "secrets": {"data_key": "k"}})
    RestOptions.model_validate(checked.his.options)


@pytest.mark.parametrize(
    ("name", "model"),
    [("soap", SoapOptions), ("fhir", FHIR_OPTIONS), ("gnuhealth", GNUHEALTH_OPTIONS), ("hl7v2", Hl7Options)],
)
def test_the_section_shown_for_each_other_adapter_is_a_right_one(name: str, model: type[BaseModel]) -> None:
    shown = yaml.safe_load(page(f"docs/his/{name}.md").example(f"his-{name}"))
    model.model_validate(Config.model_validate({**shown, "secrets": {"data_key": "k"}}).his.options)


def test_the_mllp_section_shown_is_a_right_one() -> None:
    shown = yaml.safe_load(page("docs/his/hl7v2.md").example("his-mllp"))
    mllp_options(Config.model_validate({**shown, "secrets": {"data_key": "k"}}))


def test_the_pacs_section_shown_is_a_right_one() -> None:
    shown = yaml.safe_load(page("docs/his/images.md").example("his-pacs"))
    PacsOptions.model_validate(Config.model_validate({**shown, "secrets": {"data_key": "k"}}).his.pacs)


def plain(default: Any) -> str:
    """A default as the tables write it."""
    if isinstance(default, frozenset):
        default = ", ".join(sorted(default))
    if isinstance(default, dict) and default:
        default = ", ".join(f"{key}: {value}" for key, value in default.items())
    if default is PydanticUndefined or default is None or default in ("", SecretStr("")):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize(
    ("name", "table", "model"),
    [
        ("docs/operator.md", "serial", SerialOptions),
        ("docs/operator.md", "camera", CameraOptions),
        ("docs/operator.md", "replay", ReplayOptions),
        ("docs/his/rest.md", "rest", RestOptions),
        ("docs/his/soap.md", "soap", SoapOptions),
        ("docs/his/views.md", "views", ViewsOptions),
        ("docs/his/images.md", "pacs", PacsOptions),
        ("docs/his/fhir.md", "fhir", FHIR_OPTIONS),
        ("docs/his/gnuhealth.md", "gnuhealth", GNUHEALTH_OPTIONS),
        ("docs/his/hl7v2.md", "hl7v2", Hl7Options),
        ("docs/his/hl7v2.md", "mllp", ListenerOptions),
    ],
)
def test_option_tables_have_every_option_with_its_default(name: str, table: str, model: type[BaseModel]) -> None:
    shown = {row[0].strip("`"): row[1] for row in page(name).table(table)}
    assert shown == {option: plain(field.default) for option, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ("mapping", mapping.Mapping), ("operation", mapping.Operation), ("spec", mapping.Spec), ("sent", Sent),
        ("envelope", mapping.Envelope), ("codes", mapping.Codes), ("formats", mapping.Formats),
        ("resolve", mapping.Resolve), ("state", mapping.State), ("transport", Transport), ("send", Way),
        ("signing", Signing), ("fixture", Recorded), ("soap-transport", soap.Transport), ("soap-send", soap.Way),
        ("views-send", views.Send), ("views-part", views.PartSend),
    ],
)  # fmt: skip
def test_the_tables_of_a_mappings_keys_are_its_schema(table: str, model: type[BaseModel]) -> None:
    adapter, own, _ = table.partition("-")
    name = adapter if own else "rest" if table in ("transport", "send", "signing") else "mapping"
    shown = {row[0].strip("`"): row[1] for row in page(f"docs/his/{name}.md").table(table)}
    assert shown == {key: field.description for key, field in model.model_fields.items()}


def test_the_device_reasons_shown_are_ones_the_drivers_give() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "devices").rglob("*.py"))
    said = {span for span in page("docs/operator.md").code if re.fullmatch(r"device\.[a-z_]+", span)}
    assert said
    assert {code for code in said if f'"{code}"' not in source} == set()


# ---------------------------------------------------------------- outcomes and codes


def words_of_the_screens() -> dict[str, list[str]]:
    """outcome -> [tone, icon, zh, en, sound], from the screens' own table."""
    source = (ROOT / "kiosk_ui/static/words.js").read_text(encoding="utf-8")
    rows = re.findall(r"^  (\w+): \[(.+?)\],$", source.split("const TABLE = {")[1].split("};")[0], re.MULTILINE)
    return {name: re.findall(r'"([^"]*)"', cells) for name, cells in rows}


def test_the_outcome_table_is_the_outcomes_as_the_screens_say_them() -> None:
    screens = words_of_the_screens()
    expected = []
    for outcome in Outcome:
        tone, _icon, zh, en, sound = screens[outcome.value]
        expected.append([f"`{outcome.value}`", COLOURS[tone], f"{zh} {en}", sound])
    table = page("docs/ward-and-counter.md").table("outcomes")
    assert [row[:4] for row in table] == expected
    assert all(len(row) == 6 and row[4] and row[5] for row in table)


def test_every_outcome_has_words() -> None:
    assert set(WORDS) == set(Outcome)


def test_the_class_table_is_the_classes_and_says_which_are_never_kept() -> None:
    rows = page("docs/integrator.md").table("classes")
    assert sorted(row[0].strip("`") for row in rows) == sorted(CodeClass)
    assert {row[0].strip("`") for row in rows if "never kept" in row[2]} == set(NEVER_KEPT)


# ---------------------------------------------------------------- make, benches, files


@every_page
def test_every_make_target_mentioned_exists(doc: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shell = [line for lang, body in doc.fences if lang == "sh" for line in body.splitlines()]
    said = {m[1] for text in [*shell, *doc.code] if (m := re.match(r"make ([a-z]+)", text))}
    assert said <= targets


def test_the_bench_table_is_the_benches() -> None:
    here = {name for name in bench_names() if f"bench/{name}.py" in tracked()}
    rows = {row[0].strip("`").removeprefix("python -m bench.") for row in page("docs/developer.md").table("benches")}
    assert rows == here


@every_page
def test_every_module_run_by_name_exists(doc: Page) -> None:
    said = set(re.findall(r"python -m ((?:bench|simulators|hospital)[\w.]*)", doc.text)) - {"bench.NAME"}
    gone = [
        name
        for name in said
        if not {f"{name.replace('.', '/')}.py", f"{name.replace('.', '/')}/__main__.py"} & tracked()
    ]
    assert gone == []


@every_page
def test_every_file_mentioned_exists(doc: Page) -> None:
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    rooted = {s for s in doc.code if re.fullmatch(r"[\w.-]+/[\w./-]*", s) and s.split("/")[0] in folders}
    single = {s for s in doc.code if re.fullmatch(r"[\w.-]+\.(?:toml|py|txt|yaml)", s)}
    gone = {s for s in rooted if not any(t == s or t.startswith(s.rstrip("/") + "/") for t in tracked())}
    gone |= single - {name.rsplit("/", 1)[-1] for name in tracked()}
    assert gone == set()
