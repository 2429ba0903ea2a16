"""A sender's fields become our types, or a message that begins with the field's place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import PayloadError
from runbookd.stages.normalize import (
    DEFAULT_LIMITS,
    ZERO_TIME,
    as_count,
    as_text,
    as_text_map,
    as_time,
    kind_of,
    quote,
)

HALF_PAIR = "a\ud800"


def labels(value: object) -> dict[str, str]:
    """Read a small label map."""
    return as_text_map(value, ".labels", count=3, name_length=5, length=8)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "number"),
        (1.5, "number"),
        ("", "text"),
        ([], "list"),
        ({}, "object"),
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
    ],
)
def test_kinds_are_named_as_in_json(value: object, kind: str) -> None:
    """Messages speak of text and objects, not of str and dict."""
    assert kind_of(value) == kind


def test_quotes_are_short_and_plain() -> None:
    """What a stranger wrote is escaped and cut before it is repeated."""
    assert quote("a\n\x1b[31m\ud800") == '"a\\n\\u001b[31m\\ud800"'
    assert quote("x" * 100) == '"' + "x" * 60 + '..."'


@pytest.mark.parametrize("value", [{}, {"a": "b"}, {"é": "ü"}, {"a": "12345678", "b": "12345678"}, {"a": ""}])
def test_good_labels_are_returned(value: dict[str, str]) -> None:
    """Empty values, other scripts and values at the limit are good."""
    assert labels(value) == value


def test_missing_labels_are_empty() -> None:
    """Null is an empty map."""
    assert labels(None) == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], ".labels: expected object, got list"),
        ("a", ".labels: expected object, got text"),
        ({"a": 1}, '.labels["a"]: expected text, got number'),
        ({"a": None}, '.labels["a"]: expected text, got null'),
        ({"a": ["b"]}, '.labels["a"]: expected text, got list'),
        ({"": "b"}, '.labels[""]: a name cannot be empty'),
        ({"a": "123456789"}, '.labels["a"]: 9 characters, and the limit is 8'),
        ({"abcdef": "1"}, '.labels["abcdef"]: its name has 6 characters, and the limit is 5'),
        (dict.fromkeys("abcd", "1"), ".labels: 4 entries, and the limit is 3"),
        ({"a": "1\0"}, '.labels["a"]: a NUL character at position 1'),
        ({"a\0": "1"}, '.labels["a\\u0000"]: its name has a NUL character at position 1'),
        ({"a": HALF_PAIR}, '.labels["a"]: half of a surrogate pair at position 1'),
        ({HALF_PAIR: "1"}, '.labels["a\\ud800"]: its name has half of a surrogate pair at position 1'),
    ],
)
def test_bad_labels_are_refused_by_name(value: object, message: str) -> None:
    """The message has the label, what is wrong with it and the limit."""
    with pytest.raises(PayloadError) as refused:
        labels(value)
    assert str(refused.value) == message


@given(st.dictionaries(st.text(), st.text() | st.none() | st.integers()))
def test_accepted_labels_can_be_stored(value: dict[str, object]) -> None:
    """Whatever is accepted is valid UTF-8 without NUL and within the limits."""
    try:
        accepted = labels(value)
    except PayloadError:
        return
    assert len(accepted) <= 3
    for name, text in accepted.items():
        assert 0 < len(name) <= 5
        assert len(text) <= 8
        assert "\0" not in (name + text).encode().decode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, ".url: expected text, got number"),
        ("1234", ".url: 4 characters, and the limit is 3"),
        ("\0", ".url: a NUL character at position 0"),
    ],
)
def test_bad_text_is_refused(value: object, message: str) -> None:
    """Text is text, bounded and storable."""
    with pytest.raises(PayloadError) as refused:
        as_text(value, ".url", 3)
    assert str(refused.value) == message


def test_good_text_is_returned() -> None:
    """Missing text is empty."""
    assert [as_text(value, ".url", 3) for value in (None, "", "äbc")] == ["", "", "äbc"]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23t10:00:00z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T10:00:00.123456789+05:30", datetime(2026, 11, 23, 4, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-23T10:00:00.5-23:59", datetime(2026, 11, 24, 9, 59, 0, 500000, tzinfo=UTC)),
        ("2026-11-23T10:00:00-00:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        (ZERO_TIME, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("0001-01-01T00:00:00.000000001-08:00", None),
        (None, None),
    ],
)
def test_times_are_aware_utc(value: str | None, moment: datetime | None) -> None:
    """Nanoseconds are cut, any offset is converted, and year 1 is no time at all."""
    assert as_time(value, ".startsAt") == moment
    if moment is not None:
        parsed = as_time(value, ".startsAt")
        assert parsed is not None
        assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1700000000, ".startsAt: expected a time, got number"),
        ("", ".startsAt: expected a time such as"),
        ("yesterday", 'got "yesterday"'),
        ("2026-11-23", "expected a time such as"),
        ("2026-11-23 10:00:00Z", "expected a time such as"),
        ("2026-11-23T10:00:00", "expected a time such as"),
        ("2026-W47-1T10:00:00Z", "expected a time such as"),
        ("٢٠٢٦-11-23T10:00:00Z", "expected a time such as"),
        ("2026-11-23T10:00:00.Z", "expected a time such as"),
        ("2026-11-23T10:00:00Z\n", "expected a time such as"),
        ("2026-02-30T10:00:00Z", "there is no such time"),
        ("2026-11-23T24:00:01Z", "there is no such time"),
        ("2026-11-23T10:00:60Z", "there is no such time"),
        ("2026-11-23T10:00:00+24:00", "there is no such time"),
        ("0000-01-01T00:00:00Z", "there is no such time"),
        ("9999-12-31T23:59:59-01:00", "there is no such time"),
    ],
)
def test_bad_times_are_refused(value: object, message: str) -> None:
    """Only RFC 3339 moments that exist in UTC are times."""
    with pytest.raises(PayloadError) as refused:
        as_time(value, ".startsAt")
    assert message in str(refused.value)
    assert str(refused.value).startswith(".startsAt: ")


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"))
def test_any_text_is_a_time_or_refused(value: str) -> None:
    """No text raises anything but PayloadError, and every accepted time can be moved by a day at least."""
    try:
        moment = as_time(value, "t")
    except PayloadError:
        return
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "expected a whole number, got boolean"),
        (1.0, "expected a whole number, got number"),
        ("1", "expected a whole number, got text"),
        (-1, "expected a number from 0, got -1"),
    ],
)
def test_bad_counts_are_refused(value: object, message: str) -> None:
    """A count is a whole number from 0."""
    with pytest.raises(PayloadError, match=f"^n: {message}$"):
        as_count(value, "n")


def test_good_counts_are_returned() -> None:
    """A missing count is 0."""
    assert [as_count(value, "n") for value in (None, 0, 7)] == [0, 0, 7]


def test_default_limits_are_far_from_what_senders_send() -> None:
    """A Prometheus alert has some tens of labels, and Kubernetes allows 63 characters in a label's value."""
    assert DEFAULT_LIMITS.labels >= 256
    assert DEFAULT_LIMITS.label_length >= 16 * 1024
