"""The post-incident review as facts: what the record of an incident tells, and nothing that it does not.

What only people know (the cause, whom it hurt, what was learned) is no fact here: `review_document.py` leaves blanks.
Texts are on one line, bounded, and without mail addresses; markup in them is for the writers to escape.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.incident import ClockKind, IncidentState
from runbookd.reports.harmless import harmless
from runbookd.reports.review_findings import findings
from runbookd.reports.review_levels import Rung, levels
from runbookd.reports.review_people import (
    Told,
    Took,
    commander,
    leads,
    reason_of_the_end,
    resolved,
    responded,
    told,
    took,
)
from runbookd.reports.review_promises import Promise, broken_news, promises
from runbookd.reports.review_remedies import Kept, Remedy, evidence, remedies
from runbookd.reports.review_timeline import Line, timeline

if TYPE_CHECKING:
    from runbookd.stages.holders import Held
    from runbookd.units.record import Record

_IMPACT = ("impact", "summary", "description")
"""Annotations by which an alert's sender says what it means for users, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The facts. `made_at` is the moment they are of.

    `began_at` is when the first alert began to fire, as its sender says; None without an alert. `duration` is from
    when the incident opened to its end, or to now. `acknowledged` is by a person, or by automation where the
    priority lets it; `leads` are those who had it, one after the other; `responded` is by whoever was first at work on
    it. `resolved_because` is what a person said who ended it, else empty. `news_promised` tells that updates were due
    by times, `broken_news` are those times at which none came. `left_out` counts lines of the timeline that are not
    told, `begins_late` tells that there are even older entries in the ledger. `findings` are facts that ask for
    something to be done.
    """

    incident_id: str
    title: str
    rule: str
    priority: str
    over: bool
    made_at: datetime
    began_at: datetime | None
    opened_at: datetime
    resolved_at: datetime | None
    duration: timedelta
    impact: str
    commander: str
    leads: tuple[Held, ...]
    acknowledged: Took | None
    responded: Took | None
    resolved: Took | None
    resolved_because: str
    promises: tuple[Promise, ...]
    news_promised: bool
    broken_news: tuple[datetime, ...]
    timeline: tuple[Line, ...]
    left_out: int
    begins_late: bool
    remedies: tuple[Remedy, ...]
    told: tuple[Told, ...]
    levels: tuple[Rung, ...]
    evidence: tuple[Kept, ...]
    findings: tuple[str, ...]
    review_due_at: datetime | None
    reviewed_at: datetime | None


def review_of(record: Record, now: datetime) -> Review:
    """Take the facts from the record, as they are at a moment."""
    incident = record.incident
    lines, left_out = timeline(record)
    judged = promises(record, now)
    due = next((one for one in judged if one.kind is ClockKind.REVIEW), None)
    review = Review(
        incident_id=incident.id,
        title=incident.title,
        rule=incident.rule,
        priority=incident.priority,
        over=incident.state is IncidentState.RESOLVED,
        made_at=now,
        began_at=min((alert.starts_at for alert in record.alerts), default=None),
        opened_at=incident.opened_at,
        resolved_at=incident.resolved_at,
        duration=(incident.resolved_at or now) - incident.opened_at,
        impact=_impact(record),
        commander=commander(record),
        leads=tuple(leads(record)),
        acknowledged=took(record),
        responded=responded(record),
        resolved=resolved(record),
        resolved_because=reason_of_the_end(record) if incident.resolved_at is not None else "",
        promises=tuple(judged),
        news_promised=any(clock.kind is ClockKind.UPDATE for clock in record.clocks),
        broken_news=tuple(broken_news(record)),
        timeline=tuple(lines),
        left_out=left_out,
        begins_late=record.begins_late,
        remedies=tuple(remedies(record)),
        told=tuple(told(record)),
        levels=tuple(levels(record)),
        evidence=tuple(evidence(record)),
        findings=tuple(findings(record, judged)),
        review_due_at=due.due_at if due is not None else None,
        reviewed_at=due.met_at if due is not None else None,
    )
    return harmless(review, {str(message.address.get("to", "")) for message in record.messages})


def _impact(record: Record) -> str:
    """Return what it means for users: as people were told first, else as the first alert says; empty when none does."""
    first = next((str(one.words["impact"]) for one in record.messages if one.words.get("impact")), "")
    if first:
        return first
    texts = (alert.event.annotations.get(name) for alert in record.alerts for name in _IMPACT)
    return next((text for text in texts if text), "")
