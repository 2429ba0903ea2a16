"""Playbooks, as an operator writes them (`language.md` section 3)."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from runbookd.model.base import Content, Duration, Name

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Expr = Annotated[str, StringConstraints(min_length=1)]
InputType = Literal["string", "integer", "number", "boolean", "duration", "list", "map"]

_KINDS = ("action", "playbook", "parallel", "wait")


class Input(Content):
    """One thing a playbook is told. Without a default it must be given."""

    type: InputType = Field(default="string", description="What it is; a value of another type is refused.")
    description: str = Field(default="", description="What it means, for who calls the playbook.")
    default: Any = Field(
        default=None, description="Used when it is not given; a null default makes it optional."
    )
    pattern: str | None = Field(default=None, description="A regular expression the whole string must match.")
    enum: list[Any] | None = Field(default=None, description="The only values it may have.")
    minimum: float | None = Field(default=None, description="The least number it may be.")
    maximum: float | None = Field(default=None, description="The greatest number it may be.")

    @property
    def required(self) -> bool:
        """True when no default was written, not even null."""
        return "default" not in self.model_fields_set


class Retry(Content):
    """Try again after temporary failures, with exponential backoff and jitter."""

    attempts: int = Field(default=3, ge=1, le=20, description="Attempts in all, the first one included.")
    backoff: Duration = Field(default="2s", validate_default=True, description="Before the second attempt.")
    max_backoff: Duration = Field(
        default="30s", validate_default=True, description="The longest wait between two."
    )


class EvidenceStep(Content):
    """A read-only call whose result is kept before anything is done."""

    action: str = Field(description="What is called; it must not change anything.")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="Its parameters; may hold ${...}."
    )
    name: str | None = Field(default=None, description="What it is kept as; default: the action's name.")
    timeout: Duration | None = Field(default=None, description="Of the call. Default: the action's own.")


class Step(Content):
    """One step: exactly one of `action`, `playbook`, `parallel`, `wait`, or an `assert` of its own."""

    id: Identifier | None = Field(default=None, description="How later expressions name its result.")
    action: str | None = Field(default=None, description="What is called.")
    with_: dict[str, Any] = Field(
        default_factory=dict,
        alias="with",
        description="Parameters of the action, or inputs of the playbook; may hold ${...}.",
    )
    when: Expr | None = Field(default=None, description="A CEL condition; false skips the step.")
    timeout: Duration | None = Field(default=None, description="Of one attempt. Default: the action's own.")
    retry: Retry | None = Field(default=None, description="None: a temporary failure is not tried again.")
    continue_on_failure: bool = Field(default=False, description="Its failure does not end the run.")
    foreach: str | list[Any] | None = Field(default=None, description="Once per item; the item is `item`.")
    max_parallel: int = Field(default=1, ge=1, le=50, description="Items of `foreach` at work at once.")
    max_items: int = Field(default=20, ge=1, le=1000, description="More items than this refuses the step.")
    max_failures: int = Field(default=0, ge=0, description="Failed items the step may bear.")
    parallel: "list[Step] | None" = Field(default=None, description="Steps that run at once.")
    outputs: dict[Identifier, Expr] = Field(
        default_factory=dict, description="Named CEL projections of `result`, added to the step's output."
    )
    assert_: Expr | None = Field(default=None, alias="assert", description="CEL over `result`; false fails.")
    message: str | None = Field(default=None, description="What a failed `assert` says; may hold ${...}.")
    finally_: bool = Field(default=False, alias="finally", description="Runs however the run ends.")
    playbook: Name | None = Field(default=None, description="Another playbook, as a step.")
    wait: Duration | None = Field(default=None, description="A row in the database, not a sleep.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) > 1 or (not given and self.assert_ is None):
            message = (
                "a step is exactly one of `action`, `playbook`, `parallel`, `wait`, or an `assert` of its own"
            )
            raise ValueError(message)
        return self

    @property
    def kind(self) -> Literal["action", "playbook", "parallel", "wait", "assert"]:
        """Which of the five this step is."""
        for kind in ("action", "playbook", "parallel", "wait"):
            if getattr(self, kind) is not None:
                return kind
        return "assert"


class Check(Content):
    """One way to see that the trouble is gone: looked at `every` so often, until it has held `for` long enough."""

    check: Literal["alert_resolved"] | None = Field(
        default=None, description="The alert itself has resolved."
    )
    action: str | None = Field(default=None, description="What is called; it must not change anything.")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="Its parameters; may hold ${...}."
    )
    assert_: Expr | None = Field(default=None, alias="assert", description="CEL over `result`.")
    message: str | None = Field(
        default=None, description="What a failed `assert` says; may hold ${...}, `result` included."
    )
    every: Duration = Field(default="15s", validate_default=True, description="The time between two looks.")
    for_: Duration = Field(
        default="0s",
        validate_default=True,
        alias="for",
        description="It must hold this long without a break.",
    )
    within: Duration = Field(
        default="10m",
        validate_default=True,
        description="It must have held by then, or the run is not verified.",
    )
    timeout: Duration | None = Field(default=None, description="Of one look. Default: the action's own.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Check":
        if (self.check is None) == (self.action is None):
            message = "a check is either `check: alert_resolved` or an `action`"
            raise ValueError(message)
        return self


class PlaybookExpectation(Content):
    """What a playbook's embedded test expects; what is not named is not compared."""

    calls: list[str] | None = Field(
        default=None, description="The actions called, in order, checks not counted."
    )
    with_: dict[str, dict[str, Any]] | None = Field(
        default=None, alias="with", description="Some parameters of steps, by step id."
    )
    outcome: Literal["verified", "succeeded", "unverified", "failed", "observed"] | None = Field(
        default=None, description="How the run ends."
    )
    reason: str | None = Field(default=None, description="Why it ends so.")


class PlaybookTest(Content):
    """One embedded test: canned results in, the calls that would be made out."""

    __test__ = False
    name: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="What the test shows, as a sentence."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, description="Those the test is about.")
    event: dict[str, Any] = Field(default_factory=dict, description="Fields of the event it runs for.")
    given: dict[str, Any] = Field(
        default_factory=dict,
        description="`steps.ID: {output}`; `steps.ID: {fails: message}` makes it fail; `verify: false` never verifies.",
    )
    expect: PlaybookExpectation = Field(description="What has to come of it.")


class Playbook(Content):
    """One remedy, top to bottom."""

    playbook: Name = Field(description="Its name.")
    description: str = Field(default="", description="What it does, for people.")
    inputs: dict[Identifier, Input] = Field(default_factory=dict, description="What it is told, by name.")
    target: str | None = Field(
        default=None, description="What the lock, cooldown and budget are keyed on; may hold ${inputs...}."
    )
    holds_target: bool = Field(
        default=False,
        description="Once it acts, its target is held until a person releases it: other runs are refused there, but "
        "those of playbooks that hold theirs too. A run that does not end well and has changed nothing leaves no hold.",
    )
    evidence: list[EvidenceStep] = Field(
        default_factory=list, description="What is collected before anything is done."
    )
    steps: list[Step] = Field(default_factory=list, description="What is done, in order.")
    verify: list[Check] = Field(
        default_factory=list, description="What must hold afterwards; none: nobody looks."
    )
    on_failure: Literal["escalate", "undo_and_escalate", "next_rung"] = Field(
        default="escalate", description="What follows a run that failed or was not verified."
    )
    deadline: Duration = Field(default="30m", validate_default=True, description="Of the whole run.")
    tests: list[PlaybookTest] = Field(
        default_factory=list, description="Run by `runbookd check`, and before a changed file is taken."
    )
