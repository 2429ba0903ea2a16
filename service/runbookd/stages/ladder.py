"""The levels of an incident's escalation: frozen when it opens, judged when they are due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.model.incident import IncidentState

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.model.people import Escalation


ACKNOWLEDGED, RESPONDED, RESOLVED = "acknowledged", "responded", "resolved"
_STOPS = (None, RESOLVED, ACKNOWLEDGED, RESPONDED)
"""What a level may say `unless`, each stopping all that those before it stop: who has it is at work on it."""
AGAIN = "again"
"""The reason of a pending level that was told before: nobody has come of it."""
ANEW = "anew"
"""The reason of a pending level that is told once more, since none of the pages before got through."""
NOBODY = "nobody_to_reach"
"""The reason of a level that was skipped because it leads to nobody."""
OUTDATED = "the priority has changed"
"""The reason of a level of a lower priority that had not paged when the incident was raised: it does not come back."""
BY_HAND, BY_HAND_AGAIN = "by hand", "by hand, again"
"""The reasons of a level that is told now since a person wants it, and of one that had paged before."""
HEARD = "called by hand before"
"""The reason of a level that was skipped at its own time, since whom it pages had been called by hand."""
STILL = "still"
"""The reason of a pending level that had begun anew, and goes on now that a page of another has got through."""
ONCE_MORE = frozenset({AGAIN, ANEW, BY_HAND_AGAIN, STILL})
"""The reasons of levels that were told before."""
CALLED = frozenset({BY_HAND, BY_HAND_AGAIN})
"""The reasons of what is told because a person has called for it. That changes no level."""
_MET_BY = {"acknowledge": ACKNOWLEDGED, "respond": RESPONDED, "resolve": RESOLVED}
"""What stops a level that waits for a clock's breach: the clock was met after all, if too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A level that is told now. `page` is False when a later level took its pages in; `late` is by how much."""

    level: IncidentLevel
    page: bool
    late: timedelta


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the levels that were due: those told, and every one as it is now."""

    fired: tuple[Fired, ...]
    settled: tuple[IncidentLevel, ...]


def freeze_levels(
    incident_id: str, policy: Escalation, since: datetime, first: int = 0
) -> list[IncidentLevel]:
    """Return the levels of a policy with their times, numbered from `first`."""
    return [
        IncidentLevel(
            incident_id=incident_id,
            number=first + index,
            due_at=None if level.after is None else since + level.after,
            on_breach=level.on_breach,
            unless=level.unless or _MET_BY.get(level.on_breach or ""),
            page=tuple(level.page),
            notify=tuple(level.notify),
        )
        for index, level in enumerate(policy.root)
    ]


def judge_levels(
    levels: Sequence[IncidentLevel],
    incident: Incident,
    breached: Mapping[str, datetime],
    heard: Container[int],
    now: datetime,
) -> Judged:
    """Judge every pending level that is due, or whose clock is among `breached`, which has their deadlines.

    One that says `unless` is skipped when the incident is that, one that waits for a breach when the incident is over,
    and one whose number is among `heard` since a person has called for it before. Levels missed together, as in an
    outage of the service, are one page, to the last of them; their notices all go out.
    """
    over = incident.state is IncidentState.RESOLVED
    due = [
        level if level.due_at is not None else replace(level, due_at=breached.get(level.on_breach or ""))
        for level in levels
        if level.state is LevelState.PENDING and (level.due_at is None or level.due_at <= now)
    ]
    fired, done = [], []
    stopped = {
        level.number: stopped_by(incident, needless_when(level))
        or (HEARD if _has_heard(level, heard) else "")
        for level in due
        if level.due_at is not None
    }
    paging = [level for level in due if level.page and level.due_at is not None and not stopped[level.number]]
    for level in due:
        if level.due_at is None:
            if over:
                done.append(settled(level, LevelState.SKIPPED, now, RESOLVED))
        elif stopped[level.number]:
            done.append(settled(level, LevelState.SKIPPED, now, stopped[level.number]))
        else:
            taken_in = level in paging and any(_takes_in(other, level) for other in paging)
            fired.append(Fired(level=level, page=not taken_in, late=now - level.due_at))
            state = LevelState.COLLAPSED if taken_in else LevelState.FIRED
            done.append(settled(level, state, now, "a later level was due as well" if taken_in else None))
    return Judged(tuple(fired), tuple(done))


def _has_heard(level: IncidentLevel, heard: Container[int]) -> bool:
    """Whether whom a level pages at its own time has heard by a call; when it is told once more, that was no answer."""
    return level.number in heard and level.reason not in ONCE_MORE


def _takes_in(other: IncidentLevel, level: IncidentLevel) -> bool:
    """Whether another level's page stands for this one's: it is higher, and due later."""
    later = other.due_at is not None and level.due_at is not None and other.due_at > level.due_at
    return later and other.number > level.number


def needless_when(level: IncidentLevel) -> str | None:
    """Return what makes a level needless now: what it says, unless something else has made it due.

    One that is told once more since nobody was reached is needless when somebody has the incident, and one that a
    person called for when it is over.
    """
    if level.reason in {ANEW, STILL}:
        return ACKNOWLEDGED
    return RESOLVED if level.reason in CALLED else level.unless


def stopped_by(incident: Incident, unless: str | None) -> str:
    """Say which of what a level says `unless` of the incident is; empty for none. What is over is that in any case."""
    if unless is None:
        return ""
    if incident.state is IncidentState.RESOLVED:
        return RESOLVED
    at = {ACKNOWLEDGED: incident.acknowledged_at, RESPONDED: incident.responded_at}.get(unless)
    return "" if at is None else unless


def needless_for_both(one: str | None, other: str | None) -> str | None:
    """Return what makes two levels needless of which each says `unless` one of these: what stops the fewer pages."""
    return min(one, other, key=_STOPS.index)


def next_level(levels: Sequence[IncidentLevel]) -> datetime | None:
    """When the nearest pending level is due; None when none waits for its time."""
    return min(
        (level.due_at for level in levels if level.state is LevelState.PENDING and level.due_at is not None),
        default=None,
    )


def hastened(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the first pending level that pages, due now, be it one that waits for a breach; None when none is left."""
    for level in levels:
        if level.state is LevelState.PENDING and level.page:
            return replace(level, due_at=now if level.due_at is None else min(level.due_at, now))
    return None


