"""The HIS that speaks HL7 v2: PDQ queries, registrations, scheduling requests and payments over MLLP.

v2 has no way to ask what became of a message. So only create_card can be resolved (by asking for the person), and a write
may be sent again only where the HIS is known to keep a control id once (`peer_dedups`): its MSH-10 is derived from
the op_key and never changes.
"""

import contextlib
from datetime import datetime
from typing import Any, cast

from core.clock import SHANGHAI
from his.adapter import Call
from his.faults import Broken, NotSent
from his.hl7v2 import answers
from his.hl7v2.build import derived_id, fresh_id
from his.hl7v2.client import ClientOptions, MllpClient
from his.hl7v2.message import Message
from his.hl7v2.options import Hl7Options
from his.hl7v2.requests import Requests, application_answers
from his.port import (
    BookingCancel,
    BookingOrder,
    Cancellation,
    CardApplication,
    Command,
    DayPart,
    Done,
    Health,
    IssuedCard,
    NotDone,
    NotFound,
    Op,
    Patient,
    PatientQuery,
    Prepayment,
    PrepaymentOrder,
    Query,
    Registration,
    RegistrationCancel,
    RegistrationOrder,
    RegistrationState,
    Rejected,
    Resolution,
    StillUnknown,
    TopUp,
    TopUpOrder,
)

_NOBODY = "0"
"""The patient number the health query asks for; "not found" is as good an answer as any."""


class Hl7Adapter:
    """See `his.adapter.Adapter`."""

    def __init__(self, options: Hl7Options) -> None:
        self._options = options
        self._requests = Requests(options)
        self._client = MllpClient(
            ClientOptions(
                options.host,
                options.port,
                connect_s=options.connect_ms / 1000,
                ack_s=options.ack_ms / 1000,
                keep_s=options.keep_s,
                cap=options.frame_cap_kib * 1024,
                tls=options.tls,
                ca_file=options.ca_file,
                undeclared=options.charset or "",
            )
        )
        done = frozenset(Op(name) for name in options.operations)
        self.capabilities: frozenset[Op] = done | {Op.HEALTH}
        asks = Op.QUERY_PATIENT in done
        self.resolvable: frozenset[Op] = frozenset({Op.CREATE_CARD}) & done if asks else frozenset()
        self.dedups: frozenset[Op] = done - {Op.QUERY_PATIENT} if options.peer_dedups else frozenset()

    def ask(self, query: Query[Any], call: Call) -> Any:
        """See `Adapter`."""
        if isinstance(query, PatientQuery):
            return self._patient(query, call.deadline)
        if self._options.health == "connect":
            self._client.probe(call.deadline)
        else:
            with contextlib.suppress(NotFound):
                self._patient(PatientQuery(patient_id=_NOBODY), call.deadline)
        return Health()

    def do(self, command: Command[Any], call: Call) -> Any:
        """See `Adapter`."""
        control_id = derived_id(command.op, command.op_key)
        try:
            message = self._requests.command(command, control_id)
        except UnicodeEncodeError:
            raise NotSent("unsupported_text") from None
        past_commit = application_answers(command.op, self._options.enhanced)
        reply = self._client.exchange(message, control_id, call.deadline, past_commit=past_commit)
        answers.accepted(reply, self._options)
        return self._answer(command, reply, call.deadline)

    def resolve(self, command: Command[Any], call: Call) -> Resolution[Any]:
        """Only create_card: is the person there, with a card?"""
        if not isinstance(command, CardApplication):
            return StillUnknown("unsupported")
        try:
            patient = self._person(command, call.deadline)
        except NotFound:
            return NotDone()
        if not patient.cards:
            return StillUnknown("no_card")
        return Done(IssuedCard(patient.cards[0].card_no, patient))

    def close(self) -> None:
        """See `Adapter`."""
        self._client.close()

    def _person(self, order: CardApplication, deadline: float) -> Patient:
        """Whoever has the document of the application."""
        return self._patient(PatientQuery(id_no=order.id_no), deadline, self._requests.id_kind(order.id_type))

    def _patient(self, query: PatientQuery, deadline: float, id_kind: str | None = None) -> Patient:
        control_id = fresh_id()
        try:
            kind = self._options.id_no_type if id_kind is None else id_kind
            message = self._requests.query(query, control_id, kind)
        except UnicodeEncodeError:
            raise NotSent("unsupported_text") from None
        past_commit = application_answers(query.op, self._options.enhanced)
        reply = self._client.exchange(message, control_id, deadline, past_commit=past_commit)
        answers.accepted(reply, self._options)
        return answers.one_patient(reply, control_id, self._options)

    def _answer(self, command: Command[Any], reply: Message, deadline: float) -> Any:
        """What the acknowledgement says was done; Broken("bad_reply") when it names no number and one is needed."""
        match command:
            case CardApplication():
                return self._issued(command, reply, deadline)
            case RegistrationOrder():
                return _registered(command)
            case RegistrationCancel():
                return Cancellation(command.registration_no)
            case BookingOrder():
                return answers.booked(reply, command)
            case BookingCancel():
                return Cancellation(command.appointment_no)
            case TopUpOrder():
                return TopUp(
                    self._txn_no(reply), command.patient_id, command.amount_fen, command.paid_at, None,
                    command.pay_method, command.provider_trade_no, command.op_key,
                )  # fmt: skip
        order = cast("PrepaymentOrder", command)
        return Prepayment(
            self._txn_no(reply), order.patient_id, order.admission_no, order.amount_fen, order.paid_at,
            order.pay_method, order.provider_trade_no, order.op_key,
        )  # fmt: skip

    def _txn_no(self, reply: Message) -> str:
        if not (found := reply.get(self._options.txn_no)):
            raise Broken("bad_reply")
        return found

    def _issued(self, order: CardApplication, reply: Message, deadline: float) -> IssuedCard:
        """The person with the card, from the acknowledgement's PID, else asked for: the application was accepted."""
        try:
            pids = reply.segments("PID")
            patient = answers.read_patient(pids[0], self._options) if pids else self._person(order, deadline)
        except (NotFound, Rejected, NotSent):  # of the question, not of the application
            raise Broken("bad_reply") from None
        if not patient.cards:
            raise Broken("bad_reply")
        return IssuedCard(patient.cards[0].card_no, patient)


def _registered(order: RegistrationOrder) -> Registration:
    """The HIS accepted the visit under our number: the op_key is the registration's number."""
    return Registration(
        registration_no=order.op_key,
        patient_id=order.patient_id,
        schedule_id=order.schedule_id,
        day=datetime.now(SHANGHAI).date(),
        day_part=DayPart.UNKNOWN,
        state=RegistrationState.VALID,
        slot_id=order.slot_id,
        fee_fen=order.fee_fen,
    )
