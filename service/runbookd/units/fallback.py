"""Units of work for a page that reaches nobody: another level at once, or all of them once more after a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.incident import ClockKind, IncidentState
from runbookd.model.work import WorkKind
from runbookd.stages.ladder import (
    AGAIN,
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
from runbookd.units.telling import Why, tell_audience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

CALL_FAILED = (
    "More help was called for by hand, and nobody could be reached: no level that pages is left to call."
)
"""What everyone inside hears when a call by hand has reached nobody."""
_BY_HAND = frozenset({BY_HAND, BY_HAND_AGAIN})

_SOONEST_ANEW, _LATEST_ANEW = timedelta(minutes=5), timedelta(hours=1)
"""When the levels begin anew, after every page of theirs has failed; they are as far apart as the first of these."""


async def instead(tx: Tx, desk: Desk, incident: Incident, page: Mapping[str, object], now: datetime) -> bool:
    """After a page that reached nobody, have another level page now; `page` is what it says of itself.

    That is the next, or the last that was left out, and when nobody was reached lately one that had paged before.
    False when there is none, or it is over, or a person has the incident, unless one had called for that level by hand:
    then the next is called, and when none is left everyone inside who was told hears that.
    """
    if incident.state is IncidentState.RESOLVED:
        return False
    if page.get("because") in _BY_HAND:
        return await _call_another(tx, desk, incident, page.get("level"), now)
    if incident.acknowledged_at is not None:
        return False
    levels = await tx.levels.of(incident.id)
    another = hastened(levels, now) or fallen_back(levels, now)
    if another is None:
        since = await _led_by_nobody(tx, incident)
        if unreached(await tx.messages.of(incident.id), since):
            another = _paged_before(levels, since, now)
    return await make_due(tx, another, now)


async def start_over(tx: Tx, incident: Incident, now: datetime) -> datetime | None:
    """When no page has got through lately and no level is left to page, begin with the first again; returns when.

    None when somebody may have been reached, has the incident, or need not. It waits as long as that has lasted,
    within bounds: what keeps every page from getting through may take a while.
    """
    if incident.state is IncidentState.RESOLVED or incident.acknowledged_at is not None:
        return None
    levels, since = await tx.levels.of(incident.id), await _led_by_nobody(tx, incident)
    if hastened(levels, now) is not None or not unreached(await tx.messages.of(incident.id), since):
        return None
    at = now + min(max(now - since, _SOONEST_ANEW), _LATEST_ANEW)
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
    since = await _led_by_nobody(tx, incident)
    numbers = [one.facts.get("level") for one in reached(await tx.messages.of(incident.id), since)]
    up_to = max((number for number in numbers if isinstance(number, int)), default=None)
    if up_to is None:
        return
    for level in own_again(levels, await own_times(tx, incident), up_to, now):
        await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, incident.id, now)


async def _led_by_nobody(tx: Tx, incident: Incident) -> datetime:
    """Return since when nobody has an incident: whom a page reached before that is not counted on any more.

    That is when it opened, or when the last acknowledgement expired. Whoever was reached since and did nothing is not
    counted on either once a promise about the trouble is broken, or the priority has risen.
    """
    since = await _latest(tx, incident, "acknowledgement_expired") or incident.opened_at
    if not reached(await tx.messages.of(incident.id), since):
        return since
    broken = [
        clock.breached_at
        for clock in await tx.incidents.clocks(incident.id)
        if clock.breached_at is not None and clock.kind not in {ClockKind.UPDATE, ClockKind.REVIEW}
    ]
    raised = await _latest(tx, incident, "escalation_frozen")
    return max([since, *broken, *([raised] if raised is not None else [])])


async def _latest(tx: Tx, incident: Incident, what: str) -> datetime | None:
    """Return when the ledger last says this of an incident; None for never."""
    found = await tx.ledger.recent(1, {"incident_id": incident.id, "what": what})
    return found[-1].entry.at if found else None


def _paged_before(levels: Sequence[IncidentLevel], since: datetime, now: datetime) -> IncidentLevel | None:
    """Return the first level that paged before then and not since, due now; None when there is none."""
    before = [
        level
        for level in levels
        if level.state is LevelState.FIRED and level.settled_at is not None and level.settled_at < since
    ]
    first = next(iter(started_over(before, now, timedelta(0))), None)
    return None if first is None else replace(first, reason=AGAIN)


async def _call_another(tx: Tx, desk: Desk, incident: Incident, number: object, now: datetime) -> bool:
    """Call the next level by hand after that of this number, but none twice for the same call.

    When none is left, and no page for the call is on its way, everyone inside who was told hears that it failed.
    """
    since = await _latest(tx, incident, "person_escalate") or incident.opened_at
    others = [
        level
        for level in await tx.levels.of(incident.id)
        if level.number != number
        and not (level.reason in _BY_HAND and level.settled_at is not None and level.settled_at >= since)
    ]
    if await make_due(tx, called(others, now), now):
        return True
    messages = [one for one in await tx.messages.of(incident.id) if one.created_at >= since]
    if unreached(one for one in messages if one.facts.get("because") in _BY_HAND):
        why = Why(f"call {since.isoformat()} reached nobody", MessageKind.UPDATE, {"note": CALL_FAILED})
        await tell_audience(tx, desk, incident, why, now, inside=True)
    return False


async def make_due(tx: Tx, level: IncidentLevel | None, now: datetime) -> bool:
    """Keep a level that has become due; False when there is none."""
    if level is None:
        return False
    await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, level.incident_id, now)
    return True
