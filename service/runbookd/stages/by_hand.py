"""What a person who wants more help calls of an escalation. It is told besides its own time, which stays its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState, MessageKind
from runbookd.stages.ladder import (
    ACKNOWLEDGED,
    BY_HAND,
    BY_HAND_AGAIN,
    CALLED,
    HEARD,
    OUTDATED,
    RESPONDED,
    settled,
)
from runbookd.stages.reached import shared, unreached

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from datetime import datetime

    from runbookd.model.escalation import Message


def called(levels: Sequence[IncidentLevel], heard: Container[int], now: datetime) -> IncidentLevel | None:
    """Return what a person who wants more help has told now, whatever it waits for; None when no level pages.

    That is the lowest level that pages and has not: one still to come, or that an answer had stopped, or that a later
    one had taken in; not one whose number is among `heard`, which a call has told already. When none is left, the
    highest is asked again. Only the end makes it needless.
    """
    paging = sorted((level for level in levels if level.page), key=lambda level: level.number)
    untold = [level for level in paging if _has_yet_to_page(level) and level.number not in heard]
    if untold:
        return replace(untold[0], due_at=now, reason=BY_HAND)
    asked = [level for level in paging if has_paged(level) or level.number in heard]
    return replace(asked[-1], due_at=now, reason=BY_HAND_AGAIN) if asked else None


def called_by_hand(messages: Iterable[Message], since: datetime) -> dict[int, bool]:
    """Return the numbers of the levels that a person has called for since then, and whether somebody has heard of it.

    What is on its way may still reach somebody.
    """
    pages: dict[int, list[Message]] = {}
    for one in shared(messages):
        number = one.facts.get("level")
        by_hand = one.kind is MessageKind.PAGE and one.facts.get("because") in CALLED
        if by_hand and isinstance(number, int) and one.created_at >= since:
            pages.setdefault(number, []).append(one)
    return {number: not unreached(its) for number, its in pages.items()}


def has_paged(level: IncidentLevel) -> bool:
    """Whether a level has had its turn, be it by a call before its time."""
    return level.state is LevelState.FIRED or (level.state is LevelState.SKIPPED and level.reason == HEARD)


def _has_yet_to_page(level: IncidentLevel) -> bool:
    stopped = level.state is LevelState.SKIPPED and level.reason in {ACKNOWLEDGED, RESPONDED}
    taken_in = level.state is LevelState.COLLAPSED and level.reason != OUTDATED
    return stopped or taken_in or level.state is LevelState.PENDING


def outdated(levels: Sequence[IncidentLevel], now: datetime) -> list[IncidentLevel]:
    """Return the levels that have yet to page when the priority rises, so that none of them is told any more."""
    return [
        settled(level, LevelState.SKIPPED, now, OUTDATED)
        if level.state is LevelState.PENDING
        else replace(level, reason=OUTDATED)
        for level in levels
        if _has_yet_to_page(level) or level.reason == HEARD
    ]
