"""Our questions and commands as HL7 v2 messages; what stands where is in docs/his/hl7v2.md.

Sources: HL7 v2.5 chapters 3 (ADT), 5 (QBP), 6 (DFT), 10 (SRM) and IHE ITI-21 (PDQ) for the query. What v2 has no field for
(schedule, slot, how it was paid) goes into one Z segment, ZPH.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from core.clock import SHANGHAI
from his.hl7v2.build import DECLARED, Draft, Value, header, stamp, yuan
from his.hl7v2.options import Hl7Options
from his.port import (
    BookingCancel,
    BookingOrder,
    CardApplication,
    Command,
    IdType,
    Op,
    PatientQuery,
    PrepaymentOrder,
    RegistrationCancel,
    RegistrationOrder,
    Sex,
    TopUpOrder,
)

_SEXES = {Sex.MALE: "M", Sex.FEMALE: "F", Sex.UNKNOWN: "U"}
_ID_TYPES = {
    IdType.PASSPORT: "PPN", IdType.DRIVING: "DL", IdType.BIRTH_CERTIFICATE: "BC", IdType.OFFICER: "MI",
    IdType.FOREIGN_RESIDENT: "PRC", IdType.HK_MACAO: "U", IdType.TAIWAN: "U", IdType.UNKNOWN: "U",
}  # fmt: skip
"""Kinds of identity document in table 0203, U where it has none; ID card and household register bear the ID number."""
_COMMIT_WILL_DO = frozenset({Op.CREATE_CARD, Op.REGISTER, Op.CANCEL_REGISTRATION})
"""Operations whose answer says nothing but yes or no."""


def application_answers(op: Op, enhanced: str) -> bool:
    """Whether the application's answer is asked for beside the commit's (enhanced mode, 2.9.3)."""
    return enhanced == "both" or (enhanced == "commit" and op not in _COMMIT_WILL_DO)


class Requests:
    """Writes messages for one receiver."""

    def __init__(self, options: Hl7Options) -> None:
        self._options = options

    def id_kind(self, id_type: IdType) -> str:
        """PID-3.5 of such a document's number; "": it is PID-19."""
        return _ID_TYPES.get(id_type, self._options.id_no_type)

    def query(self, query: PatientQuery, control_id: str, id_kind: str) -> bytes:
        """QBP^Q22^QBP_Q21; the query tag is the control id. `id_kind`: of the number in a query by ID number."""
        if query.card_no is not None:
            wanted = [("@PID.3.1", query.card_no), ("@PID.3.5", self._options.card_no_type)]
        elif query.id_no is not None:
            wanted = [("@PID.3.1", query.id_no), ("@PID.3.5", id_kind)] if id_kind else [("@PID.19", query.id_no)]
        else:
            wanted = [("@PID.3.1", query.patient_id or ""), ("@PID.3.5", self._options.patient_id_type)]
        draft = self._begin(("QBP", "Q22", "QBP_Q21"), control_id, query.op)
        draft.add("QPD", {1: ("Q22", "Find Candidates", "HL7"), 2: control_id, 3: [one for one in wanted if one[1]]})
        draft.add("RCP", {1: "I", 2: ("10", "RD")})
        return draft.encode(self._options.write_charset)

    def command(self, command: Command[Any], control_id: str) -> bytes:
        """The message of a write."""
        return _WRITERS[type(command)](self, command, control_id).encode(self._options.write_charset)

    def _begin(self, kind: tuple[str, str, str], control_id: str, op: Op) -> Draft:
        options = self._options
        more: dict[int, Value] = {
            10: control_id, 11: options.processing_id, 12: options.version, 18: DECLARED[options.write_charset]
        }  # fmt: skip
        if options.enhanced != "off":
            more |= {15: "AL", 16: "AL" if application_answers(op, options.enhanced) else "NE"}
        draft = Draft()
        sender = (options.sending_application, options.sending_facility)
        receiver = (options.receiving_application, options.receiving_facility)
        # the third component of MSH-9 came with v2.3.1
        draft.add("MSH", header(kind[:2] if options.version == "2.3" else kind, sender, receiver, more))
        return draft

    def _adt(self, event: str, structure: str, control_id: str, op: Op) -> Draft:
        draft = self._begin(("ADT", event, structure), control_id, op)
        draft.add("EVN", {1: event, 2: stamp(datetime.now(SHANGHAI))})
        return draft

    def _patient(self, draft: Draft, patient_id: str, card_no: str = "") -> None:
        numbers: list[Value] = [(patient_id, "", "", "", self._options.patient_id_type)]
        if card_no and self._options.card_no_type:
            numbers.append((card_no, "", "", "", self._options.card_no_type))
        draft.add("PID", {1: "1", 3: numbers})

    def _end(self, draft: Draft, op_key: str, more: dict[int, Value] | None = None) -> Draft:
        """ZPH: op_key, schedule, slot, hold, amount in yuan, payment method, provider's number, reason."""
        draft.add("ZPH", more or {})
        if self._options.op_key_at:
            draft.put(self._options.op_key_at, op_key)
        return draft

    def card(self, order: CardApplication, control_id: str) -> Draft:
        """ADT^A28 or A04: PID with the ID number, name, birth date, sex and phone; NK1 is the guardian."""
        event = self._options.create_event
        draft = self._adt(event, "ADT_A05" if event == "A28" else "ADT_A01", control_id, order.op)
        kind = self.id_kind(order.id_type)
        number: dict[int, Value] = {3: [(order.id_no, "", "", "", kind)]} if kind else {3: "", 19: order.id_no}
        phone = (order.phone, "PRN", "CP")
        draft.add(
            "PID",
            {1: "1", **number, 5: _name(order.name), 7: f"{order.birth_date:%Y%m%d}", 8: _SEXES[order.sex], 13: phone},
        )
        if order.guardian_name:
            draft.add(
                "NK1",
                {1: "1", 2: _name(order.guardian_name), 3: ("GRD", "Guardian", "HL70063"), 33: order.guardian_id_no},
            )
        draft.add("PV1", {1: "1", 2: "O", 50: order.op_key})
        return self._end(draft, order.op_key)

    def register(self, order: RegistrationOrder, control_id: str) -> Draft:
        """ADT^A04: the visit number is our op_key."""
        draft = self._adt("A04", "ADT_A01", control_id, order.op)
        self._patient(draft, order.patient_id, order.card_no)
        draft.add("PV1", {1: "1", 2: "O", 50: order.op_key})
        draft.put(self._options.visit_no, order.op_key)
        paid: dict[int, Value] = {
            2: order.schedule_id, 3: order.slot_id, 4: order.hold_no, 5: yuan(order.fee_fen),
            6: order.pay_method.value, 7: order.provider_trade_no,
        }  # fmt: skip
        return self._end(draft, order.op_key, paid)

    def unregister(self, order: RegistrationCancel, control_id: str) -> Draft:
        """ADT^A11."""
        draft = self._adt("A11", "ADT_A09", control_id, order.op)
        self._patient(draft, order.patient_id)
        draft.add("PV1", {1: "1", 2: "O", 50: order.op_key})
        draft.put(self._options.visit_no, order.registration_no)
        return self._end(draft, order.op_key, {8: order.reason})

    def book(self, order: BookingOrder, control_id: str) -> Draft:
        """SRM^S01: ARQ-1 is our op_key, ARQ-4 the schedule."""
        draft = self._begin(("SRM", "S01", "SRM_S01"), control_id, order.op)
        draft.add("ARQ", {1: order.op_key, 4: order.schedule_id, 15: self._options.sending_application})
        self._patient(draft, order.patient_id, order.card_no)
        draft.add("RGS", {1: "1"})
        return self._end(draft, order.op_key, {2: order.schedule_id, 3: order.slot_id, 4: order.hold_no})

    def unbook(self, order: BookingCancel, control_id: str) -> Draft:
        """SRM^S04: ARQ-2 is the appointment."""
        draft = self._begin(("SRM", "S04", "SRM_S01"), control_id, order.op)
        draft.add("ARQ", {1: order.op_key, 2: order.appointment_no, 15: self._options.sending_application})
        self._patient(draft, order.patient_id)
        draft.add("RGS", {1: "1"})
        return self._end(draft, order.op_key, {8: order.reason})

    def payment(self, order: TopUpOrder | PrepaymentOrder, control_id: str) -> Draft:
        """DFT^P03: one FT1 of type PY; FT1-2 is our op_key, FT1-11 the amount."""
        draft = self._begin(("DFT", "P03", "DFT_P03"), control_id, order.op)
        draft.add("EVN", {1: "P03", 2: stamp(order.paid_at)})
        prepays = isinstance(order, PrepaymentOrder)
        self._patient(draft, order.patient_id, order.card_no if isinstance(order, TopUpOrder) else "")
        draft.add("PV1", {1: "1", 2: "I" if prepays else "O"})
        if isinstance(order, PrepaymentOrder):
            draft.put(self._options.admission_no, order.admission_no)
        code = ("PREPAY", "预交金") if prepays else ("TOPUP", "充值")
        draft.add(
            "FT1",
            {
                1: "1",
                2: order.op_key,
                4: stamp(order.paid_at),
                6: "PY",
                7: code,
                10: "1",
                11: ((yuan(order.amount_fen), "CNY"),),
            },
        )
        paid: dict[int, Value] = {
            5: yuan(order.amount_fen), 6: order.pay_method.value, 7: order.provider_trade_no
        }  # fmt: skip
        if isinstance(order, PrepaymentOrder):
            paid[9] = str(order.admission_seq)
        return self._end(draft, order.op_key, paid)


def _name(name: str) -> Value:
    """XPN: a name with spaces is given names and family name, another one is whole in the first component."""
    *given, family = name.split()
    return (family, given[0] if given else "", " ".join(given[1:]), "", "", "", "L")


_WRITERS: dict[type, Callable[[Requests, Any, str], Draft]] = {
    CardApplication: Requests.card, RegistrationOrder: Requests.register, RegistrationCancel: Requests.unregister,
    BookingOrder: Requests.book, BookingCancel: Requests.unbook, TopUpOrder: Requests.payment,
    PrepaymentOrder: Requests.payment,
}  # fmt: skip
