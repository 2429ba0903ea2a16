"""A run starts only within every bound, and a refusal names the first bound that forbids it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.errors import MissingValue
from runbookd.language.cel import Scope
from runbookd.model.action import Mode
from runbookd.model.event import Event, Status
from runbookd.model.playbook import Playbook
from runbookd.model.reasons import Guard
from runbookd.model.rule import Limits, Rule
from runbookd.model.run import Hold
from runbookd.model.views import event_view
from runbookd.stages.plan import (
    STORM_BRAKE,
    Answer,
    Bounds,
    Facts,
    Proposal,
    Reach,
    guard,
    incident_key,
    incident_title,
    propose,
    storm_brake,
)

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EVENT = Event(
    source="s",
    name="Trouble",
    status=Status.FIRING,
    fingerprint="f",
    labels={"ns": "web", "empty": "", "n": "7"},
)
SCOPE = Scope({"event": event_view(EVENT), "vars": {"v": 1}})


def rule(**incident: Any) -> Rule:
    """A rule with this incident shape."""
    return Rule(name="r", match=['a="1"'], priority="P1", incident=incident)


# the incident ------------------------------------------------------------------------------------------------


def test_alerts_with_the_same_key_are_one_incident() -> None:
    """The key is the rule's labels with their values, in one canonical form."""
    assert incident_key(rule(key=["ns", "n"]), EVENT) == '{"n":"7","ns":"web"}'
    assert incident_key(rule(key=["n", "ns"]), EVENT) == incident_key(rule(key=["ns", "n"]), EVENT)


def test_with_an_empty_key_all_alerts_of_the_rule_are_one_incident() -> None:
    """An outage that many probes tell of, each with labels of its own, is one incident."""
    assert incident_key(rule(key=[]), EVENT) == "{}"
    assert incident_key(rule(key=[]), replace(EVENT, fingerprint="g", labels={})) == "{}"


def test_without_a_key_every_alert_is_its_own_incident() -> None:
    """Source and fingerprint tell alerts apart."""
    assert incident_key(rule(), EVENT) == '{"fingerprint":"f","source":"s"}'


@pytest.mark.parametrize("label", ["gone", "empty"])
def test_a_label_missing_from_the_key_is_a_refusal(label: str) -> None:
    """Two troubles never become one for want of a label; the message names rule and label."""
    with pytest.raises(MissingValue, match=f"rule r: .*'{label}'"):
        incident_key(rule(key=["ns", label]), EVENT)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (None, "Trouble"),
        ("In ${event.labels.ns}", "In web"),
        ("In ${event.labels.gone}", "Trouble"),
        ("${event.starts_at}", "Trouble"),
    ],
)
def test_the_title_falls_back_to_the_alerts_name(title: str | None, expected: str) -> None:
    """A title that cannot be made does not keep an incident from being opened."""
    assert incident_title(rule(title=title), EVENT, SCOPE) == expected


# the proposal ------------------------------------------------------------------------------------------------


def playbook(**more: Any) -> Playbook:
    """A playbook with two inputs."""
    inputs = {"ns": {"type": "string", "pattern": "[a-z]+"}, "n": {"type": "integer", "default": None}}
    return Playbook.model_validate({"playbook": "p", "inputs": inputs, **more})


def test_a_proposal_has_fitted_inputs_and_a_target() -> None:
    """Inputs are rendered and typed, defaults filled in, and the target is named by them."""
    proposal = propose(
        playbook(target="a/${inputs.ns}/${vars.v}"), {"ns": "${event.labels.ns}"}, SCOPE, {"v": 1}
    )
    assert isinstance(proposal, Proposal)
    assert proposal.inputs == {"ns": "web", "n": None}
    assert proposal.target == "a/web/1"


def test_a_playbook_may_have_no_target() -> None:
    """Then nothing is locked."""
    proposal = propose(playbook(), {"ns": "x"}, SCOPE, {})
    assert isinstance(proposal, Proposal)
    assert proposal.target is None


