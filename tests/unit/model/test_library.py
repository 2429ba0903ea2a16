"""What all content says together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runbookd.model.library import Library
from runbookd.model.rule import Rule


def rule(**fields: object) -> Rule:
    """A rule with the default limits unless it says otherwise."""
    return Rule.model_validate({"name": "r", "match": ['a="b"'], "priority": "P1", **fields})


@pytest.mark.parametrize(
    ("rules", "window"),
    [
        ((), timedelta()),
        ((rule(),), timedelta(hours=24)),
        ((rule(), rule(limits={"cooldown": "2d"})), timedelta(days=2)),
        ((rule(limits={"runs": [{"of": 1, "per": "3d"}]}),), timedelta(days=3)),
        ((rule(for_count={"of": 2, "within": "1w"}), rule()), timedelta(weeks=1)),
    ],
)
def test_the_longest_window_of_all_rules(rules: tuple[Rule, ...], window: timedelta) -> None:
    """It is the longest time any rule looks back, for its cooldown, its limits or its count."""
    assert Library(rules=rules).longest_window() == window
