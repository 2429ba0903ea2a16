"""Working time: whether a place is at work at a moment, and when its next working day ends.

Hours are local times. Around a clock change they mean what RFC 5545, section 3.3.5, says of local times: one that
the clock shows twice is the first of the two, one that it leaves out is counted as if it had not been put forward.
A day has its hours once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from runbookd.model.rule import Calendar

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of a week as calendars name them, in the order of `date.weekday`."""

_DAY = timedelta(days=1)


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether the calendar's place is at work: from the beginning of its hours up to their end, the end left out."""
    day = at.astimezone(ZoneInfo(calendar.timezone)).date()
    # A clock put back over midnight shows yesterday once more.
    around = (_hours(calendar, each) for each in (day - _DAY, day, day + _DAY) if is_workday(calendar, each))
    return any(begin <= at < end for begin, end in around)


def next_business_day_end(after: datetime, calendar: Calendar) -> datetime:
    """Return the end of the first working day that begins after `after`'s own date there, in `after`'s own zone."""
    day = after.astimezone(ZoneInfo(calendar.timezone)).date() + _DAY
    while not is_workday(calendar, day):
        day += _DAY
    return _hours(calendar, day)[1].astimezone(after.tzinfo)


def is_workday(calendar: Calendar, day: date) -> bool:
    """Whether it is one of the calendar's days and no holiday."""
    return DAYS[day.weekday()] in calendar.days and not is_holiday(calendar, day)


def is_holiday(calendar: Calendar, day: date) -> bool:
    """Whether nobody works that day by one of the calendar's lists, days off in lieu included."""
    return any(_is_off(entry, day) for entry in calendar.holidays)


def _is_off(entry: str, day: date) -> bool:
    return entry == day.isoformat() if entry[0].isdigit() else day in _public_holidays(entry, day.year)


@lru_cache(maxsize=256)
def _public_holidays(entry: str, year: int) -> frozenset[date]:
    """List a year's public holidays of a country or a part of it (https://holidays.readthedocs.io)."""
    import holidays  # noqa: PLC0415 - costs every start a tenth of a second, and few calendars need it

    country, _, part = entry.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year, expand=False))


def _hours(calendar: Calendar, day: date) -> tuple[datetime, datetime]:
    """Return when work begins and ends on a day, in UTC; if it ends before it begins there is none."""
    begin, end = (_moment(calendar, day, time.fromisoformat(each)) for each in (calendar.from_, calendar.to))
    return begin, end


def _moment(calendar: Calendar, day: date, at: time) -> datetime:
    """Return when the clock there shows a time; in UTC, as two times of one zone compare as the clock shows them."""
    return datetime.combine(day, at, tzinfo=ZoneInfo(calendar.timezone)).astimezone(UTC)
