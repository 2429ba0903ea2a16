"""Units of work about people and time: handing an incident to people, and its clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.reasons import Escalate
from runbookd.model.work import Work, WorkKind
from runbookd.stages.escalate import escalated, judge_clock, next_clock

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.ports import Tx


async def escalate(tx: Tx, incident: Incident, reason: Escalate, now: datetime, detail: str = "") -> Incident:
    """Make an escalation due: the incident is marked, the ledger says why, and a row of work has people told.

    Returns the incident as it is now.
    """
    marked = escalated(incident, reason, now)
    if marked is not incident:
        await tx.incidents.save(marked)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what=reason.value,
        incident_id=incident.id,
        detail={"detail": detail, "priority": incident.priority, "rule": incident.rule},
    )
    await tx.ledger.append([entry])
    await tx.work.add(WorkKind.ESCALATE, incident.id, now)
    return marked


async def watch_clocks(tx: Tx, work: Work, now: datetime) -> list[str]:
    """Judge an incident's clocks: breaches are recorded and escalated, the next deadline becomes the work's.

    Returns the kinds of clocks breached by this look.
    """
    incident = await tx.incidents.get(work.ref)
    if incident is None:
        await tx.work.finish(work)
        return []
    breached = await settle_clocks(tx, incident, now)
    due_at = next_clock(await tx.incidents.clocks(incident.id), incident)
    if due_at is None:
        await tx.work.finish(work)
    else:
        await tx.work.reschedule(work, due_at)
    for kind in breached:
        await escalate(tx, incident, Escalate.CLOCK, now, f"{kind} deadline passed")
    return breached


async def settle_clocks(tx: Tx, incident: Incident, now: datetime) -> list[str]:
    """Write down which clocks are met and which are breached by now; returns the kinds newly breached."""
    breached = []
    for clock in await tx.incidents.clocks(incident.id):
        judged = judge_clock(clock, incident, now)
        if judged is clock:
            continue
        await tx.incidents.save_clock(judged)
        late = judged.breached_at is not None
        if late:
            breached.append(judged.kind.value)
        entry = Entry(
            at=now,
            stage=Stage.ESCALATE,
            what="clock_breached" if late else "clock_met",
            incident_id=incident.id,
            detail={
                "clock": judged.kind.value,
                "due_at": judged.due_at,
                "met_at": judged.met_at,
                "late_seconds": max(0.0, ((judged.met_at or now) - judged.due_at).total_seconds()),
            },
        )
        await tx.ledger.append([entry])
    return breached


async def close_incident(tx: Tx, incident: Incident, now: datetime, actor: str = "runbookd") -> None:
    """Resolve an incident whose alerts have all resolved, and stop its clocks."""
    closed = replace(incident, state=IncidentState.RESOLVED, resolved_at=now)
    await tx.incidents.save(closed)
    await settle_clocks(tx, closed, now)
    await tx.work.add(WorkKind.CLOCK, incident.id, now)
    entry = Entry(
        at=now,
        stage=Stage.ADMIT,
        what="incident_resolved",
        actor=actor,
        incident_id=incident.id,
        detail={"seconds": (now - incident.opened_at).total_seconds()},
    )
    await tx.ledger.append([entry])
