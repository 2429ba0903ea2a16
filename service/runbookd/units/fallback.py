"""Units of work for a page that reaches nobody: another level at once, or all of them once more after a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.escalation import MessageKind
from runbookd.model.incident import IncidentState
from runbookd.model.work import WorkKind
from runbookd.stages.anew import left_alone, own_again, started_over
from runbookd.stages.by_hand import has_paged
from runbookd.stages.ladder import AGAIN, ANEW, CALLED, fallen_back, handed_over, hastened
from runbookd.stages.reached import reached, unreached
from runbookd.units.calling import call_another, calls_by_hand, give_back, heard_by_hand
from runbookd.units.clocks import broken_at
from runbookd.units.frozen import coming_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

_SOONEST_ANEW, _LATEST_ANEW = timedelta(minutes=5), timedelta(hours=1)
"""When the levels begin anew, after every page of theirs has failed; they are as far apart as the first of these."""


async def instead(tx: Tx, desk: Desk, incident: Incident, page: Mapping[str, object], now: datetime) -> bool:
    """After a page that reached nobody, have another level page now; `page` is what it says of itself.

    That is the next, or the last that was left out, or one that was left to automation, and when nobody was reached
    lately one that had paged before. False when there is none, or it is over, or a person has the incident, unless one
    had called for that level by hand: then the next is called, and when none is left everyone inside who was told
    hears that.
    """
    if incident.state is IncidentState.RESOLVED:
        return False
    if page.get("because") in CALLED:
        await give_back(tx, incident, page.get("level"), now)
        return await call_another(tx, desk, incident, now)
    if incident.acknowledged_at is not None:
        return False
    heard = await heard_by_hand(tx, incident)
    levels = [level for level in await tx.levels.of(incident.id) if level.number not in heard]
    another = hastened(levels, now) or fallen_back(levels, now) or handed_over(levels, now)
    if another is None:
        since = await _led_by_nobody(tx, incident)
        if unreached(await tx.messages.of(incident.id), since):
            another = _paged_before(levels, since, now)
    return await _make_due(tx, another, now)


async def start_over(tx: Tx, incident: Incident, now: datetime) -> datetime | None:
    """When no page has got through lately and no level is left to page, begin with the first again; returns when.

    None when somebody may have been reached, has the incident, or need not. It waits as long as that has lasted,
    within bounds: what keeps every page from getting through may take a while.
    """
    if incident.state is IncidentState.RESOLVED or incident.acknowledged_at is not None:
        return None
    levels, since = await tx.levels.of(incident.id), await _led_by_nobody(tx, incident)
    called = await calls_by_hand(tx, incident, incident.opened_at)
    untried = [level for level in levels if level.number not in called]
    if hastened(untried, now) is not None or not unreached(await tx.messages.of(incident.id), since):
        return None
    at = now + min(max(now - since, _SOONEST_ANEW), _LATEST_ANEW)
    to_come = {n: own for n, own in (await coming_times(tx, incident)).items() if own > now}
    anew = started_over(levels, to_come, called, at, _SOONEST_ANEW)
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
    for level in own_again(levels, await coming_times(tx, incident), up_to, now):
        await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, incident.id, now)


async def leave_alone(tx: Tx, incident: Incident, now: datetime) -> None:
    """While somebody has an incident let what had begun anew before its own time wait for that: see `left_alone`."""
    if incident.acknowledged_at is None or incident.state is IncidentState.RESOLVED:
        return
    levels = await tx.levels.of(incident.id)
    if not any(level.reason == ANEW for level in levels):
        return
    tried: dict[int, datetime] = {}
    for one in await tx.messages.of(incident.id):
        number = one.facts.get("level")
        if one.kind is MessageKind.PAGE and isinstance(number, int):
            tried[number] = max(one.created_at, tried.get(number, one.created_at))
    for level in left_alone(levels, await coming_times(tx, incident), tried, now):
        await tx.levels.save(level)


async def _led_by_nobody(tx: Tx, incident: Incident) -> datetime:
    """Return since when nobody has an incident: whom a page reached before that is not counted on any more.

    That is when it opened, or when the last acknowledgement expired. Whoever was reached since and did nothing is not
    counted on either once a promise about the trouble is broken, or the priority has risen.
    """
    since = await _latest(tx, incident, "acknowledgement_expired") or incident.opened_at
    if not reached(await tx.messages.of(incident.id), since):
        return since
    broken = await broken_at(tx, incident)
    raised = await _latest(tx, incident, "escalation_frozen")
    return max([since, *broken, *([raised] if raised is not None else [])])


def _paged_before(levels: Sequence[IncidentLevel], since: datetime, now: datetime) -> IncidentLevel | None:
    """Return the first level that paged before then and not since, due now; None when there is none."""
    before = [
        level
        for level in levels
        if has_paged(level) and level.settled_at is not None and level.settled_at < since
    ]
    first = next(iter(started_over(before, {}, (), now, timedelta(0))), None)
    return None if first is None else replace(first, reason=AGAIN)


async def _make_due(tx: Tx, level: IncidentLevel | None, now: datetime) -> bool:
    """Keep a level that has become due; False when there is none."""
    if level is None:
        return False
    await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, level.incident_id, now)
    return True


async def _latest(tx: Tx, incident: Incident, what: str) -> datetime | None:
    """Return when the ledger last says this of an incident; None for never."""
    found = await tx.ledger.recent(1, {"incident_id": incident.id, "what": what})
    return found[-1].entry.at if found else None
