"""Plan: what a matched rule would run, and whether it may start now.

Facts come in as values; the answer is a named reason. Every limit is on by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbookd.errors import EvaluationError, MissingValue
from runbookd.language.cel import Scope
from runbookd.language.render import compile_template
from runbookd.language.values import canonical_json
from runbookd.model.action import Mode
from runbookd.model.durations import format_duration
from runbookd.model.reasons import Guard
from runbookd.stages.inputs import fit_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.event import Event
    from runbookd.model.playbook import Playbook
    from runbookd.model.rule import Limits, Rule, RunLimit
    from runbookd.model.run import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Service-wide bounds on what all rules may do together.

    `budget` runs that act (they change something, or may yet) may start per `budget_window`, over all rules; past
    `brake` of them within `brake_window` (0 is no brake) the service pauses. A target another rule acted upon rests
    for `target_cooldown`; targets matching one of `protected` (shell globs over the whole target) are never acted
    upon.
    """

    budget: int = 30
    budget_window: timedelta = timedelta(hours=1)
    brake: int = 20
    brake_window: timedelta = timedelta(minutes=1)
    target_cooldown: timedelta = timedelta(minutes=5)
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the past says, read in the same transaction that starts the run.

    `started` counts the runs for this key per window of the rule's limits, in their order, those under way and those
    that changed something; so do the counts of the budget and the brake. Times are None when
    there was none: `last_ended` of a run for this key that acted, `last_looked` of any, which may have found nothing
    to do. `holder` is the run at work on the target, None when there is none; `holds` is what keeps it for
    people. Runs that act, over all rules: `acted_in_window` of the budget, `acted_lately` in that of the brake.
    """

    last_ended: datetime | None = None
    last_looked: datetime | None = None
    started: Sequence[int] = ()
    target_acted: datetime | None = None
    holder: str | None = None
    holds: Sequence[Hold] = ()
    acted_in_window: int = 0
    acted_lately: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What `guard` weighs a proposal against.

    `mode` observe is bound only by the rule's own limits. `later_rung` is True for a remedy that follows another
    of the same rule: the pauses between runs are not meant for it.
    """

    mode: Mode
    reach: Reach
    facts: Facts
    now: datetime
    later_rung: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A run that a rule wants: the playbook with its inputs fitted and its target named."""

    playbook: Playbook
    inputs: Mapping[str, object]
    target: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a run may start, and why not."""

    reason: Guard
    detail: str = ""

    @property
    def go(self) -> bool:
        """True when it may."""
        return self.reason is Guard.GO


def incident_key(rule: Rule, event: Event) -> str:
    """Return the canonical key of the incident this event belongs to under the rule.

    A rule without a key gives every alert its own, one with an empty key gives all the same. Raises MissingValue
    when a label of the key is not there: two troubles must not become one for want of a label.
    """
    labels = rule.incident.key
    if labels is None:
        return canonical_json({"fingerprint": event.fingerprint, "source": event.source})
    missing = [label for label in labels if not event.labels.get(label)]
    if missing:
        message = (
            f"rule {rule.name}: the incident key needs label {missing[0]!r}, which the event does not have"
        )
        raise MissingValue(message)
    return canonical_json({label: event.labels[label] for label in labels})


def incident_title(rule: Rule, event: Event, scope: Scope) -> str:
    """Return what people read; the alert's name when the title cannot be made."""
    if rule.incident.title is None:
        return event.name
    try:
        title = compile_template(rule.incident.title).render(scope)
    except EvaluationError:
        return event.name
    return event.name if title is None else str(title)


def propose(
    playbook: Playbook, given: Mapping[str, object], scope: Scope, library_vars: Mapping[str, object]
) -> Proposal | Answer:
    """Render a rung's inputs and the playbook's target; an Answer with the reason when that cannot be done."""
    try:
        rendered = compile_template(dict(given)).render(scope)
    except MissingValue as error:
        return Answer(Guard.MISSING_VALUE, str(error))
    except EvaluationError as error:
        return Answer(Guard.BAD_INPUT, str(error))
    try:
        inputs = fit_inputs(playbook.inputs, rendered)
    except EvaluationError as error:
        return Answer(Guard.BAD_INPUT, str(error))
    if playbook.target is None:
        return Proposal(playbook=playbook, inputs=inputs, target=None)
    inner = Scope({"inputs": inputs, "vars": library_vars})
    try:
        target = compile_template(playbook.target).render(inner)
    except EvaluationError as error:
        return Answer(Guard.MISSING_VALUE, f"target: {error}")
    if not isinstance(target, str):
        return Answer(Guard.MISSING_VALUE, f"target {playbook.target!r} is not a text")
    if not all(part.strip() for part in target.split("/")):
        return Answer(Guard.MISSING_VALUE, f"target {target!r} has an empty part")
    return Proposal(playbook=playbook, inputs=inputs, target=target)


