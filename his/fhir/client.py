"""FHIR R4's RESTful interactions over one endpoint: read, search with pages, create, update.

Source: HL7 FHIR R4 (4.0.1), http.html, search.html, operationoutcome.html and valueset-issue-type.html.
"""

import base64
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from his.faults import Broken, NotSent
from his.fhir.options import FhirOptions
from his.port import NotFound, Rejected, RejectReason
from his.wire import Response

Resource = dict[str, Any]
Params = Mapping[str, str | tuple[str, ...]]

MEDIA = "application/fhir+json"
ID = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9.-]{1,64}", re.ASCII)
"""Without `.` and `..`: in an address they lead elsewhere."""
GONE = frozenset({"not-found", "deleted"})
UNAUTHORIZED = frozenset({"security", "login", "unknown", "expired", "forbidden", "suppressed"})
FAILED = frozenset({"exception", "timeout", "transient", "incomplete", "throttled", "lock-error", "no-store"})
REFUSED = {
    "invalid": RejectReason.OTHER, "structure": RejectReason.OTHER, "required": RejectReason.OTHER,
    "value": RejectReason.OTHER, "invariant": RejectReason.OTHER, "processing": RejectReason.OTHER,
    "not-supported": RejectReason.OTHER, "code-invalid": RejectReason.OTHER, "extension": RejectReason.OTHER,
    "too-long": RejectReason.OTHER, "too-costly": RejectReason.LIMIT, "business-rule": RejectReason.NOT_ALLOWED,
    "duplicate": RejectReason.DUPLICATE, "multiple-matches": RejectReason.AMBIGUOUS,
}  # fmt: skip


class Conflict(Exception):
    """409 or 412: what we wanted to change is no longer as we saw it. Nothing was changed."""


class FhirClient:
    """One FHIR service; thread-safe. Raises NotFound, Rejected, Conflict (writes), NotSent and Broken."""

    def __init__(self, options: FhirOptions) -> None:
        headers = {"Accept": MEDIA}
        if options.auth == "bearer" and options.token is not None:
            headers["Authorization"] = f"Bearer {options.token.get_secret_value()}"
        elif options.auth == "basic" and options.password is not None:
            pair = f"{options.user}:{options.password.get_secret_value()}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        self._base = options.base_url.rstrip("/") + "/"
        self._page_size = options.page_size
        self._max_pages = options.max_pages
        self._endpoint = options.endpoint(options.base_url, headers)

    def read(self, kind: str, resource_id: str, deadline: float) -> Resource:
        """One resource by its id; NotFound for what can be none."""
        if not ID.fullmatch(resource_id):
            raise NotFound
        return _same(resource_id, _of_kind(kind, self._get(f"/{kind}/{resource_id}", deadline)))

    def has_metadata(self, deadline: float) -> bool:
        """Whether a CapabilityStatement stands at /metadata."""
        try:
            return str(self._get("/metadata", deadline)["resourceType"]) == "CapabilityStatement"
        except NotFound:
            return False

    def probe(self, kind: str, deadline: float) -> None:
        """The cheapest search there is: does it answer, does it know us?"""
        matches(kind, self._get(f"/{kind}?_count=1", deadline))

    def search(self, kind: str, params: Params, deadline: float) -> list[Resource]:
        """Every match over all pages, each once; Broken("too_large") beyond `max_pages`."""
        query = urlencode({"_count": str(self._page_size), **params}, doseq=True, safe=":/,")
        found: dict[str, Resource] = {}
        path, total = f"/{kind}?{query}", 0
        for _ in range(self._max_pages):
            bundle = self._get(path, deadline)
            for resource in matches(kind, bundle):
                found[str(resource.get("id"))] = resource
            onward = _next(bundle)
            total = max(total, bundle["total"] if type(bundle.get("total")) is int else 0)
            if not onward:
                if total > len(found):
                    raise Broken("truncated")  # it counts more than it showed, and links no further page
                return list(found.values())
            path = self._on_this_server(onward, path)
        raise Broken("too_large")

    def search_unseen(self, kind: str, params: Mapping[str, str], deadline: float) -> list[Resource]:
        """The first matches, asked for in the body of a POST: an ID number must stand in no URL. Two are enough."""
        body = urlencode({"_count": "5", **params}).encode("ascii")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = self._endpoint.request(f"POST /{kind}/_search", headers, body, deadline, repeatable=True)
        return matches(kind, _answer(response, searching=True))

    def create(self, resource: Resource, if_none_exist: Mapping[str, str], deadline: float) -> Resource:
        """The new resource, or the one that fits `if_none_exist` already; Conflict when several do."""
        headers = {"Content-Type": MEDIA, "Prefer": "return=representation", "If-None-Exist": urlencode(if_none_exist)}
        kind = str(resource["resourceType"])
        return _of_kind(kind, self._write(f"POST /{kind}", headers, resource, deadline))

    def update(self, resource: Resource, deadline: float) -> Resource:
        """`resource` over the version it was read as, else Conflict."""
        kind, version = str(resource["resourceType"]), version_of(resource)
        headers = {"Content-Type": MEDIA, "Prefer": "return=representation", "If-Match": f'W/"{version}"'}
        line = f"PUT /{kind}/{resource['id']}"
        return _same(resource["id"], _of_kind(kind, self._write(line, headers, resource, deadline)))

    def close(self) -> None:
        """Give back every connection."""
        self._endpoint.close()

    def _get(self, path: str, deadline: float) -> Resource:
        response = self._endpoint.request(f"GET {path}", {}, None, deadline, repeatable=True)
        return _answer(response, searching="?" in path)

    def _write(self, line: str, headers: Mapping[str, str], resource: Resource, deadline: float) -> Resource:
        body = json.dumps(resource, ensure_ascii=False, separators=(",", ":"), default=_number).encode()
        response = self._endpoint.request(line, headers, body, deadline, repeatable=False)
        try:
            return _answer(response)
        except Broken as broken:
            if broken.reason == "unauthorized":
                raise NotSent("unauthorized") from None  # turned away at the door: nothing was changed
            raise

    def _on_this_server(self, onward: str, path: str) -> str:
        """The path of a page's link; our token goes to no other origin, whatever a Bundle says."""
        url = urljoin(self._base + path.lstrip("/"), onward)
        here, there = urlsplit(self._base), urlsplit(url)
        inside = there.path.startswith(here.path) or there.path == here.path.rstrip("/")
        if (here.scheme, here.netloc) != (there.scheme, there.netloc) or not inside:
            raise Broken("bad_reply")
        tail = there.path[len(here.path.rstrip("/")) :] or "/"
        return quote(f"{tail}?{there.query}", safe="/?&=%:,$|+~()*!'@;-._")


