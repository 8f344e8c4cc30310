"""What a vendor's mapping file may say; every key with its reason. `load.load` reads one, `mapper.Mapper` compiles it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from his.port import Op, RejectReason

Scalar = str | int | float | bool | None


def _quoted(code: Any) -> Any:
    """YAML reads 01 as 1 and no as false: a code is text, or it is another code."""
    if isinstance(code, (int, float)):
        raise ValueError('a code must be written in quotes, such as "01"')
    return code


Meaning = RejectReason | Literal["not_found", "exception"]
Code = Annotated[str, BeforeValidator(_quoted)]
Money = Literal["fen", "yuan"]


class Part(BaseModel):
    """A part of a mapping: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Spec(Part):
    """Where one value of an answer comes from. A bare text is short for `path`."""

    path: str | None = Field(
        None,
        description="Keys and list positions with dots between them, such as data.rows.0; `.` is the place itself, "
        "`$.` begins at the whole reply. When left out: the field's own name.",
    )
    first: list[str] = Field([], description="Several paths; the first that holds something counts.")
    join: list[str] = Field([], description="Several paths whose texts are put together, such as a day and a time.")
    between: str = Field(" ", description="What stands between joined texts.")
    asked: str | None = Field(
        None, description="A field of the question that is carried into the answer where no path holds anything."
    )
    const: Scalar = Field(None, description="A fixed value in the house's own words, when nothing else supplies one.")
    money: Money | None = Field(None, description="How this amount is written: fen, or yuan with at most two decimals.")
    formats: list[str] = Field([], description="How this date or time is written; see formats.")
    table: dict[Code, str] | None = Field(None, description="The HIS's codes of this field and the house's words.")
    sentinels: list[Scalar] | None = Field(None, description="Instead of the mapping's own sentinels.")
    optional: bool = Field(False, description="Empty text is allowed where the house would refuse it.")
    min: int | None = Field(None, description="Least whole number that makes sense; less is a bad reply.")
    where: dict[str, Any] = Field(
        {},
        description="Rows that count: path and what must stand there: a text, a list of texts, {asked: field}, "
        "{not: texts} or {present: true}.",
    )
    fields: dict[str, Spec] = Field({}, description="The fields of this one object or row, over those under types.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given


class Codes(Part):
    """What the codes of a reply mean. One that stands nowhere decides nothing: the outcome is unknown."""

    ok: list[Code] | None = Field(None, description="The answer is here.")
    not_found: list[Code] | None = Field(None, description="The HIS holds no such thing; final.")
    rejected: dict[Code, RejectReason] | None = Field(None, description="The HIS says no, and why; final.")
    duplicate: list[Code] | None = Field(
        None, description="Writes only: this op_key is booked already; its answer is then asked for."
    )
    exception: list[Code] | None = Field(None, description="The HIS failed: no answer.")
    empty: Literal["ok", "not_found"] | None = Field(
        None, description="not_found: an ok code without data means that there is no such thing; lists may be empty."
    )
    reason_path: str | None = Field(None, description="Where a refusal says its reason; from the whole reply.")
    reasons: dict[Code, Meaning] | None = Field(
        None, description="Values at reason_path, whole; not_found and exception when it is no refusal at all."
    )
    contains: dict[str, Meaning] | None = Field(None, description="Or parts of the text at reason_path.")
    unreasoned: Literal["rejected", "exception"] | None = Field(
        None, description="exception: a code of a refusal counts as a failure when nothing stands at reason_path."
    )
    shortfall: Spec | None = Field(None, description="How much is missing when the balance is short.")


class Envelope(Part):
    """Where every reply keeps its code, its message and its data; left out where there is none (views)."""

    code: str | None = Field(None, description="Path of the code; left out: every reply counts as ok.")
    message: str | None = Field(None, description="Path of the sentence for people.")
    data: str = Field(".", description="Path of the data; paths of answers begin here.")


class Formats(Part):
    """How values are written when a field does not say it itself; the first of each list is used for requests."""

    date: list[str] = Field(["%Y-%m-%d"], min_length=1, description="As strptime writes it.")
    datetime: list[str] = Field(
        ["%Y-%m-%d %H:%M:%S"], min_length=1,
        description="As strptime writes it, or epoch_s, epoch_ms; Shanghai's wall time where no zone is named.",
    )  # fmt: skip
    money: Money = Field("fen", description="fen as a whole number, or yuan with at most two decimals.")


class State(Part):
    """Where a status query says what became of a write; a value that stands nowhere says nothing."""

    path: str = Field(description="From the data.")
    done: list[Code] = Field(description="Booked.")
    not_done: list[Code] = Field([], description="Not booked, or refused.")


class Resolve(Part):
    """How the HIS is asked what became of a write by its op_key.

    Without `state`, a row or an object is Done, no row and a not_found code are NotDone.
    """

    send: dict[str, Any] | None = Field(None, description="The way there, as the adapter's transport takes it.")
    request: dict[str, Any] | None = Field(None, description="Like an operation's request, from the write's fields.")
    envelope: Envelope | None = Field(None, description="Instead of the mapping's own.")
    codes: Codes | None = Field(None, description="Over the mapping's own, key by key.")
    state: State | None = Field(None, description="Where it says what became of the write.")
    path: str | None = Field(
        None, description="Where in the data the write's answer stands, as the operation reads it."
    )
    answer: Spec | None = Field(None, description="Instead of path: the write's answer where it is written otherwise.")


class Operation(Part):
    """One operation of the HIS. What stands here is what it can do."""

    send: dict[str, Any] = Field({}, description="The way there, as the adapter's transport takes it.")
    request: dict[str, Any] = Field(
        {},
        description="What is sent: texts and numbers as they are, $field for a field of the question, $field~ to leave "
        "it out when empty; {asked: field} with money, formats, table, join, each; {secret: name}.",
    )
    envelope: Envelope | None = Field(None, description="Instead of the mapping's own.")
    codes: Codes = Field(Codes.model_construct(), description="Over the mapping's own, key by key.")
    answer: Spec = Field(Spec.model_construct(), description="The answer, from the data.")
    resolve: Resolve | bool = Field(
        False, description="Writes: how it is asked for by op_key; true: as the mapping's resolve says."
    )
    dedups: bool = Field(False, description="Writes: the HIS keeps an op_key once; sending it again is safe.")
    probe: dict[str, Any] | None = Field(
        None, description="Reads: fields of a question `hospital his check` may ask; left out: it is not asked."
    )

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        return {} if given is None else given


class Mapping(Part):
    """The whole file."""

    vendor: str = Field(min_length=1, description="Name of the vendor and of the interface.")
    about: str = Field("", description="What this was written and tried against.")
    transport: dict[str, Any] = Field({}, description="How requests travel; each adapter has its own keys.")
    envelope: Envelope = Field(Envelope.model_construct(), description="Where every reply keeps code and data.")
    codes: Codes = Field(Codes.model_construct(), description="What the codes mean where an operation does not say it.")
    write_codes: Codes = Field(Codes.model_construct(), description="Over codes, for every write.")
    sentinels: list[Scalar] = Field(
        ["", "null"], description="Values that mean: cannot supply. null, [] and {} always do."
    )
    formats: Formats = Field(Formats.model_construct(), description="How dates, times and money are written.")
    tables: dict[str, dict[Code, str]] = Field(
        {},
        description="By the house's enum, such as Sex: the HIS's codes and the house's words; replaces the house's own.",
    )
    types: dict[str, dict[str, Spec]] = Field(
        {}, description="By the house's type, such as Patient: its fields, wherever it appears."
    )
    resolve: Resolve | None = Field(None, description="How writes with `resolve: true` are asked for.")
    operations: dict[Op, Operation] = Field(min_length=1, description="What this HIS can do.")
