"""Why people hear of an incident, in words: what made a level of its escalation due, and what handed it to people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from runbookd.language.media import in_words
from runbookd.language.names import person
from runbookd.model.incident import ClockKind
from runbookd.model.reasons import Escalate
from runbookd.stages.ladder import AGAIN, ANEW, BY_HAND, BY_HAND_AGAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel, Message
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.ports import Tx

_MOST = 50
"""Entries of one kind that are read: an incident has as many levels frozen as its priority was raised."""

_NOT: Final = {
    ClockKind.ACKNOWLEDGE.value: "not acknowledged",
    ClockKind.RESPOND.value: "nobody at work on it",
    ClockKind.RESOLVE.value: "not resolved",
}
_NO_TROUBLE: Final = frozenset({ClockKind.UPDATE, ClockKind.REVIEW})
"""Clocks that are no promise about the trouble itself."""
_UNLESS: Final = {"acknowledged": "acknowledge", "responded": "respond", "resolved": "resolve"}


class _Frozen(NamedTuple):
    """When a level was frozen, and for when: its time, or the clock whose breach it waits for."""

    since: datetime
    due: datetime | str


async def why_told(tx: Tx, incident: Incident, message: Message) -> str:
    """Say what made this very message; empty when no level of the escalation did.

    A level that is told as it was frozen says its own time, or the clock that ran out. One that was made due by
    something else has the time of that.
    """
    number = message.facts.get("level")
    level = next((one for one in await tx.levels.of(incident.id) if one.number == number), None)
    if level is None:
        return ""
    frozen = await _frozen(tx, incident, level.number)
    if frozen is not None and frozen.due == level.due_at:
        return _by_its_time(level, frozen.since, level.due_at, incident)
    clocks = {clock.kind.value: clock.due_at for clock in await tx.incidents.clocks(incident.id)}
    if frozen is not None and level.due_at is not None and clocks.get(level.on_breach or "") == level.due_at:
        return f"{_NOT.get(level.on_breach or '', 'no news')} within {in_words(level.due_at - frozen.since)}"
    return await _by_something(tx, incident, level, message) or f"level {level.place}"


def why_escalated(incident: Incident, clocks: Sequence[IncidentClock]) -> str:
    """Say why an incident was first handed to people; of a promised time that ran out, which."""
    if incident.escalation_reason != Escalate.CLOCK:
        return (incident.escalation_reason or "").replace("_", " ")
    broken = [one for one in clocks if one.breached_at is not None and one.kind not in _NO_TROUBLE]
    first = min(broken, key=lambda clock: clock.due_at, default=None)
    if first is None:
        return "a promised time has passed"
    return f"{_NOT[first.kind.value]} within {in_words(first.due_at - incident.opened_at)}"


async def _frozen(tx: Tx, incident: Incident, number: int) -> _Frozen | None:
    """Return what the ledger says of a level when it was frozen; None when that is not there any more.

    The ledger lists levels in their order, first those of the first priority.
    """
    listed: list[_Frozen] = []
    for entry in await _entries(tx, incident, "escalation_frozen"):
        levels = entry.detail.get("levels")
        listed += [_Frozen(entry.at, due) for _, due in levels] if isinstance(levels, list | tuple) else []
    return listed[number] if number < len(listed) else None


def _by_its_time(level: IncidentLevel, since: datetime, due_at: datetime, incident: Incident) -> str:
    """Tell of a level that came when it had to: `level 3: not acknowledged after 10 minutes`."""
    raised = f"it became {incident.priority}" if since > incident.opened_at else ""
    state, after = _NOT.get(_UNLESS.get(level.unless or "", "")), in_words(due_at - since)
    if due_at == since:
        what = raised or "told at once"
    elif state is None:
        what = f"{after} after {raised or 'it opened'}"
    else:
        what = f"{state} {after} after {raised}" if raised else f"{state} after {after}"
    return f"level {level.place}: {what}"


async def _by_something(tx: Tx, incident: Incident, level: IncidentLevel, message: Message) -> str:
    """Tell what made a level due at another time than its own; empty when nothing did.

    Whatever does it makes the level due at the moment it happens, or at the deadline that has passed.
    """
    due_at, because = level.due_at, message.facts.get("because")
    if because == ANEW:
        return f"level {level.place} once more: nobody could be reached before"
    asked = await _entries(tx, incident, "person_escalate")
    if because in {BY_HAND, BY_HAND_AGAIN} and asked:
        text = str(asked[-1].detail.get("text") or "")
        return f"escalated by hand by {person(asked[-1].actor)}{f': {text}' if text else ''}"
    for entry in reversed(await _entries(tx, incident, "acknowledgement_expired")):
        until = entry.detail.get("until")
        whose = f"{person(str(entry.detail.get('by') or 'automation'))}'s acknowledgement"
        if until == due_at:
            again = "asked again: " if because == AGAIN else ""
            return f"{again}{whose} has expired"
        if due_at is not None and isinstance(until, datetime) and until < due_at and level.on_breach is None:
            return f"level {level.place}: {in_words(due_at - until)} after {whose} expired"
    for what, name in (("nobody_reached", "contact"), ("nobody_to_reach", "reach")):
        for entry in await _entries(tx, incident, what):
            if entry.at == due_at:
                return f"no way was left to {entry.detail.get(name)}"
    if level.on_breach == ClockKind.UPDATE:
        return "the promised news did not come"
    by_itself = incident.escalation_reason not in {None, Escalate.CLOCK.value}
    return f"handed to people: {why_escalated(incident, ())}" if by_itself else ""


async def _entries(tx: Tx, incident: Incident, what: str) -> list[Entry]:
    found = await tx.ledger.recent(_MOST, {"incident_id": incident.id, "what": what})
    return [sealed.entry for sealed in found]
