"""Durations as operators write them: `90s`, `5m`, `1h30m`, `2d`, `1w`, `500ms`.

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
_HINT = "Write whole numbers with units, the largest first, such as 90s, 5m, 1h30m, 2d, 1w or 500ms"


def parse_duration(text: str) -> timedelta:
    """Read a duration; `0` alone is allowed, surrounding blanks are ignored.

    Raises LanguageError for anything else, a negative duration and one longer than Python can hold included.
    """
    stripped = text.strip()
    if stripped == "0":
        return timedelta(0)
    match = _SHAPE.fullmatch(stripped)
    if not stripped or match is None:
        raise LanguageError(f"'{text}' is not a duration. {_HINT}.", line=1, column=1)
    numbers = zip(match.groups(), _MICROSECONDS.values(), strict=True)
    try:
        return timedelta(microseconds=sum(int(number) * size for number, size in numbers if number))
    except OverflowError:
        raise LanguageError(f"'{text}' is longer than any duration can be.", line=1, column=1) from None


def format_duration(duration: timedelta) -> str:
    """Write a duration exactly, in the units `parse_duration` reads: `1h30m`; `0s` for none.

    Weeks are used only when they come out even, as Prometheus does: `1w`, but `8d`. A negative duration, which
    arithmetic can produce and no file may hold, starts with `-`.
    """
    left = abs(duration) // timedelta(microseconds=1)
    if left == 0:
        return "0s"
    sign = "-" if duration < timedelta(0) else ""
    if left % _MICROSECONDS["w"] == 0:
        return f"{sign}{left // _MICROSECONDS['w']}w"
    parts: list[str] = []
    for unit, size in list(_MICROSECONDS.items())[1:]:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
