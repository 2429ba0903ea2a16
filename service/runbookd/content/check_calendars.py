"""What can be wrong with a calendar beyond its shape."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runbookd.content.read import Draft, Located
from runbookd.errors import Problem
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.rule import Calendar


def calendar_problems(draft: Draft) -> Iterator[Problem]:
    """Find time zones and holidays that are none, and hours that are not within one day."""
    for located in draft.calendars.values():
        calendar = located.item
        if mistake := zone_mistake(calendar.timezone):
            yield located.problem(mistake, "timezone")
        if calendar.from_ >= calendar.to:
            yield located.problem("`to` must be later than `from`, on the same day", "to")
        yield from _holidays(located)


def zone_mistake(name: str) -> str:
    """Say that there is no such time zone; empty when there is."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"there is no time zone {name!r}; write an IANA name such as America/New_York or UTC"
    return ""


def _holidays(located: Located[Calendar]) -> Iterator[Problem]:
    for index, entry in enumerate(located.item.holidays):
        mistake = _date_mistake(entry) if entry[0].isdigit() else _country_mistake(entry)
        if mistake:
            yield located.problem(mistake, "holidays", index)


def _date_mistake(entry: str) -> str:
    try:
        date.fromisoformat(entry)
    except ValueError:
        return f"there is no day {entry}"
    return ""


def _country_mistake(entry: str) -> str:
    """Say that the holidays of a country or of its part are not known; empty when they are."""
    import holidays  # noqa: PLC0415 - costs every start a tenth of a second, and few calendars need it

    countries = holidays.list_supported_countries()
    country, _, part = entry.partition("-")
    if country not in countries:
        return f"the holidays of {country!r} are not known; list them as dates, and see https://holidays.readthedocs.io"
    parts = countries[country]
    if part and part not in parts:
        there_is = f"there is: {', '.join(parts) or 'none'}.{did_you_mean(part, parts)}"
        return f"{country} has no part {part!r} whose holidays are known; {there_is}"
    return ""
