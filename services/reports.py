"""Reports and their images on the phone: always from the follower's own binding, to its patient, to that patient's report.

The browser names a binding, a report number and a running number; study, series and instance come from HIS and PACS.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from core.errors import NotYours, Refusal
from his.port import (
    WIDTHS,
    Ctx,
    Fetched,
    HisPort,
    NotAnImage,
    NotFound,
    Op,
    PacsPort,
    Rejected,
    Report,
    ReportQuery,
    ReportsQuery,
    ReportSummary,
    StudyImage,
    Unavailable,
    Unsupported,
)
from services.cards import CardService
from store.port import Binding, BindingKind

LIST_S = 1.5
"""How long a report page waits for the list of its images: its text must not wait longer."""
PICTURE_S = 6.0
KNOWN_S, KNOWN = 300.0, 2048
"""How long, and of how many reports, it is remembered which study they name: the HIS is not asked for every picture."""
NUMBER_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a report.

    `state`: "ok"; "none": the report names no study; "off": no PACS here; "absent": the PACS has none; "down".
    """

    state: str
    items: tuple[StudyImage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Study:
    """Which study a report names, "" for none; `since` monotonic."""

    uid: str
    patient_id: str
    since: float


class ReportService:
    """Lists reports, opens one, draws its images. Safe from many threads."""

    def __init__(self, cards: CardService, his: HisPort, pacs: PacsPort | None, *, deadline_s: float = 8.0) -> None:
        self._cards, self._his, self._pacs, self._deadline_s = cards, his, pacs, deadline_s
        self._lock = threading.Lock()
        self._studies: OrderedDict[tuple[str, str], _Study] = OrderedDict()

    @property
    def offered(self) -> bool:
        """Whether this HIS has reports at all."""
        return {Op.LIST_REPORTS, Op.REPORT} <= self._his.capabilities

    def reports(
        self, follower_id: str, kind: BindingKind, binding_id: str
    ) -> tuple[Binding, Fetched[tuple[ReportSummary, ...]]]:
        """Whose, and the released reports, newest first; a stay's binding lists those of that stay.

        Raises NotYours; Refusal `reports.unavailable` when neither the HIS nor an old copy can answer.
        """
        binding = self._cards.get(follower_id, kind, binding_id)
        stay = binding.number if kind is BindingKind.ADMISSION else ""
        try:
            return binding, self._his.ask(ReportsQuery(binding.patient_id, admission_no=stay), self._ctx())
        except (NotFound, Unsupported):
            raise NotYours from None
        except (Unavailable, Rejected) as failure:
            raise unavailable() from failure

    def report(
        self, follower_id: str, kind: BindingKind, binding_id: str, number: str
    ) -> tuple[Binding, Fetched[Report]]:
        """One released report of the binding's patient, or of its stay. Raises NotYours when there is none, and as `reports`."""
        if kind is BindingKind.ADMISSION:  # whoever bound a stay sees its reports, not all that this patient ever had
            listed = self.reports(follower_id, kind, binding_id)[1].value
            if number not in [one.report_no for one in listed]:
                raise NotYours
        binding = self._cards.get(follower_id, kind, binding_id)
        if not 0 < len(number) <= NUMBER_LENGTH or not number.isprintable():
            raise NotYours
        try:
            fetched = self._his.ask(ReportQuery(binding.patient_id, number), self._ctx())
        except (NotFound, Unsupported):
            with self._lock:
                self._studies.pop((binding.id, number), None)
            raise NotYours from None
        except (Unavailable, Rejected) as failure:
            raise unavailable() from failure
        self._remember((binding.id, number), _Study(fetched.value.study_uid, binding.patient_id, time.monotonic()))
        return binding, fetched

    def forget(self, patient_id: str) -> None:
        """The HIS said that something of this patient has changed: which study a report names is asked for again."""
        with self._lock:
            for key in [key for key, study in self._studies.items() if study.patient_id == patient_id]:
                del self._studies[key]

    def images(self, report: Report) -> Images:
        """What can be shown beside a report `report` has returned. Raises nothing: the text opens without images."""
        if not report.study_uid:
            return Images("none")
        if self._pacs is None:
            return Images("off")
        try:
            return Images("ok", self._pacs.images(report.study_uid, LIST_S))
        except NotFound:
            return Images("absent")
        except Unavailable:
            return Images("down")

    def picture(
        self, follower_id: str, kind: BindingKind, binding_id: str, number: str, place: int, width: int
    ) -> bytes:
        """The `place`-th image (from 1) of a report as JPEG, at most `width` (one of `WIDTHS`) along its longest edge.

        Raises NotYours for anything that is not this follower's; the PACS is then not asked. Refusal `image.unavailable`
        when the PACS does not answer; `image.unsupported` when it is no picture.
        """  # fmt: skip
        study = self._study(follower_id, kind, binding_id, number)
        if self._pacs is None or not study or width not in WIDTHS:
            raise NotYours
        try:
            found = self._pacs.images(study, PICTURE_S)
            if not 1 <= place <= len(found):
                raise NotYours
            return self._pacs.picture(found[place - 1], width, PICTURE_S)
        except NotFound:
            raise NotYours from None
        except NotAnImage:
            raise _no_picture() from None
        except Unavailable as failure:
            raise _no_image() from failure

    def _study(self, follower_id: str, kind: BindingKind, binding_id: str, number: str) -> str:
        """The study of a report, once it is certain that the binding is this follower's and the report its patient's."""
        binding = self._cards.get(follower_id, kind, binding_id)
        with self._lock:
            known = self._studies.get((binding.id, number))
        if known is not None and time.monotonic() - known.since < KNOWN_S:
            return known.uid
        return self.report(follower_id, kind, binding_id, number)[1].value.study_uid

    def _remember(self, key: tuple[str, str], study: _Study) -> None:
        with self._lock:
            self._studies[key] = study
            self._studies.move_to_end(key)
            while len(self._studies) > KNOWN:
                self._studies.popitem(last=False)

    def _ctx(self) -> Ctx:
        return Ctx(deadline_s=self._deadline_s, actor="portal", stale_ok=True)


def unavailable() -> Refusal:
    """The HIS is silent and nothing older can be shown."""
    return Refusal(
        "reports.unavailable",
        "医院系统暂时没有回应,报告还在医院里,没有丢。请过一会儿再试",
        "The hospital system is not answering right now. Your reports are safe; please try again in a while",
    )


def _no_image() -> Refusal:
    return Refusal(
        "image.unavailable",
        "影像系统暂时没有回应,请过一会儿再试",
        "The image system is not answering; please try again later",
    )


def _no_picture() -> Refusal:
    return Refusal(
        "image.unsupported", "这一份不是图像,请在医院查看", "This one is not a picture; please see it at the hospital"
    )
