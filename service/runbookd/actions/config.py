"""What the operator allows the actions to reach: servers, hosts and commands, by name.

Playbooks name a server or a command; where it is and how to sign in stands here, so that no label text can
choose it. Secrets are given by name (`token_secret: prom_token`) and resolved when a call is made.
"""

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from runbookd.errors import LanguageError
from runbookd.language.cel import matches_whole
from runbookd.model.base import Duration, Name

MEBIBYTE = 1024 * 1024


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute():
        message = f"{path!r} is not an absolute path; a command is never looked up on a PATH"
        raise ValueError(message)
    return path


def _pattern(text: str) -> str:
    try:
        matches_whole(text, "")
    except LanguageError as error:
        raise ValueError(str(error)) from None
    return text


HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s]+[^?#\s]*$")]
"""The base of an API: http or https, a host, perhaps a path; no query."""
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression (RE2: no look-around, linear time) that has to match the whole text."""


class Section(BaseModel):
    """Base of every part of the configuration: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(Section):
    """An HTTP API the operator runs, and how to sign in: a bearer token, a user and password, or neither."""

    url: HttpUrl = Field(description="Base URL; the API's own paths are appended (`/api/v1/query`).")
    token_secret: str | None = Field(
        default=None, description="Secret sent as a bearer token. None: not sent."
    )
    username: str | None = Field(default=None, description="User of basic authentication. None: not used.")
    password_secret: str | None = Field(default=None, description="Secret with the password of `username`.")

    @model_validator(mode="after")
    def _one_way_in(self) -> "Endpoint":
        if (self.username is None) != (self.password_secret is None):
            message = "`username` and `password_secret` are given together"
            raise ValueError(message)
        if self.username is not None and self.token_secret is not None:
            message = "give either `token_secret` or `username` and `password_secret`"
            raise ValueError(message)
        return self


class HttpAccess(Section):
    """What `http.*` and `tls.*` may reach, and how much of an answer is read.

    Link-local addresses and the cloud's metadata services are refused whatever is allowed here.
    """

    allowed_hosts: list[str] | None = Field(
        default=None,
        description="Host names that may be called, `*` and `?` as in file names. None: every host.",
    )
    ca_file: AbsolutePath | None = Field(
        default=None,
        description="PEM file of authorities trusted beside the system's. None: the system's only.",
    )
    max_body: int = Field(
        default=MEBIBYTE, ge=1, le=64 * MEBIBYTE, description="Bytes read of an answer; the rest is left."
    )


class Command(Section):
    """One program a playbook may run, and the arguments it may be given.

    Each argument of a call has to match, as a whole, the pattern at its position; arguments beyond those have
    to match `more`. A pattern that lets an argument begin with `-` lets a caller choose options.
    """

    path: AbsolutePath = Field(description="The program, run as it is: no shell, no lookup on a PATH.")
    args: list[Pattern] = Field(
        default_factory=list, description="One pattern per argument; all must be given."
    )
    more: Pattern | None = Field(
        default=None, description="Pattern of any further argument. None: there may be none."
    )
    env: dict[str, str] = Field(
        default_factory=dict, description="The whole environment of the program; nothing is inherited."
    )
    env_secrets: dict[str, str] = Field(
        default_factory=dict, description="Variables whose value is the secret of this name."
    )
    cwd: AbsolutePath = Field(default="/", description="The folder it runs in.")
    reads_only: bool = Field(
        default=False, description="True: it changes nothing, so it runs in observe mode and as evidence."
    )
    repeat: Literal["never", "safe"] = Field(
        default="never", description="What a crash in the middle allows; `safe` only if twice does no harm."
    )
    max_output: int = Field(
        default=65_536, ge=1, le=16 * MEBIBYTE, description="Bytes kept of each stream; the end is kept."
    )


class KubernetesCluster(Section):
    """One cluster, and how to sign in: the pod's service account, or a kubeconfig.

    With nothing set: the service account where there is one, else `$KUBECONFIG` or `~/.kube/config`.
    """

    in_cluster: bool = Field(default=False, description="Sign in with the service account of the pod.")
    kubeconfig: AbsolutePath | None = Field(
        default=None, description="The kubeconfig file. None: `$KUBECONFIG`, else `~/.kube/config`."
    )
    context: str | None = Field(
        default=None, description="The context of the kubeconfig. None: its current context."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> "KubernetesCluster":
        if self.in_cluster and (self.kubeconfig is not None or self.context is not None):
            message = "give either `in_cluster` or `kubeconfig` and `context`"
            raise ValueError(message)
        return self


class KubernetesAccess(Section):
    """The clusters, and what no action may change in any of them."""

    clusters: dict[Name, KubernetesCluster] = Field(
        default_factory=dict,
        description="Clusters by name, which every call then has to say. None listed: one without a name.",
    )
    protected_namespaces: list[str] = Field(
        default=["kube-system", "kube-public", "kube-node-lease"],
        description="Namespaces nothing is changed in, `*` and `?` as in file names.",
    )
    protected: list[str] = Field(
        default_factory=list,
        description="Objects nothing is changed of, as `deployments/shop/ledger` or `nodes/control-*`.",
    )
    max_targets: int = Field(
        default=10, ge=1, le=1000, description="The most objects one call may change; more is refused."
    )
    request_timeout: Duration = Field(
        default=timedelta(seconds=30), description="The longest wait for one answer of the API server."
    )
    page_size: int = Field(
        default=100, ge=1, le=1000, description="Objects asked for at once; a longer list comes in pages."
    )


class Slack(Section):
    """The Slack app that speaks for runbookd."""

    token_secret: str = Field(default="slack_bot_token", description="Secret with its bot token (`xoxb-`).")
    url: HttpUrl = Field(default="https://slack.com/api/", description="Base of the Web API.")


class PagerDuty(Section):
    """PagerDuty's two APIs. An integration key comes with each call; the REST API needs a token of its own."""

    events_url: HttpUrl = Field(default="https://events.pagerduty.com", description="Base of Events API v2.")
    rest_url: HttpUrl = Field(default="https://api.pagerduty.com", description="Base of the REST API v2.")
    token_secret: str | None = Field(
        default=None,
        description="Secret with a REST API key. None: who is on call cannot be asked, nor notes written.",
    )
    from_email: str | None = Field(
        default=None, description="Whose name notes bear; an account-level key needs it."
    )


class Email(Section):
    """The mail server that takes our mail."""

    host: str = Field(description="Its name.")
    port: int = Field(
        default=587, ge=1, le=65535, description="587 with STARTTLS, 465 with TLS, 25 with neither."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted. `none` is for a server on loopback only.",
    )
    ca_file: AbsolutePath | None = Field(
        default=None,
        description="PEM file of authorities trusted beside the system's. None: the system's only.",
    )
    username: str | None = Field(default=None, description="None: no sign-in.")
    password_secret: str | None = Field(default=None, description="Secret with the password of `username`.")
    sender: str = Field(description="The `From` of every mail: `runbookd <runbookd@example.com>`.")


class Webhook(Section):
    """Somebody else's address that is told by HTTP, signed as https://www.standardwebhooks.com says."""

    url: HttpUrl = Field(description="Where it is posted to.")
    signing_secret: str = Field(description="Secret with the signing key (`whsec_` and base64).")


class Statuspage(Section):
    """A page of Atlassian Statuspage."""

    url: HttpUrl = Field(default="https://api.statuspage.io/v1", description="Base of its API.")
    page: str = Field(description="Id of the page.")
    token_secret: str = Field(description="Secret with an API key.")
    components: dict[Name, str] = Field(
        default_factory=dict,
        description="Ids of its components, by the names that steps of playbooks use; incidents themselves name none.",
    )
    notify_subscribers: bool = Field(
        default=True, description="Whether subscribers get a mail of each change."
    )


class ActionsConfig(Section):
    """Everything the shipped actions are configured with."""

    http: HttpAccess = Field(default_factory=HttpAccess, description="What `http.*` and `tls.*` may reach.")
    kubernetes: KubernetesAccess = Field(
        default_factory=KubernetesAccess, description="Clusters, and what may be changed in them."
    )
    prometheus: dict[Name, Endpoint] = Field(default_factory=dict, description="Prometheus servers by name.")
    alertmanagers: dict[Name, Endpoint] = Field(default_factory=dict, description="Alertmanagers by name.")
    slack: Slack = Field(default_factory=Slack, description="The Slack app.")
    pagerduty: PagerDuty = Field(default_factory=PagerDuty, description="PagerDuty's APIs.")
    email: Email | None = Field(default=None, description="The mail server. None: no mail is sent.")
    webhooks: dict[Name, Webhook] = Field(default_factory=dict, description="Signed webhooks by name.")
    statuspage: Statuspage | None = Field(default=None, description="The status page. None: none is kept.")
    commands: dict[Name, Command] = Field(
        default_factory=dict, description="Programs `command.run` may run, by name. None unless listed."
    )
