"""The levels of an incident's escalation: frozen when it opens, judged when they are due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.model.incident import IncidentState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta

    from runbookd.model.incident import Incident
    from runbookd.model.people import Escalation


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
            unless=level.unless,
            page=tuple(level.page),
            notify=tuple(level.notify),
        )
        for index, level in enumerate(policy.root)
    ]


def judge_levels(
    levels: Sequence[IncidentLevel], incident: Incident, breached: Collection[str], now: datetime
) -> Judged:
    """Judge every pending level that is due, or whose clock is among `breached`.

    One that says `unless` is skipped when the incident is that. Levels missed together, as in an outage of the
    service, are one page, to the last of them; their notices all go out.
    """
    due = [
        level
        for level in levels
        if level.state is LevelState.PENDING
        and ((level.due_at is not None and level.due_at <= now) or level.on_breach in breached)
    ]
    told = [level for level in due if not stands(incident, level.unless)]
    pages = [level.due_at for level in told if level.page and level.due_at is not None]
    last = max(pages, default=None)
    fired, settled = [], []
    for level in due:
        if level not in told:
            settled.append(_settled(level, LevelState.SKIPPED, now, level.unless or ""))
            continue
        late = now - level.due_at if level.due_at is not None else now - now
        taken_in = bool(level.page) and level.due_at is not None and last is not None and level.due_at < last
        fired.append(Fired(level=level, page=not taken_in, late=late))
        state = LevelState.COLLAPSED if taken_in else LevelState.FIRED
        settled.append(_settled(level, state, now, "a later level was due as well" if taken_in else None))
    return Judged(tuple(fired), tuple(settled))


def stands(incident: Incident, unless: str | None) -> bool:
    """Whether the incident is what a level says `unless` of; what is over is that in any case."""
    if unless is None:
        return False
    if incident.state is IncidentState.RESOLVED:
        return True
    if unless == "acknowledged":
        return incident.acknowledged_at is not None
    return unless == "responded" and incident.responded_at is not None


def next_level(levels: Sequence[IncidentLevel]) -> datetime | None:
    """When the nearest pending level is due; None when none waits for its time."""
    return min(
        (level.due_at for level in levels if level.state is LevelState.PENDING and level.due_at is not None),
        default=None,
    )


def hastened(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the first pending level that pages, due now; None when none is left."""
    for level in levels:
        if level.state is LevelState.PENDING and level.page and level.due_at is not None:
            return replace(level, due_at=min(level.due_at, now))
    return None


def rearmed(levels: Sequence[IncidentLevel], now: datetime) -> list[IncidentLevel]:
    """Return the levels that were skipped because somebody had acknowledged, pending again and due now."""
    return [
        replace(level, state=LevelState.PENDING, settled_at=None, reason=None, due_at=now)
        for level in levels
        if level.state is LevelState.SKIPPED and level.reason == "acknowledged" and level.due_at is not None
    ]


def _settled(level: IncidentLevel, state: LevelState, now: datetime, reason: str | None) -> IncidentLevel:
    return replace(level, state=state, settled_at=now, reason=reason)
