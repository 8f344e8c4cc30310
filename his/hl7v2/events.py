"""What a received message says happened: ADT, SIU, ORU and DFT as `HisEvent`s.

Sources: HL7 v2.5 chapters 3 (ADT), 6 (DFT), 7 (ORU), 10 (SIU), tables 0003, 0085, 0123. One message is one event, except an
ORU with several reports, which is one each. A message that asks for nothing we do is `NotForUs`, never swallowed.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from his.hl7v2.message import Message, Segment, moment
from his.hl7v2.options import ListenerOptions
from his.mapping.tables import house
from his.port import ABNORMAL, AbnormalFlag
from his.port.events import HisEvent, HisEventKind

Data = dict[str, str | int]
_LONGEST = 200
"""Characters kept of a text in `data`."""
_MOST_DIGITS = 12
"""Digits of yuan, less one, that an amount may have."""
_FLAGS = house(AbnormalFlag)
_FINAL, _CORRECTED = frozenset("FCU"), frozenset("CWD")
"""OBX-11 and OBR-25 (tables 0085, 0123) of what may be shown, and of what replaces something shown before."""
_IMAGING = frozenset({"RAD", "CT", "MR", "NMR", "NUC", "RUS", "OUS", "VUS", "CUS", "CTH", "XRC", "EC", "RX"})
"""OBR-24 (table 0074) of examinations; LAB and its parts are not among them."""
_LAB = frozenset({"LAB", "CH", "HM", "MB", "MCB", "IMM", "BLB", "SR", "VR", "TX", "CG", "SP", "CP", "BG"})


class NotForUs(Exception):
    """Understood or not, it is nothing we store. `code`: table 0357; `text` goes into the acknowledgement."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def read_events(message: Message, options: ListenerOptions, received: datetime) -> list[HisEvent]:
    """At least one event; NotForUs otherwise. `received` is the time of a message that says none."""
    code, trigger = message.type
    handlers = _HANDLERS.get(code)
    if handlers is None:
        raise NotForUs("200", f"unsupported message type {code[:3]}")
    reader = handlers.get(trigger)
    if reader is None:
        raise NotForUs("201", f"unsupported event {trigger[:3]}")
    return reader(_Reader(message, options, received))


class _Reader:
    """One message and what every event made of it shares."""

    def __init__(self, message: Message, options: ListenerOptions, received: datetime) -> None:
        self.message, self.options, self._received = message, options, received
        self.trigger = "^".join(message.type)
        if not message.control_id:
            raise NotForUs("101", "MSH-10 is missing")
        if not message.get("MSH-3"):
            raise NotForUs("101", "MSH-3 is missing")

    @property
    def source(self) -> str:
        """Control ids are unique within an application of a facility."""
        facility = self.message.get("MSH-4")
        return f"hl7:{self.message.get('MSH-3')}" + (f"@{facility}" if facility else "")

    def at(self) -> datetime:
        """When it happened: EVN-6, else EVN-2, else MSH-7, else now."""
        for path in ("EVN-6", "EVN-2", "MSH-7"):
            if (found := moment(self.message.get(path))) is not None:
                return found
        return self._received

    def patient_id(self) -> str:
        """Of PID-3. NotForUs when there is none: an event about nobody cannot be shown to anybody."""
        for segment in self.message.segments("PID"):
            if found := identifier(segment, 3, self.options.patient_id_type):
                return found
        raise NotForUs("101", "PID-3 has no patient number")

    def need(self, path: str) -> str:
        """A number that must be there."""
        if not (found := self.message.get(path)):
            raise NotForUs("101", f"{path} is missing")
        return found

    def event(self, kind: HisEventKind, ref: str, data: Mapping[str, str | int], index: int = 0) -> HisEvent:
        """`index`: which event of this message, the first has the bare control id."""
        said = {
            name: value[:_LONGEST] if isinstance(value, str) else value for name, value in data.items() if value != ""
        }
        event_id = self.message.control_id + (f"/{index + 1}" if index else "")
        where = self.source, event_id, kind, self.at(), self.patient_id(), ref
        try:
            return HisEvent(*where, {"trigger": self.trigger, **said})
        except ValueError:
            raise NotForUs("102", "a number in it is too long or not printable") from None


