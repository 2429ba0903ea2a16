"""The unit of work that ends an acknowledgement whose time is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import LevelState
from runbookd.model.incident import IncidentState
from runbookd.stages.expired import heard, rearmed, tellings
from runbookd.stages.holders import held
from runbookd.stages.ladder import left_to_people
from runbookd.units.record import MOST_ENTRIES
from runbookd.units.telling import refresh

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk


async def expire(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> Incident:
    """End an acknowledgement whose time is over: nobody leads any more, and whoever had it is asked again first."""
    until = incident.acknowledged_until
    if until is None or until > now or incident.state is IncidentState.RESOLVED:
        return incident
    entries = [one.entry for one in await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id})]
    last = next(iter(held(entries)[-1:]), None)
    since = last.since if last is not None else incident.acknowledged_at
    by = last.who if last is not None else incident.acknowledged_by
    detail = {"by": by, "acknowledged_by": incident.acknowledged_by, "since": since, "until": until}
    detail["assignee"] = incident.assignee
    expired = replace(
        incident, acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, assignee=None
    )
    await tx.incidents.save(expired)
    levels, told = await tx.levels.of(incident.id), tellings(entries, await tx.messages.of(incident.id))
    to_come = [left_to_people(level) for level in levels if level.state is LevelState.PENDING]
    for level in (*to_come, *rearmed(levels, heard(told, since), until)):
        await tx.levels.save(level)
    entry = Entry(
        at=now,
        stage=Stage.ESCALATE,
        what="acknowledgement_expired",
        incident_id=incident.id,
        detail=detail,
    )
    await tx.ledger.append([entry])
    await refresh(tx, desk, expired, f"expired {until.isoformat()}", now)
    return expired
