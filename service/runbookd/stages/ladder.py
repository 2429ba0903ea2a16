"""The levels of an incident's escalation: frozen when it opens, judged when they are due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.model.incident import IncidentState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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
"""The reasons of a pending level that a person wants told now, and of one that was told before."""
IN_VAIN = "by hand, in vain"
"""The reason of a pending level that a person called for, and of which nobody was reached: its own time is to come."""
STILL = "still"
"""The reason of a pending level that had begun anew, and goes on now that a page of another has got through."""
ONCE_MORE = frozenset({AGAIN, ANEW, BY_HAND_AGAIN, STILL})
"""The reasons of levels that were told before."""
CALLED = frozenset({BY_HAND, BY_HAND_AGAIN})
"""The reasons of levels that a person has called for."""
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
    go out. None is taken in by a level below it, nor by one that a person called, and that one pages in any case.
    """
    over = incident.state is IncidentState.RESOLVED
    due = [
        level if level.due_at is not None else replace(level, due_at=breached.get(level.on_breach or ""))
        for level in levels
        if level.state is LevelState.PENDING and (level.due_at is None or level.due_at <= now)
    ]
    fired, settled = [], []
    stopped = {
        level.number: stopped_by(incident, needless_when(level)) for level in due if level.due_at is not None
    }
    paging = [level for level in due if level.page and level.due_at is not None and not stopped[level.number]]
    for level in due:
        if level.due_at is None:
            if over:
                settled.append(_settled(level, LevelState.SKIPPED, now, RESOLVED))
        elif stopped[level.number]:
            settled.append(_settled(level, LevelState.SKIPPED, now, stopped[level.number]))
        else:
            taken_in = level in paging and any(_takes_in(other, level) for other in paging)
            fired.append(Fired(level=level, page=not taken_in, late=now - level.due_at))
            state = LevelState.COLLAPSED if taken_in else LevelState.FIRED
            by_hand = level.reason if level.reason in CALLED else None
            settled.append(
                _settled(level, state, now, "a later level was due as well" if taken_in else by_hand)
            )
    return Judged(tuple(fired), tuple(settled))


def _takes_in(other: IncidentLevel, level: IncidentLevel) -> bool:
    """Whether another level's page stands for this one's: it is higher, due later, and neither was called by hand."""
    if other.due_at is None or level.due_at is None or {other.reason, level.reason} & CALLED:
        return False
    return other.number > level.number and other.due_at > level.due_at


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
            reason = None if level.reason == IN_VAIN else level.reason
            return replace(
                level, due_at=now if level.due_at is None else min(level.due_at, now), reason=reason
            )
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


def called(levels: Sequence[IncidentLevel], now: datetime) -> IncidentLevel | None:
    """Return the level that a person who wants more help calls now, whatever it waits for; None when none pages.

    That is the lowest one that pages and has not: one still to come, or that an answer had stopped, or that a later one
    had taken in; not one that somebody has called for already, and that is told when the service looks. When none is
    left, the highest is asked again. Only the end makes it needless.
    """
    paging = sorted((level for level in levels if level.page), key=lambda level: level.number)
    untold = next((level for level in paging if _has_yet_to_page(level) and not _is_called(level)), None)
    if untold is not None:
        return replace(_pending(untold, now), reason=BY_HAND)
    asked = [level for level in paging if level.state is LevelState.FIRED or _is_called(level)]
    if not asked or _is_called(asked[-1]):
        return asked[-1] if asked else None
    return replace(_pending(asked[-1], now), reason=BY_HAND_AGAIN)


def given_back(was: IncidentLevel, own: datetime | None, now: datetime) -> IncidentLevel | None:
    """Return a level that was called in vain as it `was` before; None when its time is over, or it had been told.

    `own` is its time as it was frozen, None for that of a breach that cannot come.
    """
    if was.state is LevelState.FIRED:
        return None
    if was.state is not LevelState.PENDING:
        return was
    at = was.due_at or own
    return None if at is not None and at <= now else replace(was, reason=was.reason or IN_VAIN)


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


def rearmed(
    levels: Sequence[IncidentLevel], taken_at: datetime | None, until: datetime
) -> list[IncidentLevel]:
    """Return the levels that are due after an acknowledgement of then has expired.

    First whoever had it is asked again: the last level that had paged when they took it or were given it, which is
    `taken_at`. After it those come back that the acknowledgement had stopped, as long after it as they were. When
    nobody had been paged by then, those come back with the first of them now; if none of them pages, the first that did
    is asked again, or the first that does.
    """
    stopped = [
        level for level in levels if level.state is LevelState.SKIPPED and level.reason == ACKNOWLEDGED
    ]
    paged = _paged(levels)
    before = [level for at, _, level in paged if taken_at is not None and at < taken_at]
    if before:
        last = before[-1]
        return [replace(_pending(last, until), reason=AGAIN), *_after(stopped, last.due_at, until)]
    back = _after(stopped, min((one.due_at for one in stopped if one.due_at), default=None), until)
    if any(level.page for level in back):
        return back
    if paged:
        return [*back, replace(_pending(paged[0][2], until), reason=AGAIN)]
    first_page = handed_over(levels, until)
    return back if first_page is None else [*back, first_page]


