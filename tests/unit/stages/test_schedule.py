"""Which times of a schedule are kept, which are missed, and what each becomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.model.incident import Incident
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Priority
from runbookd.model.schedule import Missed, Remembered, Schedule
from runbookd.sources import SOURCES
from runbookd.stages.match import compile_rules
from runbookd.stages.schedule import (
    QUIET,
    SOURCE,
    failure_priority,
    implied_rules,
    look,
    nearest,
    next_firing,
    told_due,
    with_quiet,
)

EIGHT = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
P = {name: Priority(name=name) for name in ("P0", "P1", "P3")}


def daily(**more: Any) -> Schedule:
    """A schedule at eight each day, with these keys instead of its own."""
    return Schedule.model_validate({"name": "s", "cron": "0 8 * * *", "run": ["check"], **more})


def known(upto: datetime, **more: Any) -> Remembered:
    """What is remembered of it."""
    return Remembered.model_validate({"cron": "0 8 * * *", "timezone": "UTC", "upto": upto, **more})


def test_the_first_look_keeps_nothing() -> None:
    """A schedule counts from when it is first seen, not from before."""
    due = look(daily(), None, EIGHT + SECOND)
    assert (due.at, due.missed, due.known.upto) == (None, None, EIGHT + SECOND)


@pytest.mark.parametrize(
    ("late", "kept"),
    [(timedelta(0), True), (SECOND, True), (HOUR, True), (HOUR + SECOND, False), (-SECOND, None)],
)
def test_a_time_is_kept_if_it_is_not_too_late(late: timedelta, *, kept: bool | None) -> None:
    """Up to `catch_up`, an hour unless it says otherwise; before it there is nothing to keep."""
    due = look(daily(), known(EIGHT - DAY), EIGHT + late)
    if kept is None:
        assert (due.at, due.missed, due.known) == (None, None, known(EIGHT - DAY))
        return
    assert due.at == (EIGHT if kept else None)
    assert due.missed == (None if kept else Missed(EIGHT, EIGHT, 1))
    assert due.known == known(EIGHT, last=EIGHT if kept else None, missed=None if kept else EIGHT)


def test_without_catching_up_it_still_need_not_be_exact() -> None:
    """`catch_up: 0s` misses what is later than a minute, not what took a moment."""
    assert look(daily(catch_up="0s"), known(EIGHT - DAY), EIGHT + 30 * SECOND).at == EIGHT
    assert look(daily(catch_up="0s"), known(EIGHT - DAY), EIGHT + 61 * SECOND).at is None


@pytest.mark.parametrize(("late", "at"), [(HOUR, EIGHT), (2 * HOUR, None)])
def test_of_several_times_only_the_newest_is_kept(late: timedelta, at: datetime | None) -> None:
    """After four days without a service the others are missed, and counted."""
    due = look(daily(), known(EIGHT - 4 * DAY), EIGHT + late)
    last = EIGHT if at is None else EIGHT - DAY
    assert due.at == at
    assert due.missed == Missed(EIGHT - 3 * DAY, last, 3 if at else 4)
    assert due.known.upto == EIGHT


def test_nothing_is_kept_twice() -> None:
    """A second look, by whomever, and a clock that goes back a little find nothing to do."""
    after = look(daily(), known(EIGHT - DAY), EIGHT).known
    for now in (EIGHT, EIGHT + SECOND, EIGHT - SECOND, EIGHT + 23 * HOUR):
        due = look(daily(), after, now)
        assert (due.at, due.missed, due.known) == (None, None, after)


def test_many_missed_times_are_counted_up_to_a_bound() -> None:
    """A minute's schedule that was away for months is looked at quickly."""
    schedule = daily(cron="* * * * *")
    due = look(schedule, known(EIGHT - 90 * DAY, cron="* * * * *"), EIGHT)
    assert due.at == EIGHT
    assert due.missed == Missed(EIGHT - 90 * DAY + 60 * SECOND, EIGHT - 60 * SECOND, 1000, more=True)


