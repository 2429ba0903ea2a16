"""Nouns as expressions see them, and the words for how a run ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model import reasons, views
from runbookd.model.action import Mode
from runbookd.model.alert import Alert
from runbookd.model.event import Event, Status
from runbookd.model.incident import Incident
from runbookd.model.library import Library
from runbookd.model.run import Run, RunState
from runbookd.model.work import Work, WorkKind

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EVENT = Event(source="s", name="n", status=Status.FIRING, fingerprint="f", labels={"a": "1"}, starts_at=NOON)
ALERT = Alert(
    id="alt", source="s", fingerprint="f", starts_at=NOON, first_seen=NOON, last_seen=NOON, event=EVENT
)
INCIDENT = Incident(id="inc", rule="r", key="{}", priority="P1", title="t", opened_at=NOON)
RUN = Run(
    id="run",
    playbook="p",
    plan_hash="",
    mode=Mode.ACT,
    created_at=NOON,
    deadline_at=NOON + timedelta(hours=1),
)


@pytest.mark.parametrize(
    ("view", "fields"),
    [
        (views.event_view(EVENT), views.EVENT_FIELDS),
        (views.alert_view(ALERT), views.ALERT_FIELDS),
        (views.alert_view(None), views.ALERT_FIELDS),
        (views.incident_view(INCIDENT), views.INCIDENT_FIELDS),
        (views.run_view(RUN), views.RUN_FIELDS),
    ],
)
def test_a_view_has_exactly_the_fields_content_is_checked_against(
    view: dict[str, object], fields: frozenset[str]
) -> None:
    """What an expression may name at load time is what it finds at run time."""
    assert set(view) == fields


def test_an_alert_is_firing_until_it_has_resolved() -> None:
    """`alert.status` is firing, resolved, or empty when there is no alert."""
    assert views.alert_view(ALERT)["status"] == "firing"
    assert views.alert_view(replace(ALERT, resolved_at=NOON))["status"] == "resolved"
    assert views.alert_view(None)["status"] == ""


def test_a_run_by_hand_has_no_rule_and_no_target() -> None:
    """What is not there is an empty text, never null."""
    view = views.run_view(RUN)
    assert (view["rule"], view["target"], view["mode"]) == ("", "", "act")


def test_a_service_without_content_has_an_empty_library() -> None:
    """Nothing is loaded until content is read, and a new row of work is nobody's."""
    assert (Library().rules, dict(Library().playbooks), Library().version) == ((), {}, "")
    work = Work(kind=WorkKind.ADVANCE, ref="run", due_at=NOON)
    assert (work.owner, work.epoch, work.lease_until, work.attempts) == (None, 0, None, 0)


@pytest.mark.parametrize("state", list(RunState))
def test_every_state_but_running_is_an_end(state: RunState) -> None:
    """Only a verified run, and one that had nothing to verify, need no second look."""
    assert state.ended is (state is not RunState.RUNNING)
    assert state.good is (state in {RunState.VERIFIED, RunState.SUCCEEDED})


@pytest.mark.parametrize(
    "words",
    [
        reasons.Episode,
        reasons.Verdict,
        reasons.Guard,
        reasons.StepReason,
        reasons.RunReason,
        reasons.Escalate,
    ],
)
def test_reasons_are_words_for_machines(words: type[reasons.Episode]) -> None:
    """Every reason is lower case with underscores: a metric label, a log field and a filter without quoting."""
    assert all(word.value == word.value.lower() and word.value.replace("_", "").isalpha() for word in words)
