"""What a step changed, told place by place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbookd.language.differences import Difference, differences, lines
from runbookd.language.values import SecretRef, SecretText


def told(before: object, after: object) -> list[str]:
    """The differences between two states, as text."""
    return [str(each) for each in differences({"before": before, "after": after})]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"spec": {"replicas": 2}}, {"spec": {"replicas": 5}}, ["spec.replicas: 2 -> 5"]),
        ({"spec": {"paused": None}}, {"spec": {"paused": True}}, ["spec.paused: (nothing) -> true"]),
        ({"a": 1, "b": 2}, {"a": 1}, ["b: 2 -> (nothing)"]),
        (None, {"name": "x"}, ["name: (nothing) -> x"]),
        (1, 2, ["1 -> 2"]),
        ({"a": ""}, {"a": {}}, ['a: "" -> {}']),
        ({"pods": ["a", "b"]}, {"pods": []}, ['pods: ["a", "b"] -> []']),
        ({"labels": {}}, {"labels": {"x.io/y": "z"}}, ['labels["x.io/y"]: (nothing) -> z']),
        ({"labels": {"x": "z"}}, {"labels": {}}, ["labels.x: z -> (nothing)"]),
        ({"labels": {}}, {"labels": None}, ["labels: {} -> (nothing)"]),
        ({"a": 1}, {"a": 1}, []),
        ({"for": timedelta(minutes=90)}, {"for": timedelta(0)}, ["for: 1h30m -> 0s"]),
        (
            {"at": None},
            {"at": datetime(2026, 1, 5, 12, tzinfo=UTC)},
            ["at: (nothing) -> 2026-01-05T12:00:00Z"],
        ),
        ({"all": [timedelta(hours=1)]}, {"all": []}, ['all: ["1h"] -> []']),
        (
            {"key": SecretRef("a")},
            {"key": SecretText(("x-", SecretRef("b")))},
            ["key: ${secret.a} -> x-${secret.b}"],
        ),
    ],
)
def test_each_place_has_what_stood_there_and_what_stands_there(
    before: object, after: object, expected: list[str]
) -> None:
    """Only what differs is told, by its path; what is not there is nothing."""
    assert told(before, after) == expected


def test_things_in_lists_go_by_their_names() -> None:
    """A container that moved has not changed; without names the number tells."""
    web, side = {"name": "web", "image": "a:1"}, {"name": "side", "image": "s:1"}
    changed = told({"containers": [web]}, {"containers": [side, web | {"image": "a:2"}]})
    assert changed == ["containers[web].image: a:1 -> a:2", "containers[side].image: (nothing) -> s:1"]
    assert told({"rules": [{"to": 1}]}, {"rules": [{"to": 2}, "x"]}) == [
        "rules[0].to: 1 -> 2",
        "rules[1]: (nothing) -> x",
    ]
    assert told({"e": []}, {"e": [{"name": "only"}]}) == ["e[only].name: (nothing) -> only"]


def test_long_values_are_cut() -> None:
    """A value takes no more than a line."""
    (found,) = differences({"before": None, "after": {"text": "x" * 500}})
    assert found == Difference("text", "(nothing)", "x" * 117 + "...")


def test_many_places_are_counted() -> None:
    """Where there is room for a few lines, the rest is said to be elsewhere."""
    change = {"before": {}, "after": {str(number): number for number in range(5)}}
    assert lines(change, 2, "runs show x") == [
        '["0"]: (nothing) -> 0',
        '["1"]: (nothing) -> 1',
        "and 3 more: runs show x",
    ]
    assert len(lines(change, 5, "")) == 5


@pytest.mark.parametrize("change", [None, {}, {"begins": "{...", "sha256": "ab"}])
def test_a_change_that_was_not_kept_has_no_places(change: dict[str, object] | None) -> None:
    """No change, and one that was too long to be kept whole, tell nothing."""
    assert differences(change) == []
