"""The promise of news: when the next update is due, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.incident import Incident, IncidentClock

_LEAD = timedelta(minutes=1)
_REMIND_AT = 0.8


class Due(StrEnum):
    """What an update's clock asks for."""

    NOTHING = "nothing"
    SEND = "send"  # nobody leads the incident, so the news is told by itself, a little before it is due
    REMIND = "remind"  # who leads it has a fifth of the time left
    BREACH = "breach"  # the promise is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is to be done now, the clock as it is afterwards, and when to look again."""

    due: Due
    clock: IncidentClock
    look_at: datetime


def judge_update(clock: IncidentClock, every: timedelta, incident: Incident, now: datetime) -> News:
    """Judge the clock of the next update of an open incident, promised every so often.

    While no person leads, news goes out by itself a tenth of the time before, at most a minute. A person is
    reminded, and then it is a breach; the promise begins anew in either case.
    """
    led = incident.acknowledged_by is not None or incident.assignee is not None
    if not led:
        send_at = clock.due_at - min(every / 10, _LEAD)
        if now < send_at:
            return News(due=Due.NOTHING, clock=clock, look_at=send_at)
        renewed = renew(clock, every, now)
        return News(due=Due.SEND, clock=renewed, look_at=renewed.due_at - min(every / 10, _LEAD))
    remind_at = clock.due_at - every * (1 - _REMIND_AT)
    if now < remind_at:
        return News(due=Due.NOTHING, clock=clock, look_at=remind_at)
    if now < clock.due_at:
        return News(due=Due.REMIND, clock=clock, look_at=clock.due_at)
    renewed = renew(clock, every, now)
    return News(due=Due.BREACH, clock=renewed, look_at=renewed.due_at - every * (1 - _REMIND_AT))


def renew(clock: IncidentClock, every: timedelta, now: datetime) -> IncidentClock:
    """Return the clock of the update after one that went out, or should have, just now."""
    return replace(clock, due_at=now + every, met_at=None, breached_at=None)
