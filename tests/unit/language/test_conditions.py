"""Conditions see a label that is not there as an empty text, as matchers do."""

from __future__ import annotations

import pytest

from runbookd.errors import LanguageError
from runbookd.language.cel import Scope
from runbookd.language.conditions import compile_condition, missing_labels_are_empty

EVENT = Scope({"event": {"labels": {"severity": "critical", "a-b": "x"}, "annotations": {}, "name": "N"}})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('event.labels.environment != "dev"', True),
        ('event.labels.environment == ""', True),
        ('event.labels["environment"] == ""', True),
        ('event.labels["a-b"] == "x"', True),
        ('event.labels.severity == "critical" && event.annotations.summary.size() == 0', True),
        ("has(event.labels.environment)", False),
        ("has(event.labels.severity)", True),
        ('event.labels[?"environment"].orValue("none") == "none"', True),
        ('event.labels.?environment.orValue("none") == "none"', True),
        ("event.labels.`a-b` == 'x'", True),
        ('"event.labels.environment" == "event.labels.environment"', True),
        ("event.labels.size() == 2", True),
        ('event.labels[event.name] == "" || true', True),
        ("size(event.labels) == 2", True),
    ],
)
def test_a_missing_label_is_an_empty_text(text: str, holds: bool) -> None:  # noqa: FBT001 - a table's column
    """A missing label compares as an empty text, unless the condition asks whether it is there."""
    assert compile_condition(text).holds(EVENT) is holds


def test_an_error_shows_what_was_written() -> None:
    """The text in an error is the author's, not the rewritten one."""
    condition = compile_condition("event.labels.a == event.name")
    assert condition.text == "event.labels.a == event.name"
    assert repr(condition) == condition.text


def test_a_mistake_is_placed_in_the_text_as_written() -> None:
    """The column of a mistake after a lookup is the author's."""
    with pytest.raises(LanguageError) as error:
        compile_condition("event.labels.a == nope")
    assert error.value.column == 19


def test_a_label_compared_with_a_number_is_a_mistake() -> None:
    """Labels are text, which is known when the condition is loaded."""
    with pytest.raises(LanguageError, match=r"event\.labels\.a == 1.*Labels are text"):
        compile_condition("event.labels.a == 1")


def test_what_is_not_a_lookup_stays_as_it_is() -> None:
    """Fields of other things called event, and escaped keys, are left alone."""
    for text in (
        "steps.event.labels.x == 1",
        r'event.labels["a\"b"] == "x"',
        "event.labels",
        "event.name == 'x'",
    ):
        assert missing_labels_are_empty(text) == text
