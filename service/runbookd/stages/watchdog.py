"""Watchdogs: when the silence of an alert that always fires says that its sender is not heard any more.

Silence counts from when the alert was heard last, or from when somebody began to listen, whichever is later: while
no service ran it could not be heard, and that is nobody else's fault.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.language.values import utc_text
from runbookd.model.durations import format_duration
from runbookd.model.watchdog import Listening, Watchdog
from runbookd.stages.normalize import ZERO_TIME

if TYPE_CHECKING:
    from datetime import datetime

SOURCE = "runbookd"
"""Who tells what the service notices by itself."""

NAME = "WatchdogMissing"
"""The name of the event that a silent watchdog is."""

_PATIENCE = 2
_LEAST_GAP = timedelta(minutes=1)


def look(known: Listening | None, watchdog: Watchdog, now: datetime) -> Listening:
    """Note that somebody listens now; `known` is None when nobody ever did.

    Whoever comes after a gap as long as the alert's interval (a minute at least) begins to listen anew.
    """
    gap = max(watchdog.every, _LEAST_GAP)
    if known is None:
        return Listening(since=now, looked=now)
    if now - known.looked >= gap:
        return known.model_copy(update={"since": now, "looked": now})
    return known.model_copy(update={"looked": max(now, known.looked)})


def is_silent(known: Listening, watchdog: Watchdog, until: datetime) -> bool:
    """Whether the alert was not heard for twice its interval; `until` is up to when all that came was looked at."""
    return until - _counted_from(known) >= watchdog.every * _PATIENCE


def hear(known: Listening | None, at: datetime, now: datetime) -> Listening:
    """Note that the alert came in at a time; it is not missing any more."""
    known = known or Listening(since=at, looked=now)
    return known.model_copy(update={"heard": max(at, known.heard or at), "missing": None})


def told_missing(watchdog: Watchdog, known: Listening, now: datetime) -> bytes:
    """Return the delivery that says that nothing is heard."""
    return _told(watchdog, known, "firing", starts_at=utc_text(now), ends_at=ZERO_TIME)


def told_heard(watchdog: Watchdog, known: Listening, now: datetime) -> bytes:
    """Return the delivery that says that it is heard again; `known` is from when it was missing."""
    return _told(watchdog, known, "resolved", starts_at=utc_text(known.missing or now), ends_at=utc_text(now))


def _told(watchdog: Watchdog, known: Listening, status: str, *, starts_at: str, ends_at: str) -> bytes:
    """Say it as Alertmanager does, so that it takes the path of every alert."""
    last = "never" if known.heard is None else f"last at {utc_text(known.heard)}"
    alert = {
        "status": status,
        "labels": {
            "alertname": NAME,
            "watchdog": watchdog.alert,
            "sender": watchdog.source,
            "priority": watchdog.priority,
        },
        "annotations": {
            "summary": f"Nothing is heard from {watchdog.source}.",
            "description": f"Its alert {watchdog.alert}, which always fires, should come every "
            f"{format_duration(watchdog.every)}, and was heard {last}. Alerts may fire that nobody hears of: look "
            "whether Prometheus and Alertmanager run, and whether Alertmanager's route for it leads here.",
        },
        "startsAt": starts_at,
        "endsAt": ends_at,
        "fingerprint": f"watchdog {watchdog.name}",
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


def _counted_from(known: Listening) -> datetime:
    return known.since if known.heard is None else max(known.since, known.heard)
