"""When an event was seen, whichever fields its writer used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.actions.kubernetes.events import first_seen, last_seen, moment, times_seen

EARLY, LATE = "2026-03-04T05:00:00Z", "2026-03-04T06:00:00.123456Z"
AT_EARLY = datetime(2026, 3, 4, 5, tzinfo=UTC)
AT_LATE = datetime(2026, 3, 4, 6, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "last"),
    [
        ({"series": {"lastObservedTime": LATE}, "lastTimestamp": EARLY}, AT_LATE),
        ({"series": None, "lastTimestamp": LATE, "eventTime": EARLY}, AT_LATE),
        ({"lastTimestamp": None, "eventTime": LATE, "firstTimestamp": EARLY}, AT_LATE),
        ({"firstTimestamp": EARLY}, AT_EARLY),
        ({"metadata": {"creationTimestamp": EARLY}}, AT_EARLY),
        ({}, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_last_time_is_found_in_kubectls_order(event: dict[str, Any], last: datetime) -> None:
    """series.lastObservedTime, lastTimestamp, eventTime, and then what tells when it began."""
    assert last_seen(event) == last


def test_the_first_time_and_the_count() -> None:
    """An event began at firstTimestamp, eventTime or its making; it was seen at least once."""
    assert first_seen({"firstTimestamp": EARLY, "eventTime": LATE}) == AT_EARLY
    assert first_seen({"eventTime": LATE, "metadata": {"creationTimestamp": EARLY}}) == AT_LATE
    assert times_seen({"series": {"count": 5}, "count": 1}) == 5
    assert (times_seen({"count": 3}), times_seen({"count": None}), times_seen({})) == (3, 1, 1)


@pytest.mark.parametrize("text", [None, "", "yesterday", 5])
def test_what_is_no_time_is_none(text: object) -> None:
    """Null, empty and unreadable times are no times."""
    assert moment(text) is None


def test_times_are_in_utc() -> None:
    """A zone is converted, a missing one is UTC."""
    assert moment("2026-03-04T07:00:00+02:00") == AT_EARLY
    assert moment("2026-03-04T05:00:00") == AT_EARLY
