"""Reading requests: JSON of a sane size only, and faults named without ever repeating what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from bridge.models import In
from bridge.problems import BadInput

BODY_MAX = 256 * 1024
M = TypeVar("M", bound=In)
_WORDS = {"missing": "is missing", "extra_forbidden": "a member is not known here; /bridge/docs lists all"}


def body() -> Any:
    """The body as JSON. Raises 413, 415, or BadInput `body.not_json`."""
    if request.mimetype != "application/json" or request.content_encoding:
        raise UnsupportedMediaType
    request.max_content_length = BODY_MAX
    if (request.content_length or 0) > BODY_MAX:
        raise RequestEntityTooLarge
    try:
        return from_json(request.get_data(cache=False), allow_inf_nan=False)
    except ValueError:
        raise BadInput(
            "body.not_json",
            "内容不是有效的 JSON",
            "the body is not valid JSON in UTF-8; check quotes, commas and nesting",
        ) from None


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
