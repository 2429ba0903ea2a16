"""Durations are read and written as operators know them from Prometheus."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import LanguageError
from runbookd.model.durations import LONGEST, as_duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("500ms", timedelta(milliseconds=500)),
        ("7us", timedelta(microseconds=7)),
        (" 1w2d3h4m5s6ms ", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5, milliseconds=6)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    """Every documented form is read to the exact duration."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "5", "-5m", "1.5h", "1m1h", "5m5m", "5 m", "m", "1y", "\uff15m", "5m\nx"]
)
def test_what_is_no_duration_is_refused_with_a_hint(text: str) -> None:
    """Anything else is refused, and the message shows how to write one."""
    with pytest.raises(LanguageError, match="1h30m") as refused:
        parse_duration(text)
    assert (refused.value.line, refused.value.column) == (1, 1)


def test_a_duration_beyond_all_bounds_is_refused() -> None:
    """A number too large for any duration is a mistake, not a crash."""
    with pytest.raises(LanguageError, match="longer than"):
        parse_duration("99999999999999999999w")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(weeks=2), "2w"),
        (timedelta(days=8), "8d"),
        (timedelta(hours=-36), "-1d12h"),
        (timedelta(seconds=1, microseconds=1500), "1s1ms500us"),
    ],
)
def test_a_duration_is_written(duration: timedelta, text: str) -> None:
    """Durations are written in the largest units, weeks only when they come out even."""
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    """Writing and reading a duration loses nothing."""
    assert parse_duration(format_duration(duration)) == duration


def test_the_longest_duration_is_ten_years() -> None:
    """Ten years are read, a microsecond more is a mistake: no date is ever overrun."""
    assert parse_duration("3650d") == LONGEST
    with pytest.raises(LanguageError, match="longer than ten years"):
        parse_duration("3650d1us")


@given(st.text(alphabet="0123456789wdhmsu.- ") | st.text())
def test_no_text_crashes_the_reader(text: str) -> None:
    """Any text is either a duration or a LanguageError."""
    try:
        assert parse_duration(text) >= timedelta(0)
    except LanguageError as error:
        assert str(error)  # noqa: PT017  # both ends are right


def test_content_takes_texts_and_durations() -> None:
    """A duration of a file is a text; one that is a duration already is kept."""
    assert as_duration("90s") == as_duration(timedelta(seconds=90)) == timedelta(seconds=90)


@pytest.mark.parametrize("value", [15, None, True, "15min", ["5m"]])
def test_content_refuses_anything_else(value: object) -> None:
    """A number alone has no unit: what is wrong and how to write it is said, as a ValueError for pydantic."""
    with pytest.raises(ValueError, match="is not a duration; write whole numbers with units"):
        as_duration(value)
