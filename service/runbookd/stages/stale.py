"""Stale: whether what a run has seen is too old to act on, for nobody has carried it on for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.language.media import in_words
from runbookd.model.action import Mode
from runbookd.model.reasons import StepReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from runbookd.model.plan import Start
    from runbookd.model.run import Run, StepRecord

LONGEST = timedelta(minutes=1)
"""For so long a run may be left alone and still act on what it has seen: another replica takes it over sooner."""


def stale(run: Run, rows: Iterable[StepRecord], starts: Sequence[Start], now: datetime) -> str:
    """Say why a run must not begin what it would change first; empty when it may.

    A run that has changed something already goes on: it is to be seen through, or undone.
    """
    known = list(rows)
    begun = [start.record for start in starts]
    earlier = [row for row in known if row.path not in {one.path for one in begun if one.mutating}]
    first = any(one.mutating for one in begun) and not any(row.mutating for row in earlier)
    alone = left_alone(earlier, now)
    if run.mode is not Mode.ACT or not first or alone <= LONGEST:
        return ""
    return f"it was left alone for {in_words(alone)}, so what it had seen is old; nothing was changed"


def left_alone(rows: Iterable[StepRecord], now: datetime) -> timedelta:
    """Return the longest time up to now in which no call of a run was under way, and nothing was waited for."""
    spans = sorted(
        (row.started_at, _over(row, now)) for row in rows if row.action is not None or row.due_at is not None
    )
    longest, reached = timedelta(0), spans[0][1] if spans else now
    for begun, over in [*spans, (now, now)]:
        longest, reached = max(longest, begun - reached), max(reached, over)
    return longest


def _over(row: StepRecord, now: datetime) -> datetime:
    """When an attempt, and the wait after it, was over; one whose answer nobody heard has shown nothing."""
    if row.reason == StepReason.INTERRUPTED:
        return row.started_at
    if row.action is None:
        return row.due_at or row.started_at
    return max(row.ended_at or now, row.due_at or row.started_at)
