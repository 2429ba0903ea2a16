"""Who is reached, when, and with what words, as an operator writes it (`language.md` sections 4, 5 and 7)."""

from typing import Annotated, Literal

from pydantic import Field, RootModel, StringConstraints, model_validator

from runbookd.model.base import Content, Duration, Name
from runbookd.model.rule import Text

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*"
"""A plain address (RFC 5321 section 4.1.2): no quotes, no comments, no address literal, ASCII only."""
Email = Annotated[str, StringConstraints(pattern=f"^{EMAIL}$", max_length=254)]
SlackPlace = Annotated[str, StringConstraints(pattern=r"^(#[\w-]{1,80}|[CDGUW][A-Z0-9]{6,20})$")]
"""A channel by name, or a channel, person or conversation by its id."""
Reach = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*(\.(primary|secondary))?"
        r"|slack:(#[\w-]{1,80}|[CDGUW][A-Z0-9]{6,20})"
        rf"|email:{EMAIL}"
        r"|webhook:[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*|statuspage)$",
        max_length=300,
    ),
]
"""Who is meant: a role (its primary, then its secondary), `role.secondary`, or an address `slack:#channel`,
`email:somebody@example.com`, `webhook:NAME` (of the settings), `statuspage`."""
Unless = Literal["acknowledged", "responded", "resolved"]
Breach = Literal["acknowledge", "respond", "resolve", "update"]


class PagerDuty(Content):
    """A service of PagerDuty that pages, or a schedule of it that says who is on call, or both."""

    service_key: Text | None = Field(
        default=None, description="Integration key of an Events API v2 service, as ${secret.NAME}."
    )
    schedule: Text | None = Field(
        default=None, description="Id of a schedule; who is on call there gets an e-mail as well."
    )

    @model_validator(mode="after")
    def _says_something(self) -> "PagerDuty":
        if self.service_key is None and self.schedule is None:
            message = "give `service_key`, `schedule` or both"
            raise ValueError(message)
        return self


class Contact(Content):
    """One who can be reached, and how. A page goes to every address at once, a notice to the first of them."""

    name: Text | None = Field(default=None, description="What people call them. Default: the role's name.")
    pagerduty: PagerDuty | None = Field(default=None, description="Paged there.")
    slack: SlackPlace | None = Field(
        default=None, description="`#channel`, or the id of a person or channel."
    )
    email: Email | None = Field(default=None, description="A mail address.")
    webhook: Name | None = Field(default=None, description="One of `actions.webhooks` in the settings.")

    @model_validator(mode="after")
    def _can_be_reached(self) -> "Contact":
        if not any((self.pagerduty, self.slack, self.email, self.webhook)):
            message = "a contact needs at least one of `pagerduty`, `slack`, `email`, `webhook`"
            raise ValueError(message)
        return self


class Role(Content):
    """A place in the on-call rotation."""

    primary: Contact = Field(description="Reached first.")
    secondary: Contact | None = Field(
        default=None, description="Reached when the primary cannot be, or by `ROLE.secondary`."
    )
    hours: Literal["always"] | Name = Field(
        default="always",
        description="A calendar: outside its hours a page still reaches the role, a notice does not.",
    )


class Level(Content):
    """One rung of an escalation: when, unless what, and who is told."""

    after: Duration | None = Field(default=None, description="Counted from when the incident opened.")
    on_breach: Breach | None = Field(
        default=None, description="Instead of `after`: when this clock of the incident is breached."
    )
    unless: Unless | None = Field(
        default=None,
        description="Skipped if the incident is that by then. Default: never, but for one with `on_breach` whose clock "
        "was met by then, if too late.",
    )
    page: list[Reach] = Field(default_factory=list, description="Woken, whatever the hour.")
    notify: list[Reach] = Field(
        default_factory=list,
        description="Told, a role only within its hours, at one address: Slack, else mail, else a webhook. One that "
        "has only a PagerDuty service is rung there.",
    )

    @model_validator(mode="after")
    def _complete(self) -> "Level":
        if (self.after is None) == (self.on_breach is None):
            message = "a level has either `after` or `on_breach`"
            raise ValueError(message)
        if not self.page and not self.notify:
            message = "a level needs somebody to `page` or `notify`"
            raise ValueError(message)
        return self


class Escalation(RootModel[Annotated[list[Level], Field(min_length=1)]]):
    """An escalation policy: its levels, in the order they come."""


class Template(Content):
    """The words of one message: Jinja2, sandboxed; values are escaped for the medium they go to."""

    subject: Text = Field(description="One line: the subject of a mail, the bold first line elsewhere.")
    body: Text = Field(description="Plain text with line breaks; for Slack also its own markup.")
    public: bool = Field(
        default=False, description="For the status page: only the public variables can be used."
    )
