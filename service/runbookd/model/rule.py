"""Rules, priorities and calendars, as an operator writes them (`language.md` sections 2 and 4)."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from runbookd.model.action import Mode
from runbookd.model.base import Content, Duration, Name

Text = Annotated[str, StringConstraints(min_length=1)]
_HOLIDAY = r"^([A-Z]{2}(-\S{1,20})?|\d{4}-\d\d-\d\d)$"
Holiday = Annotated[str, StringConstraints(pattern=_HOLIDAY, max_length=30)]
"""A country (ISO 3166-1: `US`), a part of one (`US-NY`), or a date."""
Holidays = Annotated[
    list[Holiday],
    BeforeValidator(lambda written: [written] if isinstance(written, str) else written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _HOLIDAY},
                {"type": "array", "items": {"type": "string", "pattern": _HOLIDAY}},
            ]
        }
    ),
]
"""One of them, or a list."""


class IncidentShape(Content):
    """How the incident a rule opens is named and told apart."""

    title: str | None = Field(
        default=None, description="What people read; may hold ${...}. Default: the alert's name."
    )
    key: list[Text] | None = Field(
        default=None,
        description="Labels; alerts with equal values are one incident, and with `[]` all alerts of the rule are. "
        "Default: every alert is its own.",
    )


class Rung(Content):
    """One remedy; the next rung is tried only if this one did not verify."""

    playbook: Name = Field(description="The playbook to run.")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="Its inputs; strings may hold ${...}."
    )


class RunLimit(Content):
    """At most `of` runs per window `per`, for one incident key."""

    of: int = Field(ge=1, description="How many.")
    per: Duration = Field(description="The sliding window.")


class Limits(Content):
    """What keeps a rule from doing too much; on by default."""

    cooldown: Duration = Field(
        default="15m",
        validate_default=True,
        description="No new run for the same key this long after one that acted; after one that did not, a minute.",
    )
    runs: list[RunLimit] = Field(
        default_factory=lambda: [RunLimit(of=3, per="1h"), RunLimit(of=6, per="24h")],
        description="Most runs per window, for the same key; one that ended and changed nothing does not count.",
    )


class ForCount(Content):
    """Wait for a number of distinct episodes in a sliding window; fires once per window."""

    of: int = Field(ge=2, description="How many episodes.")
    within: Duration = Field(description="The sliding window.")
    distinct: Literal["alert", "incident"] = Field(default="alert", description="What is counted.")


class TestEvent(Content):
    """The event of an embedded test; what is not said is what a quiet Alertmanager would send.

    Texts may hold `${vars.NAME}`, so that the test holds whatever the vars are; so may those of `expect`.
    """

    __test__ = False
    source: str = Field(default="alertmanager", description="Who tells it.")
    status: Literal["firing", "resolved"] = Field(default="firing", description="What it tells.")
    severity: str | None = Field(default=None, description="Default: the label `severity`.")
    labels: dict[str, str] = Field(default_factory=dict, description="Its labels, `alertname` among them.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Its annotations.")


class RuleExpectation(Content):
    """What a rule's embedded test expects; what is not named is not compared."""

    matched: bool = Field(default=True, description="Whether this rule takes the event.")
    incident: str | None = Field(default=None, description="The priority of the incident.")
    title: str | None = Field(default=None, description="The title of the incident.")
    playbook: str | None = Field(default=None, description="The first rung's playbook.")
    with_: dict[str, Any] | None = Field(default=None, alias="with", description="Some of its inputs.")


class RuleTest(Content):
    """One embedded test of a rule."""

    __test__ = False
    name: Text = Field(description="What the test shows, as a sentence.")
    event: TestEvent = Field(description="The event the rule is given.")
    expect: RuleExpectation = Field(description="What the rule has to make of it.")


