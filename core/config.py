"""config.yaml: every key with its reason, checked by pydantic; an error names key, file and line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator

from core.codes.classify import Patterns
from core.errors import ConfigError
from core.placed import Lines, first_fault, line_of, parse
from core.policies import Policies
from core.section import Section

ENV_PREFIX = "HOSPITAL_"


class Server(Section):
    """Where and how the service listens."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for the whole hospital LAN.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port of the hub, or of everything with role all.")
    portal_port: int = Field(8001, ge=0, le=65535, description="TCP port of the portal when it runs as its own role.")
    public_url: str = Field(
        "http://127.0.0.1:8000",
        pattern=r"^https?://[^/]+$",
        description="Scheme and host people type, no trailing slash; cookies are Secure when it is https.",
    )
    screens: int = Field(
        64, ge=1, le=2000, description="Screens connected at once; each keeps a thread, 32 more serve pages."
    )
    portal_threads: int = Field(
        4, ge=1, le=64, description="Threads of a portal process; few are faster than many (bench/serve)."
    )
    proxies: int = Field(
        0,
        ge=0,
        le=5,
        description="Reverse proxies in front whose X-Forwarded-For is believed; 0 when clients come directly.",
    )
    header_deadline_s: float = Field(
        10,
        gt=0,
        le=60,
        description="Seconds a client may take to send its request headers before it is cut off.",
    )


class Database(Section):
    """hospital.db, or PostgreSQL when outgrown."""

    url: str = Field(
        "sqlite:///hospital.db",
        pattern=r"^(sqlite:///|postgresql://)",
        description="sqlite:///PATH (relative to the config file) or postgresql://user:password@host/db.",
    )


class HisGuard(Section):
    """What protects the house from a HIS that is slow, broken or gone; the same for every adapter."""

    health_ms: int = Field(2000, ge=100, le=10_000, description="Total time of a health check.")
    read_ms: int = Field(5000, ge=100, le=60_000, description="Total time of a read, repeats included.")
    report_ms: int = Field(10_000, ge=100, le=60_000, description="Total time of reading documents and statements.")
    write_ms: int = Field(15_000, ge=100, le=120_000, description="Total time of a write; then its outcome is unknown.")
    read_attempts: int = Field(
        3, ge=1, le=5, description="Tries of a read that met a passing fault; writes: always one."
    )
    scan_calls: int = Field(8, ge=1, le=64, description="Scans that may ask the HIS at once.")
    page_calls: int = Field(
        8, ge=1, le=64,
        description="Pages that may wait for the HIS at once; in a portal of its own at most half of its threads.",
    )  # fmt: skip
    job_calls: int = Field(2, ge=1, le=16, description="Background jobs that may ask the HIS at once.")
    breaker_failures: int = Field(5, ge=1, le=100, description="Failures in a row that open the breaker.")
    breaker_probe_ms: int = Field(10_000, ge=100, le=60_000, description="How often a HIS that is gone is tried again.")
    longest_processing_s: int = Field(
        180, ge=1, le=86_400,
        description="Longest the HIS may take to book a write it was sent; before that 'not found' settles nothing.",
    )  # fmt: skip


class His(Section):
    """The hospital information system."""

    adapter: str = Field("rest", description="Protocol of the HIS; `hospital his adapters` lists them.")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the adapter; `hospital check-config` names unknown ones.",
    )
    guard: HisGuard = Field(HisGuard(), description="Deadlines, lanes and the breaker.")
    check: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Questions `hospital his check` asks, by operation, such as {query_patient: {card_no: '…'}}.",
    )
    scan_deadline_ms: int = Field(
        2000,
        ge=100,
        le=15000,
        description="Total time a scan waits for the HIS before it says his_unavailable.",
    )
    page_deadline_ms: int = Field(8000, ge=500, le=30000, description="Total time a portal page waits for the HIS.")
    mllp: dict[str, Any] | None = Field(
        None, description="HL7 v2 messages from the HIS, taken in the hub; its options are in docs/his/hl7v2.md."
    )
    pacs: dict[str, Any] | None = Field(
        None, description="Exam images over DICOMweb; its options are in docs/his/images.md. null: none are shown."
    )


