"""News goes out by itself while nobody leads; who leads is reminded, and then the promise is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.incident import ClockKind, Incident, IncidentClock
from runbookd.stages.updates import Due, judge_update

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
EVERY = timedelta(minutes=15)
INCIDENT = Incident(id="i1", rule="r", key="{}", priority="P0", title="down", opened_at=NOON)
LED = replace(INCIDENT, acknowledged_by="anna")
CLOCK = IncidentClock(incident_id="i1", kind=ClockKind.UPDATE, due_at=NOON + EVERY)


def at(minutes: float) -> datetime:
    """So many minutes after the incident opened."""
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("incident", "minute", "due", "next_due", "look"),
    [
        (INCIDENT, 0, Due.NOTHING, 15, 14),
        (INCIDENT, 13.9, Due.NOTHING, 15, 14),
        (INCIDENT, 14, Due.SEND, 29, 28),
        (INCIDENT, 40, Due.SEND, 55, 54),
        (LED, 11, Due.NOTHING, 15, 12),
        (LED, 12, Due.REMIND, 15, 15),
        (LED, 15, Due.BREACH, 30, 27),
        (replace(INCIDENT, assignee="ben"), 14, Due.REMIND, 15, 15),
    ],
)
def test_the_promise_of_news(
    incident: Incident, minute: float, due: Due, next_due: float, look: float
) -> None:
    """What is asked for each minute, when the next update is due then, and when to look again."""
    news = judge_update(CLOCK, EVERY, incident, at(minute))
    assert (news.due, news.clock.due_at, news.look_at) == (due, at(next_due), at(look))


def test_frequent_news_has_a_shorter_lead() -> None:
    """A tenth of the time, when that is less than a minute."""
    every = timedelta(minutes=5)
    clock = replace(CLOCK, due_at=NOON + every)
    assert judge_update(clock, every, INCIDENT, NOON).look_at == at(4.5)
