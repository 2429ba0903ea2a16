"""Inputs are what the playbook declares, with defaults filled in, or are refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbookd.errors import EvaluationError
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.playbook import Input
from runbookd.stages.inputs import fit_inputs


def fit(given: object, **declared: Any) -> object:
    """Fit one input named `x`."""
    return fit_inputs({"x": Input.model_validate(declared)}, {"x": given})["x"]


@pytest.mark.parametrize(
    ("kind", "given", "fitted"),
    [
        ("string", "a", "a"),
        ("string", "", ""),
        ("string", SecretRef("t"), SecretRef("t")),
        ("string", SecretText(("a", SecretRef("t"))), SecretText(("a", SecretRef("t")))),
        ("integer", 3, 3),
        ("number", 3, 3),
        ("number", 3.5, 3.5),
        ("boolean", False, False),
        ("duration", "1h30m", timedelta(minutes=90)),
        ("duration", timedelta(seconds=1), timedelta(seconds=1)),
        ("list", [1], [1]),
        ("list", (), []),
        ("map", {"a": 1}, {"a": 1}),
    ],
)
def test_values_that_fit(kind: str, given: object, fitted: object) -> None:
    """A value of its type is taken; a duration's text becomes a duration, an integer counts as a number."""
    assert fit(given, type=kind) == fitted


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("string", 3, "input 'x' must be a text, got the number 3"),
        ("string", ["a"], "must be a text, got a list"),
        ("integer", True, "must be an integer, got the boolean true"),
        ("integer", 3.0, "must be an integer, got the number 3.0"),
        ("integer", "3", "must be an integer, got the text '3'; a label is a text: convert it, as in ${int("),
        ("number", True, "must be a number, got the boolean true"),
        ("boolean", "yes", "must be true or false, got the text 'yes'"),
        ("boolean", 1, "must be true or false, got the number 1"),
        ("duration", "soon", "must be a duration such as 90s, 5m or 1h30m, got the text 'soon'"),
        ("duration", 90, "must be a duration such as 90s, 5m or 1h30m, got the number 90"),
        ("integer", timedelta(minutes=1), "must be an integer, got the duration 1m"),
        ("list", {"a": 1}, "must be a list, got a map"),
        ("map", object(), "must be a map, got object"),
        ("integer", SecretRef("t"), "must be an integer, got a secret"),
        ("integer", "x" * 500, f"must be an integer, got the text '{'x' * 50}"),
    ],
)
def test_values_that_do_not(kind: str, given: object, message: str) -> None:
    """A value of another type is refused, with the input's name, what was expected and what came."""
    with pytest.raises(EvaluationError) as raised:
        fit(given, type=kind)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 150


def test_no_secret_is_shown() -> None:
    """A refusal never holds the name or text around a secret."""
    with pytest.raises(EvaluationError) as raised:
        fit(SecretText(("password=", SecretRef("db"))), type="integer")
    assert "password" not in str(raised.value)


@pytest.mark.parametrize(
    ("declared", "good", "bad", "message"),
    [
        ({"pattern": "[a-z]+"}, "abc", "abc1", "must match [a-z]+, got the text 'abc1'"),
        ({"pattern": "^[a-z]+$"}, "abc", "abc\n", "must match"),
        ({"enum": ["a", "b"]}, "a", "c", "must be one of the text 'a', the text 'b', got the text 'c'"),
        ({"type": "duration", "enum": ["60s"]}, "1m", "2m", "must be one of"),
        ({"type": "integer", "minimum": 1}, 1, 0, "must be at least 1, got the number 0"),
        ({"type": "number", "maximum": 2.5}, 2.5, 2.6, "must be at most 2.5"),
    ],
)
def test_bounds(declared: dict[str, Any], good: object, bad: object, message: str) -> None:
    """The whole text matches the pattern, and enum, minimum and maximum hold."""
    assert fit(good, **declared) is not None
    with pytest.raises(EvaluationError) as raised:
        fit(bad, **declared)
    assert message in str(raised.value)


def test_a_pattern_that_is_none_refuses() -> None:
    """A broken pattern, which checking refuses at load, lets nothing through."""
    with pytest.raises(EvaluationError):
        fit("a", pattern="(")


def test_no_pattern_can_be_slow() -> None:
    """A text made to make a pattern slow is answered like any other."""
    with pytest.raises(EvaluationError):
        fit("a" * 50_000 + "!", pattern="(a+)+")


def test_defaults_are_filled_in_and_typed() -> None:
    """What is not given, or null, has its default, as its type; a null default is null."""
    declared = {
        "a": Input(type="duration", default="2h"),
        "b": Input(default=None),
        "c": Input(type="integer", default=3),
    }
    assert fit_inputs(declared, {"c": None}) == {"a": timedelta(hours=2), "b": None, "c": 3}


def test_what_is_missing_and_what_is_unknown() -> None:
    """A required input that is not given, and one that is not declared, are refused by name."""
    declared = {"name": Input(), "count": Input(type="integer", default=1)}
    with pytest.raises(EvaluationError, match="input 'name' is required: give a string"):
        fit_inputs(declared, {})
    with pytest.raises(
        EvaluationError, match=r"no input 'nam'; the inputs are: name, count\. Did you mean 'name'"
    ):
        fit_inputs(declared, {"nam": "a"})
    with pytest.raises(EvaluationError, match="the inputs are: none"):
        fit_inputs({}, {"nam": "a"})
