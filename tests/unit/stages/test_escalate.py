"""People are told of every end that is not good, and every promised time is an instant that is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.model.action import Mode
from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.model.plan import Finish
from runbookd.model.reasons import Escalate, RunReason
from runbookd.model.rule import Calendar, Priority
from runbookd.model.run import Run, RunState
from runbookd.stages.calendar import next_business_day_end
from runbookd.stages.escalate import (
    ALERT_RESOLVED,
    after_run,
    clocks_for,
    escalated,
    judge_clock,
    may_climb,
    next_clock,
)

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
INCIDENT = Incident(id="inc", rule="r", key="{}", priority="P1", title="t", opened_at=NOON)
WEEK = ["mon", "tue", "wed", "thu", "fri"]


def later(minutes: float) -> datetime:
    """So many minutes after the incident opened."""
    return NOON + timedelta(minutes=minutes)


def calendar(zone: str, **more: Any) -> Calendar:
    """Office hours in a zone."""
    return Calendar.model_validate({"timezone": zone, "days": WEEK, "from": "09:00", "to": "17:00", **more})


# clocks ------------------------------------------------------------------------------------------------------


def test_clocks_are_instants_counted_from_the_opening() -> None:
    """Each time of the priority is one absolute deadline; one it does not give has no clock."""
    priority = Priority.model_validate({"name": "High", "acknowledge_within": "5m", "resolve_within": "2h"})
    assert [(clock.kind, clock.due_at) for clock in clocks_for(INCIDENT, priority, {})] == [
        (ClockKind.ACKNOWLEDGE, later(5)),
        (ClockKind.RESOLVE, later(120)),
    ]


def test_the_next_business_day_is_a_clock_too() -> None:
    """It is computed in the priority's calendar when the incident opens."""
    priority = Priority.model_validate(
        {"name": "Low", "respond_within": "next_business_day", "calendar": "office"}
    )
    clocks = clocks_for(INCIDENT, priority, {"office": calendar("UTC")})
    assert [(clock.kind, clock.due_at) for clock in clocks] == [
        (ClockKind.RESPOND, datetime(2026, 1, 6, 17, tzinfo=UTC))
    ]


NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"


@pytest.mark.parametrize(
    ("zone", "after", "due"),
    [
        (NEW_YORK, "2026-01-05T12:00", "2026-01-06T22:00"),  # Monday; 17:00 is 22:00 UTC in winter
        (NEW_YORK, "2026-01-09T12:00", "2026-01-12T22:00"),  # Friday: over the weekend
        (NEW_YORK, "2026-01-10T12:00", "2026-01-12T22:00"),  # Saturday
        (NEW_YORK, "2026-01-11T12:00", "2026-01-12T22:00"),  # Sunday
        (NEW_YORK, "2026-01-06T03:00", "2026-01-06T22:00"),  # still Monday evening there
        (NEW_YORK, "2026-03-06T12:00", "2026-03-09T21:00"),  # clocks go forward on Sunday 8 March
        (NEW_YORK, "2026-10-30T12:00", "2026-11-02T22:00"),  # clocks go back on Sunday 1 November
        (BERLIN, "2026-01-05T12:00", "2026-01-06T16:00"),
        (BERLIN, "2026-01-05T23:30", "2026-01-07T16:00"),  # already Tuesday there
        (BERLIN, "2026-03-27T12:00", "2026-03-30T15:00"),  # clocks go forward on Sunday 29 March
        (BERLIN, "2026-10-23T12:00", "2026-10-26T16:00"),  # clocks go back on Sunday 25 October
    ],
)
def test_the_next_business_day_keeps_wall_clock_hours(zone: str, after: str, due: str) -> None:
    """Five in the afternoon is five there, over weekends and clock changes."""
    opened = datetime.fromisoformat(f"{after}+00:00")
    assert next_business_day_end(opened, calendar(zone)) == datetime.fromisoformat(f"{due}+00:00")


def test_a_week_of_one_day_waits_for_it() -> None:
    """Whatever the calendar's days, the next one of them is found."""
    sunday = calendar("UTC", days=["sun"])
    assert next_business_day_end(NOON, sunday) == datetime(2026, 1, 11, 17, tzinfo=UTC)