def matches(kind: str, bundle: Resource) -> list[Resource]:
    """The resources a searchset Bundle found, without what it includes or remarks."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset":
        raise Broken("bad_reply")
    found = []
    for entry in _list(bundle, "entry"):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            raise Broken("bad_reply")
        mode = entry["search"].get("mode") if isinstance(entry.get("search"), dict) else "match"
        if mode not in ("include", "outcome") and resource.get("resourceType") == kind:
            found.append(_of_kind(kind, resource))
    return found


def version_of(resource: Resource) -> str:
    """The version to name in If-Match; NotSent where the server keeps none: without it two could take one slot."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    if not isinstance(version, str) or not version:
        raise NotSent("bad_reply")
    return version


def _answer(response: Response, *, searching: bool = False) -> Resource:
    if response.status not in (200, 201):
        raise _refusal(response, searching=searching)
    reply = _json(response.body)
    if reply is None or not isinstance(reply.get("resourceType"), str):
        raise Broken("bad_reply")
    if reply["resourceType"] == "OperationOutcome":
        raise _by_outcome(reply) or Broken("bad_reply")
    return reply


def _refusal(response: Response, *, searching: bool) -> Exception:
    status = response.status
    if status in (401, 403):
        return Broken("unauthorized")
    if status in (404, 410):
        return Broken(f"http_{status}") if searching else NotFound()
    if status in (409, 412):
        return Conflict()
    said = _json(response.body) if status in (400, 405, 422) else None
    found = _by_outcome(said) if said is not None else None
    return found or Broken(f"http_{status}")


def _by_outcome(outcome: Resource) -> Exception | None:
    """What an OperationOutcome's first error says; None when it is none."""
    for issue in _list(outcome, "issue"):
        if not isinstance(issue, dict) or issue.get("severity") not in ("error", "fatal"):
            continue
        code, details = issue.get("code"), issue.get("details")
        if code in GONE:
            return NotFound()
        if code == "conflict":
            return Conflict()
        if code in UNAUTHORIZED:
            return Broken("unauthorized")
        if code in FAILED:
            return Broken("his_exception")
        if not isinstance(code, str) or code not in REFUSED:
            return Broken("unmapped_code")
        text = details.get("text") if isinstance(details, dict) else None
        text = text if isinstance(text, str) else issue.get("diagnostics")
        return Rejected(code, text if isinstance(text, str) else "", REFUSED[code])
    return None


def _json(body: bytes) -> Resource | None:
    """The object in `body`, decimals exact; None for anything else."""
    try:
        reply = json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_number)
        if b"\\u" in body:
            json.dumps(reply, ensure_ascii=False, default=str).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError, ArithmeticError):
        return None
    return reply if isinstance(reply, dict) else None


def _no_number(word: str) -> None:
    raise ValueError(word)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


def _list(data: Resource, key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _next(bundle: Resource) -> str:
    for link in _list(bundle, "link"):
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return cast("str", link["url"])
    return ""


def _of_kind(kind: str, resource: Resource) -> Resource:
    """The resource, if it is a `kind` with an id."""
    resource_id = resource.get("id")
    if resource.get("resourceType") != kind or not isinstance(resource_id, str) or not ID.fullmatch(resource_id):
        raise Broken("bad_reply")
    return resource


def _same(resource_id: str, resource: Resource) -> Resource:
    if resource["id"] != resource_id:
        raise Broken("wrong_record")
    return resource
