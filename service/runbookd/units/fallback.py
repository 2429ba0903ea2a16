"""Units of work for a page that reaches nobody: another level at once, or all of them once more after a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.incident import IncidentState
from runbookd.model.work import WorkKind
from runbookd.stages.ladder import (
    ANEW,
    BY_HAND,
    BY_HAND_AGAIN,
    called,
    fallen_back,
    hastened,
    own_again,
    started_over,
)
from runbookd.stages.reached import reached, unreached
from runbookd.units.frozen import own_times

if TYPE_CHECKING:
    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx

_SOONEST_ANEW, _LATEST_ANEW = timedelta(minutes=5), timedelta(hours=1)
"""When the levels begin anew, after every page of theirs has failed; they are as far apart as the first of these."""


async def instead(tx: Tx, incident: Incident, now: datetime, level: IncidentLevel | None = None) -> bool:
    """After a page that reached nobody, make the next level that pages due now, or the last that was left out.

    False when there is none, or it is over, or a person has the incident, unless one called for the `level` by hand.
    """
    if incident.state is IncidentState.RESOLVED:
        return False
    if level is not None and level.reason in {BY_HAND, BY_HAND_AGAIN}:
        others = [one for one in await tx.levels.of(incident.id) if one.number != level.number]
        return await make_due(tx, called(others, now), now)
    if incident.acknowledged_at is not None:
        return False
    levels = await tx.levels.of(incident.id)
    return await make_due(tx, hastened(levels, now) or fallen_back(levels, now), now)


async def start_over(tx: Tx, incident: Incident, now: datetime) -> datetime | None:
    """When no page has got through and no level is left to page, begin with the first again; returns when.

    None when somebody may have been reached, has the incident, or need not. It waits as long as the incident is old,
    within bounds: what keeps every page from getting through may take a while.
    """
    if incident.state is IncidentState.RESOLVED or incident.acknowledged_at is not None:
        return None
    levels = await tx.levels.of(incident.id)
    if hastened(levels, now) is not None or not unreached(await tx.messages.of(incident.id)):
        return None
    at = now + min(max(now - incident.opened_at, _SOONEST_ANEW), _LATEST_ANEW)
    anew = started_over(levels, at, _SOONEST_ANEW)
    for level in anew:
        await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, incident.id, at)
    return at if anew else None


async def go_on(tx: Tx, incident: Incident, now: datetime) -> None:
    """Now that a page has got through, let what had begun anew go on as if it never had: see `own_again`."""
    levels = await tx.levels.of(incident.id)
    if not any(level.reason == ANEW for level in levels):
        return
    numbers = [one.facts.get("level") for one in reached(await tx.messages.of(incident.id))]
    up_to = max((number for number in numbers if isinstance(number, int)), default=None)
    if up_to is None:
        return
    for level in own_again(levels, await own_times(tx, incident), up_to, now):
        await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, incident.id, now)


async def make_due(tx: Tx, level: IncidentLevel | None, now: datetime) -> bool:
    """Keep a level that has become due; False when there is none."""
    if level is None:
        return False
    await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, level.incident_id, now)
    return True