def fallen_back(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the last level that a later one had taken in, due now, since that one reached nobody; None without any."""
    taken_in = [level for level in levels if level.state is LevelState.COLLAPSED]
    return pending(taken_in[-1], now) if taken_in else None


def handed_over(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the first level that pages and has not, due now, since automation has given up.

    That it was at work on the incident does not stop the level any more; a person who is does. None when none is left.
    """
    for level in levels:
        left_to_automation = level.state is LevelState.SKIPPED and level.reason == RESPONDED
        if level.page and (level.state is LevelState.PENDING or left_to_automation):
            since = level.due_at if level.due_at is not None and not left_to_automation else now
            return pending(level, min(since, now))
    return None


def left_to_people(level: IncidentLevel) -> IncidentLevel:
    """Return a level that whoever was at work on the incident does not stop any more, but whoever has it."""
    return replace(level, unless=ACKNOWLEDGED) if level.unless == RESPONDED else level


def pending(level: IncidentLevel, due_at: datetime | None) -> IncidentLevel:
    """Return a level that is to be told then, or at the breach that it waits for."""
    return replace(
        left_to_people(level), state=LevelState.PENDING, settled_at=None, reason=None, due_at=due_at
    )


def settled(level: IncidentLevel, state: LevelState, now: datetime, reason: str | None) -> IncidentLevel:
    """Return a level that has ended now, and how."""
    return replace(level, state=state, settled_at=now, reason=reason)
