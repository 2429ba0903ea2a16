"""One firing-until-resolved is one episode, told once, in whatever order its news arrives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from runbookd.model.alert import Alert
from runbookd.model.event import Event, Status
from runbookd.model.reasons import Episode
from runbookd.stages.admit import (
    heard_again,
    is_current,
    judge_episode,
    new_alert,
    resolved,
    unseen_alert,
    vanished,
)

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def at(minutes: float | None) -> datetime | None:
    """So many minutes after noon; None stays None."""
    return None if minutes is None else NOON + timedelta(minutes=minutes)


def firing(start: float | None = 0) -> Event:
    """News that it fires since then."""
    return Event(source="s", name="n", status=Status.FIRING, fingerprint="f", starts_at=at(start))


def ended(end: float | None = 10, start: float | None = 0) -> Event:
    """News that it resolved then."""
    return replace(firing(start), status=Status.RESOLVED, ends_at=at(end))


UNKNOWN = replace(firing(), status=Status.UNKNOWN)
OPEN = new_alert(firing(), "alt-1", NOON)
CLOSED = resolved(OPEN, ended(10), NOON + timedelta(minutes=11))
CLOSED_BY_US = resolved(OPEN, ended(None), NOON + timedelta(minutes=11))


@pytest.mark.parametrize(
    ("event", "latest", "episode"),
    [
        (firing(), None, Episode.NEW),
        (firing(None), None, Episode.NEW),
        (ended(), None, Episode.RESOLVED_UNSEEN),
        (UNKNOWN, None, Episode.UNKNOWN),
        (firing(), OPEN, Episode.REPEAT),
        (firing(-5), OPEN, Episode.REPEAT),
        (firing(5), OPEN, Episode.REPEAT),
        (firing(None), OPEN, Episode.REPEAT),
        (UNKNOWN, OPEN, Episode.UNKNOWN),
        (ended(10), OPEN, Episode.RESOLVED),
        (ended(0), OPEN, Episode.RESOLVED),
        (ended(None), OPEN, Episode.RESOLVED),
        (ended(-1), OPEN, Episode.STALE_RESOLVE),
        (ended(10), CLOSED, Episode.STALE_RESOLVE),
        (firing(0), CLOSED, Episode.STALE),
        (firing(10), CLOSED, Episode.STALE),
        (firing(10.01), CLOSED, Episode.NEW),
        (firing(None), CLOSED, Episode.NEW),
        (firing(11), CLOSED_BY_US, Episode.STALE),
        (firing(11.01), CLOSED_BY_US, Episode.NEW),
        (UNKNOWN, CLOSED, Episode.UNKNOWN),
    ],
)
def test_what_an_event_means(event: Event, latest: Alert | None, episode: Episode) -> None:
    """The sender's own times decide, to the instant, whether news is new, a repeat or late."""
    assert judge_episode(event, latest) is episode


def told(events: tuple[Event, ...]) -> list[Episode]:
    """What a sequence of events means, each admitted a minute after the one before."""
    latest: Alert | None = None
    episodes = []
    for number, event in enumerate(events):
        now = NOON + timedelta(hours=1, minutes=number)
        episode = judge_episode(event, latest)
        if episode is Episode.NEW:
            latest = new_alert(event, f"alt-{number}", now)
        elif latest is not None and episode is Episode.REPEAT:
            latest = heard_again(latest, event, now)
        elif latest is not None and episode is Episode.RESOLVED:
            latest = resolved(latest, event, now)
        episodes.append(episode)
    return episodes


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_one_episode_starts_at_most_once_in_any_order(order: tuple[int, ...]) -> None:
    """Firing, its twin, a moved start and the resolve, in all orders: never a second episode."""
    news = (firing(0), firing(0), firing(-3), ended(10))
    episodes = told(tuple(news[number] for number in order))
    assert episodes.count(Episode.NEW) == 1
    assert episodes.count(Episode.RESOLVED) + episodes.count(Episode.RESOLVED_UNSEEN) == 1


@pytest.mark.parametrize("late", [firing(0), ended(10)])
def test_late_news_of_an_old_episode_does_not_touch_the_new_one(late: Event) -> None:
    """A second episode is new; what is then still told of the first neither opens nor closes anything."""
    episodes = told(
        (
            firing(0),
            ended(10),
            firing(
                20,
            ),
            late,
        )
    )
    assert episodes[2] is Episode.NEW
    assert episodes[3] in {Episode.REPEAT, Episode.STALE_RESOLVE}


