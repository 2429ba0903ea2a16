"""The timeline of a review: the ledger in plain words, in its order, without the noise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runbookd.model.escalation import MessageKind
from runbookd.reports.review_timeline import MOST_LINES, timeline
from tests.unit.reports.told import NOON, alert, at, entry, incident, record


def told(*entries: object, **changed: object) -> list[str]:
    """The lines of a timeline, without their times."""
    return [line.what for line in timeline(record(entries=entries, **changed))[0]]


@pytest.mark.parametrize(
    ("what", "detail", "words"),
    [
        ("incident_opened", {"priority": "P0", "title": "Down", "rule": "r"}, "Incident opened as P0: Down"),
        (
            "level_fired",
            {"level": 2, "page": ["l2"], "notify": ["slack:#ops"], "late_seconds": 0.0},
            "Level 2 of the escalation was due: page l2 and #ops",
        ),
        (
            "level_fired",
            {"level": 1, "page": [], "notify": ["email:boss@example.com"], "late_seconds": 420.5},
            "Level 1 of the escalation was due: (a mail address); 7 minutes late",
        ),
        (
            "level_skipped",
            {"level": 3, "reason": "acknowledged"},
            "Level 3 of the escalation was not needed: acknowledged",
        ),
        (
            "level_collapsed",
            {"level": 1, "page": ["l2"], "late_seconds": 420.5},
            "Level 1 of the escalation paged nobody, for a later level was due as well: 7 minutes late",
        ),
        (
            "level_collapsed",
            {"level": 1, "page": ["l2"], "notify": ["slack:#ops"]},
            "Level 1 of the escalation paged nobody, for a later level was due as well: only #ops told",
        ),
        (
            "level_skipped",
            {"level": 5, "reason": "resolved"},
            "Level 5 of the escalation was not needed: the incident had ended",
        ),
        ("person_assign", {"text": "anna"}, "Lead given to: anna"),
        (
            "clock_breached",
            {"clock": "resolve", "due_at": at(30)},
            "The time to resolve ran out, it was due at 2026-01-05 12:30:00",
        ),
        ("clock_breached", {"clock": "update"}, "News was promised and did not come"),
        ("update_reminded", {"of": "slack:anna"}, "anna was reminded that news is promised"),
        ("update_reminded", {"of": None}, "Who leads was reminded that news is promised"),
        ("acknowledgement_expired", {"by": "slack:anna"}, "The acknowledgement of anna expired"),
        ("acknowledgement_expired", {"by": None}, "The acknowledgement of automation expired"),
        ("nobody_to_reach", {"reach": "l3", "why": "out_of_hours"}, "Nobody to reach as l3: out of hours"),
        (
            "nobody_reached",
            {"contact": "L3", "another_level": False},
            "No way to L3 was left, and there is no other level",
        ),
        (
            "nobody_reached",
            {"contact": "L3", "another_level": True},
            "No way to L3 was left, and the next level does not wait",
        ),
        (
            "page_passed_on",
            {"contact": "L3", "error": "429: too many"},
            "The phone of L3 could not be rung in time, and is tried on: 429: too many",
        ),
        ("person_acknowledge", {"text": ""}, "Acknowledged"),
        ("person_note", {"text": "looks better"}, "Note: looks better"),
        (
            "person_escalate",
            {"text": "users are cut off", "priority": "P0"},
            "Escalated by hand to P0: users are cut off",
        ),
        ("target_held", {"target": "db", "playbook": "p"}, "Kept for people, until one releases it: db"),
        (
            "run_unverified",
            {"rule": "r", "priority": "P0", "detail": "no"},
            "Handed to people, run unverified: no",
        ),
        (
            "cooldown",
            {"rule": "r", "playbook": None, "detail": "7m left"},
            "Automation did not begin a remedy, cooldown: 7m left",
        ),
        (
            "several_incidents",
            {"priority": "P2", "incidents": ["a", "b", "c"]},
            "One of 3 incidents of P2 within a short time",
        ),
        ("something_new", {"reason": "because"}, "Something new: because"),
        (
            "act_by_unknown_person",
            {"name": "eve", "what": "acknowledge"},
            "eve, whom the settings do not know, asked for acknowledge: nothing was done",
        ),
    ],
)
def test_entries_in_words(what: str, detail: dict[str, Any], words: str) -> None:
    """Each thing that matters is said in plain words; what is new to the review is said by its name."""
    assert told(entry(1, what, **detail)) == [words]


@pytest.mark.parametrize(
    "noise",
    [
        entry(1, "admitted", source="alertmanager"),
        entry(1, "clock_met", clock="respond", due_at=at(15)),
        entry(1, "clock_breached", detail="resolve deadline passed", priority="P0", rule="down"),
        entry(1, "act_told_before", source="slack"),
        entry(1, "joined_running_incident", rule="down", playbook=None),
        entry(
            1, "step_intent", run="run-1", path="steps/undo", action="kubernetes.rollout_undo", mutating=True
        ),
        entry(1, "step_succeeded", run="run-1", path="steps/look", action="http.check", mutating=False),
        entry(1, "step_failed", run="run-1", path="verify/0@3", action="http.check", mutating=False),
        entry(1, "step_skipped", run="run-1", path="steps/undo", action="http.check", reason="when_false"),
        entry(1, "step_succeeded", run="run-1", path="steps/wait"),
        entry(1, "message_sent", kind="edit", channel="slack", contact="slack:#ops", **{"for": "channel"}),
        entry(1, "message_sent", kind="channel", channel="slack", contact="the incident's channel"),
        entry(1, "message_dropped", kind="page", channel="email", contact="L2"),
    ],
)
def test_noise_is_left_out(noise: object) -> None:
    """What the review tells elsewhere, or its reader needs not, makes no line."""
    assert told(noise) == []


@pytest.mark.parametrize(
    ("what", "detail", "words"),
    [
        (
            "step_succeeded",
            {"mutating": True, "change": {"before": {"image": "shop:5"}, "after": {"image": "shop:4"}}},
            "kubernetes.scale was done: image: shop:5 -> shop:4",
        ),
        (
            "step_succeeded",
            {"mutating": True, "change": {"before": {}, "after": dict.fromkeys("abcde", 1)}},
            "kubernetes.scale was done: a: (nothing) -> 1; b: (nothing) -> 1; c: (nothing) -> 1; and 2 more",
        ),
        (
            "step_succeeded",
            {
                "mutating": True,
                "action": "http.request",
                "params": {"method": "POST", "url": "http://shop/admin/rollback?x=1"},
                "change": {"before": {"to": "v2"}, "after": {"to": "v1"}},
            },
            "http.request POST http://shop/admin/rollback was done: to: v2 -> v1",
        ),
        ("step_succeeded", {"reason": "dry_run"}, "kubernetes.scale: dry run, nothing was changed"),
        ("step_skipped", {"reason": "observed"}, "kubernetes.scale was not called, it only observes"),
        ("step_failed", {"mutating": True, "message": "403"}, "kubernetes.scale failed: 403"),
        ("step_failed", {"reason": "check_failed"}, "kubernetes.scale failed: check failed"),
        ("step_in_doubt", {"message": "no answer"}, "kubernetes.scale is in doubt: no answer"),
    ],
)
def test_calls_in_words(what: str, detail: dict[str, Any], words: str) -> None:
    """A call that changed something, would have, or failed is told with what it changed."""
    made = {"action": "kubernetes.scale", **detail}
    assert told(entry(1, what, run="run-1", path="steps/scale", **made)) == [words]


@pytest.mark.parametrize(
    ("what", "detail", "words"),
    [
        (
            "go",
            {"playbook": "rollback", "target": "deployments/shop", "mode": "act"},
            "Automation began rollback on deployments/shop",
        ),
        (
            "go",
            {"playbook": "look", "target": None, "mode": "observe"},
            "Automation began look, only to observe",
        ),
        (
            "run_verified",
            {"playbook": "rollback", "message": ""},
            "rollback ended, and the trouble was verified to be gone",
        ),
        ("run_failed", {"playbook": "rollback", "message": "403"}, "rollback failed: 403"),
    ],
)
def test_runs_in_words(what: str, detail: dict[str, Any], words: str) -> None:
    """A run's beginning and its end are told."""
    assert told(entry(1, what, run="run-1", rule="down", **detail)) == [words]


