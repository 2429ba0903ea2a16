"""Patches as values: a reversal always leads back, and says when it may not be applied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.actions.kubernetes.patches import (
    LAST_CHANGE,
    Operation,
    at,
    bare,
    difference,
    fulfilled,
    holds,
    merged,
    operations,
    tokens,
    touched,
    touched_by,
)

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("a/~0", max_size=3)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text("ab/~", max_size=2), trees, max_size=4)


def without_nulls(tree: Any) -> Any:
    """The tree as the API server gives it: a map holds no null."""
    if isinstance(tree, dict):
        return {key: without_nulls(value) for key, value in tree.items() if value is not None}
    return [without_nulls(item) for item in tree] if isinstance(tree, list) else tree


def applied(tree: Any, patch: list[Operation]) -> Any:
    """RFC 6902 for the operations made here, as a server would do it; AssertionError when a test fails."""
    tree = copy.deepcopy(tree)
    for one in patch:
        if one["op"] == "test":
            assert at(tree, one["path"]) == one["value"]
            continue
        path = tokens(one["path"])
        if not path:
            tree = copy.deepcopy(one["value"])
            continue
        owner = tree
        for token in path[:-1]:
            owner = owner[int(token)] if isinstance(owner, list) else owner[token]
        key: Any = int(path[-1]) if isinstance(owner, list) else path[-1]
        if one["op"] == "remove":
            del owner[key]
        else:
            owner[key] = copy.deepcopy(one["value"])
    return tree


@given(objects, objects)
def test_operations_lead_from_one_tree_to_the_other(source: Any, target: Any) -> None:
    """The JSON Patch between two trees makes the second of the first, and then counts as fulfilled."""
    patch = operations(source, target)
    assert holds(source, patch)
    result = applied(source, patch)
    assert result == target
    assert fulfilled(result, patch)


@given(objects.map(without_nulls), objects)
def test_what_a_merge_patch_touches_leads_back(before: Any, patch: Any) -> None:
    """What is noted before a merge patch brings the former tree back, as a merge patch itself."""
    former = touched(before, patch)
    assert without_nulls(merged(merged(before, patch), former)) == without_nulls(before)


@given(objects.map(without_nulls), objects.map(without_nulls))
def test_what_operations_touch_leads_back(before: Any, after: Any) -> None:
    """What is noted before a JSON Patch brings the former tree back, as a merge patch."""
    former = touched_by(before, operations(before, after))
    assert merged(after, former) == before


def test_a_whole_map_that_is_replaced_is_noted() -> None:
    """`$patch: replace` drops what it does not name, so all of the map is noted, and `$setElementOrder` its list."""
    before = {"spec": {"a": 1, "b": [1], "c": {"d": 1}}}
    assert touched(before, {"spec": {"$patch": "replace", "a": 2, "e": 3}}) == {
        "spec": {"a": 1, "b": [1], "c": {"d": 1}, "e": None}
    }
    assert touched(before, {"spec": {"$setElementOrder/b": [1], "$retainKeys": ["a"]}}) == before


def test_a_foreign_change_holds_a_reversal_back() -> None:
    """A reversal neither holds nor counts as done once somebody changed what the change had left."""
    patch = operations({"spec": {"replicas": 5, "x": {"y": 1}}}, {"spec": {"replicas": 3, "x": {}}})
    left, back = {"spec": {"replicas": 5, "x": {"y": 1}}}, {"spec": {"replicas": 3, "x": {}}}
    assert (holds(left, patch), fulfilled(left, patch)) == (True, False)
    assert (holds(back, patch), fulfilled(back, patch)) == (False, True)
    foreign = {"spec": {"replicas": 7, "x": {"y": 1}}}
    assert (holds(foreign, patch), fulfilled(foreign, patch)) == (False, False)


def test_the_difference_is_what_is_recorded() -> None:
    """Only what differs is recorded, lists whole, None where one state has nothing."""
    before = {"spec": {"replicas": 3, "list": [1, 2]}, "same": {"a": 1}}
    after = {"spec": {"replicas": 5, "list": [1, 3], "new": True}, "same": {"a": 1}}
    assert difference(before, after) == (
        {"spec": {"replicas": 3, "list": [1, 2], "new": None}},
        {"spec": {"replicas": 5, "list": [1, 3], "new": True}},
    )


def test_a_bare_object_has_only_what_people_write() -> None:
    """Status, versions, field managers and the mark are left out; labels and annotations are there, if empty."""
    obj: dict[str, Any] = {
        "kind": "Deployment",
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "annotations": {LAST_CHANGE: "{}"}},
        "spec": {"replicas": 1},
        "status": {"replicas": 1},
    }
    assert bare(obj) == {
        "kind": "Deployment",
        "metadata": {"name": "a", "annotations": {}, "labels": {}},
        "spec": {"replicas": 1},
    }
    obj["metadata"]["annotations"]["x"] = "y"
    assert bare(obj)["metadata"]["annotations"] == {"x": "y"}


@pytest.mark.parametrize(
    ("pointer", "found"), [("/a/0/b~1c", 1), ("/a/0/d~0", 2), ("", {"a": [{"b/c": 1, "d~": 2}]})]
)
def test_a_pointer_is_followed(pointer: str, found: object) -> None:
    """Slashes and tildes in keys are read as RFC 6901 writes them; lists by number."""
    assert at({"a": [{"b/c": 1, "d~": 2}]}, pointer) == found


@pytest.mark.parametrize("pointer", ["/x", "/a/1", "/a/x", "/a/0/b~1c/z"])
def test_a_pointer_to_nothing_equals_nothing(pointer: str) -> None:
    """What is not there is not None: a missing value and a null differ."""
    assert at({"a": [{"b/c": None}]}, pointer) is not None
