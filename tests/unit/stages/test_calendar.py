"""Working time is exact around weekends, holidays, the ends of years and both clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.model.rule import Calendar
from runbookd.stages.calendar import DAYS, is_holiday, is_open, is_workday, next_business_day_end

NEW_YORK = "America/New_York"
MINUTE = timedelta(minutes=1)
ZONES = (NEW_YORK, "UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns")


def calendar(zone: str = NEW_YORK, **more: Any) -> Calendar:
    """Office hours of a working week in a zone."""
    hours = {"from": "09:00", "to": "17:00"}
    return Calendar.model_validate({"timezone": zone, "days": list(DAYS[:5]), **hours, **more})


def there(text: str, zone: str = NEW_YORK, *, fold: int = 0) -> datetime:
    """A moment, by the clock of a place."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        pytest.param("2026-03-06T08:59:59.999999", False, id="a Friday, not yet"),
        pytest.param("2026-03-06T09:00", True, id="the first moment"),
        pytest.param("2026-03-06T16:59:59.999999", True, id="the last moment"),
        pytest.param("2026-03-06T17:00", False, id="closing time"),
        pytest.param("2026-03-07T12:00", False, id="a Saturday"),
        pytest.param("2026-03-08T12:00", False, id="the Sunday the clock is put forward"),
        pytest.param("2026-03-09T09:00", True, id="the Monday after it, by the new time"),
        pytest.param("2026-03-09T08:59", False, id="and not an hour earlier"),
        pytest.param("2026-11-02T09:00", True, id="the Monday after the clock was put back"),
        pytest.param("2026-11-02T17:00", False, id="and closed by the new time"),
        pytest.param("2028-02-29T12:00", True, id="29 February, a Tuesday"),
        pytest.param("2026-01-19T12:00", False, id="Martin Luther King Day, a Monday"),
        pytest.param("2026-11-26T12:00", False, id="Thanksgiving, a Thursday"),
        pytest.param("2026-11-27T12:00", True, id="the day after it"),
        pytest.param("2026-07-03T12:00", False, id="the Friday in lieu of a Saturday, 4 July"),
        pytest.param("2027-12-31T12:00", False, id="the last day of a year in lieu of the first of the next"),
    ],
)
def test_office_hours(at: str, open_: bool) -> None:  # noqa: FBT001 - a column of the table
    """Hours are those the clock there shows, of working days that are no holidays."""
    moment = there(at)
    assert is_open(calendar(holidays="US"), moment) is open_
    assert is_open(calendar(holidays="US"), moment.astimezone(UTC)) is open_


@pytest.mark.parametrize(
    ("after", "end"),
    [
        pytest.param("2026-03-05T10:00", "2026-03-06T17:00", id="a Thursday: the Friday"),
        pytest.param("2026-03-06T10:00", "2026-03-09T17:00", id="a Friday: Monday, over a change to summer"),
        pytest.param("2026-10-30T23:59", "2026-11-02T17:00", id="a Friday: Monday, over a change to winter"),
        pytest.param("2026-03-07T10:00", "2026-03-09T17:00", id="a Saturday: the Monday"),
        pytest.param("2026-01-16T10:00", "2026-01-20T17:00", id="a Friday before a Monday that is a holiday"),
        pytest.param("2026-11-25T10:00", "2026-11-27T17:00", id="the eve of Thanksgiving"),
        pytest.param("2026-12-31T10:00", "2027-01-04T17:00", id="New Year's Eve, a Thursday: a long weekend"),
        pytest.param("2027-12-30T10:00", "2028-01-03T17:00", id="a year that ends with a day in lieu"),
        pytest.param("2028-02-28T10:00", "2028-02-29T17:00", id="the eve of 29 February"),
        pytest.param("2027-02-26T10:00", "2027-03-01T17:00", id="the end of a February without one"),
        pytest.param("2026-03-04T00:00", "2026-03-05T17:00", id="midnight is of the day that begins"),
        pytest.param("2026-03-04T23:59:59", "2026-03-05T17:00", id="the second before is of the day before"),
    ],
)
def test_the_next_business_day(after: str, end: str) -> None:
    """The next business day is the first working day after today's date there, and ends by the clock there."""
    assert next_business_day_end(there(after), calendar(holidays="US")) == there(end)


def test_the_answer_is_in_the_zone_of_the_question() -> None:
    """A moment in UTC is answered in UTC, and judged by the date there."""
    late = datetime(2026, 3, 5, 4, 30, tzinfo=UTC)  # still the evening of the fourth in New York
    answer = next_business_day_end(late, calendar())
    assert (answer, answer.tzinfo) == (datetime(2026, 3, 5, 22, tzinfo=UTC), UTC)


