"""The levels of an incident's escalation for its review: when each was due, when it was told, and who called for it.

A level in the database knows only its last time; the ledger knows every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from runbookd.model.escalation import LevelState, MessageKind, MessageState
from runbookd.reports.review_words import listed, moment, needless, party
from runbookd.stages.ladder import CALLED, RESOLVED
from runbookd.stages.reached import shared
from runbookd.units.causes import frozen_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.audit import Entry
    from runbookd.model.escalation import IncidentLevel, Message
    from runbookd.model.incident import Incident
    from runbookd.units.record import Record

PAGE: Final = "page "
"""How those begin whom a level pages, not only tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One time at which a level was called, and whether a person had called for it.

    `at` is when its first page went out, or of a level without pages what else it says. While nothing has, it is when
    it was called. Then it is `silent`, or `only` has whom its notices told, while its pages reached nobody.
    """

    at: datetime
    by_hand: bool
    silent: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of a level. `due_at` is its own, None for one that waits for a clock to run out.

    `again_at` is for when it was made due after that, other than by hand; None if it was not. `told` has each
    time that it was called, and when it was told then, as far as the ledger says so.
    """

    due_at: datetime | None
    again_at: datetime | None = None
    told: tuple[Telling, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A level of the escalation, counted from 1; its times are those of `Times`."""

    number: int
    due_at: datetime | None
    again_at: datetime | None
    told: tuple[Telling, ...]
    on_breach: str
    state: LevelState
    reason: str
    whom: tuple[str, ...]


def levels(record: Record) -> list[Rung]:
    """Return every level of the escalation, in order."""
    every = times_of(record.levels, record.messages, record.entries, record.incident)
    return [
        Rung(
            number=level.place,
            due_at=times.due_at,
            again_at=times.again_at,
            told=times.told,
            on_breach=level.on_breach or "",
            state=LevelState.SKIPPED if _never_due(level, record) else level.state,
            reason=needless(RESOLVED if _never_due(level, record) else level.reason),
            whom=(
                *(f"{PAGE}{party(one, record.incident)}" for one in level.page),
                *(party(one, record.incident) for one in level.notify),
            ),
        )
        for level, times in zip(record.levels, every, strict=True)
    ]


def times_of(
    levels: Sequence[IncidentLevel], messages: Sequence[Message], entries: Sequence[Entry], incident: Incident
) -> list[Times]:
    """Return the times of each level, in order."""
    listed = frozen_levels(entries)
    sent = [one for one in shared(messages) if one.state is MessageState.SENT]
    known = listed if len(listed) == len(levels) else [None] * len(levels)
    times = []
    for level, frozen in zip(levels, known, strict=True):
        fired = [
            one for one in entries if one.what == "level_fired" and one.detail.get("level") == level.place
        ]
        dues = [one.detail.get("due_at") for one in fired if one.detail.get("reason") not in CALLED]
        of_itself = [due for due in (*dues, level.due_at) if isinstance(due, datetime)]
        own = frozen.due if frozen is not None and isinstance(frozen.due, datetime) else None
        due_at = own or (of_itself[0] if of_itself else None)
        later = due_at is not None and bool(of_itself) and of_itself[-1] > due_at
        told = tuple(_telling(one, level, sent, incident) for one in fired)
        times.append(Times(due_at=due_at, again_at=of_itself[-1] if later else None, told=told))
    return times


def when_told(told: Sequence[Telling]) -> str:
    """Say when a level was told, and when it was called and its pages, or all of its messages, reached nobody."""
    alike: dict[tuple[bool, tuple[str, ...]], list[Telling]] = {}
    for one in sorted(told, key=lambda one: one.silent or bool(one.only)):
        alike.setdefault((one.silent, one.only), []).append(one)
    return "; ".join(_alike(tellings) for tellings in alike.values())


def _alike(told: Sequence[Telling]) -> str:
    """Say it of those that reached the same."""
    silent, only = told[0].silent, told[0].only
    hand = "by hand" if silent or only else "called by hand"
    at = listed(f"{moment(one.at)}{f' ({hand})' if one.by_hand else ''}" for one in told)
    if silent:
        return f"called at {at}, and told nobody"
    if only:
        were = "was" if len(only) == 1 else "were"
        return f"called at {at}, its pages reached nobody; {listed(only)} {were} told"
    return f"told at {at}"


def _telling(fired: Entry, level: IncidentLevel, sent: Sequence[Message], incident: Incident) -> Telling:
    """Return when somebody heard of a level that was called then; `sent` are the incident's messages that were sent.

    One that pages somebody and notifies others is told by a page: a notice calls nobody.
    """
    due_at, number = fired.detail.get("due_at"), level.number
    theirs = [one for one in sent if one.facts.get("level") == number and one.facts.get("due_at") == due_at]
    paged = [one for one in theirs if one.kind is MessageKind.PAGE]
    told = paged or ([] if level.page else theirs)
    first = min((one.settled_at or one.created_at for one in told), default=fired.at)
    only = () if told else tuple(dict.fromkeys(party(one.contact, incident) for one in theirs))
    by_hand = fired.detail.get("reason") in CALLED
    return Telling(at=first, by_hand=by_hand, silent=not theirs, only=only)


def _never_due(level: IncidentLevel, record: Record) -> bool:
    """Whether a level that waits for something waits for nothing any more, for the incident has ended."""
    waits = level.unless is not None or level.on_breach is not None
    return level.state is LevelState.PENDING and waits and record.incident.resolved_at is not None
