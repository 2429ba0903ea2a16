"""The levels of an incident's escalation: frozen when it opens, judged when they are due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.model.incident import IncidentState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from runbookd.model.incident import Incident
    from runbookd.model.people import Escalation


ACKNOWLEDGED, RESPONDED, RESOLVED = "acknowledged", "responded", "resolved"
AGAIN = "again"
"""The reason of a pending level that was told before: nobody has come of it."""
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
    levels: Sequence[IncidentLevel], incident: Incident, breached: Mapping[str, datetime], now: datetime
) -> Judged:
    """Judge every pending level that is due, or whose clock is among `breached`, which has their deadlines.

    One that says `unless` is skipped when the incident is that, and one that waits for a breach when the incident is
    over. Levels missed together, as in an outage of the service, are one page, to the last of them; their notices all
    go out.
    """
    over = incident.state is IncidentState.RESOLVED
    due = [
        level if level.due_at is not None else replace(level, due_at=breached.get(level.on_breach or ""))
        for level in levels
        if level.state is LevelState.PENDING and (level.due_at is None or level.due_at <= now)
    ]
    fired, settled = [], []
    stopped = {level.number: stopped_by(incident, level.unless) for level in due if level.due_at is not None}
    last = max(
        (level.due_at for level in due if level.page and level.due_at and not stopped[level.number]),
        default=None,
    )
    for level in due:
        if level.due_at is None:
            if over:
                settled.append(_settled(level, LevelState.SKIPPED, now, RESOLVED))
        elif stopped[level.number]:
            settled.append(_settled(level, LevelState.SKIPPED, now, stopped[level.number]))
        else:
            taken_in = bool(level.page) and last is not None and level.due_at < last
            fired.append(Fired(level=level, page=not taken_in, late=now - level.due_at))
            state = LevelState.COLLAPSED if taken_in else LevelState.FIRED
            settled.append(_settled(level, state, now, "a later level was due as well" if taken_in else None))
    return Judged(tuple(fired), tuple(settled))


def stopped_by(incident: Incident, unless: str | None) -> str:
    """Say which of what a level says `unless` of the incident is; empty for none. What is over is that in any case."""
    if unless is None:
        return ""
    if incident.state is IncidentState.RESOLVED:
        return RESOLVED
    at = {ACKNOWLEDGED: incident.acknowledged_at, RESPONDED: incident.responded_at}.get(unless)
    return "" if at is None else unless


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
    return _pending(taken_in[-1], now) if taken_in else None


def handed_over(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the first level that pages and has not, due now, since automation has given up.

    That it was at work on the incident does not stop the level any more; a person who is does. None when none is left.
    """
    for level in levels:
        left_to_automation = level.state is LevelState.SKIPPED and level.reason == RESPONDED
        if level.page and (level.state is LevelState.PENDING or left_to_automation):
            since = level.due_at if level.due_at is not None and not left_to_automation else now
            return _pending(level, min(since, now))
    return None


def rearmed(levels: Sequence[IncidentLevel], now: datetime) -> list[IncidentLevel]:
    """Return the levels that are due after an acknowledgement has expired.

    Those that it had stopped come back, the first of them now and the others as long after it as they were. If none of
    them pages, the last one that did is asked again; if none ever has, the first that does.
    """
    stopped = [
        level for level in levels if level.state is LevelState.SKIPPED and level.reason == ACKNOWLEDGED
    ]
    first = min((level.due_at for level in stopped if level.due_at is not None), default=now)
    back = [_pending(level, now + ((level.due_at or first) - first)) for level in stopped]
    if any(level.page for level in back):
        return back
    paged = [level for level in levels if level.state is LevelState.FIRED and level.page and level.settled_at]
    last = max(paged, key=lambda level: (level.settled_at, level.number), default=None)
    if last is not None:
        return [*back, replace(_pending(last, now), reason=AGAIN)]
    first_page = handed_over(levels, now)
    return back if first_page is None else [*back, first_page]


def _pending(level: IncidentLevel, due_at: datetime) -> IncidentLevel:
    unless = ACKNOWLEDGED if level.unless == RESPONDED else level.unless
    return replace(
        level, state=LevelState.PENDING, settled_at=None, reason=None, due_at=due_at, unless=unless
    )


def _settled(level: IncidentLevel, state: LevelState, now: datetime, reason: str | None) -> IncidentLevel:
    return replace(level, state=state, settled_at=now, reason=reason)