def identifier(segment: Segment, field: int, kind: str) -> str:
    """The CX of that type (CX-5); a single one without a type will do, and `kind` "" is the first."""
    repetitions = segment.repetitions(field)
    for one in repetitions:
        if not kind or one.get(5) == kind:
            return one.get(1)
    return repetitions[0].get(1) if len(repetitions) == 1 and not repetitions[0].get(5) else ""


def flag(segment: Segment) -> AbnormalFlag:
    """OBX-8: the most telling of its repetitions; coded as `H` or as `H^High^HL70078`. Nothing is UNDETERMINED."""
    found = [_FLAGS.get(one.get(1).strip(), AbnormalFlag.UNDETERMINED) for one in segment.repetitions(8)]
    for one in found:
        if one in ABNORMAL:
            return AbnormalFlag(one)
    return AbnormalFlag(found[0]) if found else AbnormalFlag.UNDETERMINED


# ---------------------------------------------------------------- ADT


def _place(message: Message) -> Data:
    return {
        "ward_code": message.get("PV1-3.1"), "room": message.get("PV1-3.2"), "bed_no": message.get("PV1-3.3"),
        "patient_class": message.get("PV1-2"), "department_code": message.get("PV1-10"),
        "doctor_code": message.get("PV1-7.1"),
    }  # fmt: skip


def _stay(kind: HisEventKind, cancelled: str = "") -> "Callable[[_Reader], list[HisEvent]]":
    """An event of a stay. A cancellation is told as what is so now, with `cancelled` naming what was taken back."""

    def read(reader: _Reader) -> list[HisEvent]:
        ref = reader.need(reader.options.admission_no)
        return [reader.event(kind, ref, {**_place(reader.message), "cancelled": cancelled})]

    return read


def _registered(reader: _Reader) -> list[HisEvent]:
    return [reader.event(HisEventKind.REGISTERED, reader.need(reader.options.visit_no), _place(reader.message))]


def _visit_cancelled(reader: _Reader) -> list[HisEvent]:
    """A11 takes back an admission (PV1-2 I) or an outpatient's registration."""
    if reader.message.get("PV1-2") == "I":
        return _stay(HisEventKind.DISCHARGED, "admission")(reader)
    data = {**_place(reader.message), "cancelled": "registration", "state": "cancelled"}
    return [reader.event(HisEventKind.APPOINTMENT_CHANGED, reader.need(reader.options.visit_no), data)]


def _person(reader: _Reader) -> list[HisEvent]:
    return [reader.event(HisEventKind.PATIENT_UPDATED, reader.patient_id(), {})]


def _merged(reader: _Reader) -> list[HisEvent]:
    """A40: PID-3 survives, MRG-1 is no more."""
    gone = [identifier(one, 1, reader.options.patient_id_type) for one in reader.message.segments("MRG")]
    if not gone or not gone[0]:
        raise NotForUs("101", "MRG-1 has no patient number")
    return [reader.event(HisEventKind.PATIENT_UPDATED, reader.patient_id(), {"merged_from": gone[0]})]


# ---------------------------------------------------------------- SIU


def _appointment(state: str) -> "Callable[[_Reader], list[HisEvent]]":
    def read(reader: _Reader) -> list[HisEvent]:
        message = reader.message
        starts = next(
            (
                at
                for path in ("SCH-11.4", "AIS-4", "AIP-6", "AIG-8", "AIL-6", "TQ1-7")
                if (at := moment(message.get(path)))
            ),
            None,
        )
        data: Data = {
            "state": state, "starts_at": starts.isoformat() if starts else "", "schedule_id": message.get("SCH-5"),
            "doctor_code": message.get("AIP-3.1"), "place": message.get("AIL-3.1"), "reason": message.get("SCH-6.2"),
        }  # fmt: skip
        return [reader.event(HisEventKind.APPOINTMENT_CHANGED, reader.need(reader.options.appointment_no), data)]

    return read


# ---------------------------------------------------------------- ORU


def _reports(reader: _Reader) -> list[HisEvent]:
    """One event for each report number whose every part is final or corrected."""
    by_number: dict[str, list[tuple[Segment, list[Segment]]]] = {}
    for number, obr, results in _groups(reader):
        if not number:
            raise NotForUs("101", f"{reader.options.report_no} is missing")
        by_number.setdefault(number, []).append((obr, results))
    released = [
        (number, parts) for number, parts in by_number.items() if all(_status(*part) & _FINAL for part in parts)
    ]
    if not released:
        raise NotForUs("200", "no released report")
    return [
        reader.event(HisEventKind.REPORT_RELEASED, number, _report(reader, parts), index)
        for index, (number, parts) in enumerate(released)
    ]


