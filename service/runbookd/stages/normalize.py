"""Normalize: what every source checks on the way from a sender's fields to an Event.

Each function takes a value and `at`, where it stands in the body (`.labels`, say), and returns it in our type or
raises a PayloadError that begins with that place: `.labels["team"]: expected text, got number`. A source adds the
place of the whole alert in front.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from runbookd.errors import OverLimit, PayloadError

ZERO_TIME: Final = "0001-01-01T00:00:00Z"
"""How Go writes a time that was never set."""

QUOTED: Final = 60
"""Characters of a sender's text that are repeated in a message."""

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,32})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one alert may hold; lengths are in characters. One alert beyond them refuses its whole delivery,
    so they lie far beyond what Prometheus, Alertmanager and CloudWatch are seen to send. `depth` counts levels of
    lists and objects; Alertmanager's own bodies have four."""

    depth: int = 32
    labels: int = 256
    annotations: int = 256
    name_length: int = 1024
    label_length: int = 16 * 1024
    annotation_length: int = 64 * 1024
    text_length: int = 64 * 1024


DEFAULT_LIMITS: Final = Limits()


def kind_of(value: object) -> str:
    """Name a JSON value's type as its writer would."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case dict():
            return "object"
        case _:
            return type(value).__name__


def quote(text: str) -> str:
    """Quote a sender's text for a message: JSON escapes, ASCII, and cut."""
    return json.dumps(text if len(text) <= QUOTED else f"{text[:QUOTED]}...")


def as_text(value: object, at: str, limit: int) -> str:
    """Return text, empty when missing. Raises PayloadError for another type, too long a text or a bad character."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PayloadError(f"{at}: expected text, got {kind_of(value)}")
    if len(value) > limit:
        raise OverLimit(f"{at}: {len(value)} characters, and the limit is {limit}")
    problem = bad_character(value)
    if problem:
        raise PayloadError(f"{at}: {problem}")
    return value


def needed_text(value: object, at: str, limit: int) -> str:
    """Return text that is there and not empty. Raises PayloadError."""
    text = as_text(value, at, limit)
    if not text:
        raise PayloadError(f"{at}: missing or empty")
    return text


def as_object(value: object, at: str) -> dict[str, object]:
    """Return an object, empty when it is missing. Raises PayloadError for another type."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PayloadError(f"{at}: expected object, got {kind_of(value)}")
    return value


def as_text_map(value: object, at: str, *, count: int, name_length: int, length: int) -> dict[str, str]:
    """Return a map from text to text; empty when it is missing.

    Raises PayloadError when it holds more than `count` entries, a name longer than `name_length`, a value longer
    than `length`, a value that is not text, or a character no database keeps.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PayloadError(f"{at}: expected object, got {kind_of(value)}")
    if len(value) > count:
        raise OverLimit(f"{at}: {len(value)} entries, and the limit is {count}")
    if not _is_plain(value, name_length, length):
        _check_entries(value, at, name_length, length)
    return value


def _is_plain(entries: dict[str, str], name_length: int, length: int) -> bool:
    """Whether nothing can be wrong with the entries, told from all of them at once; the usual case, and quick."""
    try:
        names, values = "".join(entries), "".join(entries.values())
    except TypeError:
        return False
    return (
        len(names) <= name_length
        and len(values) <= length
        and values.isascii()
        and names.isascii()
        and "\0" not in values
        and "\0" not in names
        and "" not in entries
    )


def _check_entries(entries: dict[str, str], at: str, name_length: int, length: int) -> None:
    """Raise PayloadError for the first entry that is wrong."""
    for name, value in entries.items():
        here = f"{at}[{quote(name)}]"
        if not name:
            raise PayloadError(f"{here}: a name cannot be empty")
        if len(name) > name_length:
            raise OverLimit(f"{here}: its name has {len(name)} characters, and the limit is {name_length}")
        problem = bad_character(name)
        if problem:
            raise PayloadError(f"{here}: its name has {problem}")
        if value is None:
            raise PayloadError(f"{here}: expected text, got null")
        as_text(value, here, length)


def bad_character(text: str) -> str | None:
    """Name the first character that no database keeps: NUL, or half of a surrogate pair; None when there is none."""
    if "\0" in text:
        return f"a NUL character at position {text.index(chr(0))}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"half of a surrogate pair at position {error.start}"
    return None


def as_time(value: object, at: str) -> datetime | None:
    """Return an RFC 3339 time as aware UTC, cut to microseconds; None when it is missing or in year 1 (never set).

    Raises PayloadError when it is not RFC 3339, or no such moment exists.
    """
    if value is None or value == ZERO_TIME:
        return None
    if not isinstance(value, str):
        raise PayloadError(f"{at}: expected a time, got {kind_of(value)}")
    if not _RFC_3339.fullmatch(value):
        raise PayloadError(
            f"{at}: expected a time such as 2026-01-31T08:00:00Z (RFC 3339), got {quote(value)}"
        )
    if value.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PayloadError(f"{at}: there is no such time as {quote(value)}: {error}") from None


def as_count(value: object, at: str) -> int:
    """Return a whole number from 0; 0 when it is missing. Raises PayloadError."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise PayloadError(f"{at}: expected a whole number, got {kind_of(value)}")
    if value < 0:
        raise PayloadError(f"{at}: expected a number from 0, got {value}")
    return value
