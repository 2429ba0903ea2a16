"""What a person who wants more help calls of an escalation, and what becomes of it when nobody of it is reached."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.stages.ladder import (
    ACKNOWLEDGED,
    BY_HAND,
    BY_HAND_AGAIN,
    CALLED,
    IN_VAIN,
    OUTDATED,
    RESPONDED,
    pending,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def called(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the level that a person who wants more help calls now, whatever it waits for; None when none pages.

    That is the lowest one that pages and has not: one still to come, or that an answer had stopped, or that a later one
    had taken in; not one that somebody has called for already, and that is told when the service looks. When none is
    left, the highest is asked again. Only the end makes it needless.
    """
    paging = sorted((level for level in levels if level.page), key=lambda level: level.number)
    untold = next((level for level in paging if _has_yet_to_page(level) and not _is_called(level)), None)
    if untold is not None:
        return replace(pending(untold, now), reason=BY_HAND)
    asked = [level for level in paging if level.state is LevelState.FIRED or _is_called(level)]
    if not asked or _is_called(asked[-1]):
        return asked[-1] if asked else None
    return replace(pending(asked[-1], now), reason=BY_HAND_AGAIN)


def given_back(was: IncidentLevel, own: datetime | None, now: datetime) -> IncidentLevel | None:
    """Return a level that was called in vain as it `was` before; None when its time is over, or it had been told.

    `own` is its time as it was frozen, None for that of a breach that cannot come.
    """
    if was.state is LevelState.FIRED:
        return None
    if was.state is not LevelState.PENDING:
        return was
    at = own if was.due_at is not None and was.due_at <= now else was.due_at or own
    if at is not None and at <= now:
        return None
    return replace(was, due_at=None if was.on_breach else at, reason=was.reason or IN_VAIN)


def _is_called(level: IncidentLevel) -> bool:
    """Whether a person has called for a level that nobody has been told of yet, as while the service is down."""
    return level.state is LevelState.PENDING and level.reason in CALLED


def _has_yet_to_page(level: IncidentLevel) -> bool:
    stopped = level.state is LevelState.SKIPPED and level.reason in {ACKNOWLEDGED, RESPONDED}
    taken_in = level.state is LevelState.COLLAPSED and level.reason != OUTDATED
    return stopped or taken_in or level.state is LevelState.PENDING


def outdated(levels: Sequence[IncidentLevel], now: datetime) -> list[IncidentLevel]:
    """Return the levels that have yet to page when the priority rises, so that none of them is told any more.

    One that was called for has been told, and is not given back.
    """
    told = [level for level in levels if level.state is LevelState.FIRED and level.reason in CALLED]
    return [replace(level, reason=None) for level in told] + [
        replace(level, state=LevelState.SKIPPED, settled_at=now, reason=OUTDATED)
        if level.state is LevelState.PENDING
        else replace(level, reason=OUTDATED)
        for level in levels
        if _has_yet_to_page(level)
    ]
