"""What operators write is closed and typed: limits are on by default, and what makes no sense is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from runbookd.model.action import Mode
from runbookd.model.base import Content
from runbookd.model.playbook import Check, Input, Playbook, Step
from runbookd.model.rule import Calendar, Limits, Priority, Rule, RunLimit


def refused(model: type[Content], **values: Any) -> str:
    """What is said of values that make no sense."""
    with pytest.raises(ValidationError) as mistake:
        model.model_validate(values)
    return str(mistake.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"action": "a"}, "action"),
        ({"action": "a", "assert": "true"}, "action"),
        ({"playbook": "p"}, "playbook"),
        ({"parallel": []}, "parallel"),
        ({"wait": "1m"}, "wait"),
        ({"assert": "true"}, "assert"),
    ],
)
def test_a_step_is_of_one_kind(values: dict[str, Any], kind: str) -> None:
    """What a step holds says what it is; an `assert` beside an action judges that action."""
    assert Step.model_validate(values).kind == kind


@pytest.mark.parametrize(
    "values", [{}, {"id": "a"}, {"action": "a", "wait": "1m"}, {"playbook": "p", "parallel": []}]
)
def test_a_step_of_no_or_two_kinds_is_refused(values: dict[str, Any]) -> None:
    """Exactly one thing is done by a step."""
    assert "exactly one of" in refused(Step, **values)


@pytest.mark.parametrize("values", [{}, {"check": "alert_resolved", "action": "a"}])
def test_a_check_is_of_one_kind(values: dict[str, Any]) -> None:
    """A check is the alert's resolve or an action's look."""
    assert "a check is either" in refused(Check, **values)
    assert Check(action="a").within == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("written", "required"), [({}, True), ({"default": None}, False), ({"default": 1}, False)]
)
def test_an_input_without_a_default_is_required(written: dict[str, Any], required: bool) -> None:  # noqa: FBT001 - a column of the table
    """Even a null default makes an input optional."""
    assert Input(**written).required is required


def test_a_playbook_has_a_deadline_of_its_own() -> None:
    """A playbook that names none may take half an hour, and its failure goes to people."""
    playbook = Playbook(playbook="p")
    assert (playbook.deadline, playbook.on_failure) == (timedelta(minutes=30), "escalate")


def test_limits_are_on_by_default() -> None:
    """A rule that names no limits has a cooldown and two run limits, and acts."""
    rule = Rule(name="r", match=['a="1"'], priority="P1")
    assert rule.limits == Limits(
        cooldown=timedelta(minutes=15),
        runs=[RunLimit(of=3, per=timedelta(hours=1)), RunLimit(of=6, per=timedelta(days=1))],
    )
    assert rule.mode is Mode.ACT


def test_a_rule_selects_something() -> None:
    """Only the rule named `unmatched` may take whatever comes."""
    assert "needs `match` or `when`" in refused(Rule, name="r", priority="P1")
    assert Rule(name="unmatched", priority="P1").match == []
    assert Rule(name="r", when="true", priority="P1").when == "true"


def test_business_days_need_a_calendar() -> None:
    """Nobody can say when the next business day ends without one."""
    low = {"name": "Low", "respond_within": "next_business_day"}
    assert "needs a `calendar`" in refused(Priority, **low)
    assert Priority.model_validate({**low, "calendar": "office"}).calendar == "office"


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Rule, {"name": "r", "when": "true", "priority": "P1", "extra": 1}),
        (Rule, {"name": "-r", "when": "true", "priority": "P1"}),
        (Step, {"id": "Not-An-Id", "action": "a"}),
        (Step, {"action": "a", "max_parallel": 0}),
        (Step, {"action": "a", "timeout": 5}),
        (Calendar, {"timezone": "UTC", "days": ["mon"], "from": "9:00", "to": "17:00"}),
        (Calendar, {"timezone": "UTC", "days": [], "from": "09:00", "to": "17:00"}),
    ],
)
def test_what_is_unknown_or_out_of_bounds_is_refused(model: type[Content], values: dict[str, Any]) -> None:
    """Unknown keys, wrong names, numbers beyond their bounds and times without their form are mistakes."""
    assert refused(model, **values)


def test_content_is_frozen_and_written_as_it_was_read() -> None:
    """Content never changes after loading, and its JSON reads back to the same thing."""
    playbook = Playbook.model_validate(
        {
            "playbook": "p",
            "steps": [{"wait": "1h30m"}],
            "verify": [{"action": "a", "for": "1m", "with": {"n": 1}}],
        }
    )
    with pytest.raises(ValidationError):
        playbook.description = "changed"  # type: ignore[misc]
    written = playbook.model_dump(mode="json", exclude_unset=True)
    assert written["steps"] == [{"wait": "1h30m"}]
    assert written["verify"] == [{"action": "a", "for": "1m", "with": {"n": 1}}]
    assert Playbook.model_validate(written) == playbook
