"""When an event of Kubernetes was last seen, and how often.

The fields have changed over the years, and `lastTimestamp` alone is null for newer ones. The order here is that of
`kubectl events`: https://github.com/kubernetes/kubectl/blob/master/pkg/cmd/events/event_printer.go.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runbookd.actions.kubernetes.kinds import Json

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: Any) -> datetime | None:
    """A timestamp of the API, in UTC; None for null, "" and what is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def first_seen(event: Json) -> datetime:
    """When it was first seen; 1970 for one that tells nothing at all."""
    created = (event.get("metadata") or {}).get("creationTimestamp")
    times = (event.get("firstTimestamp"), event.get("eventTime"), created)
    return next((found for found in map(moment, times) if found), _BEGINNING)


def last_seen(event: Json) -> datetime:
    """When it was last seen; 1970 for one that tells nothing at all."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((found for found in map(moment, times) if found), first_seen(event))


def times_seen(event: Json) -> int:
    """How often it was seen, at least once."""
    series = event.get("series") or {}
    return max(1, int(series.get("count") or event.get("count") or 1))