class Wechat(Section):
    """The WeChat service account."""

    app_id: str = Field("", description="AppID of the service account; empty switches WeChat login off.")
    app_secret: SecretStr = Field(SecretStr(""), description="AppSecret, as env:NAME or file:PATH.")
    api_base: str = Field(
        "https://api.weixin.qq.com", pattern=r"^https?://", description="Base address of the WeChat API."
    )
    open_base: str = Field(
        "https://open.weixin.qq.com", pattern=r"^https?://", description="Base address of the OAuth page."
    )
    timeout_ms: int = Field(5000, ge=500, le=30000, description="Total time a call to WeChat may take.")


class CodePatterns(Section):
    """Printed numbers, as regular expressions that match the whole text."""

    card: list[str] = Field([r"60\d{10}"], description="Printed patient card numbers.")
    wristband: list[str] = Field([r"W\d{12}"], description="Printed wristband numbers.")


class CodeModes(Section):
    """What the phone shows, per kind."""

    e_card: Literal["rotating", "static"] = Field(
        "rotating",
        description="rotating: the 20-digit pass; static: the bare card number, for scanners we do not own.",
    )
    e_wristband: Literal["rotating", "static"] = Field(
        "rotating", description="rotating: the 20-digit pass; static: the bare wristband number."
    )


class Codes(Section):
    """Codes shown and read."""

    mode: CodeModes = Field(CodeModes(), description="What the phone shows, per kind.")
    patterns: CodePatterns = Field(CodePatterns(), description="The hospital's printed numbers.")


class Bridge(Section):
    """The HTTP API for the HIS and its workstations."""

    requests_per_minute: int = Field(
        1200,
        ge=10,
        le=60_000,
        description="Calls one client of the bridge may make in a minute; more are told to wait.",
    )


class Secrets(Section):
    """Keys; never written here in the clear."""

    data_key: SecretStr = Field(
        ...,
        description="32-byte key that encrypts personal fields, as env:NAME or file:PATH; `hospital init` makes it.",
    )