def started_over(
    levels: Sequence[IncidentLevel], own: Mapping[int, datetime], at: datetime, apart: timedelta
) -> list[IncidentLevel]:
    """Return the levels that page, due again one after the other, since none of them reached anybody.

    Their own times are behind them; one that was called in vain may have its own, of `own`, before that, and keeps it.
    Whoever takes the incident stops those that are left.
    """
    done, again = {LevelState.FIRED, LevelState.COLLAPSED}, {NOBODY, IN_VAIN}
    unreached = [level for level in levels if level.page and (level.state in done or level.reason in again)]
    anew = []
    for place, level in enumerate(unreached):
        due_at = at + place * apart
        if level.reason != IN_VAIN or (level.due_at or own.get(level.number, due_at)) >= due_at:
            anew.append(replace(_pending(level, due_at), reason=ANEW))
    return anew


def own_again(
    levels: Sequence[IncidentLevel], own: Mapping[int, datetime], up_to: int, now: datetime
) -> list[IncidentLevel]:
    """Return the levels that had begun anew as they go on, now that a page of level `up_to` has got through.

    `own` has the time of each as it was frozen. One that is still to come has that again. Of those whose time is over
    the ones up to that level have had their turn, and each above it comes when it was to begin anew: it reached nobody.
    """
    found = []
    for level in levels:
        if level.state is not LevelState.PENDING or level.reason != ANEW:
            continue
        at = own.get(level.number)
        if at is not None and at > now:
            found.append(replace(level, due_at=None if level.on_breach else at, reason=None))
        elif level.number > up_to:
            found.append(replace(level, reason=STILL))
        else:
            found.append(_settled(replace(level, due_at=at or now), LevelState.FIRED, at or now, None))
    return found


def but_by_hand(
    levels: Sequence[IncidentLevel],
    own: Mapping[int, datetime],
    before: Mapping[object, datetime],
    since: datetime,
    until: datetime,
) -> list[IncidentLevel]:
    """Return the levels as they would be, had nobody called for one by hand while an acknowledgement stood.

    It stands from `since` to `until`. `own` has the time of each as it was frozen, and `before` when those were told,
    by their places, that had been told by then. One that had not is to come at its own time, if no acknowledgement
    stops it, and not before `until`. Otherwise it is among those that this one has stopped: as long after the last that
    had been told as by their own times.
    """
    by_hand = {
        level.number
        for level in levels
        if level.reason in CALLED and level.settled_at is not None and level.settled_at >= since
    }
    found = [
        replace(level, settled_at=before[level.place], reason=None)
        if level.number in by_hand and level.place in before
        else level
        for level in levels
    ]
    told = [level for at, _, level in _paged(found) if at < since]
    last = told[-1] if told else None
    shift = timedelta(0)
    if last is not None and last.due_at is not None and last.number in own:
        shift = last.due_at - own[last.number]
    return [
        _uncalled(level, own.get(level.number), shift, until)
        if level.number in by_hand and level.place not in before
        else level
        for level in found
    ]


def _uncalled(level: IncidentLevel, own: datetime | None, shift: timedelta, until: datetime) -> IncidentLevel:
    """Return a level as it would be, had nobody called for it while the acknowledgement stood that ends now."""
    if level.unless in {ACKNOWLEDGED, RESPONDED}:
        due_at = level.due_at if own is None else own + shift
        return replace(
            level, state=LevelState.SKIPPED, reason=ACKNOWLEDGED, unless=ACKNOWLEDGED, due_at=due_at
        )
    waits = level.on_breach is not None and own is not None and own > until
    return _pending(level, None if waits else max(own or until, until))


def _after(levels: Sequence[IncidentLevel], since: datetime | None, now: datetime) -> list[IncidentLevel]:
    """Make levels due as long after now as they were after then, and none in the past."""
    return [
        _pending(level, max(now + ((level.due_at or since) - since), now) if since else now)
        for level in levels
    ]


def _paged(levels: Sequence[IncidentLevel]) -> list[tuple[datetime, int, IncidentLevel]]:
    """Return the levels that have paged with their time and number, in the order in which they did."""
    return sorted(
        (level.settled_at, level.number, level)
        for level in levels
        if level.state is LevelState.FIRED and level.page and level.settled_at is not None
    )


def left_to_people(level: IncidentLevel) -> IncidentLevel:
    """Return a level that whoever was at work on the incident does not stop any more, but whoever has it."""
    return replace(level, unless=ACKNOWLEDGED) if level.unless == RESPONDED else level


def _pending(level: IncidentLevel, due_at: datetime | None) -> IncidentLevel:
    return replace(
        left_to_people(level), state=LevelState.PENDING, settled_at=None, reason=None, due_at=due_at
    )


def _settled(level: IncidentLevel, state: LevelState, now: datetime, reason: str | None) -> IncidentLevel:
    return replace(level, state=state, settled_at=now, reason=reason)
