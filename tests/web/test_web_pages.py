"""What every page of every door gets: headers, errors in two languages, languages, static files."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po
from flask import Flask

from core.errors import NotYours, Refusal
from tests.support.house import House
from web import errors, i18n, security, static_files
from web.errors import Step

ROOT = Path(__file__).resolve().parents[2]
EN = ROOT / "web" / "translations" / "en" / "LC_MESSAGES"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("web", static_folder="static", template_folder="templates")
    i18n.init_app(app, secure=False)
    security.init_app(app, public_url="https://hospital.lan", secret_key=b"k" * 32)
    static_files.init_app(app)
    errors.init_app(app, steps={"help": Step("help_page", "求助", "Help")})

    @app.get("/help")
    def help_page() -> str:
        return "help"

    @app.get("/refuse/<what>")
    def refuse(what: str) -> str:
        if what == "wait":
            raise Refusal("x.busy", "请等一等", "Please wait", retry_after_s=30)
        if what == "mine":
            raise NotYours
        raise Refusal("x.no", "不行", "No", next_step="help")

    @app.get("/break")
    def broken() -> str:
        raise ValueError("a secret in the message")

    @app.post("/write")
    def write() -> str:
        return "written"

    return app


def test_every_answer_has_the_guarding_headers(app: Flask) -> None:
    for path in ("/help", "/refuse/x", "/break", "/nothing", "/static/look/tokens.css"):
        headers = app.test_client().get(path, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert "connect-src 'self' ws://hospital.lan wss://hospital.lan;" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Strict-Transport-Security"]


def test_the_nonce_is_in_the_policy_and_new_each_time(app: Flask) -> None:
    @app.get("/nonce")
    def nonce() -> str:
        return security.csp_nonce()

    seen = set()
    for _ in range(3):
        answer = app.test_client().get("/nonce")
        assert f"script-src 'self' 'nonce-{answer.text}'" in answer.headers["Content-Security-Policy"]
        seen.add(answer.text)
    assert len(seen) == 3


def test_a_refusal_is_a_page_or_json_in_the_visitors_language(app: Flask) -> None:
    http = app.test_client()
    page = http.get("/refuse/x")
    assert page.status_code == 400
    assert "不行" in page.text
    assert 'href="/help"' in page.text
    assert '<html lang="zh-CN">' in page.text
    english = http.get("/refuse/x?lang=en")
    assert '<html lang="en">' in english.text
    assert ">No<" in english.text
    remembered = http.get("/refuse/x", headers={"Accept": "application/json"}).get_json()
    assert remembered == {"error": {"code": "x.no", "zh": "不行", "en": "No", "say": "No", "next": "help"}}
    wait = http.get("/refuse/wait")
    assert (wait.status_code, wait.headers["Retry-After"]) == (429, "30")
    assert http.get("/refuse/mine").status_code == 404


def test_an_unexpected_error_tells_a_number_and_nothing_else(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    answer = app.test_client().get("/break")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    reference = re.search(r'ph-num">([0-9A-Z]{8})<', answer.text)
    assert reference
    assert reference[1] in caplog.text
    body = app.test_client().get("/break", headers={"Accept": "application/json"}).get_json()
    assert set(body["error"]) == {"code", "zh", "en", "say", "next", "reference"}


def test_a_write_without_a_token_is_refused_and_said_plainly(app: Flask) -> None:
    answer = app.test_client().post("/write")
    assert answer.status_code == 400
    assert "这一页打开太久" in answer.text
    wrong = app.test_client().delete("/write")
    assert wrong.status_code in (400, 405)


def test_static_files_are_named_by_content_kept_for_ever_and_gzipped(app: Flask) -> None:
    with app.test_request_context():
        from flask import url_for

        address = url_for("static", filename="look/tokens.css")
    assert re.search(r"\?v=[0-9a-f]{10}$", address)
    http = app.test_client()
    packed = http.get(address, headers={"Accept-Encoding": "gzip"}, buffered=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    body = (ROOT / "web/static/look/tokens.css").read_bytes()
    assert gzip.decompress(packed.data) == body
    assert len(packed.data) == int(packed.headers["Content-Length"]) < len(body) / 2
    plain = http.get("/static/look/tokens.css", buffered=True)
    assert plain.data == body
    assert "immutable" not in plain.headers["Cache-Control"]
    assert http.get("/static/../web/errors.py").status_code == 404


def test_the_compiled_english_is_that_of_the_source() -> None:
    with (EN / "messages.po").open("rb") as po, (EN / "messages.mo").open("rb") as mo:
        source, compiled = read_po(po, locale="en"), read_mo(mo)
    made = io.BytesIO()
    write_mo(made, source)
    made.seek(0)
    again = read_mo(made)
    assert {m.id: m.string for m in compiled if m.id} == {m.id: m.string for m in again if m.id}


def test_every_text_of_the_pages_has_english() -> None:
    with (EN / "messages.po").open("rb") as po:
        known = {m.id: m for m in read_po(po, locale="en") if m.id}
    used: set[str] = set()
    for room in ("portal", "web"):
        for path in (ROOT / room).rglob("*.py"):
            used.update(found[1] for found in extract_from_file("python", path))
        for path in (ROOT / room / "templates").rglob("*.html"):
            used.update(found[1] for found in extract_from_file("jinja2", path))
    assert len(used) > 80
    assert used == set(known)
    for message in known.values():
        assert message.string
        assert not message.fuzzy
        assert not re.search("[一-鿿]", str(message.string)), message.string


def test_english_pages_have_no_chinese_left_but_names(house: House) -> None:
    house.bind(1)
    phone = house.phone(1)
    for path in ("/portal/", "/portal/cards", "/portal/bind", "/portal/settings", "/portal/admissions"):
        text = re.sub(r"<[^>]*>", " ", phone.get(path + "?lang=en").text)
        left = set(re.findall("[一-鿿]+", text)) - {"王", "明", "中文", "简体中文"}
        assert not left, (path, left)
