"""How a server over HTTP is reached, beside its address: what the options of every such adapter share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from his.http import HttpEndpoint, HttpOptions


class HttpReach(BaseModel):
    """The base of these options; frozen, unknown keys refused, no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    connect_ms: int = Field(1000, ge=50, le=10_000, description="Longest to wait for a connection")
    pool_size: int = Field(8, ge=1, le=64, description="Connections at most; further calls wait their turn")
    idle_s: int = Field(20, ge=1, le=600, description="Unused connections are closed after so many seconds")
    body_cap_kib: int = Field(4096, ge=16, le=65_536, description="Largest reply accepted, in KiB")
    ca_file: str | None = Field(None, description="PEM of the authority that signed the server's certificate")

    def endpoint(self, base_url: str, headers: dict[str, str]) -> HttpEndpoint:
        """A client for one server; it connects at the first call."""
        return HttpEndpoint(
            base_url,
            headers,
            HttpOptions(
                connect_s=self.connect_ms / 1000,
                idle_s=self.idle_s,
                pool_size=self.pool_size,
                body_cap=self.body_cap_kib * 1024,
                ca_file=self.ca_file,
            ),
        )
