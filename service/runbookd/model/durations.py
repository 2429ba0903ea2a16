"""Lengths of time as people write them: `90s`, `5m`, `1h30m`, `2d`."""

from __future__ import annotations

import re
from datetime import timedelta

from runbookd.errors import LanguageError

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}  # in milliseconds
_PART = re.compile(r"(\d+)(ms|[smhdw])")
_LONGEST_MS = 3650 * _UNITS["d"]


def parse_duration(text: str) -> timedelta:
    """Read a duration as Prometheus writes them: whole numbers with units, largest first or not.

    Raises LanguageError with a hint when it is anything else, or longer than ten years.
    """
    written = text.strip()
    total = position = 0
    while position < len(written):
        part = _PART.match(written, position)
        if part is None:
            break
        total += int(part[1]) * _UNITS[part[2]] if len(part[1]) < len(str(_LONGEST_MS)) else _LONGEST_MS + 1
        position = part.end()
    if not written or position < len(written):
        message = f"{text!r} is not a duration; write a number and a unit, such as 90s, 5m, 1h30m or 2d"
        raise LanguageError(message, column=position + 1)
    if total > _LONGEST_MS:
        message = f"{text!r} is longer than ten years"
        raise LanguageError(message, column=1)
    return timedelta(milliseconds=total)


def format_duration(length: timedelta) -> str:
    """Write a duration the shortest way that is exact to the millisecond: `1h30m`; `0s` for none."""
    rest = round(length.total_seconds() * 1000)
    if rest == 0:
        return "0s"
    sign, rest = ("-", -rest) if rest < 0 else ("", rest)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)


def as_duration(value: object) -> timedelta:
    """Accept a duration text or a timedelta; raises ValueError (for pydantic) for anything else."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = f"{value!r} is not a duration; write a number and a unit, such as 90s or 5m"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns ValueError, not TypeError, into a located error
    try:
        return parse_duration(value)
    except LanguageError as error:
        raise ValueError(str(error)) from error