def test_the_promise_of_news_is_met_by_the_end() -> None:
    """While the incident is open its own times count, which are not the other clocks'."""
    clock = IncidentClock(incident_id="i1", kind=ClockKind.UPDATE, due_at=NOON)
    late = NOON + timedelta(hours=1)
    assert judge_clock(clock, INCIDENT, late) is clock
    over = replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=late)
    assert judge_clock(clock, over, late) == replace(clock, met_at=late)
    assert next_clock([clock], INCIDENT) is None


@pytest.mark.parametrize("kind", [ClockKind.ACKNOWLEDGE, ClockKind.RESPOND, ClockKind.RESOLVE])
def test_a_clock_that_ran_out_can_still_be_met(kind: ClockKind) -> None:
    """Late: then it says both when it ran out and when it was met, and the first time stands."""
    clock = IncidentClock(incident_id="i1", kind=kind, due_at=NOON, breached_at=NOON)
    late, later = NOON + timedelta(seconds=54), NOON + timedelta(hours=1)
    assert judge_clock(clock, INCIDENT, late) is clock
    over = replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=late)
    met = judge_clock(clock, over, late)
    assert met == replace(clock, met_at=late)
    assert judge_clock(met, replace(over, resolved_at=later), later) is met


def test_a_review_is_due_after_the_end() -> None:
    """It is the one clock of a closed incident, and met by nothing but a person's word."""
    review = IncidentClock(incident_id="i1", kind=ClockKind.REVIEW, due_at=NOON + timedelta(days=1))
    over = replace(INCIDENT, state=IncidentState.RESOLVED, resolved_at=NOON)
    assert next_clock([review], over) == review.due_at
    assert judge_clock(review, over, review.due_at) == replace(review, breached_at=review.due_at)


@pytest.mark.parametrize(
    ("kind", "incident", "now", "met", "breached"),
    [
        ("acknowledge", {}, 14, None, None),
        ("acknowledge", {}, 15, None, 15),
        ("acknowledge", {}, 99, None, 15),
        ("acknowledge", {"acknowledged_at": 15}, 15, 15, None),
        ("acknowledge", {"acknowledged_at": 16}, 16, 16, 15),
        ("acknowledge", {"responded_at": 5}, 14, None, None),
        ("acknowledge", {"resolved_at": 5}, 14, 5, None),
        ("acknowledge", {"acknowledged_at": 20, "resolved_at": 5}, 20, 5, None),
        ("respond", {"responded_at": 5}, 14, 5, None),
        ("respond", {"acknowledged_at": 5}, 14, 5, None),
        ("respond", {"acknowledged_at": 5, "responded_at": 20}, 20, 5, None),
        ("respond", {"resolved_at": 5}, 14, 5, None),
        ("respond", {"responded_at": 16}, 16, 16, 15),
        ("respond", {}, 15, None, 15),
        ("resolve", {"acknowledged_at": 5, "responded_at": 5}, 14, None, None),
        ("resolve", {"resolved_at": 5}, 14, 5, None),
        ("resolve", {"resolved_at": 30}, 30, 30, 15),
    ],
)
def test_how_a_clock_stands(
    kind: str, incident: dict[str, float], now: float, met: float | None, breached: float | None
) -> None:
    """Met by the earliest thing that meets it, breached from its very instant on, late meeting noted beside."""
    clock = IncidentClock(incident_id="inc", kind=ClockKind(kind), due_at=later(15))
    times: dict[str, Any] = {name: later(minutes) for name, minutes in incident.items()}
    known = replace(INCIDENT, **times)
    judged = judge_clock(clock, known, later(now))
    assert judged.met_at == (None if met is None else later(met))
    assert judged.breached_at == (None if breached is None else later(breached))
    assert (judged is clock) == (met is None and breached is None)


@pytest.mark.parametrize("done", [{"met_at": NOON}, {"breached_at": NOON}])
def test_a_clock_is_judged_once(done: dict[str, datetime]) -> None:
    """What was met stays met, what was breached stays breached."""
    clock = IncidentClock(incident_id="inc", kind=ClockKind.RESOLVE, due_at=later(15), **done)
    assert judge_clock(clock, INCIDENT, later(99)) is clock