@pytest.mark.parametrize(
    ("given", "target", "reason", "detail"),
    [
        ({"ns": "${event.labels.gone}"}, None, Guard.MISSING_VALUE, "gone"),
        ({"ns": "${1 / 0}"}, None, Guard.BAD_INPUT, "1 / 0"),
        ({"ns": "UP"}, None, Guard.BAD_INPUT, "must match"),
        ({}, None, Guard.BAD_INPUT, "is required"),
        ({"ns": "x", "other": 1}, None, Guard.BAD_INPUT, "no input 'other'"),
        ({"ns": "x"}, "a/${inputs.n}", Guard.MISSING_VALUE, "target: "),
        ({"ns": "x"}, "${inputs.n}", Guard.MISSING_VALUE, "target"),
        ({"ns": "x"}, "a/${inputs.gone}", Guard.MISSING_VALUE, "target: "),
        ({"ns": "x"}, "a/ /b", Guard.MISSING_VALUE, "empty part"),
        ({"ns": "x"}, "", Guard.MISSING_VALUE, "empty part"),
    ],
)
def test_what_cannot_be_proposed(
    given: dict[str, object], target: str | None, reason: Guard, detail: str
) -> None:
    """A missing value, an input that does not fit, or a target with an empty part is a refusal with its reason."""
    answer = propose(playbook(target=target), given, SCOPE, {})
    assert isinstance(answer, Answer)
    assert not answer.go
    assert answer.reason is reason
    assert detail in answer.detail


# the guards --------------------------------------------------------------------------------------------------

LIMITS = Limits.model_validate({"cooldown": "15m", "runs": [{"of": 3, "per": "1h"}, {"of": 6, "per": "24h"}]})
QUIET = Facts(started=[0, 0])
WITH = Proposal(playbook=playbook(), inputs={}, target="deployments/web/api")
WITHOUT = replace(WITH, target=None)
REACH = Reach(protected=("*/kube-system/*",))


def ago(minutes: float, more: timedelta = timedelta(0)) -> datetime:
    """So long before now."""
    return NOW - timedelta(minutes=minutes) + more


def answer(facts: Facts, proposal: Proposal = WITH, **bounds: Any) -> Answer:
    """What the guards say."""
    return guard(
        proposal, LIMITS, Bounds(**{"mode": Mode.ACT, "reach": REACH, "facts": facts, "now": NOW, **bounds})
    )


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (QUIET, Guard.GO),
        (Facts(started=[0, 0], last_ended=ago(15)), Guard.GO),
        (Facts(started=[0, 0], last_ended=ago(15, SECOND)), Guard.COOLDOWN),
        (Facts(started=[0, 0], last_ended=NOW), Guard.COOLDOWN),
        (Facts(started=[0, 0], last_looked=ago(1)), Guard.GO),
        (Facts(started=[0, 0], last_looked=ago(1, SECOND)), Guard.LOOKED_LATELY),
        (Facts(started=[0, 0], last_ended=ago(14), last_looked=NOW), Guard.COOLDOWN),
        (Facts(started=[2, 5]), Guard.GO),
        (Facts(started=[3, 5]), Guard.RUN_LIMIT),
        (Facts(started=[2, 6]), Guard.RUN_LIMIT),
        (Facts(started=[0, 0], target_acted=ago(5)), Guard.GO),
        (Facts(started=[0, 0], target_acted=ago(5, SECOND)), Guard.TARGET_COOLDOWN),
        (Facts(started=[0, 0], holder="run-9"), Guard.TARGET_LOCKED),
        (Facts(started=[0, 0], acted_in_window=29), Guard.GO),
        (Facts(started=[0, 0], acted_in_window=30), Guard.BUDGET),
    ],
)
def test_each_bound_at_its_edge(facts: Facts, reason: Guard) -> None:
    """A bound holds up to its last instant or count, and not a moment longer."""
    assert answer(facts).reason is reason


def test_protected_targets_are_never_acted_upon() -> None:
    """Globs match the whole target, upper and lower case told apart."""
    kube = replace(WITH, target="deployments/kube-system/dns")
    assert answer(QUIET, kube).reason is Guard.PROTECTED
    assert answer(QUIET, kube, mode=Mode.OBSERVE).go
    assert answer(QUIET, replace(WITH, target="deployments/Kube-System/dns")).go
    assert answer(QUIET, WITHOUT).go