def sent(minute: float, contact: str, channel: str, kind: MessageKind, why: str = "level 2") -> object:
    """A message that got through."""
    return entry(minute, "message_sent", kind=kind.value, channel=channel, contact=contact, **{"for": why})


def test_messages_for_one_reason_are_one_line() -> None:
    """If they were sent within moments: where the first of them is; whom they reached, and by which channels."""
    lines = told(
        entry(2, "level_fired", level=2, page=["l2"], notify=[]),
        sent(2, "L2", "slack", MessageKind.PAGE),
        sent(2, "L2", "email", MessageKind.PAGE),
        entry(2, "person_note", actor="anna", text="I see it"),
        sent(2.05, "L3", "pagerduty", MessageKind.PAGE),
        sent(2.5, "L4", "email", MessageKind.PAGE),
        sent(3, "slack:C1", "slack", MessageKind.OPENED, "channel"),
        sent(4, "L2", "email", MessageKind.PAGE, "level 2 again 2026-01-05 12:36:00+00:00"),
        sent(5, "statuspage", "statuspage", MessageKind.UPDATE, "note 2026"),
        incident=incident(channel={"id": "C1", "name": "incident-x"}),
    )
    assert lines == [
        "Level 2 of the escalation was due: page l2",
        "Page, level 2 of the escalation, sent to L2 (Slack and mail) and L3 (PagerDuty)",
        "Note: I see it",
        "Page, level 2 of the escalation, sent to L4 (mail)",
        "First notice sent to #incident-x (Slack)",
        "Page, level 2 of the escalation again, sent to L2 (mail)",
        "Update sent to the status page (public)",
    ]


