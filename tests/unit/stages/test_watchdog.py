"""When the silence of an alert that always fires counts, and from when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.event import Status
from runbookd.model.watchdog import Listening, Watchdog
from runbookd.sources import SOURCES, own
from runbookd.stages.watchdog import SOURCE, hear, is_silent, look, told_heard, told_missing

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOG = Watchdog(every=timedelta(minutes=5))


def at(minutes: float) -> datetime:
    """So many minutes after the beginning."""
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("since", "heard", "minute", "silent"),
    [
        (0, None, 9.9, False),
        (0, None, 10, True),
        (0, 4, 13.9, False),
        (0, 4, 14, True),
        (20, 4, 29.9, False),  # nobody listened between
        (20, 4, 30, True),
    ],
)
def test_twice_its_interval_is_silence(
    since: float, heard: float | None, minute: float, *, silent: bool
) -> None:
    """It counts from when it was heard last, or from when somebody began to listen, whichever is later."""
    known = Listening(
        since=at(since), looked=at(minute), heard=None if heard is None else NOON + timedelta(minutes=heard)
    )
    assert is_silent(known, DOG, at(minute)) is silent


def test_who_listens_without_a_gap_goes_on() -> None:
    """Looks less than an interval apart are one listening, whoever looks; a restart between changes nothing."""
    known = look(None, DOG, NOON)
    for minute in (1, 5.9, 10):
        known = look(known, DOG, at(minute))
    assert (known.since, known.looked) == (NOON, at(10))


def test_who_was_away_begins_anew() -> None:
    """After an outage of our own silence counts from its end; what was heard and what is missing stays known."""
    known = hear(look(None, DOG, NOON), at(1), at(1)).model_copy(update={"missing": at(11)})
    again = look(known, DOG, at(60))
    assert again == known.model_copy(update={"since": at(60), "looked": at(60)})


def test_a_short_interval_has_a_gap_of_a_minute() -> None:
    """Looks are some seconds apart, so a very frequent watchdog is not listened to anew at each."""
    often = Watchdog(every=timedelta(seconds=2))
    assert look(look(None, often, NOON), often, at(0.5)).since == NOON


def test_a_clock_that_went_back_does_no_harm() -> None:
    """The last look is the latest."""
    assert look(look(None, DOG, at(1)), DOG, NOON).looked == at(1)


def test_it_is_heard() -> None:
    """It is not missing any more, and what came in out of order does not count backwards."""
    known = hear(None, at(3), at(4))
    assert known == Listening(since=at(3), looked=at(4), heard=at(3))
    assert hear(known.model_copy(update={"missing": at(20)}), at(2), at(21)) == known


@pytest.mark.parametrize("heard", [None, at(3)])
def test_silence_is_told_as_an_alert(heard: datetime | None) -> None:
    """The event says who is silent, since when, how urgent that is, and what to look at; it ends as it began."""
    dog = Watchdog(alert='Wächter "1"', priority="P0")
    known = Listening(since=NOON, looked=at(14), heard=heard, missing=at(14))
    (firing,) = own.parse(told_missing(dog, known, at(14))).events
    (resolved,) = SOURCES[SOURCE](told_heard(dog, known, at(20))).events
    assert (firing.source, firing.name, firing.status) == ("runbookd", "WatchdogMissing", Status.FIRING)
    assert firing.labels == {
        "alertname": "WatchdogMissing",
        "watchdog": 'Wächter "1"',
        "sender": "alertmanager",
        "priority": "P0",
    }
    assert "every 5m" in firing.annotations["description"]
    assert ("heard never" if heard is None else "heard last at 2026-01-05T12:03") in firing.annotations[
        "description"
    ]
    assert (firing.starts_at, firing.ends_at) == (at(14), None)
    assert (resolved.status, resolved.fingerprint) == (Status.RESOLVED, firing.fingerprint)
    assert (resolved.starts_at, resolved.ends_at) == (at(14), at(20))