def test_a_new_alert_begins_when_the_sender_says() -> None:
    """Its start is the sender's, or now when the sender does not say."""
    now = NOON + timedelta(minutes=3)
    assert new_alert(firing(), "a", now).starts_at == NOON
    assert new_alert(firing(None), "a", now).starts_at == now
    assert OPEN.received == 1


@pytest.mark.parametrize(("start", "expected"), [(-3, -3), (3, 0), (None, 0)])
def test_a_repeat_keeps_the_earliest_start(start: float | None, expected: float) -> None:
    """A start that moves earlier is believed, one that moves later is not; the news and the count are kept."""
    event = firing(start)
    alert = heard_again(OPEN, event, NOON + timedelta(minutes=1))
    assert alert.starts_at == at(expected)
    assert (alert.event, alert.received, alert.last_seen) == (event, 2, at(1))


def test_an_end_is_the_senders_or_now() -> None:
    """Both the sender's end and the moment we heard of it are kept."""
    assert (CLOSED.ends_at, CLOSED.resolved_at, CLOSED.received) == (at(10), at(11), 2)
    assert CLOSED_BY_US.ends_at == at(11)


def test_an_alert_nobody_lists_any_more_resolves_now() -> None:
    """What is made for a vanished alert is the resolve of this very episode."""
    event = vanished(OPEN, NOON + timedelta(minutes=9))
    assert (event.status, event.ends_at, event.fingerprint) == (Status.RESOLVED, at(9), "f")
    assert judge_episode(event, OPEN) is Episode.RESOLVED


@pytest.mark.parametrize(("end", "kept"), [(10, 10), (None, 20)])
def test_an_end_without_a_beginning_is_remembered(end: float | None, kept: float) -> None:
    """An episode of which only the end was told is kept closed, so that its firing is known for stale when it comes."""
    alert = unseen_alert(ended(end), "alt", NOON + timedelta(minutes=20))
    assert (alert.ends_at, alert.resolved_at) == (at(kept), at(20))
    assert judge_episode(firing(0), alert) is Episode.STALE
    assert judge_episode(firing(21), alert) is Episode.NEW


def test_an_end_concluded_from_silence_is_refuted_by_any_firing() -> None:
    """An alert that was only missing from a list and is told again fires indeed, whenever it says it began."""
    told = resolved(OPEN, vanished(OPEN, NOON + timedelta(minutes=9)), NOON + timedelta(minutes=9))
    assert judge_episode(firing(0), replace(told, concluded=True)) is Episode.NEW
    assert judge_episode(firing(0), CLOSED) is Episode.STALE


def test_a_firing_that_cannot_be_old_news_is_a_new_episode() -> None:
    """Told long after the end, or by a sender that was asked after it, an old start is no reason to look away."""
    assert judge_episode(firing(0), CLOSED, current=True) is Episode.NEW
    assert judge_episode(ended(10), CLOSED, current=True) is Episode.STALE_RESOLVE


@pytest.mark.parametrize(
    ("minutes_after_the_end", "asked", "current"),
    [(0, False, False), (10, False, False), (10.01, False, True), (0, True, False), (0.01, True, True)],
)
def test_old_news_is_only_late_for_so_long(minutes_after_the_end: float, asked: bool, current: bool) -> None:  # noqa: FBT001
    """A notification is late by minutes; an answer is never late."""
    assert CLOSED.resolved_at is not None
    received_at = CLOSED.resolved_at + timedelta(minutes=minutes_after_the_end)
    assert is_current(CLOSED, received_at, asked=asked, stale_for=timedelta(minutes=10)) is current


def test_news_of_an_open_alert_or_a_new_one_is_current() -> None:
    """Only what has ended can have old news."""
    for latest in (None, OPEN):
        assert is_current(latest, NOON, asked=False, stale_for=timedelta(minutes=10))


def test_the_end_of_an_episode_never_seen_to_fire() -> None:
    """A resolve whose episode began after the last one ended speaks of one we missed."""
    assert judge_episode(ended(30, 20), CLOSED) is Episode.RESOLVED_UNSEEN
