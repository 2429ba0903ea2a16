"""What an operator sets about the HTTP door: where it listens, who may come in, how much they may send."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from runbookd.model.base import Duration, Name
from runbookd.stages.receive import KEPT_HEADERS

MEBIBYTE = 1024 * 1024

RESERVED_HEADERS = KEPT_HEADERS | {"authorization", "connection", "cookie", "host", "transfer-encoding"}
"""Headers that cannot carry a sender's secret: they mean something else, or are stored."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2

Secret = Annotated[SecretStr, Field(min_length=1)]
Person = Annotated[str, StringConstraints(pattern=r"^\w[\w.@+' -]{0,99}$")]
Username = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^:]+$")]


class Closed(BaseModel):
    """Base of these settings: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OneSecret(Closed):
    """A secret given in place, or in a file (a mounted Kubernetes Secret) that is read when the service starts.

    Exactly one of the two; line ends at the file's end do not count.
    """

    value: Secret | None = Field(None, description="The secret itself.")
    file: Path | None = Field(None, description="A file that holds it.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "OneSecret":
        if (self.value is None) == (self.file is None):
            raise ValueError("give either `value` or `file`")
        return self


class BasicAuth(Closed):
    """A user name and password, as in Alertmanager's `http_config.basic_auth` (RFC 7617)."""

    username: Username = Field(description="The user; it holds no colon.")
    password: Secret | None = Field(None, description="The password itself.")
    password_file: Path | None = Field(None, description="A file that holds the password.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "BasicAuth":
        if (self.password is None) == (self.password_file is None):
            raise ValueError("give either `password` or `password_file`")
        return self


class HeaderAuth(OneSecret):
    """A header with a fixed secret value, as in Alertmanager's `http_config.http_headers`."""

    name: str = Field(description="The header; upper and lower case are the same.")

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise ValueError("is not a header name")
        if name.lower() in RESERVED_HEADERS:
            raise ValueError("cannot carry a secret; use a header of your own, such as X-Runbookd-Token")
        return name.lower()


class HookAuth(Closed):
    """Who may send as one source. Any one of all these is enough, so that a secret is rotated without a gap: add
    the new one, change the sender, remove the old one. None at all lets nobody in.

    `client_names` are names in a client certificate signed by `tls.client_ca`: a DNS name or URI of its subject
    alternative names, or its common name.
    """

    bearer: list[Secret] = Field([], description="Bearer tokens, each of which opens the door.")
    bearer_files: list[Path] = Field([], description="Files that hold one bearer token each.")
    basic: list[BasicAuth] = Field([], description="Users with their passwords.")
    header: list[HeaderAuth] = Field([], description="Headers with a secret value.")
    client_names: list[str] = Field(
        [], description="Names in client certificates; they need `tls.client_ca`."
    )
    signing: list[OneSecret] = Field(
        [],
        description="Secrets that `pagerduty` and `slack` sign each body with; these two come in by nothing else.",
    )


class TlsConfig(Closed):
    """The server's certificate, PEM files. Renewed files are read when the service restarts.

    `client_ca` is the authority that signs clients' certificates; None asks for no certificate. With
    `client_required` a connection without one is refused, health checks included.
    """

    cert: Path = Field(description="The certificate, with the chain that leads to its authority.")
    key: Path = Field(description="Its private key, without a passphrase.")
    client_ca: Path | None = Field(
        None, description="Whose client certificates to believe. None: asks for none."
    )
    client_required: bool = Field(
        default=False, description="Refuse a connection without a client certificate, health checks included."
    )

    @model_validator(mode="after")
    def _required_of_whom(self) -> "TlsConfig":
        if self.client_required and self.client_ca is None:
            raise ValueError("`client_required` needs `client_ca`")
        return self


class Persons(Closed):
    """Who the users of outside doors are. What they do there bears the name given here: `slack:anna`."""

    slack: dict[str, Person] = Field(
        {}, description="Names by Slack's ids of members, such as U012AB3CD. Who is not named is refused."
    )
    pagerduty: dict[str, Person] = Field(
        {}, description="Names by PagerDuty's ids or names of users. Who is not named bears PagerDuty's name."
    )

    def by_source(self) -> dict[str, dict[str, str]]:
        """Return the names by source."""
        return {"slack": dict(self.slack), "pagerduty": dict(self.pagerduty)}


class WebConfig(Closed):
    """The HTTP door."""

    host: str = Field("127.0.0.1", description="Address to listen at; 0.0.0.0 in a container.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen at; 0 takes any free one.")
    max_body: int = Field(
        16 * MEBIBYTE,
        ge=1024,
        description="Bytes of one body; a larger one is answered 413, which Alertmanager does not send again until "
        "its next group_interval. 5,000 alerts in one group are 4.2 MB.",
    )
    max_depth: int = Field(32, ge=8, le=512, description="Levels of lists and objects in one body.")
    max_held: int = Field(
        128 * MEBIBYTE,
        ge=1024,
        description="Bytes of all bodies held at once, while they wait for the database, and of one source's three "
        "quarters of it; beyond it the answer is 503. The process takes up to four times as much.",
    )
    read_timeout: Duration = Field(
        timedelta(seconds=10), description="Time for one body to arrive; beyond it the answer is 503."
    )
    idle_timeout: Duration = Field(
        timedelta(seconds=75),
        description="Time a connection may stay open without a request, or with half of one.",
    )
    backlog: int = Field(
        4096,
        ge=1,
        description="Connections that may wait to be accepted; an alert storm opens thousands in one second. The "
        "kernel's net.core.somaxconn bounds it.",
    )
    tls: TlsConfig | None = Field(None, description="None serves plain HTTP, for a proxy or mesh in front.")
    hooks: dict[str, HookAuth] = Field(
        {}, description="Who may send, per source. A source not named lets nobody in."
    )
    people: Persons = Field(default_factory=Persons, description="Who the users of Slack and PagerDuty are.")
    api_tokens: dict[Name, OneSecret] = Field(
        {},
        description="Bearer tokens of the API, by the name of who has each: what they do is done by `api:NAME`.",
    )
    status_page: bool = Field(
        default=False,
        description="Serve /status, /status.json and /status.rss to everybody who reaches the port: public facts only.",
    )
    metrics_bearer: Secret | None = Field(
        None, description="Bearer token for /metrics; None lets everybody read it who reaches the port."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "WebConfig":
        if self.max_held < self.max_body:
            raise ValueError("`max_held` must be at least `max_body`")
        if any(auth.client_names for auth in self.hooks.values()) and (
            self.tls is None or not self.tls.client_ca
        ):
            raise ValueError("`client_names` need `tls.client_ca`, which says whose certificates to believe")
        return self
