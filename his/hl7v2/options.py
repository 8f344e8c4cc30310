"""How an HL7 v2 peer is reached and where it keeps the numbers we need; out (`his.options`) and in (`his.mllp`)."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from his.hl7v2.message import PATH

Path = Annotated[str, StringConstraints(pattern=rf"^({PATH})?$")]
Name = Annotated[str, StringConstraints(max_length=180)]
AnswerTo = Literal[
    "not_found", "already_done", "slot_gone", "clinic_stopped", "balance_short", "duplicate", "limit", "too_late",
    "amount_changed", "ambiguous", "hold_expired", "not_allowed", "other",
]  # fmt: skip


class Numbers(BaseModel):
    """Where the numbers stand; the same both ways."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    patient_id_type: Name = Field("PI", description="PID-3.5 of the patient number; empty: the first one")
    card_no_type: Name = Field("HC", description="PID-3.5 of card numbers; empty: cards are not in PID-3")
    id_no_type: Name = Field("NI", description="PID-3.5 of the ID number; empty: it is PID-19")
    visit_no: Path = Field("PV1-19", description="Registration number of an outpatient")
    admission_no: Path = Field("PV1-19", description="Admission number of an inpatient")
    charset: Literal["utf-8", "gb18030"] | None = Field(
        None, description="Of messages without MSH-18; empty: UTF-8 where it fits, else GB18030"
    )
    frame_cap_kib: int = Field(4096, ge=1, le=65_536, description="Largest message accepted, in KiB")


class Hl7Options(Numbers):
    """HL7 v2 over MLLP, to one receiver."""

    host: Annotated[str, StringConstraints(pattern=r"^[^\s/@]+$")] = Field(
        description="Address of the HIS's MLLP receiver"
    )
    port: int = Field(ge=1, le=65_535, description="Its TCP port")
    sending_application: Name = Field("PALM", description="MSH-3 of what we send")
    sending_facility: Name = Field("", description="MSH-4 of what we send")
    receiving_application: Name = Field("HIS", description="MSH-5 of what we send")
    receiving_facility: Name = Field("", description="MSH-6 of what we send")
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6"] = Field("2.5", description="MSH-12 of what we send")
    write_charset: Literal["utf-8", "gb18030"] = Field("utf-8", description="Of what we send; MSH-18 says it")
    processing_id: Literal["P", "T", "D"] = Field("P", description="MSH-11: P production, T training, D debugging")
    enhanced: Literal["off", "commit", "both"] = Field(
        "off",
        description="off: one acknowledgement (AA); commit: CA is the end (MSH-15 AL, MSH-16 NE); both: CA, then AA",
    )
    operations: frozenset[
        Literal["query_patient", "create_card", "register", "cancel_registration", "book", "cancel_booking",
                "top_up", "pay_prepayment"]
    ] = Field(frozenset({"query_patient"}), description="What this HIS does over HL7; the rest is hidden")  # fmt: skip
    create_event: Literal["A28", "A04"] = Field("A28", description="ADT event of create_card")
    txn_no: Path = Field(
        "", description="Where the answer to DFT^P03 has the HIS's number; without it no money is sent"
    )
    op_key_at: Path = Field("ZPH-1", description="Where we put our own number of a write (also in PV1-50 or ARQ-1)")
    peer_dedups: bool = Field(
        False, description="The HIS books a message whose MSH-10 it has seen only once and acknowledges it again"
    )
    answers: dict[str, AnswerTo] = Field(
        {"204": "not_found"},
        description="Error code (ERR-5, ERR-3, ERR-1.4, MSA-6, else AE, AR, CE, CR) of a final no, and what it means",
    )
    health: Literal["connect", "query"] = Field("connect", description="connect: it accepts; query: it answers a PDQ")
    listed_cards_active: bool = Field(False, description="A card in PID-3 is valid unless PID-3.8 (expiry) has passed")
    connect_ms: int = Field(2000, ge=50, le=10_000, description="Longest to wait for a connection")
    ack_ms: int = Field(10_000, ge=100, le=120_000, description="Longest to wait for an acknowledgement")
    keep_s: int = Field(
        60, ge=0, le=3600, description="An unused connection is closed after this; 0: one connection for each message"
    )
    tls: bool = Field(False, description="MLLP over TLS")
    ca_file: str | None = Field(None, description="PEM of the authority that signed the HIS's certificate")

    @model_validator(mode="after")
    def _answers_need_numbers(self) -> Self:
        if not self.txn_no and self.operations & {"top_up", "pay_prepayment"}:
            raise ValueError(
                "top_up and pay_prepayment need txn_no: an acknowledgement without a number proves no booking"
            )
        if "create_card" in self.operations and "query_patient" not in self.operations:
            raise ValueError("create_card needs query_patient: the card's number is asked for")
        return self


class ListenerOptions(Numbers):
    """What the HIS sends to us: `his.mllp` of `config.yaml`."""

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(2575, ge=0, le=65_535, description="TCP port; 0 takes a free one")
    peers: tuple[str, ...] = Field(
        min_length=1, description="Addresses or networks that may connect, such as 10.1.2.3 or 10.1.2.0/28"
    )
    sending_applications: frozenset[str] = Field(
        frozenset(), description="MSH-3 that may send; empty: any of the peers'"
    )
    receiving_application: Name = Field("", description="MSH-5 that is us; empty: not looked at")
    processing_id: Literal["P", "T", "D"] = Field(
        "P", description="MSH-11 that is taken; training messages must not mix in"
    )
    appointment_no: Path = Field("SCH-2", description="Appointment number")
    report_no: Annotated[str, StringConstraints(pattern=r"^OBR-[1-9]\d?(\.[1-9]\d?){0,2}$")] = Field(
        "OBR-3", description="Report number"
    )
    connections: int = Field(32, ge=1, le=500, description="Connections at once; further ones are closed")
    idle_s: int = Field(3600, ge=1, le=86_400, description="A connection without a message is closed after this")
    frame_s: int = Field(10, ge=1, le=300, description="Longest a message may take from its first byte to its last")

    @field_validator("peers")
    @classmethod
    def _networks(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        for peer in peers:
            ipaddress.ip_network(peer)
        return peers