class Log(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is written.")
    json_lines: bool = Field(False, description="One JSON object per line, for log collectors.")


class Config(Section):
    """The whole of config.yaml."""

    server: Server = Field(Server(), description="Where and how the service listens.")
    database: Database = Field(Database(), description="hospital.db, or PostgreSQL when outgrown.")
    his: His = Field(His(), description="The hospital information system.")
    wechat: Wechat = Field(Wechat(), description="The WeChat service account.")
    codes: Codes = Field(Codes(), description="Codes shown and read.")
    policies: Policies = Field(Policies(), description="Rules of the house.")
    bridge: Bridge = Field(Bridge(), description="The HTTP API for the HIS and its workstations.")
    secrets: Secrets = Field(..., description="Keys; never written here in the clear.")
    log: Log = Field(Log(), description="What is written to standard error.")

    @field_validator("codes")
    @classmethod
    def _patterns_are_narrow(cls, codes: Codes) -> Codes:
        Patterns(codes.patterns.card, codes.patterns.wristband)
        return codes


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read, resolve secrets, overlay ``HOSPITAL_SECTION__KEY`` and check. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot be read ({exc.strerror}); make one with `hospital init`", source=str(path)) from exc
    data, lines = parse(text, path.name)
    from_env = _overlay(data, environ)
    _resolve_secrets(data, (), path.parent, environ, lines, path.name)
    _anchor_database(data, path.parent)
    _anchor_mapping(data, path.parent)
    try:
        return Config.model_validate(data)
    except ConfigError as exc:
        raise _placed(exc, lines, path.name) from exc
    except ValidationError as exc:
        raise _first_fault(exc, lines, path.name, from_env) from exc


def _overlay(data: dict[str, Any], environ: Mapping[str, str]) -> set[str]:
    """Lay ``HOSPITAL_SERVER__PORT=8080`` over the file; returns the dotted keys that came from there."""
    keys: set[str] = set()
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or "__" not in name:
            continue
        path = name[len(ENV_PREFIX) :].lower().split("__")
        target = data
        for part in path[:-1]:
            nested = target.setdefault(part, {})
            if not isinstance(nested, dict):
                raise ConfigError("is not a section, so it cannot have parts", key=part, source=name)
            target = nested
        try:
            target[path[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as exc:
            raise ConfigError("is not a YAML value", key=".".join(path), source=name) from exc
        keys.add(".".join(path))
    return keys


_SECRET_REF = re.compile(r"^(env|file):(.+)$")


def _resolve_secrets(
    data: Any, at: tuple[str | int, ...], base: Path, environ: Mapping[str, str], lines: Lines, source: str
) -> None:
    """Replace ``env:NAME`` and ``file:PATH`` in place, anywhere in the tree."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(items):
        here = (*at, key)
        match = _SECRET_REF.match(value) if isinstance(value, str) else None
        if match is None:
            _resolve_secrets(value, here, base, environ, lines, source)
            continue
        fault: Any = {"key": ".".join(map(str, here)), "line": lines.get(here), "source": source}
        kind, ref = match.groups()
        if kind == "env":
            if not environ.get(ref):
                raise ConfigError(f"the environment has no {ref}; set it before starting", **fault)
            data[key] = environ[ref]
        else:
            try:
                data[key] = (base / ref).read_text(encoding="utf-8").strip()
            except OSError as exc:
                raise ConfigError(f"the file {ref} cannot be read ({exc.strerror})", **fault) from exc


def _anchor_database(data: dict[str, Any], base: Path) -> None:
    """A relative SQLite path is meant from the config file's folder, wherever the service is started."""
    section = data.setdefault("database", {})
    if not isinstance(section, dict):
        return
    url = section.get("url", Database.model_fields["url"].default)
    if isinstance(url, str) and url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        section["url"] = f"sqlite:///{(base / url.removeprefix('sqlite:///')).resolve()}"


def _anchor_mapping(data: dict[str, Any], base: Path) -> None:
    """So is a relative path of a mapping file or a WSDL; a name without .yaml is a bundled mapping."""
    his = data.get("his")
    options = his.get("options") if isinstance(his, dict) else None
    mapping = options.get("mapping") if isinstance(options, dict) else None
    if isinstance(options, dict) and isinstance(mapping, str) and mapping.endswith((".yaml", ".yml")):
        options["mapping"] = str(base / mapping)
    wsdl = options.get("wsdl") if isinstance(options, dict) else None
    if isinstance(options, dict) and isinstance(wsdl, str) and "://" not in wsdl:
        options["wsdl"] = str(base / wsdl)


def located(exc: ConfigError, path: Path) -> ConfigError:
    """The same error with its line in the file, for a fault found after loading."""
    if exc.line is not None or not exc.key or exc.source or not path.is_file():
        return exc
    _, lines = parse(path.read_text(encoding="utf-8"), path.name)
    line = line_of(tuple(exc.key.split(".")), lines)
    return ConfigError(exc.message, key=exc.key, line=line, source=path.name) if line else exc


def _placed(exc: ConfigError, lines: Lines, source: str) -> ConfigError:
    line = lines.get(tuple(exc.key.split(".")))
    return ConfigError(exc.message, key=exc.key, line=line, source=source)


def _first_fault(exc: ValidationError, lines: Lines, source: str, from_env: set[str]) -> ConfigError:
    fault = first_fault(exc, Config, lines, source)
    if fault.key in from_env:
        source = f"environment {ENV_PREFIX}{fault.key.upper().replace('.', '__')}"
        return ConfigError(fault.message, key=fault.key, source=source)
    return fault
