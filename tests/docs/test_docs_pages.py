"""The documents hold together by themselves: links, pictures, figures, machine paths and registries."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from doc_pages import ROOT, Page, page, pages, tracked

every_page = pytest.mark.parametrize("doc", pages(), ids=lambda doc: str(doc.path.relative_to(ROOT)))
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@every_page
def test_every_relative_link_and_picture_resolves(doc: Page) -> None:
    gone = []
    for target in _LINK.findall(doc.prose):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (doc.path.parent / path).resolve() if path else doc.path
        known = str(file.relative_to(ROOT)) in tracked()
        if not known or (anchor and anchor not in Page(file, file.read_text(encoding="utf-8")).anchors()):
            gone.append(target)
    assert gone == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        path = todo.pop()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        links = _LINK.findall(Page(path, path.read_text(encoding="utf-8")).prose)
        todo += [(path.parent / t.split("#")[0]).resolve() for t in links if "://" not in t and t.split("#")[0]]
    assert {str(doc.path.relative_to(ROOT)) for doc in pages() if doc.path not in seen} == set()


def test_the_first_screen_of_the_readme_says_what_and_how() -> None:
    first = "\n".join(page("README.md").text.splitlines()[:24])
    for needed in (
        "掌上医院",
        "docs/img/demo.png",
        "make demo",
        "make test",
        "docs/patient.md",
        "docs/operator.md",
        "docs/his.md",
        "docs/integrator.md",
    ):
        assert needed in first


def test_pictures_are_light() -> None:
    heavy = {name for name in tracked() if name.startswith("docs/img/") and (ROOT / name).stat().st_size > 200 * 1024}
    assert heavy == set()


@every_page
def test_no_measured_figure_stands_in_the_documents(doc: Page) -> None:
    """Only a bench says how fast it is; settings and protocol constants are no measurements."""
    measured = re.findall(
        r"\bp(?:50|95|99)\b|\b\d[\d.,]* ?(?:times|×|x) (?:as|faster|slower|the)|\bscans/s\b|\brequests/s\b", doc.text
    )
    assert measured == []


def test_decisions_are_listed_dated_and_in_three_parts() -> None:
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", page("docs/adr/README.md").text)
    there = sorted(Path(name).name for name in tracked() if re.match(r"docs/adr/\d", name))
    assert listed == there
    for number, name in enumerate(there, 1):
        text = page(f"docs/adr/{name}").text
        assert text.startswith(f"# {number}. "), name
        assert name.startswith(f"{number:04}-"), name
        assert re.search(r"^\d{4}-\d\d-\d\d · (accepted|replaced by)", text, re.MULTILINE), name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], name


# ---------------------------------------------------------------- nothing of the machine it was written on

# put together from parts, so that this file does not hold what it looks for
MACHINE_PATHS = [f"/{a}{b}/" for a, b in (("wo", "rk"), ("ho", "me"), ("tm", "p"), ("ro", "ot"), ("mn", "t"))]
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("registry", "yarnpkg", "com"),
        ("crates", "io"), ("rubygems", "org"), ("proxy", "golang", "org"), ("tuna", "tsinghua", "edu"), ("npmmirror", "com"),
    )
] + ["--" + "index-url", "--" + "extra-index-url", "--" + "trusted-host"]  # fmt: skip


def grep(needle: str) -> list[str]:
    """Tracked text files that hold it, vendored ones left out."""
    command = ["git", "grep", "--untracked", "-I", "-l", "-F", "-e", needle, "--", ":!*/vendor/*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize("needle", REGISTRIES)
def test_no_tracked_file_names_a_package_registry(needle: str) -> None:
    assert grep(needle) == []


@pytest.mark.parametrize("needle", MACHINE_PATHS)
def test_no_tracked_file_names_a_path_of_one_machine(needle: str) -> None:
    start = re.compile(rf"(?:^|[\s\"'`(=:]){re.escape(needle)}")
    hits = [name for name in grep(needle) if start.search((ROOT / name).read_text(encoding="utf-8"))]
    assert hits == []


def test_the_search_for_hosts_finds_what_is_there() -> None:
    assert "README.md" in grep("Palm " + "hospital")