class Rule(Content):
    """What the service reacts to, and how."""

    name: Name = Field(
        description="One of its own; `unmatched` is the rule that takes what no other rule took."
    )
    description: str = Field(default="", description="What the trouble is, for people.")
    match: list[Text] = Field(
        default_factory=list, description='Alertmanager matchers, all must hold: `namespace=~"med.*"`.'
    )
    when: str | None = Field(default=None, description="A CEL condition, looked at after `match`.")
    priority: Name = Field(description="Names a row of `priorities`.")
    incident: IncidentShape = Field(
        default_factory=IncidentShape, description="The incident it opens, or adds the alert to."
    )
    escalation: Name | None = Field(default=None, description="Default: the priority's own.")
    run: list[Rung] = Field(default_factory=list, description="The remedies, in order.")
    limits: Limits = Field(default_factory=Limits, description="How often it may act.")
    for_count: ForCount | None = Field(
        default=None, description="Take the event only as one of so many. None: each one counts."
    )
    mode: Mode = Field(default=Mode.ACT, description="`observe` plans and reads, and changes nothing.")
    on_resolve: Literal["finish", "cancel"] = Field(
        default="finish", description="What becomes of a run when the alert resolves."
    )
    continue_: bool = Field(
        default=False, alias="continue", description="Go on to later rules after a match."
    )
    tests: list[RuleTest] = Field(
        default_factory=list, description="Run by `runbookd check`, and before a changed file is taken."
    )

    @model_validator(mode="after")
    def _selects_something(self) -> "Rule":
        if not self.match and self.when is None and self.name != "unmatched":
            message = (
                "a rule needs `match` or `when`; only the rule named `unmatched` takes what is left over"
            )
            raise ValueError(message)
        return self


class Many(Content):
    """So many incidents of one priority within a window are more than their sum."""

    of: int = Field(ge=2, description="How many, the one that opens now included.")
    within: Duration = Field(description="The sliding window; it happens once in it.")
    escalation: Name = Field(description="The escalation of the incident that makes the number full.")


class Priority(Content):
    """One row of the table of response times. A time that is not given has no clock."""

    name: Text = Field(description="What people call it: Critical, High.")
    acknowledge_within: Duration | None = Field(
        default=None, description="A person has seen it, counted from when the incident opened."
    )
    respond_within: Duration | Literal["next_business_day"] | None = Field(
        default=None, description="A person, or a run in act mode, is at work on it."
    )
    resolve_within: Duration | None = Field(default=None, description="The trouble is gone.")
    update_every: Duration | None = Field(default=None, description="How often people are promised news.")
    automation_acknowledges: bool = Field(
        default=False, description="A run in act mode counts as a person's acknowledgement."
    )
    calendar: Name | None = Field(default=None, description="Needed for `next_business_day`.")
    escalation: Name | None = Field(
        default=None,
        description="Names an escalation, for rules that name none. None: nobody is told by time.",
    )
    many: Many | None = Field(
        default=None, description="What several incidents of this priority are. None: each is its own."
    )
    ack_expires: Duration | None = Field(
        default=None,
        description="An acknowledgement counts for this long; then the levels it stopped come back, or who was paged "
        "last is asked again. None: until the incident is over.",
    )
    announce: list[Text] = Field(
        default_factory=list,
        description="Who hears when the incident opens, what is new, and when it is over: `slack:#incidents`, "
        "`statuspage`, a role.",
    )
    channel: bool = Field(
        default=False, description="Open a Slack channel `incident-YYYYMMDD-HHMM` for each incident."
    )
    review_within: Duration | None = Field(
        default=None, description="A post-incident review is drafted, and due this long after the end."
    )

    @model_validator(mode="after")
    def _business_days_need_a_calendar(self) -> "Priority":
        if self.respond_within == "next_business_day" and self.calendar is None:
            message = "`respond_within: next_business_day` needs a `calendar`"
            raise ValueError(message)
        return self


class Calendar(Content):
    """Working time in a place: which days, from when to when."""

    timezone: Text = Field(description="An IANA name: America/New_York.")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        min_length=1, description="The working days."
    )
    from_: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        alias="from", description="When a working day begins, in its zone."
    )
    to: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        description="When it ends, later than `from` on the same day."
    )
    holidays: Holidays = Field(
        default_factory=list,
        description="Days off: those of a country, `US`, or a part of it, `US-NY`, or a list of such and of dates, "
        "`[US, 2026-12-24]`. Days off in lieu of one that falls on a weekend are among them.",
    )
