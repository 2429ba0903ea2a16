"""Units of work by which a person calls for a level of an escalation, and what becomes of it when nobody is reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.work import WorkKind
from runbookd.stages.by_hand import called, given_back
from runbookd.stages.ladder import CALLED
from runbookd.stages.reached import shared, unreached
from runbookd.units.frozen import coming_times
from runbookd.units.record import MOST_ENTRIES
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
_CALL = "level_called"
"""What the ledger says when a person calls for a level, with the level as it was before."""


async def call(
    tx: Tx, incident: Incident, now: datetime, among: Sequence[IncidentLevel] | None = None
) -> IncidentLevel | None:
    """Make the level due now that a person who wants more help calls; returns it, None when none pages.

    It is `among` these, or any. What it was before is written down, for when nobody of it is reached.
    """
    levels = await tx.levels.of(incident.id) if among is None else among
    level = called(levels, now)
    was = next((one for one in levels if level is not None and one.number == level.number), None)
    if was is not None and was is not level:
        detail = {
            "level": was.place,
            "state": was.state.value,
            "due_at": was.due_at,
            "unless": was.unless,
            "settled_at": was.settled_at,
            "reason": was.reason,
        }
        entry = Entry(at=now, stage=Stage.ESCALATE, what=_CALL, incident_id=incident.id, detail=detail)
        await tx.ledger.append([entry])
    await make_due(tx, level, now)
    return level


async def make_due(tx: Tx, level: IncidentLevel | None, now: datetime) -> bool:
    """Keep a level that has become due; False when there is none."""
    if level is None:
        return False
    await tx.levels.save(level)
    await tx.work.add(WorkKind.CLOCK, level.incident_id, now)
    return True


async def call_another(tx: Tx, desk: Desk, incident: Incident, number: object, now: datetime) -> bool:
    """Call the next level by hand after that of this number, but none twice for the same call.

    When none is left, and no page for the call is on its way, everyone inside who was told hears that it failed.
    """
    since = await latest(tx, incident, "person_escalate") or incident.opened_at
    told = await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id, "what": "level_fired"})
    for_it = [one.entry.detail for one in told if one.entry.at >= since]
    places = {one.get("level") for one in for_it if one.get("reason") in CALLED}
    others = [
        level
        for level in await tx.levels.of(incident.id)
        if level.number != number
        and level.place not in places
        and not (level.reason in CALLED and level.settled_at is not None and level.settled_at >= since)
    ]
    if await call(tx, incident, now, others) is not None:
        return True
    messages = [one for one in await tx.messages.of(incident.id) if one.created_at >= since]
    if unreached(one for one in messages if one.facts.get("because") in CALLED):
        why = Why(f"call {since.isoformat()} reached nobody", MessageKind.UPDATE, {"note": CALL_FAILED})
        await tell_audience(tx, desk, incident, why, now, inside=True)
    return False


async def give_back(tx: Tx, incident: Incident, number: object, now: datetime) -> None:
    """After a call that reached nobody of a level, let the level be what it was, so that it comes at its own time.

    Not when it has moved on since: then it is not told for the call any more.
    """
    level = next((one for one in await tx.levels.of(incident.id) if one.number == number), None)
    if level is None or level.state is not LevelState.FIRED or level.reason not in CALLED:
        return
    entries = await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id, "what": _CALL})
    calls = [one.entry for one in entries if one.entry.detail.get("level") == level.place]
    first = next((one for one in reversed(calls) if one.detail.get("reason") not in CALLED), None)
    if first is None:
        return
    messages = shared(await tx.messages.of(incident.id))
    if not unreached(
        one for one in messages if one.created_at >= first.at and one.facts.get("level") == number
    ):
        return
    own = (await coming_times(tx, incident)).get(level.number)
    back = given_back(_as_it_was(level, first.detail), own, now)
    if back is not None:
        await tx.levels.save(back)
        await tx.work.add(WorkKind.CLOCK, incident.id, now)


def _as_it_was(level: IncidentLevel, detail: Mapping[str, object]) -> IncidentLevel:
    """Return a level as the ledger has it from before a call."""
    due_at, settled_at, unless, reason = (
        detail.get(each) for each in ("due_at", "settled_at", "unless", "reason")
    )
    return replace(
        level,
        state=LevelState(str(detail["state"])),
        due_at=due_at if isinstance(due_at, datetime) else None,
        settled_at=settled_at if isinstance(settled_at, datetime) else None,
        unless=str(unless) if unless else None,
        reason=str(reason) if reason else None,
    )


async def latest(tx: Tx, incident: Incident, what: str) -> datetime | None:
    """Return when the ledger last says this of an incident; None for never."""
    found = await tx.ledger.recent(1, {"incident_id": incident.id, "what": what})
    return found[-1].entry.at if found else None
