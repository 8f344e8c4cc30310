"""The scan: one code read at one station becomes exactly one typed outcome, stored before it is pushed."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from core import outcomes
from core.clock import SHANGHAI, Clock
from core.codes import classify as codes
from core.codes import passes
from core.codes.classify import CodeClass
from core.ids import new_id
from core.outcomes import ACCEPTED, WORDS, Outcome, Say, Words
from core.privacy import last4, mask_name
from his.port import (
    Admission,
    AdmissionQuery,
    AdmissionStatus,
    CardStatus,
    Ctx,
    HisError,
    HisPort,
    Lane,
    NotFound,
    Patient,
    PatientQuery,
    Rejected,
    RejectReason,
)
from store.port import Accepts, FoundScan, NewScan, PassRow, PassUse, Scans, Station, StationKind

InOrder = Callable[[Collection[str]], AbstractContextManager[None]]
"""`ScanService.in_order`."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a device read: text as decoded, time.monotonic() of its last byte, wall time."""

    device: str
    text: str
    symbology: str | None
    t_read: float
    at: datetime


@dataclass(frozen=True, slots=True)
class ScanDone:
    """Past-tense event: the outcome is stored; ``body`` is the scan outcome of DESIGN part 3 with its seq."""

    station: str
    seq: int
    body: Mapping[str, Any]
    text: str
    """``body`` as JSON."""


@dataclass(frozen=True, slots=True)
class StationTold:
    """Past-tense event: something that is no scan is stored in a station's list under ``seq``."""

    station: str
    seq: int
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome before it is stored."""

    outcome: Outcome
    words: Words
    patient: Patient | None = None
    admission: Admission | None = None
    shown: Mapping[str, Any] | None = None
    number: str = ""
    """The card number that was looked up; its last four are shown."""
    first: PassUse | None = None
    pass_no: str | None = None
    use: tuple[str, int] | None = None

    def of_pass(self, pass_no: str, use: tuple[str, int] | None = None) -> Answer:
        """The same answer, got by showing a pass. Written out: `dataclasses.replace` is slow on a path this hot."""
        return Answer(
            self.outcome, self.words, self.patient, self.admission, self.shown, self.number, self.first, pass_no,
            use or self.use,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """A scan outcome, and the HIS's identifiers of whom it shows: for programs of the HIS, never for screens."""

    body: Mapping[str, Any]
    his: Mapping[str, str | int]


def identifiers(answer: Answer) -> dict[str, str | int]:
    """patient_id, and card_no or admission_no, admission_seq and wristband_no, as far as the answer knows them."""
    if answer.patient is None:
        return {}
    his: dict[str, str | int] = {"patient_id": answer.patient.patient_id}
    if answer.number:
        his["card_no"] = answer.number
    if (stay := answer.admission) is not None:
        his.update(admission_no=stay.admission_no, admission_seq=stay.admission_seq)
        if stay.wristband_no:
            his["wristband_no"] = stay.wristband_no
    return his


def _again(done: FoundScan) -> Known:
    return Known({**done.body, "seq": done.seq}, {"patient_id": done.patient_id} if done.patient_id else {})


def _plain(outcome: Outcome, say: Say | None = None) -> Answer:
    words = WORDS[outcome]
    return Answer(outcome, replace(words, say=say) if say else words)


