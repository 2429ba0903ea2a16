"""Facts of an incident that ask for something to be done: the first lines of its review's action items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.language.media import in_words
from runbookd.model.escalation import MessageKind, MessageState
from runbookd.model.reasons import StepReason
from runbookd.model.run import RunState, StepState
from runbookd.reports.review_promises import broken_news
from runbookd.reports.review_remedies import how_it_ended
from runbookd.reports.review_words import CHANNELS, ENDS, KINDS, counted, party, said, with_detail
from runbookd.stages.holders import expired_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbookd.reports.review_promises import Promise
    from runbookd.units.record import Record

_BAD = frozenset({RunState.UNVERIFIED, RunState.FAILED, RunState.CANCELLED, RunState.REFUSED})


def findings(record: Record, promises: Sequence[Promise]) -> list[str]:
    """Return each fact once: what is unclear first, then remedies, people who were not reached, and broken promises."""
    every = (*_unclear(record), *_remedies(record), *_people(record), *_broken(record, promises))
    return list(dict.fromkeys(every))


def _unclear(record: Record) -> Iterator[str]:
    """What a person has to look at, for nobody else can tell."""
    for run in record.runs:
        for step in record.steps.get(run.id, ()):
            if step.state is StepState.IN_DOUBT and step.reason == StepReason.IN_DOUBT:
                what = f"{step.action} of {run.playbook} may have happened or not: find out by hand"
                yield with_detail(what, step.message)
    for hold in record.holds:
        yield f"{hold.target} is kept as {hold.playbook} left it: look at it, then release it"
    for alert in record.alerts:
        if alert.resolved_at is None and record.incident.resolved_at is not None:
            yield f"The alert {alert.event.name} still fires, though the incident is over"
        elif alert.concluded:
            yield f"Nobody told the end of the alert {alert.event.name}: see to what {alert.source} sends"


def _remedies(record: Record) -> Iterator[str]:
    for run in record.runs:
        if run.state in _BAD:
            yield with_detail(f"{run.playbook} {ENDS[f'run_{run.state.value}']}", how_it_ended(run, record))
    if not record.runs:
        yield f"No remedy was run: see whether the rule {record.incident.rule} can have one"


def _people(record: Record) -> Iterator[str]:
    for message in record.messages:
        if message.state is MessageState.FAILED and message.kind is not MessageKind.REPLY:
            who, channel = party(message.contact, record.incident), CHANNELS[message.channel]
            what = f"The {KINDS[message.kind]} to {who} by {channel} did not get through"
            yield with_detail(what, message.error or said(message.reason))
    for entry in record.entries:
        if entry.what == "nobody_to_reach":
            who = party(entry.detail.get("reach"), record.incident)
            yield with_detail(f"Nobody could be reached as {who}", said(entry.detail.get("why")))
        elif entry.what == "acknowledgement_expired":
            gave, to = expired_of(entry.detail)
            handed = f", {to} was given it" if to else ""
            yield f"{gave} took the incident{handed}, and then the acknowledgement expired"
        elif entry.what == "nobody_reached" and not entry.detail.get("another_level"):
            yield "A page reached nobody, and no level of the escalation was left"


def _broken(record: Record, promises: Sequence[Promise]) -> Iterator[str]:
    for promise in promises:
        if promise.kept is False:
            by = f" by {in_words(promise.by)}" if promise.by is not None else ""
            still = "" if promise.met_at is not None or promise.earlier else ", and it is not met yet"
            still = ", and nobody did before it was over" if promise.by_end else still
            yield f"The time to {promise.kind.value} was missed{by}{still}"
    broken = len(broken_news(record))
    if broken:
        yield f"News was promised and did not come, {counted(broken, 'time')}"
