"""Who is asked once an acknowledgement has expired: whoever heard last, and then the levels that it had stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.model.escalation import LevelState, MessageKind
from runbookd.stages.ladder import (
    ACKNOWLEDGED,
    AGAIN,
    ANEW,
    CALLED,
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


def heard(told: Mapping[int, Sequence[Telling]], since: datetime | None) -> dict[int, Telling]:
    """Return by their numbers the levels that somebody heard of before then: the last time, and when they were due.

    Called by hand or begun anew they are due all the same as they were before that.
    """
    found = {}
    for number, every in told.items():
        before = [one for one in every if since is not None and one.at < since]
        last = next((one for one in reversed(before) if not one.in_vain), None)
        if last is not None:
            due = next((one.due_at for one in reversed(before) if one.because not in _EXTRA), last.due_at)
            found[number] = replace(last, due_at=due)
    return found


def rearmed(
    levels: Sequence[IncidentLevel], before: Mapping[int, Telling], until: datetime
) -> list[IncidentLevel]:
    """Return the levels that are due after an acknowledgement of then has expired.

    First whoever had it is asked again: the last level that was heard of `before` they took it or were given it. After
    it those come back that the acknowledgement had stopped, as long after it as they were. When nobody had heard by
    then, those come back with the first of them now; if none of them pages, the first that did is asked again, or the
    first that does.
    """
    asking = [level for level in levels if level.page and level.number in before]
    last = max(asking, key=lambda level: (before[level.number].at, level.number), default=None)
    stopped = [
        level
        for level in levels
        if level is not last and level.state is LevelState.SKIPPED and level.reason == ACKNOWLEDGED
    ]
    if last is not None:
        since = before[last.number].due_at
        return [replace(pending(last, until), reason=AGAIN), *_after(stopped, since, until)]
    back = _after(stopped, min((one.due_at for one in stopped if one.due_at), default=None), until)
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


def but_by_hand(
    levels: Sequence[IncidentLevel],
    own: Mapping[int, datetime],
    told: Mapping[int, Sequence[Telling]],
    since: datetime,
    until: datetime,
) -> list[IncidentLevel]:
    """Return the levels as they would be, had nobody called for one by hand while an acknowledgement stood.

    It stands from `since` to `until`. `own` has the time of each as it was frozen, and `told` when each was. One that
    was told only for a call is to come at its own time, if no acknowledgement stops it, and not before `until`.
    Otherwise it is among those that this one has stopped: as long after the last that had been heard of as by their own
    times. Of those that had begun anew one that somebody had heard of before is not. Any other comes as long after the
    expiry as it was to come after the acknowledgement.
    """
    before = heard(told, since)
    last = max(before, key=lambda number: (before[number].at, number), default=None)
    shift = timedelta(0)
    if last is not None and last in own:
        shift = before[last].due_at - own[last]
    found = []
    for level in levels:
        every = told.get(level.number, ())
        called = [one for one in every if one.because in CALLED and one.at >= since]
        besides = [one for one in every if one not in called]
        if level.state is LevelState.SKIPPED and level.reason == ACKNOWLEDGED and level.number in before:
            found.append(_as_told(level, before[level.number]))
        elif last is not None and _was_to_begin_anew(level, every, own.get(level.number), shift):
            found.append(replace(level, due_at=before[last].due_at + ((level.due_at or since) - since)))
        elif level.state is LevelState.FIRED and called and besides:
            found.append(_as_told(level, besides[-1]))
        elif level.state is LevelState.FIRED and called and level.reason in CALLED:
            found.append(_uncalled(level, own.get(level.number), shift, until))
        else:
            found.append(level)
    return found


def _was_to_begin_anew(
    level: IncidentLevel, every: Sequence[Telling], own: datetime | None, shift: timedelta
) -> bool:
    """Whether an acknowledgement has stopped a level that was told in vain at its own time, and was to be once more."""
    stopped = level.state is LevelState.SKIPPED and level.reason == ACKNOWLEDGED
    return stopped and bool(every) and own is not None and level.due_at != own + shift


def _as_told(level: IncidentLevel, telling: Telling) -> IncidentLevel:
    """Return a level that has been told then, and not since."""
    fired = replace(level, state=LevelState.FIRED, settled_at=telling.at, reason=None)
    return replace(fired, due_at=telling.due_at)


def _uncalled(level: IncidentLevel, own: datetime | None, shift: timedelta, until: datetime) -> IncidentLevel:
    """Return a level as it would be, had nobody called for it while the acknowledgement stood that ends now."""
    if level.unless in {ACKNOWLEDGED, RESPONDED}:
        due_at = level.due_at if own is None else own + shift
        return replace(
            level, state=LevelState.SKIPPED, reason=ACKNOWLEDGED, unless=ACKNOWLEDGED, due_at=due_at
        )
    waits = level.on_breach is not None and own is not None and own > until
    return pending(level, None if waits else max(own or until, until))


def _after(levels: Sequence[IncidentLevel], since: datetime | None, now: datetime) -> list[IncidentLevel]:
    """Make levels due as long after now as they were after then, and none in the past."""
    return [
        pending(level, max(now + ((level.due_at or since) - since), now) if since else now)
        for level in levels
    ]
