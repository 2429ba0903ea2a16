"""Lengths of time as people write them: `90s`, `5m`, `1h30m`, `2d`, `1w`, `500ms`.

The grammar is Prometheus' (https://prometheus.io/docs/prometheus/latest/querying/basics/#float-literals-and-time-durations):
whole numbers with a unit, the largest unit first, each unit once. Years are left out, because nothing in a
runbook waits for one; microseconds (`us`) are added, so that every duration Python can hold has a text.
"""

from __future__ import annotations

import re
from datetime import timedelta

from runbookd.errors import LanguageError

_MICROSECONDS = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_SHAPE = re.compile("".join(f"(?:([0-9]{{1,20}}){unit})?" for unit in _MICROSECONDS))
_HINT = "write whole numbers with units, the largest first, such as 90s, 5m, 1h30m or 2d"

LONGEST = timedelta(days=3650)
"""The longest duration that is read: ten years. Added to any date there will be, it is still a date."""


def parse_duration(text: str) -> timedelta:
    """Read a duration; `0` alone is allowed, surrounding blanks are ignored.

    Raises LanguageError with a hint for anything else, a negative duration and one beyond LONGEST included.
    """
    stripped = text.strip()
    if stripped == "0":
        return timedelta(0)
    match = _SHAPE.fullmatch(stripped)
    if not stripped or match is None:
        raise LanguageError(f"{text!r} is not a duration; {_HINT}", line=1, column=1)
    numbers = zip(match.groups(), _MICROSECONDS.values(), strict=True)
    total = sum(int(number) * size for number, size in numbers if number)
    if total > LONGEST // timedelta(microseconds=1):
        raise LanguageError(f"{text!r} is longer than ten years", line=1, column=1)
    return timedelta(microseconds=total)


def format_duration(length: timedelta) -> str:
    """Write a duration exactly, in the units `parse_duration` reads: `1h30m`; `0s` for none.

    Weeks are used only when they come out even, as Prometheus does: `1w`, but `8d`. A negative duration, which
    arithmetic can produce and no file may hold, starts with `-`.
    """
    left = abs(length) // timedelta(microseconds=1)
    if left == 0:
        return "0s"
    sign = "-" if length < timedelta(0) else ""
    if left % _MICROSECONDS["w"] == 0:
        return f"{sign}{left // _MICROSECONDS['w']}w"
    parts: list[str] = []
    for unit, size in list(_MICROSECONDS.items())[1:]:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)


def as_duration(value: object) -> timedelta:
    """Accept a duration text or a timedelta; raises ValueError (for pydantic) for anything else."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = f"{value!r} is not a duration; {_HINT}"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns ValueError, not TypeError, into a located error
    try:
        return parse_duration(value)
    except LanguageError as error:
        raise ValueError(str(error)) from error
