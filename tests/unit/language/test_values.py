"""Values survive the way to the database and back, and have one canonical text."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import EvaluationError
from runbookd.language.values import (
    MAX_DEPTH,
    SecretRef,
    SecretText,
    canonical_json,
    decode,
    encode,
    utc_text,
)

secrets = st.builds(SecretRef, st.text())
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.timedeltas(min_value=timedelta(days=-90_000), max_value=timedelta(days=90_000))
    | st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.timezones()).map(  # noqa: DTZ001
        lambda moment: moment.astimezone(UTC)
    )
    | secrets
    | st.builds(SecretText, st.lists(st.text() | secrets).map(tuple))
)
keys = st.text() | st.sampled_from(
    ["$duration", "$timestamp", "$number", "$secret", "$secret_text", "$map", "$"]
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


class Color(StrEnum):
    """A text by another name."""

    RED = "red"


@given(trees)
def test_a_value_survives_json(value: object) -> None:
    """What is encoded, written as JSON, read and decoded is the same value of the same type."""
    text = canonical_json(encode(value))
    restored = decode(json.loads(text.encode()))
    assert restored == value
    assert canonical_json(encode(restored)) == text


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        (timedelta(minutes=90), {"$duration": 5400}),
        (timedelta(milliseconds=-1500), {"$duration": -1.5}),
        (
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))),
            {"$timestamp": "2026-01-02T01:04:00Z"},
        ),
        (SecretRef("pd"), {"$secret": "pd"}),
        (SecretText(("Bearer ", SecretRef("pd"))), {"$secret_text": ["Bearer ", {"$secret": "pd"}]}),
        ({"$secret": "x"}, {"$map": {"$secret": "x"}}),
        ({"$secret": "x", "b": 1}, {"$secret": "x", "b": 1}),
        ((1, "a"), [1, "a"]),
        (MappingProxyType({"a": Color.RED}), {"a": "red"}),
        (math.inf, {"$number": "Infinity"}),
        (-math.inf, {"$number": "-Infinity"}),
    ],
)
def test_the_stored_form_is_the_documented_one(value: object, tree: object) -> None:
    """Each type has the tag the module documents, and a user's map cannot pass for one."""
    assert encode(value) == tree


def test_enums_are_stored_as_plain_text() -> None:
    """A subclass of text leaves as text itself, so that every JSON writer takes it."""
    assert type(encode(Color.RED)) is str


def test_nan_survives() -> None:
    """A measurement that is not a number is kept, although JSON has no word for it."""
    assert math.isnan(decode(encode(math.nan)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 2}, "keys must be text"),
        (object(), "type object cannot be kept"),
        (b"x", "type bytes"),
        (datetime(2026, 1, 1), "no timezone"),  # noqa: DTZ001
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), "does not exist in UTC"),
        (timedelta.max, "to the microsecond"),
    ],
)
def test_what_cannot_be_kept_is_refused(value: object, message: str) -> None:
    """Values without a faithful stored form are refused with the reason."""
    with pytest.raises(EvaluationError, match=message):
        encode(value)


def test_endless_nesting_is_refused() -> None:
    """A value nested beyond the limit is refused instead of exhausting the stack."""
    value: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(EvaluationError, match="nests deeper"):
        encode(value)


def test_an_unknown_tag_is_refused() -> None:
    """A stored tag nobody writes is noticed, not passed on."""
    with pytest.raises(EvaluationError, match=r"unknown tag '\$python'"):
        decode({"$python": "x"})


def test_canonical_json_is_one_text_per_tree() -> None:
    """Key order and spacing never matter, and letters stay letters."""
    assert canonical_json({"b": [1, 2.5, None], "a": "é\n"}) == '{"a":"é\\n","b":[1,2.5,null]}'


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1: 1, "a": 2}])
def test_canonical_json_refuses_what_json_has_not(value: object) -> None:
    """NaN, infinities, foreign types and unsortable keys are refused."""
    with pytest.raises(EvaluationError, match="as JSON"):
        canonical_json(value)


def test_canonical_json_can_always_be_encoded() -> None:
    """Half a surrogate pair from a hostile sender stays escaped, so that the text is valid UTF-8."""
    text = canonical_json({"a": "é\ud800"})
    assert json.loads(text.encode()) == {"a": "é\ud800"}


def test_moments_are_written_in_utc() -> None:
    """A moment is written with its microseconds and the letter Z."""
    assert utc_text(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05.000006Z"