def test_a_message_that_did_not_get_through_has_a_line() -> None:
    """With the reason, whatever it was for."""
    failed = {"kind": "page", "channel": "email", "contact": "L2"}
    assert told(
        entry(1, "message_failed", **failed, error="550 no such user"),
        entry(2, "message_failed", **failed | {"kind": "edit", "channel": "slack"}, reason="in_doubt"),
    ) == [
        "The page to L2 by mail did not get through: 550 no such user",
        "The correction of what was posted to L2 by Slack did not get through: in doubt",
    ]


def test_the_channel_that_was_opened_is_told() -> None:
    """By its name."""
    opened = entry(1, "message_sent", kind="channel", channel="slack", contact="the incident's channel")
    assert told(opened, incident=incident(channel={"id": "C1", "name": "incident-x"})) == [
        "Channel #incident-x opened in Slack"
    ]


def test_alerts_stand_in_the_story() -> None:
    """Each began and ended; of a storm only the first ten are told one by one."""
    lines = timeline(
        record(alerts=[alert(), alert("Slow", ended=40, concluded=True), alert("Hot", ended=None)])
    )[0]
    assert [(line.what, line.at) for line in lines] == [
        ("Alert Down began to fire", at(-1)),
        ("Alert Slow began to fire", at(-1)),
        ("Alert Hot began to fire", at(-1)),
        ("Alert Down resolved", at(36)),
        ("Alert Slow was not listed any more", at(40)),
    ]
    storm = told(alerts=[alert(f"A{number}", ended=None) for number in range(25)])
    assert len(storm) == 11
    assert storm[-1] == "More alerts joined: 15"


def test_repeats_are_folded() -> None:
    """Lines that follow each other and say the same are one, with how often."""
    lines, _ = timeline(
        record(entries=[entry(minute, "person_note", actor="a", text="x") for minute in range(3)])
    )
    assert [(line.what, line.times, line.at) for line in lines] == [("Note: x", 3, NOON)]


def test_a_long_story_keeps_its_beginning_and_its_end() -> None:
    """What is left out in the middle is counted."""
    entries = [entry(number, "person_note", text=str(number)) for number in range(MOST_LINES + 50)]
    lines, left_out = timeline(record(entries=entries))
    assert left_out == 50
    assert (lines[0].what, lines[-1].what, len(lines)) == ("Note: 0", f"Note: {MOST_LINES + 49}", MOST_LINES)
    assert lines[-1].at - lines[0].at == timedelta(minutes=MOST_LINES + 49)


def test_an_ending_is_told_once() -> None:
    """A person who ends it has one line with the reason; alerts that end it have one as well."""
    by_hand = [
        entry(36, "incident_resolved", actor="cli:root", seconds=2160.0),
        entry(36, "person_resolve", actor="cli:root", text="restarted the gateway"),
    ]
    lines, _ = timeline(record(entries=by_hand))
    assert [(line.what, line.who) for line in lines] == [
        ("Ended by hand: restarted the gateway", "root (command line)")
    ]
    assert told(entry(36, "incident_resolved", seconds=2160.0)) == ["Incident resolved"]


@pytest.mark.parametrize("what", ["person_note", "person_assign"])
@pytest.mark.parametrize("text", ["", "  "])
def test_what_nobody_wrote_makes_no_line(what: str, text: str) -> None:
    """A note without words, and a lead given to nobody, tell nothing."""
    assert told(entry(1, what, actor="anna", text=text)) == []
