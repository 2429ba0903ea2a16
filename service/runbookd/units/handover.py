"""Units of work that hand an incident to people, and that raise its priority."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.work import Work, WorkKind
from runbookd.stages.by_hand import outdated
from runbookd.stages.ladder import handed_over
from runbookd.stages.schedule import QUIET, failure_priority
from runbookd.units.calling import heard_by_hand
from runbookd.units.escalation import begin_clocks
from runbookd.units.telling import Why, refresh, tell_audience

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.ports import Tx
    from runbookd.units.desk import Desk


async def hand_over(tx: Tx, desk: Desk, work: Work, now: datetime) -> Incident | None:
    """Tell people now that automation needs them; returns the incident, None when it is gone.

    The first level that pages does not wait for its time, unless somebody has the incident already; everyone who was
    told before hears the news. An incident of a schedule, of which nobody has heard, gets the priority it has for
    people first.
    """
    incident = await tx.incidents.get(work.ref)
    await tx.work.finish(work)
    if incident is None or incident.state is IncidentState.RESOLVED:
        return incident
    unheard = incident.priority == QUIET
    if unheard:
        incident = await _made_known(tx, desk, incident, now)
    levels = await tx.levels.of(incident.id)
    heard = await heard_by_hand(tx, incident)
    paged = any(level.page and (level.state is LevelState.FIRED or level.number in heard) for level in levels)
    first = handed_over(levels, now)
    if incident.acknowledged_at is None and not paged and first is not None:
        await tx.levels.save(first)
        await tx.work.add(WorkKind.CLOCK, incident.id, now)
    elif not unheard:
        await tell_audience(
            tx, desk, incident, Why(f"handed over {now.isoformat()}", MessageKind.UPDATE), now
        )
    return incident


async def _made_known(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> Incident:
    """Give an incident of a schedule the priority it has for people, from now on."""
    priority = failure_priority(desk.library, incident)
    if priority is None:
        return incident
    raised = await raise_priority(tx, desk, incident, priority, now, "by runbookd.")
    detail = {"from": incident.priority, "to": priority, "reason": incident.escalation_reason}
    entry = Entry(
        at=now, stage=Stage.ESCALATE, what="priority_raised", incident_id=incident.id, detail=detail
    )
    await tx.ledger.append([entry])
    return raised


async def raise_priority(
    tx: Tx, desk: Desk, incident: Incident, priority: str, now: datetime, because: str
) -> Incident:
    """Give an incident another priority, which there must be: everyone inside who was told before hears of that.

    `because` says who raised it, and why. New clocks and levels begin now, and no level of before comes any more.
    Returns the incident as it is then.
    """
    until = ack_expires(desk, priority, now) if incident.acknowledged_at is not None else None
    raised = replace(incident, priority=priority, escalation=None, acknowledged_until=until)
    await tx.incidents.save(raised)
    for level in outdated(await tx.levels.of(incident.id), now):
        await tx.levels.save(level)
    news = {"note": f"Raised from {incident.priority} to {priority} {because}"}
    await tell_audience(
        tx, desk, raised, Why(f"raised {now.isoformat()}", MessageKind.UPDATE, news), now, inside=True
    )
    await begin_clocks(tx, desk, raised, now, quiet=False)
    await tx.work.add(WorkKind.CLOCK, raised.id, now)  # for an acknowledgement that expires now
    await refresh(tx, desk, raised, f"priority {now.isoformat()}", now)
    return raised


def ack_expires(desk: Desk, priority: str, now: datetime) -> datetime | None:
    """When an acknowledgement of now expires; None when it does not."""
    known = desk.library.priorities.get(priority)
    return now + known.ack_expires if known is not None and known.ack_expires is not None else None