HOLD = Hold(target="deployments/web/api", playbook="stop-writes", run_id="run-7", held_at=NOW)


def test_a_held_target_is_for_people_and_for_those_who_hold_it_too() -> None:
    """A refusal says what holds it, and how a person releases it; who only observes may look."""
    held = replace(QUIET, holds=[HOLD, replace(HOLD, playbook="isolate")])
    assert answer(held).reason is Guard.TARGET_ON_HOLD
    assert "as stop-writes left it (run run-7, " in answer(held).detail
    assert " and isolate left it" in answer(held).detail
    assert "runbookd holds release deployments/web/api --reason TEXT" in answer(held).detail
    assert answer(held, later_rung=True).reason is Guard.TARGET_ON_HOLD
    assert answer(held, mode=Mode.OBSERVE).go
    holding = WITH.playbook.model_copy(update={"holds_target": True})
    assert answer(held, replace(WITH, playbook=holding)).go


ALL = Facts(started=[9, 9], last_ended=NOW, target_acted=NOW, holder="run-9", acted_in_window=99)


@pytest.mark.parametrize(
    ("facts", "proposal", "bounds", "reason"),
    [
        (ALL, WITH, {}, Guard.COOLDOWN),
        (replace(ALL, last_ended=None), WITH, {}, Guard.RUN_LIMIT),
        (ALL, WITH, {"later_rung": True}, Guard.TARGET_LOCKED),
        (replace(ALL, holder=None), WITH, {"later_rung": True}, Guard.BUDGET),
        (replace(ALL, holder=None, acted_in_window=0), WITH, {"later_rung": True}, Guard.GO),
        (ALL, WITHOUT, {"later_rung": True}, Guard.BUDGET),
        (replace(ALL, acted_in_window=0), WITHOUT, {"later_rung": True}, Guard.GO),
        (ALL, WITH, {"mode": Mode.OBSERVE}, Guard.COOLDOWN),
        (ALL, WITH, {"mode": Mode.OBSERVE, "later_rung": True}, Guard.GO),
        (replace(QUIET, target_acted=NOW), WITHOUT, {}, Guard.GO),
    ],
)
def test_which_bounds_hold_for_whom(
    facts: Facts, proposal: Proposal, bounds: dict[str, Any], reason: Guard
) -> None:
    """Observing runs are bound by their own rule only, later rungs by everything but the pauses between runs."""
    assert answer(facts, proposal, **bounds).reason is reason


@pytest.mark.parametrize(
    ("facts", "detail"),
    [
        (replace(QUIET, last_ended=ago(10)), "5m left"),
        (Facts(started=[3, 3]), "3 of 3 runs in 1h are used up"),
        (replace(QUIET, holder="run-9"), "run run-9 is at work on target deployments/web/api"),
        (replace(QUIET, target_acted=ago(1)), "less than 5m ago"),
        (replace(QUIET, acted_in_window=30), "30 of 30 runs in 1h are used up"),
    ],
)
def test_a_refusal_says_how_much_and_how_long(facts: Facts, detail: str) -> None:
    """The operator reads the bound, what has used it up, and when it ends."""
    assert detail in answer(facts).detail


@pytest.mark.parametrize(
    ("mode", "brake", "lately", "pulled"),
    [
        (Mode.ACT, 3, 2, False),
        (Mode.ACT, 3, 3, True),
        (Mode.ACT, 0, 0, False),
        (Mode.OBSERVE, 3, 3, False),
    ],
)
def test_the_storm_brake_is_pulled_by_one_run_too_many(
    mode: Mode, brake: int, lately: int, *, pulled: bool
) -> None:
    """So many runs that act may begin within the window, and the next one pauses the service; 0 is no brake."""
    reach, facts = Reach(brake=brake), Facts(acted_lately=lately)
    why = storm_brake(Bounds(mode=mode, reach=reach, facts=facts, now=NOW))
    expected = f"{STORM_BRAKE}: {lately} runs that act began within 1m; a person resumes"
    assert why == (expected if pulled else None)
