"""How a GNU Health server (Tryton JSON-RPC) is reached."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from his.reach import HttpReach


class GnuHealthOptions(HttpReach):
    """GNU Health 5.0 over Tryton's JSON-RPC."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+/?$")] = Field(
        description="Address of the Tryton server, such as http://10.1.2.3:8000"
    )
    database: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Name of its database"
    )
    user: str = Field(min_length=1, description="A Tryton user of our own")
    password: SecretStr = Field(description="Of that user; write env:NAME or file:PATH")
    institution: int | None = Field(
        None, ge=1, description="Id of the institution whose appointments are ours; without it all are"
    )
    card_is_puid: bool = Field(False, description="People hold cards that bear their PUID")
    released: Literal["validated", "done"] = Field(
        "validated", description="The state of a lab test that may be shown; where nobody validates, done"
    )
    page_size: int = Field(200, ge=10, le=1000, description="Records asked for at once")
    max_records: int = Field(5000, ge=100, le=50_000, description="A search that finds more is refused")
    body_cap_kib: int = Field(8192, ge=16, le=65_536, description="Largest reply accepted, in KiB")
