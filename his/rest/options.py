"""How a HIS over HTTP is reached, and what a mapping may say about the way there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from his.mapping.adapter import MappedReach
from his.mapping.charset import Charset
from his.mapping.schema import Part

Body = Literal["json", "form", "query", "none"]
PATH = r"^/[^\s?#]*$"


class RestOptions(MappedReach):
    """JSON or forms over HTTP, described by a mapping."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^\s?#]*)?$")] = Field(
        description="Address of the HIS interface, such as http://10.1.2.3:8080"
    )
    mapping: str = Field("renhe-json", description="A bundled mapping by its name, or the path of a mapping file")
    charset: Literal["utf-8", "gb18030"] | None = Field(
        None, description="Character set of the replies, when it is not what the mapping says"
    )


class Into(Part):
    """Where something is put: a parameter or a header."""

    parameter: str | None = Field(None, description="Name of the parameter.")
    header: str | None = Field(None, description="Or name of the header.")

    @model_validator(mode="after")
    def _one(self) -> Into:
        if (self.parameter is None) == (self.header is None):
            raise ValueError("needs exactly one of parameter and header")
        return self


class Signing(Part):
    """How a request is signed."""

    kind: Literal["md5", "sha256", "hmac-sha256"] = Field(description="The digest; hmac-sha256 is keyed with the key.")
    key: str = Field("token", description="The secret that signs, by its name in the options.")
    template: str = Field(
        "{parameters}&key={key}",
        description="The text that is signed, of {parameters} sorted by name, {body}, {key}, {op}, {method}, {path}, "
        "{timestamp} and {nonce}.",
    )
    pair: str = Field("{name}={value}", description="How one parameter is written for {parameters}.")
    between: str = Field("&", description="What stands between them.")
    into: Into = Field(Into(parameter="sign"), description="Where the signature goes.")
    case: Literal["lower", "upper"] = Field("lower", description="Of its hexadecimal digits.")
    timestamp: Into | None = Field(None, description="Where the time goes, signed like any parameter.")
    timestamp_format: str = Field("%Y%m%d%H%M%S", description="As strftime writes it, or epoch_s, epoch_ms.")
    nonce: Into | None = Field(None, description="Where 32 random digits go, signed like any parameter.")
    skip_empty: bool = Field(True, description="Empty parameters are not signed.")
    exclude: list[str] = Field([], description="Parameters that are not signed.")


class Way(Part):
    """An operation's own part of the transport, under `send`."""

    method: Literal["GET", "POST", "PUT", "DELETE"] | None = Field(None, description="Instead of the transport's.")
    path: str | None = Field(None, pattern=PATH, description="Instead of the transport's.")
    body: Body | None = Field(None, description="Instead of the transport's.")


class Transport(Part):
    """How every request travels."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = Field("POST", description="HTTP method.")
    path: str = Field(
        "/api/{op}", pattern=PATH,
        description="Below base_url; {op} is the operation, any other {name} a parameter that is taken out of the rest.",
    )  # fmt: skip
    body: Body = Field("json", description="How parameters travel: json, form, query (seen in the HIS's logs), none.")
    charset: Charset = Field("utf-8", description="Of what we send; gbk and gb2312 are written as gb18030.")
    reply_charset: Charset | None = Field(None, description="Of the replies; left out: the same.")
    headers: dict[str, Any] = Field({}, description="Name and text, or {secret: name}.")
    statuses: list[int] = Field([200], min_length=1, description="HTTP statuses whose body is a reply.")
    status_as: str | None = Field(
        None,
        description="The HTTP status is put into the reply under this name, so that envelope and codes can use it; then a "
        "body may be empty, and one that is no object stands under body.",
    )
    signing: Signing | None = Field(None, description="How requests are signed.")
