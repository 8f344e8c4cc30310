"""How a FHIR R4 server is reached, and under which identifier systems it keeps our numbers."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from his.reach import HttpReach

System = Annotated[str, StringConstraints(pattern=r"^[^\s|,$\\]+$", max_length=255)]


class FhirOptions(HttpReach):
    """HL7 FHIR R4, JSON."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s?#]*)?$")] = Field(
        description="Address of the FHIR service, such as https://10.1.2.3:8443/fhir"
    )
    auth: Literal["none", "bearer", "basic"] = Field("none", description="How we say who we are")
    token: SecretStr | None = Field(None, description="For bearer; write env:NAME or file:PATH")
    user: str = Field("", description="For basic")
    password: SecretStr | None = Field(None, description="For basic; write env:NAME or file:PATH")
    card_no_system: System = Field("urn:hospital:card", description="Identifier system of card numbers on Patient")
    id_no_system: System = Field(
        "urn:oid:2.16.156.10011.1.3", description="Identifier system of ID card numbers on Patient"
    )
    patient_id_system: System | None = Field(
        None, description="Identifier system of patient numbers on Patient; without it they are the resources' ids"
    )
    op_key_system: System = Field("urn:hospital:op-key", description="Identifier system of our keys on what we write")
    admission_no_system: System | None = Field(
        None, description="Identifier system of admission numbers on Encounter; without it they are the resources' ids"
    )
    wristband_system: System | None = Field(None, description="Identifier system of wristband numbers on Encounter")
    departments: Literal["Organization", "HealthcareService"] = Field(
        "Organization", description="Which resources are the departments; of Organizations those of type dept"
    )
    issues_cards: bool = Field(False, description="The server gives a new Patient its card number (create_card)")
    charges: Literal["none", "charge_item"] = Field(
        "none", description="charge_item: billable ChargeItems with priceOverride are what is still to pay"
    )
    hold_minutes: int = Field(10, ge=1, le=120, description="A Slot we hold longer than this may be taken again")
    page_size: int = Field(100, ge=1, le=1000, description="Asked for with _count")
    max_pages: int = Field(20, ge=1, le=200, description="A search with more pages than this is refused")
    body_cap_kib: int = Field(8192, ge=16, le=65_536, description="Largest reply accepted, in KiB")

    @model_validator(mode="after")
    def _secret_of_its_kind(self) -> Self:
        if self.auth == "bearer" and self.token is None:
            raise ValueError("auth bearer needs a token")
        if self.auth == "basic" and (self.password is None or not self.user):
            raise ValueError("auth basic needs a user and a password")
        return self