class ScanService:
    """Handles scans for every station; safe to call from many threads, ordered per station."""

    def __init__(
        self, scans: Scans, his: HisPort, patterns: codes.Patterns, clock: Clock, *, deadline_s: float,
        publish: Callable[[ScanDone | StationTold], None],
    ) -> None:  # fmt: skip
        self._scans, self._his, self._patterns, self._clock = scans, his, patterns, clock
        self._deadline_s, self._publish = deadline_s, publish
        self._order: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def handle(self, station: Station, scanned: Scanned) -> Mapping[str, Any]:
        """Classify, look up, decide, store, push. Returns the scan outcome; never raises for a bad code."""
        found = codes.classify(scanned.text, self._patterns, scanned.symbology)
        return self._finish(station, scanned, found.code_class, self._decide(station, found))[0]

    def handle_known(self, station: Station, scanned: Scanned, scan_id: str = "") -> Known:
        """Like `handle`, with the HIS's identifiers. The same ``scan_id`` again gives the stored outcome again."""
        if scan_id and (done := self._scans.find_scan(scan_id)) is not None:
            return _again(done)
        found = codes.classify(scanned.text, self._patterns, scanned.symbology)
        body, answer = self._finish(station, scanned, found.code_class, self._decide(station, found), scan_id)
        if isinstance(answer, FoundScan):
            return _again(answer)
        his = identifiers(answer)
        if answer.outcome is Outcome.ALREADY_DONE and answer.first is not None:
            first = self._scans.find_scan(answer.first.scan_id)
            his = dict(_again(first).his) if first is not None else {}
        return Known(body, his)

    def look(self, viewer: Station, scanned: Scanned) -> tuple[CodeClass, Answer]:
        """What a scan would find, as seen by ``viewer``: nothing is used up, stored or pushed."""
        found = codes.classify(scanned.text, self._patterns, scanned.symbology)
        return found.code_class, self._decide(viewer, found)

    def compose(
        self, viewer: Station, scanned: Scanned, code_class: CodeClass, answer: Answer, scan_id: str
    ) -> dict[str, Any]:
        """The scan outcome of a look; it has no place in a station's list, so ``seq`` is None."""
        return {**self._body(viewer, scanned, code_class, answer, scan_id), "seq": None}

    def classify(self, scanned: Scanned) -> codes.Classified:
        """What the code is."""
        return codes.classify(scanned.text, self._patterns, scanned.symbology)

    def busy(self, station: Station, scanned: Scanned) -> Mapping[str, Any]:
        """A reading that came while the queue of its device was full: said, never silent."""
        return self._finish(station, scanned, CodeClass.UNKNOWN, _plain(Outcome.BUSY))[0]

    @contextmanager
    def in_order(self, stations: Collection[str]) -> Iterator[None]:
        """Store and publish several stations' events inside, in one order with their scans."""
        with ExitStack() as held:
            for station in sorted(stations):
                held.enter_context(self._order[station])
            yield

    def tell(self, station: str, kind: str, body: Mapping[str, Any]) -> None:
        """Store and push what is no scan (a device's state, a notice), in one order with the station's scans.

        A screen ignores what is numbered below what it has seen, so a scan overtaken by a notice would be lost.
        """
        with self._order[station]:
            seq = self._scans.add_event(station, kind, body, self._clock.now())
            self._publish(StationTold(station, seq, kind, {**body, "seq": seq}))

    # ---------------------------------------------------------------- decide

    def _decide(self, station: Station, found: codes.Classified) -> Answer:
        kind = found.code_class
        if kind in codes.PAY_CODES:
            return _plain(Outcome.PAY_CODE)
        if kind in codes.CARDS and station.accepts is Accepts.WRISTBAND:
            return Answer(Outcome.WRONG_KIND, outcomes.WARD_ONLY)
        if kind in codes.WRISTBANDS and station.accepts is Accepts.CARD:
            return Answer(Outcome.WRONG_KIND, outcomes.CARD_ONLY)
        if kind in codes.PASSES:
            return self._by_pass(station, found.shown)
        if kind is CodeClass.PATIENT_CARD:
            return self._lookup(station, found.value, wristband=False)
        if kind is CodeClass.WRISTBAND:
            return self._lookup(station, found.value, wristband=True)
        if kind is CodeClass.UNKNOWN:
            return _plain(Outcome.UNKNOWN_CODE, outcomes.NOT_READ)
        return _plain(Outcome.FOREIGN_CODE, outcomes.FOREIGN_SAY.get(kind))

    def _by_pass(self, station: Station, read: passes.Pass | None) -> Answer:
        row = self._scans.find_pass(read.pass_no) if read else None
        if read is None or row is None or row.kind is not read.kind:
            return _plain(Outcome.FORGED)
        checked = passes.check(read, row.secret, passes.step_at(self._clock.epoch()))
        if checked.step is None:
            return _plain(Outcome.FORGED)
        answer = self._known_pass(station, row, checked, checked.step)
        return answer if answer.pass_no else answer.of_pass(row.pass_no)

    def _known_pass(self, station: Station, row: PassRow, checked: passes.Checked, step: int) -> Answer:
        if row.revoked:
            return _plain(Outcome.NOT_BOUND)
        if checked.verdict is not passes.Verdict.VALID:
            early = checked.verdict is passes.Verdict.EARLY
            return _plain(Outcome.EXPIRED, outcomes.CLOCK_WRONG if early else None)
        used = row.last_step is not None and row.last_step >= step
        if used and (use := self._scans.find_use(row.pass_no, step)) is not None:
            return self._seen_before(station, use)
        answer = self._lookup(station, row.number, wristband=row.kind is passes.PassKind.E_WRISTBAND)
        if answer.patient is not None and answer.patient.patient_id != row.patient_id:
            return Answer(Outcome.NOT_BOUND, outcomes.DECEASED)  # the number was given to somebody else meanwhile
        return answer.of_pass(row.pass_no, (row.pass_no, step)) if answer.outcome in ACCEPTED else answer

    def _seen_before(self, station: Station, use: PassUse) -> Answer:
        """The same code again: here it is a repeat, elsewhere a replay, which learns nothing of the patient."""
        if use.station != station.code:
            return Answer(Outcome.REPLAYED, WORDS[Outcome.REPLAYED], first=use)
        return Answer(Outcome.ALREADY_DONE, WORDS[Outcome.ALREADY_DONE], first=use, shown=use.body)

    def _lookup(self, station: Station, number: str, *, wristband: bool) -> Answer:
        ctx = Ctx(deadline_s=self._deadline_s, actor=f"station:{station.code}", lane=Lane.SCAN)
        try:
            if wristband:
                stay = self._his.ask(AdmissionQuery(wristband_no=number), ctx).value
                return _stay_answer(station, stay)
            patient = self._his.ask(PatientQuery(card_no=number), ctx).value
        except NotFound:
            return _plain(Outcome.UNKNOWN_CODE)
        except Rejected as exc:
            return _plain(Outcome.AMBIGUOUS if exc.reason is RejectReason.AMBIGUOUS else Outcome.HIS_UNKNOWN)
        except HisError:
            return _plain(Outcome.HIS_UNAVAILABLE)
        if patient.deceased or not _in_use(patient, number):
            return Answer(Outcome.NOT_BOUND, outcomes.DECEASED)
        return Answer(Outcome.IDENTIFIED, WORDS[Outcome.IDENTIFIED], patient=patient, number=number)

    # ---------------------------------------------------------------- store and push

    def _finish(
        self, station: Station, scanned: Scanned, code_class: CodeClass, answer: Answer, scan_id: str = ""
    ) -> tuple[Mapping[str, Any], Answer | FoundScan]:
        """(outcome, the answer it says, or the stored scan when this very scan_id was handled before)."""
        scan_id = scan_id or new_id()
        with self._order[station.code]:
            body = self._body(station, scanned, code_class, answer, scan_id)
            row = _row(station, scanned, answer, body)
            stored = self._scans.commit(row)
            if isinstance(stored, PassUse):  # somebody used the code between our look and our commit
                answer = replace(self._seen_before(station, stored), pass_no=answer.pass_no)
                body = self._body(station, scanned, code_class, answer, scan_id)
                row = _row(station, scanned, answer, body)
                stored = self._scans.commit(row)
            if isinstance(stored, FoundScan):  # the same scan, sent twice at once: the other one was stored and pushed
                return {**stored.body, "seq": stored.seq}, stored
            assert isinstance(stored, int)
            body["seq"] = stored
            self._publish(ScanDone(station.code, stored, body, f'{row.text[:-1]},"seq":{stored}}}'))
        return body, answer

    def _body(
        self, station: Station, scanned: Scanned, code_class: CodeClass, answer: Answer, scan_id: str
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "scan_id": scan_id,
            "station": station.code,
            "at": scanned.at.isoformat(timespec="milliseconds"),
            "outcome": answer.outcome.value,
            "code_class": code_class.value,
            "say": answer.words.say,
            "next": answer.words.next(),
            "ms": round((self._clock.monotonic() - scanned.t_read) * 1000, 2),
        }
        if answer.patient is not None:
            body["patient"] = _shown_patient(answer, answer.patient, station, scanned.at.date())
        if answer.admission is not None:
            body["visit"] = _shown_stay(answer.admission)
        if answer.shown is not None:
            body.update({key: answer.shown[key] for key in ("patient", "visit") if key in answer.shown})
        if answer.first is not None:
            body["first_scan"] = answer.first.at.isoformat(timespec="seconds")
            body["first_station"] = answer.first.station_name
        return body