@pytest.mark.parametrize(
    ("hours", "day", "begin", "end"),
    [
        pytest.param(("01:30", "02:30"), "2026-03-08", "06:30", "07:30", id="an end that is left out"),
        pytest.param(("02:15", "02:45"), "2026-03-08", "07:15", "07:45", id="hours that are left out"),
        pytest.param(("02:00", "09:00"), "2026-03-08", "07:00", "13:00", id="a beginning that is left out"),
        pytest.param(("01:30", "09:00"), "2026-11-01", "05:30", "14:00", id="a beginning that comes twice"),
        pytest.param(("00:30", "01:30"), "2026-11-01", "04:30", "05:30", id="an end that comes twice"),
        pytest.param(("01:15", "01:45"), "2026-11-01", "05:15", "05:45", id="hours that come twice"),
    ],
)
def test_hours_at_a_clock_change(hours: tuple[str, str], day: str, begin: str, end: str) -> None:
    """A time that comes twice is the first, and one that is left out counts on as before; a day has its hours once."""
    night = calendar(days=list(DAYS), **{"from": hours[0], "to": hours[1]})
    midnight = datetime.fromisoformat(f"{day}T00:00+00:00")
    opened = [midnight + n * MINUTE for n in range(60 * 24) if is_open(night, midnight + n * MINUTE)]
    last = datetime.fromisoformat(f"{day}T{end}+00:00")
    assert (opened[0], opened[-1]) == (datetime.fromisoformat(f"{day}T{begin}+00:00"), last - MINUTE)
    assert len(opened) == (opened[-1] - opened[0]) // MINUTE + 1
    assert next_business_day_end(midnight - timedelta(hours=4), night) == last


def test_hours_that_end_before_they_begin_are_none() -> None:
    """Hours of which a clock change leaves nothing are no hours."""
    night = calendar(days=list(DAYS), **{"from": "02:30", "to": "03:15"})
    midnight = datetime(2026, 3, 8, tzinfo=UTC)
    assert not any(is_open(night, midnight + n * MINUTE) for n in range(60 * 24))


def test_a_clock_put_back_over_midnight() -> None:
    """Hours that began at midnight go on while the clock shows the day before once more."""
    early = calendar("America/St_Johns", days=["sun"], **{"from": "00:00", "to": "09:00"})
    midnight = datetime(2006, 10, 29, 2, 30, tzinfo=UTC)  # put back at a minute past it, from NDT to NST
    shown = (midnight + 30 * MINUTE).astimezone(ZoneInfo("America/St_Johns"))
    assert shown.date() == date(2006, 10, 28)
    assert not is_open(early, midnight - MINUTE)
    assert all(is_open(early, midnight + n * MINUTE) for n in range(60))


@pytest.mark.parametrize(
    ("holidays", "days"),
    [
        ([], {"2026-07-03": False}),
        ("US", {"2026-07-03": True, "2026-02-12": False}),
        ("US-NY", {"2026-07-03": True, "2026-02-12": True}),
        (["US", "2026-12-24"], {"2026-12-24": True, "2026-07-03": True, "2026-12-23": False}),
        (["DE-BY", "US"], {"2026-01-06": True, "2026-07-03": True, "2026-11-01": True}),
        ("2026-12-24", {"2026-12-24": True, "2027-12-24": False}),
    ],
)
def test_holidays(holidays: object, days: dict[str, bool]) -> None:
    """Holidays are those of a country, of a part of one, or dates, or all of them."""
    office = calendar(holidays=holidays)
    assert {day: is_holiday(office, date.fromisoformat(day)) for day in days} == days


WEEKS = st.lists(st.sampled_from(DAYS), min_size=1, unique=True)
QUARTERS = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
HOURS = st.tuples(QUARTERS, QUARTERS).filter(lambda pair: pair[0] < pair[1])
HOLIDAYS: st.SearchStrategy[object] = st.sampled_from([[], "US", "US-NY", "DE", ["GB", "2026-03-30"]])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Any calendar of the zones above."""
    begin, end = draw(HOURS)
    written = {"days": draw(WEEKS), "from": begin, "to": end, "holidays": draw(HOLIDAYS)}
    return calendar(draw(st.sampled_from(ZONES)), **written)


def shows(known: Calendar, at: datetime) -> bool:
    """Whether the clock there shows a working time, for moments far from any clock change."""
    local = at.astimezone(ZoneInfo(known.timezone))
    within = time.fromisoformat(known.from_) <= local.time() < time.fromisoformat(known.to)
    return within and is_workday(known, local.date())


def far_from_a_change(known: Calendar, at: datetime) -> bool:
    """Whether the place keeps one offset for a day around."""
    zone = ZoneInfo(known.timezone)
    around = {(at + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(-26, 27)}
    return len(around) == 1


@given(calendars(), MOMENTS)
def test_open_is_what_the_clock_shows(known: Calendar, at: datetime) -> None:
    """Away from clock changes a place is open exactly while its clock shows working hours."""
    if far_from_a_change(known, at):
        assert is_open(known, at) == shows(known, at)


@given(calendars(), MOMENTS)
def test_the_next_business_day_is_found_by_looking_at_every_minute(known: Calendar, at: datetime) -> None:
    """Watching the clock there from the next midnight on, the first working day ends when it shows its end."""
    zone = ZoneInfo(known.timezone)
    end = next_business_day_end(at, known)
    day = end.astimezone(zone).date()
    assert day > at.astimezone(zone).date()
    assert is_workday(known, day)
    passed = at.astimezone(zone).date() + timedelta(days=1)
    while passed < day:
        assert not is_workday(known, passed)
        passed += timedelta(days=1)
    if far_from_a_change(known, end):
        quarter = timedelta(minutes=15)
        assert is_open(known, end - quarter)
        assert not is_open(known, end)
        assert end.astimezone(zone).time() == time.fromisoformat(known.to)
        watched = at + (quarter - (at - datetime.min.replace(tzinfo=UTC)) % quarter)
        while watched.astimezone(zone).date() <= at.astimezone(zone).date() or not is_open(known, watched):
            watched += quarter
        while is_open(known, watched):
            watched += quarter
        assert watched == end
