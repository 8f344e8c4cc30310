"""Reading requests: JSON of a sane size only, and faults named without ever repeating what was sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from bridge.models import In
from bridge.problems import BadInput

BODY_MAX = 256 * 1024
BODY_S = 10.0
"""Seconds a client may take to send its body: one that drips must not hold a place of the bridge."""
_IN_ONE_PIECE = 32 * 1024
"""The server gives a request of this size to a thread only when it is all there; its own deadline has passed by then."""
M = TypeVar("M", bound=In)
_WORDS = {"missing": "is missing", "extra_forbidden": "a member is not known here; /bridge/docs lists all"}


def body() -> Any:
    """The body as JSON. Raises 413, 415, or BadInput `body.not_json`."""
    if request.mimetype != "application/json" or request.content_encoding:
        raise UnsupportedMediaType
    request.max_content_length = BODY_MAX + 1  # of a body of untold length werkzeug gives so much and is silent
    if (request.content_length or 0) > BODY_MAX:
        raise RequestEntityTooLarge
    with _deadline():
        sent = request.get_data(cache=False)
    if len(sent) > BODY_MAX:
        raise RequestEntityTooLarge
    try:
        return from_json(sent, allow_inf_nan=False)
    except ValueError:
        raise BadInput(
            "body.not_json",
            "内容不是有效的 JSON",
            "the body is not valid JSON in UTF-8; check quotes, commas and nesting",
        ) from None


@contextmanager
def _deadline() -> Iterator[None]:
    """Cut the connection when a body that comes piece by piece is not there in time."""
    raw = request.environ.get("gunicorn.socket")
    if not isinstance(raw, socket.socket) or (request.content_length or BODY_MAX) <= _IN_ONE_PIECE:
        yield
        return

    def cut() -> None:
        with suppress(OSError):  # gone already
            raw.shutdown(socket.SHUT_RD)

    timer = threading.Timer(BODY_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def fit(model: type[M], value: object, code: str = "body.invalid") -> M:
    """``value`` as the model. Raises BadInput with one fault per member that does not fit."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        faults = faults_of(exc, model)
        first = faults[0]
        where = f"{first['pointer']}: " if first.get("pointer") else ""
        raise BadInput(code, "内容不符合要求,请看 errors", f"{where}{first['detail']}", faults) from None


def faults_of(exc: ValidationError, model: type[BaseModel]) -> list[dict[str, Any]]:
    """``{pointer, detail}`` of each fault; of the request only names of members we know stand in it."""
    faults = []
    for fault in exc.errors(include_url=False, include_input=False, include_context=False)[:20]:
        known = fault["loc"][:1] if fault["loc"] and fault["loc"][0] in model.model_fields else ()
        faults.append({**({"pointer": f"/{known[0]}"} if known else {}), "detail": _sentence(fault)})
    return faults


def query(model: type[M]) -> M:
    """The query string as the model. Raises BadInput `query.invalid`."""
    given: Mapping[str, Sequence[str]] = request.args.to_dict(flat=False)
    return fit(
        model, {key: values[0] if len(values) == 1 else values for key, values in given.items()}, "query.invalid"
    )


def _sentence(fault: Any) -> str:
    kind, text = fault["type"], str(fault["msg"])
    if kind in _WORDS:
        return _WORDS[kind]
    return text.removeprefix("Value error, ").replace("Input should", "should")
