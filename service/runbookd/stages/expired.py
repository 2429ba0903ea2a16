"""Who is asked once an acknowledgement has expired: whoever heard last, and then the levels that it had stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from runbookd.model.escalation import LevelState, MessageKind
from runbookd.stages.ladder import (
    ACKNOWLEDGED,
    AGAIN,
    ANEW,
    CALLED,
    HEARD,
    RESPONDED,
    STILL,
    handed_over,
    pending,
)
from runbookd.stages.reached import shared, unreached

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel, Message

_EXTRA = CALLED | {ANEW, STILL}
"""The reasons of levels that are told besides their own times."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One time that a level was told, for when it was due and because of what; `in_vain` when nobody was reached."""

    at: datetime
    due_at: datetime
    because: str | None
    in_vain: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """When somebody last heard of a level, and when it was due of itself then; None when it had not been."""

    at: datetime
    due_at: datetime | None


def tellings(entries: Iterable[Entry], messages: Iterable[Message]) -> dict[int, list[Telling]]:
    """Return when each level was told since an acknowledgement expired last, by its number.

    From then on all that had been stopped is asked again.
    """
    pages = [one for one in shared(messages) if one.kind is MessageKind.PAGE]
    found: dict[int, list[Telling]] = {}
    for one in entries:
        if one.what == "acknowledgement_expired":
            found = {}
        due_at, place = one.detail.get("due_at"), one.detail.get("level")
        if one.what != "level_fired" or not isinstance(place, int) or not isinstance(due_at, datetime):
            continue
        its = [
            page
            for page in pages
            if page.facts.get("level") == place - 1 and page.facts.get("due_at") == due_at
        ]
        because = next((str(page.facts["because"]) for page in its if page.facts.get("because")), None)
        because = str(one.detail["reason"]) if one.detail.get("reason") else because
        telling = Telling(one.at, due_at, because, in_vain=bool(its) and unreached(its))
        found.setdefault(place - 1, []).append(telling)
    return found


def heard(told: Mapping[int, Sequence[Telling]], since: datetime | None) -> dict[int, Heard]:
    """Return by their numbers the levels that somebody heard of before then: the last time, and when they were due."""
    found = {}
    for number, every in told.items():
        before = [one for one in every if since is not None and one.at < since]
        last = next((one for one in reversed(before) if not one.in_vain), None)
        if last is not None:
            due_at = next((one.due_at for one in reversed(before) if one.because not in _EXTRA), None)
            found[number] = Heard(last.at, due_at)
    return found


def rearmed(
    levels: Sequence[IncidentLevel], before: Mapping[int, Heard], until: datetime
) -> list[IncidentLevel]:
    """Return the levels that are due after an acknowledgement of then has expired.

    First whoever had it is asked again: the last level that was heard of `before` they took it or were given it. After
    it those come back that the acknowledgement had stopped, as long after it as they were. One that was called by hand
    while it stood, and whose own time is over, comes at once: nothing has come of that. When nobody had heard by then,
    those come back with the first of them now; if none of them pages, the first that did is asked again, or the first
    that does.
    """
    asking = [level for level in levels if level.page and level.number in before]
    last = max(asking, key=lambda level: (before[level.number].at, level.number), default=None)
    left = [level for level in levels if level is not last and level.state is LevelState.SKIPPED]
    stopped = [level for level in left if level.reason in {ACKNOWLEDGED, RESPONDED}]
    called = [pending(one, until) for one in left if one.reason == HEARD and one.number not in before]
    if last is not None:
        since = before[last.number].due_at or last.due_at or before[last.number].at
        return [replace(pending(last, until), reason=AGAIN), *_after(stopped, since, until), *called]
    back = _after(stopped, min((one.due_at for one in stopped if one.due_at), default=None), until) + called
    if any(level.page for level in back):
        return back
    paged = [
        (level.settled_at, level.number, level)
        for level in levels
        if level.state is LevelState.FIRED and level.page and level.settled_at is not None
    ]
    if paged:
        return [*back, replace(pending(min(paged)[2], until), reason=AGAIN)]
    first_page = handed_over(levels, until)
    return back if first_page is None else [*back, first_page]


def _after(levels: Sequence[IncidentLevel], since: datetime | None, now: datetime) -> list[IncidentLevel]:
    """Make levels due as long after now as they were after then, and none in the past."""
    return [
        pending(level, max(now + ((level.due_at or since) - since), now) if since else now)
        for level in levels
    ]
