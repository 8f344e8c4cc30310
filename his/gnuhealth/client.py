"""Tryton's JSON-RPC: one session, models searched and written, business errors found inside HTTP 200.

Source: Tryton 7.0, trytond/protocols (jsonrpc, dispatcher) and trytond.exceptions. A session is kept by the server and
may end at any time (401); logging in again is safe, as nothing was carried out.
"""

import base64
import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from core.clock import SHANGHAI
from his.faults import Broken, NotSent
from his.gnuhealth.options import GnuHealthOptions
from his.port import Rejected
from his.wire import Response

Record = dict[str, Any]
Domain = list[Any]


class Changed(Exception):
    """ConcurrencyException: the record is no longer as it was read. Nothing was changed."""


class Tryton:
    """One Tryton database as one user; thread-safe. Raises Rejected, Changed, NotSent and Broken."""

    def __init__(self, options: GnuHealthOptions) -> None:
        self._options = options
        self._path = f"/{options.database}/"
        self._session = ""
        self._login = threading.Lock()
        self._endpoint = options.endpoint(options.base_url, {"Content-Type": "application/json"})

    def search(
        self, model: str, domain: Domain, names: Sequence[str], deadline: float, order: str = "create_date ASC"
    ) -> list[Record]:
        """Every record of the domain; Broken("too_large") beyond `max_records`."""
        found: list[Record] = []
        size = self._options.page_size
        while True:
            arguments = [domain, len(found), size, [order.split(" "), ["id", "ASC"]], list(names), {}]
            page = self.call(f"model.{model}.search_read", arguments, deadline)
            if not isinstance(page, list) or not all(_complete(one, names) for one in page):
                raise Broken("bad_reply")
            found += page
            if len(page) < size:
                return found
            if len(found) >= self._options.max_records:
                raise Broken("too_large")

    def write(self, model: str, record: Record, values: Record, deadline: float) -> None:
        """Change the record, if it is still as it was read with its `_timestamp`; Changed otherwise."""
        stamp = record.get("_timestamp")
        if not isinstance(stamp, str) or not stamp:
            raise NotSent("bad_reply")  # without it two could take one place
        context = {"_timestamp": {f"{model},{record['id']}": stamp}}
        try:
            self.call(f"model.{model}.write", [[record["id"]], values, context], deadline, repeatable=False)
        except Broken as broken:
            if broken.reason == "unauthorized":
                raise NotSent("unauthorized") from None  # turned away at the door: nothing was changed
            raise

    def call(self, method: str, params: list[Any], deadline: float, *, repeatable: bool = True) -> Any:
        """The result of one call, after logging in when there is no session; a repeatable one also when it has ended."""
        session = self._session or self._log_in("", deadline)
        response = self._send(method, params, session, deadline, repeatable=repeatable)
        if response.status == 401 and repeatable:
            session = self._log_in(session, deadline)
            response = self._send(method, params, session, deadline, repeatable=True)
        return _result(response)

    def close(self) -> None:
        """Give back every connection."""
        self._endpoint.close()

    def _send(self, method: str, params: list[Any], session: str, deadline: float, *, repeatable: bool) -> Response:
        body = json.dumps({"id": 1, "method": method, "params": params}, ensure_ascii=False).encode()
        headers = {"Authorization": f"Session {session}"} if session else {}
        return self._endpoint.request(f"POST {self._path}", headers, body, deadline, repeatable=repeatable)

    def _log_in(self, ended: str, deadline: float) -> str:
        """A session; one that another thread has begun meanwhile is as good."""
        if not self._login.acquire(timeout=_left(deadline)):
            raise Broken("timeout")
        try:
            if self._session and self._session != ended:
                return self._session
            self._session = ""
            user, word = self._options.user, self._options.password.get_secret_value()
            found = _result(
                self._send("common.db.login", [user, {"password": word}, "en"], "", deadline, repeatable=True)
            )
            if (
                not isinstance(found, list)
                or len(found) < 2
                or type(found[0]) is not int
                or not isinstance(found[1], str)
            ):
                raise Broken("bad_reply")
            self._session = base64.b64encode(f"{user}:{found[0]}:{found[1]}".encode()).decode("ascii")
            return self._session
        finally:
            self._login.release()


def _complete(record: Any, names: Sequence[str]) -> bool:
    """Whether it is a record that has every field asked for."""
    return isinstance(record, dict) and type(record.get("id")) is int and all("." in it or it in record for it in names)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _result(response: Response) -> Any:
    if response.status in (401, 403):
        raise Broken("unauthorized")
    if response.status != 200:
        raise Broken(f"http_{response.status}")
    try:
        reply = json.loads(response.body.decode("utf-8"), object_hook=_typed)
        if b"\\u" in response.body:
            json.dumps(reply, ensure_ascii=False, default=str).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError, InvalidOperation, TypeError, KeyError, OverflowError):
        raise Broken("bad_reply") from None
    if not isinstance(reply, dict) or not ("result" in reply or "error" in reply):
        raise Broken("bad_reply")
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    raise _refusal(error)


def _refusal(error: Any) -> Exception:
    name = error[0] if isinstance(error, list) and error and isinstance(error[0], str) else ""
    said = error[1] if name and len(error) > 1 else ""
    if name == "ConcurrencyException":
        return Changed()
    if name == "LoginException":
        return Broken("unauthorized")
    if name in ("UserError", "UserWarning"):
        words = [word for word in said if isinstance(word, str) and word] if isinstance(said, list) else []
        # a warning is ["name", "message", …]: its name is for programs
        return Rejected(name, " ".join(words[1:] if name == "UserWarning" else words))
    return Broken("his_exception")


def _typed(value: Record) -> Any:
    """Tryton's dates, UTC times and decimals, which travel as objects."""
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind == "date":
        return date(value["year"], value["month"], value["day"])
    if kind == "datetime":
        clock = (value["hour"], value["minute"], value["second"], value.get("microsecond", 0))
        return datetime(value["year"], value["month"], value["day"], *clock, tzinfo=UTC).astimezone(SHANGHAI)
    return value


def wire_time(at: datetime) -> Record:
    """An aware time as Tryton takes it: UTC without saying so."""
    utc = at.astimezone(UTC)
    return {
        "__class__": "datetime", "year": utc.year, "month": utc.month, "day": utc.day,
        "hour": utc.hour, "minute": utc.minute, "second": utc.second, "microsecond": utc.microsecond,
    }  # fmt: skip


def text(record: Record, key: str) -> str:
    """A text, "" when there is none."""
    value = record.get(key)
    return value.strip() if isinstance(value, str) else ""


def linked(record: Record, key: str) -> Record:
    """The fields read of a linked record ("patient." holds those of `patient.puid`), {} when there is none."""
    value = record.get(f"{key}.")
    return cast("Record", value) if isinstance(value, dict) else {}


def time_of(record: Record, key: str) -> datetime | None:
    """A time in Shanghai, None when there is none."""
    value = record.get(key)
    return value if isinstance(value, datetime) else None


def full_name(party: Record) -> str:
    """A person's name: the family's first where it is written in characters, last in Latin script."""
    given, family = text(party, "name"), text(party, "lastname")
    if not given and not family:
        raise Broken("bad_reply")
    return f"{given} {family}".strip() if (given + family).isascii() else family + given
