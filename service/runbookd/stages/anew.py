"""The levels of an escalation begin anew when none of them has reached anybody, and take nothing of their own times."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.escalation import LevelState
from runbookd.stages.by_hand import has_paged
from runbookd.stages.ladder import ANEW, NOBODY, STILL, pending, settled

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from datetime import datetime, timedelta

    from runbookd.model.escalation import IncidentLevel


def started_over(
    levels: Sequence[IncidentLevel],
    to_come: Mapping[int, datetime],
    called: Container[int],
    at: datetime,
    apart: timedelta,
) -> list[IncidentLevel]:
    """Return the levels that page, due again one after the other, since none of them reached anybody.

    Those are all that were told, and those still to come with numbers among `called`, for which a person has called.
    `to_come` has the own times that are not over: a level whose own time comes well before the round has that, and one
    with a later one keeps what it says `unless`. Whoever takes the incident stops those that are left.
    """
    waiting = {one.number for one in levels if one.state is LevelState.PENDING and one.number in called}
    unreached = [level for level in levels if level.page and (_was_told(level) or level.number in waiting)]
    anew = []
    for place, level in enumerate(unreached):
        due_at, own = at + place * apart, to_come.get(level.number)
        if level.number in waiting and (level.due_at or own or due_at) < due_at:
            continue
        again_at = replace(pending(level, due_at), reason=ANEW)
        if own is not None:
            again_at = replace(again_at, unless=level.unless)
        if own is not None and own + apart <= at:
            again_at = replace(again_at, due_at=None if level.on_breach else own, reason=None)
        anew.append(again_at)
    return anew


def left_alone(
    levels: Sequence[IncidentLevel],
    own: Mapping[int, datetime],
    tried: Mapping[int, datetime],
    now: datetime,
) -> list[IncidentLevel]:
    """Return as they were frozen the levels that had begun anew before their own time, now that somebody has it.

    `own` has the time of each, and `tried` when it was last told. One that was told at its own time is not needed.
    """
    return [
        _at_its_own(level, own[level.number], now)
        for level in levels
        if _begins_anew(level)
        and level.number in own
        and own[level.number] > tried.get(level.number, own[level.number])
    ]


def own_again(
    levels: Sequence[IncidentLevel], own: Mapping[int, datetime], up_to: int, now: datetime
) -> list[IncidentLevel]:
    """Return the levels that had begun anew as they go on, now that a page of level `up_to` has got through.

    `own` has the time of each as it was frozen. One that is still to come has that again. Of those whose time is over
    the ones up to that level have had their turn, and each above it comes when it was to begin anew: it reached nobody.
    """
    found = []
    for level in levels:
        if not _begins_anew(level):
            continue
        at = own.get(level.number)
        if at is not None and at > now:
            found.append(_at_its_own(level, at, now))
        elif level.number > up_to:
            found.append(replace(level, reason=STILL))
        else:
            found.append(settled(replace(level, due_at=at or now), LevelState.FIRED, at or now, None))
    return found


def _was_told(level: IncidentLevel) -> bool:
    return has_paged(level) or level.state is LevelState.COLLAPSED or level.reason == NOBODY


def _begins_anew(level: IncidentLevel) -> bool:
    return level.state is LevelState.PENDING and level.reason == ANEW


def _at_its_own(level: IncidentLevel, own: datetime, now: datetime) -> IncidentLevel:
    """Return a level that waits for its own time, or for the breach at that time, if that is to come."""
    return replace(level, due_at=None if level.on_breach and own > now else own, reason=None)
