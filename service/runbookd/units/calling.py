"""Units of work by which a person calls for a level of an escalation. Every level keeps its own time all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.language.names import person
from runbookd.model.escalation import LevelState, MessageKind
from runbookd.model.work import WorkKind
from runbookd.stages.by_hand import called, called_by_hand
from runbookd.stages.ladder import CALLED, HEARD, Fired
from runbookd.stages.reached import unreached
from runbookd.units.clocks import broken_at
from runbookd.units.levels import tell_level, write_down
from runbookd.units.telling import Why, tell_audience

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

CALL_FAILED = (
    "More help was called for by hand, and nobody could be reached: no level that pages is left to call."
)
"""What everyone inside hears when a call by hand has reached nobody."""
_ASKED = "person_escalate"
"""What the ledger says when a person asks for more help."""


async def call(
    tx: Tx, desk: Desk, incident: Incident, why: str, now: datetime, but: Collection[int] = ()
) -> IncidentLevel | None:
    """Tell the level that a person who wants more help calls now, and `why`; returns it, None when none pages anybody.

    It is none of these numbers. One that leads to nobody is passed over.
    """
    levels, calls = await tx.levels.of(incident.id), await calls_by_hand(tx, incident, incident.opened_at)
    heard, without = {number for number, heard in calls.items() if heard}, set(but)
    while (level := called([one for one in levels if one.number not in without], heard, now)) is not None:
        one = Fired(level=level, page=True, late=timedelta(0))
        if (await tell_level(tx, desk, incident, one, why, now)).paged:
            await write_down(tx, level, LevelState.FIRED.value, now)
            return level
        without.add(level.number)
    return None


async def call_another(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> bool:
    """Call the next level by hand after one that reached nobody, but none twice for the same call.

    When none is left, and no page for the call is on its way, everyone inside who was told hears that it failed.
    """
    asked = await tx.ledger.recent(1, {"incident_id": incident.id, "what": _ASKED})
    since = asked[-1].entry.at if asked else incident.opened_at
    for_it = [
        one
        for one in await tx.messages.of(incident.id)
        if one.created_at >= since and one.facts.get("because") in CALLED
    ]
    numbers = {number for one in for_it if isinstance(number := one.facts.get("level"), int)}
    why = why_by_hand(asked[-1].entry) if asked else "escalated by hand"
    if await call(tx, desk, incident, why, now, numbers) is not None:
        return True
    if unreached(for_it):
        failed = Why(f"call {since.isoformat()} reached nobody", MessageKind.UPDATE, {"note": CALL_FAILED})
        await tell_audience(tx, desk, incident, failed, now, inside=True)
    return False


async def give_back(tx: Tx, incident: Incident, number: object, now: datetime) -> None:
    """Judge a level once more that was skipped since it had been called by hand, when that has reached nobody."""
    for level in await tx.levels.of(incident.id):
        if level.number == number and level.reason == HEARD:
            await tx.levels.save(replace(level, state=LevelState.PENDING, settled_at=None, reason=None))
            await tx.work.add(WorkKind.CLOCK, incident.id, now)


async def heard_by_hand(tx: Tx, incident: Incident) -> set[int]:
    """Return the numbers of the levels of which somebody has heard by a call, so that their own time adds nothing.

    While nobody has the incident, not of those called before a promise was broken: nothing has come of that.
    """
    broken = [] if incident.acknowledged_at is not None else await broken_at(tx, incident)
    calls = await calls_by_hand(tx, incident, max(broken, default=incident.opened_at))
    return {number for number, heard in calls.items() if heard}


async def calls_by_hand(tx: Tx, incident: Incident, after: datetime) -> Mapping[int, bool]:
    """Return the numbers of the levels called by hand after that, and whether somebody has heard of it.

    Not of those called before an acknowledgement expired.
    """
    expired = await tx.ledger.recent(1, {"incident_id": incident.id, "what": "acknowledgement_expired"})
    until = expired[-1].entry.detail.get("until") if expired else None
    since = max(until, after) if isinstance(until, datetime) else after
    return called_by_hand(await tx.messages.of(incident.id), since)


def why_by_hand(asked: Entry) -> str:
    """Say who has asked for more help, and why."""
    return by_hand(asked.actor, str(asked.detail.get("text") or ""))


def by_hand(actor: str, text: str) -> str:
    """Say that a person has asked for more help, with their words."""
    return f"escalated by hand by {person(actor)}{f': {text}' if text else ''}"