def test_the_next_clock_is_the_nearest_that_runs() -> None:
    """Clocks that are settled wake nobody, and a closed incident has none."""
    clocks = [
        IncidentClock(incident_id="inc", kind=ClockKind.ACKNOWLEDGE, due_at=later(5), met_at=later(1)),
        IncidentClock(incident_id="inc", kind=ClockKind.RESPOND, due_at=later(30)),
        IncidentClock(incident_id="inc", kind=ClockKind.RESOLVE, due_at=later(20)),
    ]
    assert next_clock(clocks, INCIDENT) == later(20)
    assert next_clock(clocks[:1], INCIDENT) is None
    assert next_clock(clocks, replace(INCIDENT, state=IncidentState.RESOLVED)) is None


# after a run -------------------------------------------------------------------------------------------------


def finish(state: RunState, reason: RunReason = RunReason.STEP_FAILED, message: str = "") -> Finish:
    """How a run ended."""
    return Finish(state=state, reason=reason, message=message)


FAILED = finish(RunState.FAILED)
UNVERIFIED = finish(RunState.UNVERIFIED, RunReason.NOT_VERIFIED)
DOUBT = finish(RunState.FAILED, RunReason.IN_DOUBT)
RUN = Run(
    id="run",
    playbook="p",
    plan_hash="",
    mode=Mode.ACT,
    created_at=NOON,
    deadline_at=NOON + timedelta(hours=1),
)


@pytest.mark.parametrize(
    ("end", "more", "quiet", "why"),
    [
        (finish(RunState.VERIFIED), False, False, None),
        (finish(RunState.SUCCEEDED), True, False, None),
        (FAILED, False, False, Escalate.RUN_FAILED),
        (FAILED, True, False, Escalate.RUN_FAILED),
        (FAILED, False, True, Escalate.RUN_FAILED),
        (FAILED, True, True, None),
        (UNVERIFIED, False, False, Escalate.RUN_UNVERIFIED),
        (UNVERIFIED, False, True, Escalate.RUN_UNVERIFIED),
        (UNVERIFIED, True, True, None),
        (DOUBT, False, False, Escalate.RUN_IN_DOUBT),
        (DOUBT, True, True, Escalate.RUN_IN_DOUBT),
        (finish(RunState.FAILED, RunReason.DEADLINE), False, False, Escalate.RUN_FAILED),
        (finish(RunState.CANCELLED, RunReason.CANCELLED, ALERT_RESOLVED), False, False, None),
        (finish(RunState.CANCELLED, RunReason.CANCELLED, "paused"), True, True, Escalate.RUN_CANCELLED),
    ],
)
def test_who_must_be_told_of_an_end(end: Finish, more: bool, quiet: bool, why: Escalate | None) -> None:  # noqa: FBT001 - columns of the table
    """Every end that is not good is told, unless a next rung sees to it quietly or the trouble went by itself."""
    assert after_run(RUN, end, more_rungs=more, quiet_next_rung=quiet) is why


@pytest.mark.parametrize("end", [FAILED, UNVERIFIED, DOUBT, finish(RunState.OBSERVED, RunReason.OBSERVED)])
def test_an_observing_run_tells_nobody(end: Finish) -> None:
    """Observe mode opens no page by itself."""
    assert after_run(replace(RUN, mode=Mode.OBSERVE), end, more_rungs=False, quiet_next_rung=False) is None


@pytest.mark.parametrize(
    ("end", "climbs"),
    [
        (FAILED, True),
        (UNVERIFIED, True),
        (DOUBT, False),
        (finish(RunState.CANCELLED, RunReason.CANCELLED), False),
        (finish(RunState.VERIFIED), False),
        (finish(RunState.OBSERVED), False),
    ],
)
def test_when_the_next_rung_may_run(end: Finish, climbs: bool) -> None:  # noqa: FBT001 - a column of the table
    """Only after an end that is known to have failed; never while it is unknown what was done."""
    assert may_climb(end) is climbs


def test_the_first_reason_for_an_escalation_stands() -> None:
    """An incident already in people's hands keeps when and why it got there."""
    first = escalated(INCIDENT, Escalate.RUN_FAILED, later(1))
    assert (first.escalated_at, first.escalation_reason) == (later(1), "run_failed")
    assert escalated(first, Escalate.CLOCK, later(2)) is first