@pytest.mark.parametrize("anew", [{"cron": "0 7 * * *"}, {"cron": "0 9 * * *", "timezone": "Europe/Berlin"}])
def test_one_written_anew_has_missed_nothing(anew: dict[str, str]) -> None:
    """A time of the new text that was over before it was read is not made up for; one that has just come is kept."""
    schedule = daily(catch_up="1d", **anew)
    due = look(schedule, known(EIGHT - 4 * DAY), EIGHT + HOUR)
    assert (due.at, due.missed) == (None, None)
    at = next_firing(schedule, EIGHT)
    assert at is not None
    assert look(schedule, known(EIGHT - 4 * DAY), at + SECOND).at == at
    quiet = look(schedule, known(at), at + SECOND)
    assert (quiet.at, quiet.known.cron, quiet.known.upto) == (None, schedule.cron, at + SECOND)


def test_the_nearest_of_several() -> None:
    """Whoever sleeps until something is due sleeps until the first."""
    assert nearest([], EIGHT) is None
    assert nearest([daily(), daily(cron="30 9 * * *")], EIGHT) == EIGHT + 1.5 * HOUR


def test_a_time_is_an_event_for_each_playbook() -> None:
    """In the order of the list, each with its own fingerprint, which no other time has."""
    schedule = daily(run=["a", "b"])
    events = SOURCES[SOURCE](told_due(schedule, EIGHT)).events
    assert [event.labels for event in events] == [
        {"alertname": "s", "schedule": "s", "playbook": name} for name in ("a", "b")
    ]
    assert {(event.source, event.name, event.status.value, event.starts_at) for event in events} == {
        (SOURCE, "s", "firing", EIGHT)
    }
    later = SOURCES[SOURCE](told_due(schedule, EIGHT + DAY)).events
    assert len({event.fingerprint for event in (*events, *later)}) == 4


def library(**more: Any) -> Library:
    """A schedule of two playbooks, of which one has an input."""
    schedule = daily(run=["a", "b"], **{"with": {"x": "1"}}, **more)
    playbooks = {
        "a": Playbook.model_validate({"playbook": "a", "inputs": {"x": {}}, "steps": []}),
        "b": Playbook.model_validate({"playbook": "b", "steps": []}),
    }
    return Library(schedules={"s": schedule}, playbooks=playbooks, priorities=P)


def test_each_playbook_has_a_rule_of_its_own() -> None:
    """It gets the inputs it declares, a priority nobody hears of, and no limit but the schedule's times."""
    rules = implied_rules(library())
    assert [(rule.name, rule.run[0].playbook, rule.run[0].with_) for rule in rules] == [
        ("schedule/s/a", "a", {"x": "1"}),
        ("schedule/s/b", "b", {}),
    ]
    assert {(rule.priority, rule.limits.cooldown, len(rule.limits.runs)) for rule in rules} == {
        (QUIET, timedelta(0), 0)
    }
    assert len(compile_rules(rules).rules) == 2
    assert implied_rules(Library(schedules={"s": daily()}))[0].run[0].with_ == {}


@pytest.mark.parametrize(
    ("more", "name", "told"),
    [({"on_failure": {"priority": "P1"}}, "s", "P1"), ({}, "s", "P3"), ({}, "gone", "P3")],
)
def test_what_failed_has_its_schedules_priority(more: dict[str, Any], name: str, told: str) -> None:
    """Else the last that is written, and never the quiet one."""
    made = library(**more)
    made = Library(schedules=made.schedules, priorities=with_quiet(made))
    incident = Incident(
        id="i", rule="r", key=json.dumps({"schedule": name}), priority=QUIET, title="", opened_at=EIGHT
    )
    assert failure_priority(made, incident) == told
    assert failure_priority(Library(priorities=with_quiet(Library())), incident) is None
