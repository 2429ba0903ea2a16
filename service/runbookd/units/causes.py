"""Why people hear of an incident, in words: what made a level of its escalation due, and what handed it to people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from runbookd.language.media import in_words
from runbookd.model.incident import ClockKind
from runbookd.model.reasons import Escalate, Guard
from runbookd.stages.holders import expired_of
from runbookd.stages.ladder import AGAIN, ANEW, STILL
from runbookd.units.record import MOST_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

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
_HANDED: Final[Mapping[str, str]] = {
    Escalate.RUN_FAILED: "a remedy failed",
    Escalate.RUN_UNVERIFIED: "a remedy did not help",
    Escalate.RUN_IN_DOUBT: "nobody can tell whether a remedy's call happened",
    Escalate.RUN_CANCELLED: "a remedy was stopped before its end",
    Escalate.RUN_REFUSED: "a remedy was not begun",
    Escalate.PAUSED: "automation is paused",
    Escalate.STORM_BRAKE: "too many remedies began at once",
    Escalate.INTERNAL: "runbookd cannot go on with a remedy",
}
_NOT_BEGUN: Final[Mapping[str, str]] = {
    Guard.COOLDOWN: "its last run for this ended too recently",
    Guard.LOOKED_LATELY: "its last run for this changed nothing; it looks again in a moment",
    Guard.RUN_LIMIT: "it has been run for this as often as the rule allows",
    Guard.TARGET_COOLDOWN: "another remedy changed the same target too recently",
    Guard.TARGET_LOCKED: "another remedy is at work on the same target",
    Guard.TARGET_WAITED_FOR: "another remedy is asked to leave the same target first",
    Guard.TARGET_ON_HOLD: "its target is kept for people, until one releases it",
    Guard.BUDGET: "as many remedies as are allowed in all have run",
    Guard.PROTECTED: "its target is on the protected list",
    Guard.MISSING_VALUE: "the alert lacks a value that it needs",
    Guard.BAD_INPUT: "the alert has a value that does not fit it",
    Guard.DUPLICATE: "it has been tried for this alert",
    Guard.UNKNOWN_PLAYBOOK: "its playbook is gone",
    Escalate.PAUSED: "automation is paused",
}
_ASKED_AGAIN: Final = "asked again: "
_LOST: Final[Mapping[str, str]] = {"nobody_reached": "contact", "nobody_to_reach": "reach"}
"""What the ledger says when another level is called instead, and by what name it has whom nothing has reached."""
_ORDINALS: Final = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_MOST_NAMED = 3
_TWO_DAYS: Final = timedelta(days=2)


class Frozen(NamedTuple):
    """When a level was frozen, and for when: its time, or the clock whose breach it waits for."""

    since: datetime
    due: datetime | str


async def why_told(tx: Tx, desk: Desk, incident: Incident, level: IncidentLevel) -> str:
    """Say why a level is told that is told now, with the reason that it was pending for.

    One that is told as it was frozen says its own time, or the clock that ran out. One that was made due by something
    else has the time of that.
    """
    listed = frozen_levels(await _entries(tx, incident, "escalation_frozen"))
    frozen = listed[level.number] if level.number < len(listed) else None
    if frozen is not None and frozen.due == level.due_at:
        several = await _one_of_several(tx, desk, incident, frozen.since)
        expired = await _expired_by(tx, incident, frozen.since, frozen.due)
        return _by_its_time(level, frozen.since, incident, several=several, expired=expired)
    clocks = {clock.kind.value: clock.due_at for clock in await tx.incidents.clocks(incident.id)}
    deadline, ran_out = clocks.get(level.on_breach or ""), ""
    if frozen is not None and deadline is not None and level.due_at is not None and deadline <= level.due_at:
        ran_out = _within(_NOT.get(level.on_breach or "", "no news"), deadline, frozen.since, incident)
    if deadline == level.due_at and ran_out:
        return ran_out
    return await _by_something(tx, incident, level, ran_out) or f"level {level.place}"


def why_escalated(incident: Incident, clocks: Sequence[IncidentClock], since: datetime) -> str:
    """Say why an incident was first handed to people; of a promised time that ran out, which.

    `since` is from when it has had its priority: a time that was promised then counts from there.
    """
    if incident.escalation_reason != Escalate.CLOCK:
        reason = incident.escalation_reason or ""
        return _HANDED.get(reason, reason.replace("_", " "))
    broken = [one for one in clocks if one.breached_at is not None and one.kind not in _NO_TROUBLE]
    first = min(broken, key=lambda clock: clock.due_at, default=None)
    if first is None:
        return "a promised time has passed"
    begun = since if first.due_at > since else incident.opened_at
    return _within(_NOT[first.kind.value], first.due_at, begun, incident)


def _within(what: str, due_at: datetime, since: datetime, incident: Incident) -> str:
    """Tell of a promised time that ran out: `not resolved within 30 minutes`, and after what if not the opening."""
    raised = f" after it became {incident.priority}" if since > incident.opened_at else ""
    return f"{what} within {in_words(due_at - since)}{raised}"


async def of_priority_since(tx: Tx, incident: Incident) -> datetime:
    """Return from when an incident has had its priority: when that froze its levels, else when it opened."""
    frozen = await tx.ledger.recent(1, {"incident_id": incident.id, "what": "escalation_frozen"})
    return frozen[-1].entry.at if frozen else incident.opened_at


def why_not_begun(reason: str | None) -> str:
    """Say why a run was refused."""
    return _NOT_BEGUN.get(reason or "", (reason or "").replace("_", " "))


def frozen_levels(entries: Iterable[Entry]) -> list[Frozen]:
    """Return what the ledger says of the levels when they were frozen, by their numbers.

    The ledger lists levels in their order, first those of the first priority.
    """
    listed: list[Frozen] = []
    for entry in entries:
        levels = entry.detail.get("levels") if entry.what == "escalation_frozen" else None
        listed += [Frozen(entry.at, due) for _, due in levels] if isinstance(levels, list | tuple) else []
    return listed


async def _one_of_several(tx: Tx, desk: Desk, incident: Incident, since: datetime) -> str:
    """Tell that an incident made several of its priority, and which came before it; empty when it did not."""
    entries = [one for one in await _entries(tx, incident, "several_incidents") if one.at == since]
    ids = entries[-1].detail.get("incidents") if entries else None
    if not isinstance(ids, list | tuple):
        return ""
    before = [await tx.incidents.get(str(one)) for one in ids if one != incident.id]
    named = [f"{one.title}, {one.id[-8:]}" for one in before if one is not None][:_MOST_NAMED]
    priority = desk.library.priorities.get(incident.priority)
    many = priority.many if priority is not None else None
    within = f" in {_window(many.within)}" if many is not None else ""
    after = f" (after {'; '.join(named)})" if named else ""
    return f"the {_ORDINALS.get(len(ids), f'{len(ids)}th')} {incident.priority}{within}{after}"


def _window(length: timedelta) -> str:
    """Write a window as people say it: `24 hours`, not `1 day`."""
    hours, rest = divmod(length, timedelta(hours=1))
    return f"{hours} hours" if not rest and hours > 1 and length <= _TWO_DAYS else in_words(length)


def _by_its_time(
    level: IncidentLevel, since: datetime, incident: Incident, *, several: str, expired: str
) -> str:
    """Tell of a level that came when it had to: `level 3: not acknowledged after 10 minutes`.

    `several` is why it is on this escalation at all, empty for the priority's own; `expired` whose acknowledgement has
    expired meanwhile.
    """
    due_at = level.due_at or since
    if several and due_at == since:
        return several
    raised = f"it became {incident.priority}" if since > incident.opened_at else ""
    state, after = _NOT.get(_UNLESS.get(level.unless or "", "")), in_words(due_at - since)
    if due_at == since:
        what = raised or "told at once"
    elif state is None:
        what = f"{after} after {raised or 'it opened'}"
    else:
        state = _NOT["resolve"] if expired else state
        what = f"{state} {after} after {raised}" if raised else f"{state} after {after}"
        what += f"; {expired}" if expired else ""
    return f"level {level.place}: {what}{f'; {several}' if several else ''}"


async def _by_something(tx: Tx, incident: Incident, level: IncidentLevel, ran_out: str) -> str:
    """Tell what made a level due at another time than its own; empty when nothing did.

    `ran_out` has the promised time that had run out before, when the level waits for that.
    Whatever does it makes the level due at the moment it happens, or at the deadline that has passed.
    """
    due_at, because = level.due_at, level.reason
    if because == ANEW:
        return f"level {level.place} once more: nobody could be reached the last time"
    if because == STILL:
        at = due_at or incident.opened_at
        expired = await _expired_by(tx, incident, incident.opened_at, at)
        state, after = _NOT["resolve" if expired else "acknowledge"], in_words(at - incident.opened_at)
        return f"level {level.place}: {state} after {after}{f'; {expired}' if expired else ''}"
    expired = await _expired(tx, incident, level, ran_out, again=because == AGAIN)
    asked_again = because == AGAIN and expired.startswith(_ASKED_AGAIN)
    lost = "" if asked_again else await _no_way_left(tx, incident, level)
    if lost or expired:
        return lost or expired
    if level.on_breach == ClockKind.UPDATE:
        return "the promised news did not come"
    return await _handed_over(tx, incident, due_at)


async def _expired(tx: Tx, incident: Incident, level: IncidentLevel, ran_out: str, *, again: bool) -> str:
    """Tell whose acknowledgement has expired by the time of a level, and how long before; empty when none has.

    Of a level that waits for a promised time it tells that this has run out instead of how long before.
    """
    due_at = level.due_at
    for entry in reversed(await _entries(tx, incident, "acknowledgement_expired")):
        until, had = entry.detail.get("until"), _had(entry)
        if until == due_at:
            return f"{_ASKED_AGAIN if again else ''}{had} has expired"
        if due_at is None or not isinstance(until, datetime) or level.on_breach == ClockKind.UPDATE:
            continue
        if until < due_at and ran_out:
            return f"{ran_out}; {had} has expired"
        if until < due_at:
            return f"level {level.place}: {in_words(due_at - until)} after {had} expired"
    return ""


async def _expired_by(tx: Tx, incident: Incident, since: datetime, by: datetime | str) -> str:
    """Tell whose acknowledgement has expired since a moment and by another, the last; empty when none has."""
    for entry in reversed(await _entries(tx, incident, "acknowledgement_expired")):
        until = entry.detail.get("until")
        if isinstance(until, datetime) and isinstance(by, datetime) and since < until <= by:
            return f"{_had(entry)} has expired"
    return ""


def _had(entry: Entry) -> str:
    """Name an acknowledgement that has expired: `anna's acknowledgement, handed to bob,`."""
    gave, to = expired_of(entry.detail)
    return f"{gave}'s acknowledgement{f', handed to {to},' if to else ''}"


async def _no_way_left(tx: Tx, incident: Incident, level: IncidentLevel) -> str:
    """Tell whom no page had reached, so that this level was called at that moment instead; empty when none was.

    Several may be lost at one moment, each for the next: the last of them before this level was told is what called it.
    """
    name, lost = f"level {level.place}", ""
    for sealed in await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id}):
        entry, about = sealed.entry, sealed.entry.detail
        if entry.what == "level_fired" and about.get("level") == level.place:
            if about.get("due_at") == level.due_at:
                break
        elif entry.what in _LOST and entry.at == level.due_at and about.get("another_level", True):
            own = f"{about.get('for')} ".startswith(f"{name} ")
            lost = lost if own else f"no way was left to {about.get(_LOST[entry.what])}"
    return lost


async def _handed_over(tx: Tx, incident: Incident, due_at: datetime | None) -> str:
    """Tell that automation had handed the incident to people by then, and of a remedy that was not begun why.

    The latest reason counts, whatever had handed it to them first.
    """
    lately = [sealed.entry for sealed in await tx.ledger.recent(MOST_ENTRIES, {"incident_id": incident.id})]
    handed = [one for one in lately if one.what in _HANDED and (due_at is None or one.at <= due_at)]
    if not handed:
        return ""
    why = _HANDED[handed[-1].what]
    if handed[-1].what == Escalate.RUN_REFUSED:
        guard = str(handed[-1].detail.get("detail") or "").partition(": ")[0]
        why = ": ".join((why, *filter(None, [why_not_begun(guard)])))
    return f"handed to people: {why}"


async def _entries(tx: Tx, incident: Incident, what: str) -> list[Entry]:
    found = await tx.ledger.recent(_MOST, {"incident_id": incident.id, "what": what})
    return [sealed.entry for sealed in found]
