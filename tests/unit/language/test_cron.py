"""Cron is read as crontab has it, and counted as APScheduler's CronTrigger does, over both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.errors import LanguageError
from runbookd.language.cron import parse_cron

NEW_YORK = "America/New_York"
SUNDAY = datetime(2026, 1, 4, tzinfo=UTC)


def times(text: str, zone: str, after: datetime, count: int) -> list[str]:
    """The next times, as a clock in the zone and its offset show them."""
    cron, told = parse_cron(text, zone), []
    for _ in range(count):
        at = cron.next(after)
        assert at is not None
        told.append(f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %z}")
        after = at
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 8 * * *", ["07 08:00 -0500", "08 08:00 -0400", "09 08:00 -0400"]),
        ("30 2 * * *", ["07 02:30 -0500", "08 03:30 -0400", "09 02:30 -0400"]),
        ("0 */2 8 * *", ["08 00:00 -0500", "08 03:00 -0400", "08 04:00 -0400"]),
    ],
)
def test_the_hour_that_is_left_out(text: str, told: list[str]) -> None:
    """On 8 March 2026 there is no half past two in New York: what is due then comes at half past three."""
    assert times(text, NEW_YORK, datetime(2026, 3, 7, 5, tzinfo=UTC), 3) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 8 * * *", ["31 08:00 -0400", "01 08:00 -0500", "02 08:00 -0500"]),
        ("30 1 * * *", ["31 01:30 -0400", "01 01:30 -0400", "01 01:30 -0500", "02 01:30 -0500"]),
        ("30 2 * * *", ["31 02:30 -0400", "01 02:30 -0500", "02 02:30 -0500"]),
    ],
)
def test_the_hour_that_comes_twice(text: str, told: list[str]) -> None:
    """On 1 November 2026 the hour after one comes twice in New York, and what is due in it comes twice too."""
    assert times(text, NEW_YORK, datetime(2026, 10, 31, 4, tzinfo=UTC), len(told)) == told


@pytest.mark.parametrize(
    ("weekdays", "days"),
    [
        ("0", [4, 11]),
        ("7", [4, 11]),
        ("sun", [4, 11]),
        ("1-5", [5, 6, 7, 8, 9, 12]),
        ("mon-fri", [5, 6, 7, 8, 9, 12]),
        ("MON,wed", [5, 7, 12]),
        ("6-7", [4, 10, 11]),
        ("sat-sun", [4, 10, 11]),
        ("sun-mon", [4, 5, 11, 12]),
        ("*/3", [4, 7, 10, 11]),
        ("1-5/2", [5, 7, 9, 12]),
        ("5/1", [9, 10, 16]),
        ("*", [4, 5, 6]),
    ],
)
def test_days_of_the_week_are_crontabs(weekdays: str, days: list[int]) -> None:
    """0 and 7 are Sunday, as crontab counts, and not Monday, as CronTrigger does. The fourth is a Sunday."""
    cron = parse_cron(f"0 12 * * {weekdays}", "UTC")
    found = islice(cron.between(SUNDAY, SUNDAY + timedelta(days=30)), len(days))
    assert [at.day for at in found] == days


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("0 0 last * *", "01-31"),
        ("0 0 1 mar-may *", "03-01"),
        ("0 0 1 feb-dec/10 *", "02-01"),
        ("0 0 */2 * mon", "01-05"),
    ],
)
def test_days_and_months(text: str, day: str) -> None:
    """Months have names too, the last day of each is `last`, and a stepped day goes with a weekday."""
    at = parse_cron(text, "UTC").next(SUNDAY + timedelta(hours=1))
    assert at is not None
    assert f"{at:%m-%d}" == day


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("0 8 * *", 1, "has 4 fields"),
        ("@daily", 1, "has 1 field;"),
        ("0 8 * * * *", 1, "has 6 fields"),
        ("60 8 * * *", 1, "maximum value (59)"),
        ("0  25 * * *", 4, "the hour '25' cannot be"),
        ("0 8 0 * *", 5, "minimum value (1)"),
        ("0 8 L * *", 5, "'l' is not a number"),
        ("0 8 * 13 *", 7, "maximum value (12)"),
        ("0 8 * janx *", 7, "the names are jan, feb"),
        ("0 8 * * 8", 9, "0 and 7 are Sunday"),
        ("0 8 * * fri-mon", 9, "the earlier first"),
        ("0 8 * * mon#1", 9, "is none of *, N, N-M"),
        ("0 8 * * */0", 9, "0 and 7 are Sunday"),
        ("*/0 8 * * *", 1, "Increment must be higher than 0"),
        ("5-1 8 * * *", 1, "must not be higher than the maximum"),
        ("0 8 1 * mon", 9, "write two schedules"),
        ("0 8 31 feb *", 5, "there is no such day"),
        ("0 8 ? * *", 5, "is none of *, N, N-M"),
        ("0 8, * * *", 3, "is none of *, N, N-M"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(text: str, column: int, said: str) -> None:
    """CronTrigger would take some of it for something else; here it is an error that names the column."""
    with pytest.raises(LanguageError) as refused:
        parse_cron(text, "UTC")
    assert (refused.value.line, refused.value.column) == (1, column)
    assert said in str(refused.value)


@settings(deadline=None)
@given(
    minute=st.sampled_from(["*", "*/7", "0", "5-50/15", "1,31"]),
    hour=st.sampled_from(["*", "*/5", "2", "1-3"]),
    day=st.sampled_from(["*", "*/10", "31"]),
    zone=st.sampled_from(["UTC", NEW_YORK, "Australia/Lord_Howe", "Asia/Kolkata"]),
    begin=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1)),  # noqa: DTZ001 - the zone is given below
    seconds=st.integers(0, 4 * 86400),
)
def test_it_is_crontriggers_time(
    minute: str, hour: str, day: str, zone: str, begin: datetime, seconds: int
) -> None:
    """Every time is CronTrigger's, times only go on, and the newest is the last of those between."""
    text, after = f"{minute} {hour} {day} * *", begin.replace(tzinfo=UTC)
    cron, theirs = parse_cron(text, zone), CronTrigger.from_crontab(text, timezone=ZoneInfo(zone))
    at = cron.next(after)
    assert at is not None
    assert at == theirs.get_next_fire_time(None, after + timedelta(microseconds=1))
    assert at > after
    until = after + timedelta(seconds=seconds)
    between = list(cron.between(after, until))
    assert between == sorted(set(between))
    assert cron.newest(after, until) == (between[-1] if between else None)