def guard(proposal: Proposal, limits: Limits, bounds: Bounds) -> Answer:
    """Say whether the run may start now. The first bound that forbids it is named."""
    answers: list[Answer | None] = []
    if not bounds.later_rung:
        answers += [_cooldown(limits.cooldown, bounds), _run_limits(limits.runs, bounds)]
    if bounds.mode is Mode.ACT:
        answers += [
            _protected(proposal, bounds),
            _held(proposal, bounds),
            _locked(proposal, bounds),
            _budget(bounds),
        ]
        if not bounds.later_rung and not proposal.playbook.holds_target:
            answers.append(_target_rest(proposal, bounds))
    return next((answer for answer in answers if answer is not None), Answer(Guard.GO))


LOOK_REST = timedelta(minutes=1)
"""The pause after a run that changed nothing: it left nothing to settle, and what it saw may be otherwise soon."""


def rested_at(cooldown: timedelta, facts: Facts) -> datetime | None:
    """Return when the pause after the last run for this key is over; None when there was none."""
    ends = [(facts.last_ended, cooldown), (facts.last_looked, min(cooldown, LOOK_REST))]
    return max((ended + pause for ended, pause in ends if ended is not None), default=None)


def _cooldown(cooldown: timedelta, bounds: Bounds) -> Answer | None:
    over = rested_at(cooldown, bounds.facts)
    if over is None or bounds.now >= over:
        return None
    ended = bounds.facts.last_ended
    if ended is None or bounds.now - ended >= cooldown:
        return Answer(
            Guard.LOOKED_LATELY, f"the last run for this key changed nothing; again at {over.isoformat()}"
        )
    left = format_duration(timedelta(seconds=round((ended + cooldown - bounds.now).total_seconds())))
    return Answer(Guard.COOLDOWN, f"the last run for this key ended at {ended.isoformat()}; {left} left")


def _run_limits(limits: Sequence[RunLimit], bounds: Bounds) -> Answer | None:
    for limit, count in zip(limits, bounds.facts.started, strict=True):
        if count >= limit.of:
            return Answer(
                Guard.RUN_LIMIT, f"{count} of {limit.of} runs in {format_duration(limit.per)} are used up"
            )
    return None


def _protected(proposal: Proposal, bounds: Bounds) -> Answer | None:
    for pattern in bounds.reach.protected:
        if proposal.target is not None and fnmatchcase(proposal.target, pattern):
            return Answer(Guard.PROTECTED, f"target {proposal.target} is protected by {pattern!r}")
    return None


def _locked(proposal: Proposal, bounds: Bounds) -> Answer | None:
    if proposal.target is None or bounds.facts.holder is None:
        return None
    return Answer(Guard.TARGET_LOCKED, f"run {bounds.facts.holder} is at work on target {proposal.target}")


def _held(proposal: Proposal, bounds: Bounds) -> Answer | None:
    """A target kept as a playbook left it; one that holds its target as well does not loosen that."""
    holds = bounds.facts.holds
    if not holds or proposal.playbook.holds_target:
        return None
    left = " and ".join(
        f"{hold.playbook} left it (run {hold.run_id}, {hold.held_at:%Y-%m-%d %H:%M:%S} UTC)" for hold in holds
    )
    text = f"target {holds[0].target} is as {left}; a person releases it: runbookd holds release {holds[0].target}"
    return Answer(Guard.TARGET_ON_HOLD, f"{text} --reason TEXT")


def _target_rest(proposal: Proposal, bounds: Bounds) -> Answer | None:
    acted, rest = bounds.facts.target_acted, bounds.reach.target_cooldown
    if proposal.target is None or acted is None or bounds.now - acted >= rest:
        return None
    text = f"target {proposal.target} was acted upon at {acted.isoformat()}, less than {format_duration(rest)} ago"
    return Answer(Guard.TARGET_COOLDOWN, text)


def _budget(bounds: Bounds) -> Answer | None:
    reach = bounds.reach
    if bounds.facts.acted_in_window < reach.budget:
        return None
    window = format_duration(reach.budget_window)
    return Answer(
        Guard.BUDGET, f"{bounds.facts.acted_in_window} of {reach.budget} runs in {window} are used up"
    )


STORM_BRAKE = "storm_brake"
"""How the reason of a pause begins that the storm brake made."""


def storm_brake(bounds: Bounds) -> str | None:
    """Say why the service is to pause before another run that acts begins; None when it is not to.

    Many troubles at once are one trouble that no remedy of ours is for, or a mistake in what decides.
    """
    reach = bounds.reach
    if bounds.mode is not Mode.ACT or not reach.brake or bounds.facts.acted_lately < reach.brake:
        return None
    window = format_duration(reach.brake_window)
    return f"{STORM_BRAKE}: {bounds.facts.acted_lately} runs that act began within {window}; a person resumes"
