"""Cron: five fields as crontab has them (man 5 crontab), read here and counted by APScheduler's CronTrigger.

Two things are not as CronTrigger reads them. Its days of the week are numbered from Monday, so crontab's (0 and 7
are Sunday) are handed to it as names. And of what it cannot read it takes as much as it can, so what it is given is
held to the grammar first.

At a change of clocks times are CronTrigger's: one that comes twice is met twice, and one that is left out is met an
hour later by the clock.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from runbookd.errors import LanguageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
"""The fields in their order, in CronTrigger's words."""

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = {"month": _MONTHS, "day_of_week": _DAYS}
_ITEM = re.compile(
    r"(?:(?P<all>\*)|(?P<first>[a-z]+|\d{1,4})(?:-(?P<last>[a-z]+|\d{1,4}))?)(?:/(?P<step>\d{1,4}))?"
)
_LAST_DAY = "last"
_WEEK = 7
_HINT = 'write five fields, minute hour day month weekday, such as "0 8 * * mon-fri"'
_MOMENT = timedelta(microseconds=1)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""From here on some day must fit; the calendar repeats within the years that follow."""


class Cron:
    """Times that come again and again in a time zone."""

    def __init__(self, trigger: Any) -> None:
        """`trigger` is a CronTrigger, which holds no state."""
        self._trigger = trigger

    def next(self, after: datetime) -> datetime | None:
        """Return the first of its times after a moment, in UTC; None when there is none before the year 10000."""
        at: datetime | None = self._trigger.get_next_fire_time(None, after.astimezone(UTC) + _MOMENT)
        return None if at is None else at.astimezone(UTC)

    def newest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last of its times after a moment and not after another; None when there is none between.

        It looks back in ever longer steps, so that a long time without a look costs little.
        """
        back = timedelta(minutes=1)
        while True:
            begin = max(after, until - back) if until - after > back else after
            found = self.next(begin)
            if found is not None and found <= until:
                while (later := self.next(found)) is not None and later <= until:
                    found = later
                return found
            if begin == after:
                return None
            back *= 2

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield its times after a moment and not after another, oldest first."""
        found = self.next(after)
        while found is not None and found <= until:
            yield found
            found = self.next(found)


@lru_cache(maxsize=1024)
def parse_cron(text: str, timezone: str) -> Cron:
    """Read five fields; the time zone is one that exists. Raises LanguageError that says where in the text."""
    fields = list(re.finditer(r"\S+", text))
    if len(fields) != len(_FIELDS):
        message = f"{text!r} has {len(fields)} field{'s' * (len(fields) != 1)}; {_HINT}"
        raise LanguageError(message, line=1, column=1)
    zone = ZoneInfo(timezone)
    given: dict[str, str] = {}
    for name, field in zip(_FIELDS, fields, strict=True):
        try:
            given[name] = _field(name, field.group().lower())
            _trigger({name: given[name]}, zone)
        except ValueError as error:
            raise LanguageError(
                _sentence(name, field.group(), error), line=1, column=field.start() + 1
            ) from None
    weekday = fields[4]
    if not fields[2].group().startswith("*") and not weekday.group().startswith("*"):
        message = "crontab takes a day of the month and a weekday as either of them; write two schedules, one for each"
        raise LanguageError(message, line=1, column=weekday.start() + 1)
    cron = Cron(_trigger(given, zone))
    if cron.next(_LONG_AGO) is None:
        message = f"{text!r} never comes: there is no such day"
        raise LanguageError(message, line=1, column=fields[2].start() + 1)
    return cron


def _trigger(fields: dict[str, str], zone: ZoneInfo) -> Any:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - costs every command 50 ms, and few need it

    return CronTrigger(**fields, timezone=zone)


def _field(name: str, text: str) -> str:
    """Return a field as CronTrigger reads it. Raises ValueError."""
    return ",".join(_item(name, item) for item in text.split(","))


def _item(name: str, text: str) -> str:
    if name == "day" and text == _LAST_DAY:
        return text
    found = _ITEM.fullmatch(text)
    if found is None:
        message = f"{text!r} is none of *, N, N-M, each with /STEP or without"
        raise ValueError(message)
    every, first, last, step = found.group("all", "first", "last", "step")
    if name == "day_of_week":
        return _weekdays(every, first, last, step)
    ends = "*" if every else "-".join(str(_number(name, each)) for each in (first, last) if each is not None)
    return ends if step is None else f"{ends}/{int(step)}"


def _weekdays(every: str | None, first: str, last: str | None, step: str | None) -> str:
    """Return days of the week by their names; a range that ends on Sunday ends the week."""
    if every and step is None:
        return "*"
    begin = 0 if every else _number("day_of_week", first)
    end = begin if last is None else _number("day_of_week", last)
    if every or (last is None and step is not None):
        end = _WEEK - 1
    elif last is not None and end == 0 and begin > 0:
        end = _WEEK
    stride = 1 if step is None else int(step)
    if not (0 <= begin <= end <= _WEEK and 1 <= stride <= _WEEK):
        message = (
            "days of the week are 0 to 7 (0 and 7 are Sunday) or sun to sat, in a range the earlier first"
        )
        raise ValueError(message)
    days = dict.fromkeys(_DAYS[day % _WEEK] for day in range(begin, end + 1, stride))
    return ",".join(days)


def _number(name: str, text: str) -> int:
    """Return what a number or a name stands for."""
    if text.isdigit():
        return int(text)
    names = _NAMED.get(name, ())
    if text not in names:
        there_are = f"; the names are {', '.join(names)}" if names else ""
        message = f"{text!r} is not a number{there_are}"
        raise ValueError(message)
    return names.index(text) + (name == "month")


def _sentence(name: str, text: str, error: ValueError) -> str:
    said = str(error).removeprefix("Error validating expression ")
    return f"the {name.replace('_', ' ')} {text!r} cannot be: {said}; {_HINT}"