def _row(station: Station, scanned: Scanned, answer: Answer, body: Mapping[str, Any]) -> NewScan:
    return NewScan(
        body["scan_id"], station, scanned.device, scanned.at, body["outcome"], body["code_class"], body["ms"], body,
        answer.pass_no, answer.patient.patient_id if answer.patient else None, answer.use,
        _encode(body),
    )  # fmt: skip


def _in_use(patient: Patient, card_no: str) -> bool:
    """Only an active card identifies; a lost one is in a finder's hands."""
    return any(card.card_no == card_no and card.status is CardStatus.ACTIVE for card in patient.cards)


def _stay_answer(station: Station, stay: Admission) -> Answer:
    if stay.status is not AdmissionStatus.ADMITTED:
        return _plain(Outcome.DISCHARGED)
    if stay.patient.deceased:
        return Answer(Outcome.NOT_BOUND, outcomes.DECEASED)
    if station.kind is StationKind.WARD and stay.ward_code != station.ward_code:
        return _plain(Outcome.WRONG_WARD)
    return Answer(Outcome.IDENTIFIED, WORDS[Outcome.IDENTIFIED], patient=stay.patient, admission=stay)


def _shown_patient(answer: Answer, patient: Patient, station: Station, today: date) -> dict[str, Any]:
    """Masked unless the station is staff-only; numbers are the last four everywhere."""
    return {
        "name": patient.name if station.staff_only else mask_name(patient.name),
        "sex": patient.sex.value,
        "age": _age(patient.birth_date, today),
        "card_last4": last4(answer.number) if answer.number else None,
        "id_last4": last4(patient.id_no) if patient.id_no else None,
        "kind": "inpatient" if answer.admission else "outpatient",
    }


def _shown_stay(stay: Admission) -> dict[str, Any]:
    return {"ward": stay.ward_name, "bed": stay.bed_no, "admission_no_last4": last4(stay.admission_no)}


def _age(born: date | None, today: date) -> int | None:
    """Whole years; None when the HIS does not know."""
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def scanned_now(device: str, text: str, clock: Clock, symbology: str | None = None) -> Scanned:
    """A reading made elsewhere (API, typed in), stamped here."""
    return Scanned(device, text, symbology, clock.monotonic(), clock.now().astimezone(SHANGHAI))
