"""Admit: what an event means for its alert. One fingerprint's firing-until-resolved is one episode, told once.

Alertmanager delivers at least once, from several replicas, sometimes out of order, and repeats what it said
before; a firing notification may even arrive after its own resolve (its pull request 3283). The times the
sender gives decide, not the order of arrival.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.alert import Alert
from runbookd.model.event import Status
from runbookd.model.reasons import Episode

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.event import Event


def judge_episode(event: Event, latest: Alert | None, *, current: bool = False) -> Episode:
    """Say what the event means, given the fingerprint's open or else last episode (None when there never was one).

    A firing that began no later than the last episode ended is the same trouble, told late, unless it cannot be
    old news (`current`: see `is_current`) or the end was only concluded. A resolve that ended before the open
    episode began speaks of an earlier one; one that began after the last episode ended speaks of an episode that
    was never seen to fire.
    """
    if event.status is Status.UNKNOWN:
        return Episode.UNKNOWN
    if latest is not None and latest.resolved_at is None:
        if event.status is Status.FIRING:
            return Episode.REPEAT
        older = event.ends_at is not None and event.ends_at < latest.starts_at
        return Episode.STALE_RESOLVE if older else Episode.RESOLVED
    closed_at = None if latest is None else latest.ends_at or latest.resolved_at
    if event.status is Status.FIRING:
        begins_later = event.starts_at is None or closed_at is None or event.starts_at > closed_at
        refuted = latest is not None and latest.concluded
        return Episode.NEW if begins_later or refuted or current else Episode.STALE
    begins_later = closed_at is None or (event.starts_at is not None and event.starts_at > closed_at)
    return Episode.RESOLVED_UNSEEN if begins_later else Episode.STALE_RESOLVE


def is_current(latest: Alert | None, received_at: datetime, *, asked: bool, stale_for: timedelta) -> bool:
    """Tell whether a firing received then cannot be old news of an episode that has ended.

    It cannot when its sender was asked after the end, or when the end is longer ago than any notification is
    late (`stale_for`): Prometheus, cut off from Alertmanager for longer than its `resolve_timeout`, goes on with
    the start it told before.
    """
    if latest is None or latest.resolved_at is None:
        return True
    return received_at > latest.resolved_at + (timedelta(0) if asked else stale_for)


def new_alert(event: Event, alert_id: str, now: datetime) -> Alert:
    """Begin an episode. An event without a start began now."""
    return Alert(
        id=alert_id,
        source=event.source,
        fingerprint=event.fingerprint,
        starts_at=event.starts_at or now,
        first_seen=now,
        last_seen=now,
        event=event,
    )


def unseen_alert(event: Event, alert_id: str, now: datetime) -> Alert:
    """Keep an episode of which only the end was told, so that its firing, should it come late, is known for stale."""
    return replace(new_alert(event, alert_id, now), ends_at=event.ends_at or now, resolved_at=now)


def heard_again(alert: Alert, event: Event, now: datetime) -> Alert:
    """Note a repeat: the latest news, one more received, and the earliest start anybody gave."""
    starts_at = min(alert.starts_at, event.starts_at) if event.starts_at else alert.starts_at
    return replace(alert, event=event, starts_at=starts_at, last_seen=now, received=alert.received + 1)


def resolved(alert: Alert, event: Event, now: datetime) -> Alert:
    """End an episode. A resolve without an end ended now."""
    return replace(
        alert,
        event=event,
        last_seen=now,
        received=alert.received + 1,
        ends_at=event.ends_at or now,
        resolved_at=now,
    )


def vanished(alert: Alert, now: datetime) -> Event:
    """Make the resolve of an episode that its sender, asked, no longer lists."""
    return replace(alert.event, status=Status.RESOLVED, ends_at=now)