def _groups(reader: _Reader) -> list[tuple[str, Segment, list[Segment]]]:
    """(report number, OBR, its OBX…) in order."""
    groups: list[tuple[str, Segment, list[Segment]]] = []
    for segment in reader.message:
        if segment.name == "OBR":
            groups.append((segment.at(reader.options.report_no), segment, []))
        elif segment.name == "OBX" and groups:
            groups[-1][2].append(segment)
    if not groups:
        raise NotForUs("101", "OBR is missing")
    return groups


def _status(obr: Segment, results: list[Segment]) -> frozenset[str]:
    """OBR-25; without it what all the OBX-11 agree on: one that is not final holds the report back."""
    if stated := obr.get(25):
        return frozenset({stated})
    each = {segment.get(11) for segment in results}
    return frozenset(each) if each and each <= _FINAL | _CORRECTED else frozenset()


def _report(reader: _Reader, parts: list[tuple[Segment, list[Segment]]]) -> Data:
    first = parts[0][0]
    results = [one for _, lines in parts for one in lines]
    statuses = {obr.get(25) for obr, _ in parts} | {one.get(11) for one in results}
    flags = [flag(one) for one in results]
    section = first.get(24)
    return {
        "kind": "imaging" if section in _IMAGING else "lab" if section in _LAB else "unknown",
        "name": first.get(4, 2) or first.get(4, 5) or first.get(4),
        "version": first.get(22) or reader.message.get("MSH-7"),
        "corrected": int(bool(statuses & _CORRECTED)),
        "results": len(results),
        "abnormal": sum(one in ABNORMAL for one in flags),
        "undetermined": sum(one is AbnormalFlag.UNDETERMINED for one in flags),
    }


# ---------------------------------------------------------------- DFT


def _charges(reader: _Reader) -> list[HisEvent]:
    """P03: the charges (FT1-6 CG) of one message, their sum in fen; payments and credits alone are no new fee."""
    lines = [one for one in reader.message.segments("FT1") if one.get(6) in ("CG", "CD")]
    if not lines:
        raise NotForUs("200", "no charge in it")
    ref = next((one.get(2) for one in lines if one.get(2)), "") or reader.message.control_id
    data: Data = {
        "items": len(lines),
        "name": lines[0].get(7, 2) or lines[0].get(8),
        "visit_no": reader.message.get(reader.options.visit_no),
    }
    amounts = [_fen(one) for one in lines]
    if None not in amounts:
        data["amount_fen"] = sum(one or 0 for one in amounts)
    return [reader.event(HisEventKind.FEE_ADDED, ref, data)]


def _fen(line: Segment) -> int | None:
    """FT1-11 (amount extended), else FT1-12 (unit) times FT1-10 (quantity), in fen; None when it says none."""
    try:
        if text := line.get(11):
            yuan = Decimal(text)
        elif text := line.get(12):
            yuan = Decimal(text) * Decimal(line.get(10) or 1)
        else:
            return None
        if yuan.adjusted() > _MOST_DIGITS:  # 1E+999999 is 10 characters, and half a minute of work as an int
            return None
        fen = yuan * 100
        return int(fen) if fen == fen.to_integral_value() else None
    except (ArithmeticError, ValueError):
        return None


_HANDLERS: dict[str, dict[str, Callable[[_Reader], list[HisEvent]]]] = {
    "ADT": {
        "A01": _stay(HisEventKind.ADMITTED), "A02": _stay(HisEventKind.TRANSFERRED),
        "A03": _stay(HisEventKind.DISCHARGED), "A04": _registered, "A08": _person, "A11": _visit_cancelled,
        "A12": _stay(HisEventKind.TRANSFERRED, "transfer"), "A13": _stay(HisEventKind.ADMITTED, "discharge"),
        "A28": _person, "A31": _person, "A40": _merged,
    },
    "SIU": {
        "S12": _appointment("valid"), "S13": _appointment("valid"), "S14": _appointment("valid"),
        "S15": _appointment("cancelled"), "S16": _appointment("cancelled"), "S17": _appointment("cancelled"),
        "S26": _appointment("no_show"),
    },
    "ORU": {"R01": _reports},
    "DFT": {"P03": _charges},
}  # fmt: skip
