"""DICOMweb: which objects a study holds (QIDO-RS), and one of them drawn (WADO-RS rendered), each under one deadline.

Traps met with Orthanc 1.10.1: `%2C` in a query is refused, so the comma of `viewport` is written as it is; a PNG may
come where JPEG was asked for, so every picture is drawn anew when it is not what a phone needs; an unknown study is an
empty list; a structured report cannot be drawn: 415 (or 400 with Orthanc's own addresses).
"""

import base64
import json
import re
import threading
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from his.faults import Broken, NotSent
from his.http import HttpEndpoint, HttpOptions
from his.pacs.picture import Unreadable, fitted
from his.port import NotAnImage, NotFound, StudyImage, Unavailable
from his.wire import Response

UID = re.compile(r"[0-9]+(\.[0-9]+){0,63}", re.ASCII)
UID_LENGTH = 64
LISTED = ("00080016", "00080018", "00080060", "0020000E", "00200011", "00200013", "00280008", "00280010", "00280011")
"""SOP class and instance, modality, series, series number, instance number, frames, rows, columns."""
MOST_IMAGES = 500
MOST_BYTES = 16 * 1024 * 1024
DRAWINGS = 2
"""Pictures drawn anew at once: each may need 100 MB for a moment."""


class PacsOptions(BaseModel):
    """How the PACS is reached: the section `his.pacs`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s?#]*)?$")] = Field(
        description="Root of DICOMweb, such as http://10.1.2.9:8042/dicom-web; for draw: orthanc its REST root"
    )
    auth: SecretStr = Field(
        SecretStr(""), description="user:password, or a bearer token; write env:NAME or file:PATH; empty: none"
    )
    draw: Literal["dicomweb", "orthanc"] = Field(
        "dicomweb",
        description="Who draws: DICOMweb's /rendered, or Orthanc's own addresses when url is http://host:8042",
    )
    deadline_ms: int = Field(4000, ge=200, le=30_000, description="Total time of one call")
    connect_ms: int = Field(1000, ge=50, le=10_000, description="Longest to wait for a connection")
    pool_size: int = Field(4, ge=1, le=32, description="Connections at most")
    cache_mib: int = Field(64, ge=1, le=4096, description="Memory for pictures that were drawn, in MiB")
    keep_s: int = Field(600, ge=10, le=86_400, description="Seconds a list of images, and a picture, is given again")
    ca_file: str | None = Field(None, description="PEM of the authority that signed the PACS's certificate")


class Dicomweb:
    """See `his.port.PacsPort`."""

    def __init__(self, options: PacsOptions) -> None:
        self._deadline_s = options.deadline_ms / 1000
        self._orthanc = options.draw == "orthanc"
        self._web = "/dicom-web" if self._orthanc else ""
        auth = options.auth.get_secret_value()
        kind = f"Basic {base64.b64encode(auth.encode()).decode()}" if ":" in auth else f"Bearer {auth}"
        http = HttpOptions(
            connect_s=options.connect_ms / 1000,
            pool_size=options.pool_size,
            body_cap=MOST_BYTES,
            ca_file=options.ca_file,
        )
        known = {"Authorization": kind} if auth else {}
        self._lists = HttpEndpoint(options.url, {"Accept": "application/dicom+json", **known}, http)
        self._pictures = HttpEndpoint(options.url, {"Accept": "image/jpeg", **known}, http)
        self._drawing = threading.BoundedSemaphore(DRAWINGS)

    def images(self, study_uid: str, deadline_s: float) -> tuple[StudyImage, ...]:
        """See `PacsPort`."""
        fields = "&".join(f"includefield={tag}" for tag in LISTED)
        where = f"{self._web}/studies/{_uid(study_uid)}/instances?limit={MOST_IMAGES}&{fields}"
        response = self._call(self._lists, f"GET {where}", self._until(deadline_s))
        if response.status == 204:
            raise NotFound
        try:
            found = json.loads(response.body)
            rows = [_row(study_uid, one) for one in found]
        except (ValueError, RecursionError, TypeError, AttributeError):
            raise Unavailable("bad_reply") from None
        if not rows:
            raise NotFound
        return tuple(image for _, image in sorted(rows, key=lambda row: row[0])[:MOST_IMAGES])

    def picture(self, image: StudyImage, width: int, deadline_s: float) -> bytes:
        """See `PacsPort`."""
        until = self._until(deadline_s)
        path = self._own_address(image, width, until) if self._orthanc else self._rendered(image, width)
        response = self._call(self._pictures, f"GET {path}", until)
        if not self._drawing.acquire(timeout=max(0.0, until - time.monotonic())):
            raise Unavailable("busy")
        try:
            return fitted(response.body, width)
        except Unreadable:
            raise Unavailable("bad_reply") from None
        finally:
            self._drawing.release()

    def close(self) -> None:
        """See `PacsPort`."""
        self._lists.close()
        self._pictures.close()

    def _until(self, deadline_s: float) -> float:
        return time.monotonic() + min(deadline_s, self._deadline_s)

    @staticmethod
    def _rendered(image: StudyImage, width: int) -> str:
        uids = (_uid(image.study_uid), _uid(image.series_uid), _uid(image.instance_uid))
        frame = "/frames/1" if image.frames > 1 else ""
        return "/studies/{}/series/{}/instances/{}{}/rendered?viewport={},{}".format(*uids, frame, width, width)

    def _own_address(self, image: StudyImage, width: int, until: float) -> str:
        """Orthanc's REST address of an instance; it has identifiers of its own, which must be looked up."""
        found = self._call(self._lists, "POST /tools/lookup", until, _uid(image.instance_uid).encode())
        try:
            (own,) = [one["ID"] for one in json.loads(found.body) if one["Type"] == "Instance"]
        except (ValueError, KeyError, TypeError):
            raise NotFound from None
        if not re.fullmatch(r"[0-9a-f-]{1,64}", own, re.ASCII):
            raise Unavailable("bad_reply")
        return f"/instances/{own}/frames/0/rendered?width={width}&height={width}"

    @staticmethod
    def _call(endpoint: HttpEndpoint, line: str, until: float, body: bytes | None = None) -> Response:
        try:
            response = endpoint.request(line, {}, body, until, repeatable=True)
        except (NotSent, Broken) as failure:
            raise Unavailable(failure.reason) from None
        status = response.status
        if status in (200, 204):
            return response
        if status in (404, 410):
            raise NotFound
        if status in (400, 406, 415, 501):
            raise NotAnImage
        raise Unavailable("unauthorized" if status in (401, 403) else f"http_{status}")


def _uid(text: str) -> str:
    """A DICOM UID, which is safe in an address. NotFound for anything else: nothing is asked for it."""
    if len(text) > UID_LENGTH or not UID.fullmatch(text):
        raise NotFound
    return text


def _row(study_uid: str, row: dict[str, Any]) -> tuple[tuple[int, str, int, str], StudyImage]:
    """One object and its place in the study: by series number, then instance number. ValueError when it has no UIDs."""
    series, instance = _text(row, "0020000E"), _text(row, "00080018")
    if not (UID.fullmatch(series) and UID.fullmatch(instance)):
        raise ValueError("no UIDs")
    image = StudyImage(
        study_uid, series, instance, _text(row, "00080060"),
        columns=_number(row, "00280011"), rows=_number(row, "00280010"), frames=max(1, _number(row, "00280008")),
    )  # fmt: skip
    return (_number(row, "00200011"), series, _number(row, "00200013"), instance), image


def _text(row: dict[str, Any], tag: str) -> str:
    value = (row.get(tag, {}).get("Value") or [""])[0]
    return str(value) if isinstance(value, (str, int)) else ""


def _number(row: dict[str, Any], tag: str) -> int:
    text = _text(row, tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
