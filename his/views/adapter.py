"""The `views` adapter: reads are SELECTs on views with a read-only account, a write is one call that decides by itself.

The SQL of every operation stands in the mapping. What the server says against a statement (PostgreSQL's SQLSTATE,
MariaDB's error number) is looked up among the operation's codes like a code of its own reply.
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from core.errors import ConfigError
from his.adapter import Call
from his.faults import Broken, NotSent
from his.mapping import Mapper, load
from his.port import BY_OP, Command, Op, Query, Resolution
from his.views.driver import Account, Bound, Driver, SqlRefused, account
from his.views.plan import Charset, Plan, compile_plan, joined, plain, values_of
from his.views.sql import Row, Value

PORTS = {"postgresql": 5432, "postgres": 5432, "mariadb": 3306, "mysql": 3306}
_PLAIN_KEY = re.compile(r"\w+")


class ViewsOptions(BaseModel):
    """Database views and procedures on PostgreSQL or MariaDB, described by a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    read_url: SecretStr = Field(
        description="postgresql:// or mariadb://user:password@host:port/database of an account that may only SELECT "
        "from the views; write env:NAME or file:PATH"
    )
    write_url: SecretStr | None = Field(
        None, description="The same of an account that may only call the procedures; without it nothing is written"
    )
    mapping: str = Field(description="Name of a bundled mapping, such as views-postgresql, or path of a file")
    charset: Charset = Field(
        "utf-8",
        description="What the HIS's columns can hold; a text with other characters is refused before it is sent",
    )
    connect_ms: int = Field(1000, ge=50, le=10_000, description="Longest to wait for a connection")
    pool_size: int = Field(8, ge=1, le=64, description="Connections at most per account; further calls wait their turn")
    ssl: Literal["off", "require", "verify"] = Field(
        "off", description="off; require: encrypted, whoever it is; verify: encrypted and the certificate must fit"
    )
    ca_file: str | None = Field(None, description="PEM of the authority that signed the server's certificate")

    @field_validator("read_url", "write_url")
    @classmethod
    def _is_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            _account(url, 1, 1.0, "off", None)
        return url


class ViewsAdapter:
    """See `his.adapter.Adapter`."""

    def __init__(self, options: ViewsOptions) -> None:
        self._options = options
        self._mapper = Mapper(load(options.mapping))
        ops = self._mapper.capabilities
        if options.write_url is None:
            ops = frozenset(op for op in ops if not issubclass(BY_OP[op], Command))
        self.capabilities: frozenset[Op] = ops
        self.resolvable: frozenset[Op] = self._mapper.resolvable & ops
        self.dedups: frozenset[Op] = self._mapper.dedups & ops
        self._codes = {op: self._code_column(op) for op in ops}
        self._plans = {op: compile_plan(self._mapper, op) for op in ops}
        self._resolving = {op: compile_plan(self._mapper, op, resolving=True) for op in self.resolvable}
        self._read = self._driver(options.read_url, read_only=True)
        self._write = None if options.write_url is None else self._driver(options.write_url, read_only=False)

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        values = values_of(query, self._mapper.request(query))
        try:
            rows = self._rows(self._plans[query.op], values, call.deadline)
        except SqlRefused as refused:
            return self._mapper.answer(query, self._said(query.op, refused))
        return self._mapper.answer(query, rows)

    def do(self, command: Command[Any], call: Call) -> Any:
        """See `Adapter`."""
        if self._write is None:
            raise NotSent("unsupported")
        plan = self._plans[command.op]
        values = values_of(command, self._mapper.request(command))
        bound: Bound = (plan.statement, plan.statement.pick(values, plan.charset or self._options.charset))
        try:
            rows = plain(self._write.write(bound, call.deadline))
        except SqlRefused as refused:
            return self._mapper.answer(command, self._said(command.op, refused))
        _as_sent(bound[1], rows)
        return self._mapper.answer(command, rows[0] if rows else {})

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """See `Adapter`."""
        values = values_of(command, self._mapper.resolve_request(command))
        try:
            rows = self._rows(self._resolving[command.op], values, call.deadline)
        except SqlRefused:
            raise Broken("his_exception") from None
        _as_sent(values, rows)
        return self._mapper.resolution(command, rows)

    @property
    def probes(self) -> dict[Op, dict[str, Any]]:
        """See `Mapper`."""
        return self._mapper.probes

    def close(self) -> None:
        """See `Adapter`."""
        self._read.close()
        if self._write is not None:
            self._write.close()

    def _rows(self, plan: Plan, values: dict[str, Value], deadline: float) -> list[Row]:
        """The rows of a read, each with the rows of its parts."""
        statements = (plan.statement, *(part.statement for part in plan.parts))
        found = self._read.read([(it, it.pick(values, "utf-8")) for it in statements], deadline)
        rows, *parts = [plain(rows) for rows in found]
        return joined(rows, plan.parts, parts)

    def _said(self, op: Op, refused: SqlRefused) -> dict[str, str]:
        """The server's error as a reply. Raises Broken where the mapping knows no codes."""
        code, message = self._codes[op]
        if code is None:
            raise Broken("his_exception") from None
        return {code: refused.code, **({} if message is None else {message: refused.message})}

    def _code_column(self, op: Op) -> tuple[str | None, str | None]:
        loaded = self._mapper.loaded
        envelope = loaded.mapping.operations[op].envelope or loaded.mapping.envelope
        for name in (envelope.code, envelope.message):
            if name is not None and not _PLAIN_KEY.fullmatch(name):
                raise loaded.wrong(("operations", op.value, "envelope"), "must name columns of the answer's row")
        return envelope.code, envelope.message

    def _driver(self, url: SecretStr, *, read_only: bool) -> Driver:
        options = self._options
        place = _account(url, options.pool_size, options.connect_ms / 1000, options.ssl, options.ca_file)
        if options.ca_file is not None and not Path(options.ca_file).is_file():
            raise ConfigError("is no file", key="his.options.ca_file")
        if PORTS[url.get_secret_value().partition("://")[0]] == PORTS["postgresql"]:
            try:
                from his.views.postgresql import PostgresDriver
            except ImportError as exc:
                raise ConfigError("needs psycopg: pip install palm-hospital[his-views]", key="his.adapter") from exc
            return PostgresDriver(place)
        try:
            from his.views.mariadb import MariadbDriver
        except ImportError as exc:
            raise ConfigError("needs PyMySQL: pip install palm-hospital[his-views]", key="his.adapter") from exc
        return MariadbDriver(place, read_only=read_only)


def _account(
    url: SecretStr, pool_size: int, connect_s: float, ssl: Literal["off", "require", "verify"], ca_file: str | None
) -> Account:
    """ValueError, which never holds the password."""
    port = PORTS.get(url.get_secret_value().partition("://")[0])
    if port is None:
        raise ValueError("must begin with postgresql:// or mariadb:// (Oracle and SQL Server are not spoken here)")
    return account(url.get_secret_value(), port, pool_size, connect_s, ssl, ca_file)


def _as_sent(values: dict[str, Value] | Any, rows: list[Row]) -> None:
    """Raises Broken("altered_text") when the HIS holds '?' where a rare character was sent: somebody must look at it."""
    for sent in values.values():
        if not isinstance(sent, str) or sent.isascii():
            continue
        altered = re.compile("".join(re.escape(c) if c.isascii() else f"(?:{re.escape(c)}|\\?+)" for c in sent))
        for row in rows:
            for held in row.values():
                if isinstance(held, str) and held != sent and altered.fullmatch(held):
                    raise Broken("altered_text")
