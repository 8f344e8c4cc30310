"""HL7 v2 answers as ours: acknowledgements, patients, appointments. Only AA and CA are a yes."""

from datetime import datetime, time

from core.clock import SHANGHAI
from his.faults import Broken, Duplicate
from his.hl7v2.events import identifier
from his.hl7v2.message import Message, Segment, day, moment
from his.hl7v2.options import Hl7Options
from his.mapping.tables import house
from his.port import (
    Appointment,
    BookingOrder,
    CardStatus,
    DayPart,
    NotFound,
    Patient,
    PatientCard,
    RegistrationState,
    Rejected,
    RejectReason,
    Sex,
)

_CJK = range(0x2E80, 0x3FFFF)
_SEXES = house(Sex)


def accepted(message: Message, options: Hl7Options) -> None:
    """Return for AA and CA only. A listed error is a final no; everything else, an AE or AR too, decides nothing.

    Raises NotFound, Rejected, Duplicate, Broken.
    """
    code = message.get("MSA-1")
    if code in ("AA", "CA"):
        return
    if code not in ("AE", "AR", "CE", "CR"):
        raise Broken("bad_reply")
    said = [message.get(path) for path in ("ERR-5", "ERR-3", "ERR-1.4", "MSA-6")]
    found = next((one for one in [*said, code] if one in options.answers), None)
    if found is None:
        raise Broken("unmapped_code")
    meaning = options.answers[found]
    if meaning == "not_found":
        raise NotFound
    if meaning == "already_done":
        raise Duplicate
    text = message.get("ERR-8") or message.get("ERR-7") or message.get("MSA-3")
    raise Rejected(found, text, RejectReason(meaning))


def one_patient(message: Message, query_tag: str, options: Hl7Options) -> Patient:
    """The only patient of a RSP^K22. NotFound, Rejected(AMBIGUOUS), Broken."""
    if message.get("QAK-1") not in ("", query_tag):
        raise Broken("wrong_record")
    status = message.get("QAK-2")
    found = message.segments("PID")
    if status == "NF":
        raise NotFound
    if status in ("AE", "AR"):
        raise Broken("unmapped_code")
    if status != "OK":
        raise Broken("bad_reply")
    if not found:
        raise NotFound
    if len(found) > 1:
        raise Rejected("AMBIGUOUS", "", RejectReason.AMBIGUOUS)
    return read_patient(found[0], options)


def read_patient(pid: Segment, options: Hl7Options) -> Patient:
    """PID as ours; Broken("bad_reply") when who it is cannot be told."""
    patient_id, name = identifier(pid, 3, options.patient_id_type), _name(pid)
    if not patient_id or not name:
        raise Broken("bad_reply")
    id_no = pid.get(19)
    if options.id_no_type:
        id_no = next((one.get(1) for one in pid.repetitions(3) if one.get(5) == options.id_no_type), id_no)
    return Patient(
        patient_id=patient_id,
        name=name,
        sex=Sex(_SEXES.get(pid.get(8), Sex.UNKNOWN)),
        birth_date=day(pid.get(7)),
        id_no=id_no,
        phone=_phone(pid),
        deceased=pid.get(30) == "Y",
        cards=_cards(pid, options),
    )


def _name(pid: Segment) -> str:
    """XPN: Chinese as family and given name without a space, others given name first."""
    one = next((one for one in pid.repetitions(5) if one.get(7) in ("", "L")), None)
    if one is None:
        return pid.get(5)
    family, given, second = one.get(1), one.get(2), one.get(3)
    if any(ord(letter) in _CJK for letter in family + given):
        return family + given + second
    return " ".join(part for part in (given, second, family) if part)


def _phone(pid: Segment) -> str:
    """PID-13: XTN-12 or XTN-1 as written, else country, area and local number together."""
    for one in pid.repetitions(13):
        if found := one.get(1) or one.get(12) or one.get(6) + one.get(7):
            return found
    return ""


def _cards(pid: Segment, options: Hl7Options) -> tuple[PatientCard, ...]:
    if not options.card_no_type:
        return ()
    today = datetime.now(SHANGHAI).date()
    cards = []
    for one in pid.repetitions(3):
        if one.get(5) == options.card_no_type and one.get(1):
            ends = day(one.get(8))
            status = CardStatus.ACTIVE if options.listed_cards_active else CardStatus.UNKNOWN
            cards.append(PatientCard(one.get(1), status=CardStatus.CLOSED if ends and ends < today else status))
    return tuple(cards)


def booked(message: Message, order: BookingOrder) -> Appointment:
    """SRR^S01: SCH-2 is the appointment's number, SCH-11.4 (or the resource's own) its time; Broken without either."""
    number = message.get("SCH-2")
    starts = next(
        (at for path in ("SCH-11.4", "AIS-4", "AIP-6", "AIG-8", "AIL-6", "TQ1-7") if (at := moment(message.get(path)))),
        None,
    )
    if not number or starts is None:
        raise Broken("bad_reply")
    return Appointment(
        appointment_no=number,
        patient_id=order.patient_id,
        schedule_id=order.schedule_id,
        day=starts.date(),
        day_part=day_part(starts.time()),
        state=RegistrationState.VALID,
        slot_id=order.slot_id,
        starts_at=starts,
        doctor_code=message.get("AIP-3"),
        room=message.get("AIL-3.2"),
    )


def day_part(at: time) -> DayPart:
    """Before noon, before six, after."""
    return DayPart.MORNING if at.hour < 12 else DayPart.AFTERNOON if at.hour < 18 else DayPart.EVENING
