"""Schedules: which of their times are due, and how one becomes an event that takes the path of every alert.

Each playbook of a schedule is taken by a rule of its own, which no file has to write. Its incident begins with a
priority that has no clocks and tells nobody; a run that does not end well raises it.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from runbookd.language.cron import parse_cron
from runbookd.language.values import utc_text
from runbookd.model.action import Mode
from runbookd.model.reasons import Guard
from runbookd.model.rule import Priority, Rule
from runbookd.model.schedule import Due, Missed, Remembered, Schedule
from runbookd.stages.normalize import ZERO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runbookd.model.alert import Alert
    from runbookd.model.incident import Incident
    from runbookd.model.library import Library
    from runbookd.model.playbook import Playbook
    from runbookd.model.run import Run

SOURCE: Final = "schedule"
"""Who tells of a time that has come."""

QUIET: Final = "scheduled"
"""The priority of an incident of a schedule while all is well."""

_QUIET_PRIORITY: Final = Priority(name="Scheduled")
_PUNCTUAL: Final = timedelta(minutes=1)
"""A time looked at this late is no missed one; cron counts in minutes."""

_BUSY: Final = frozenset({Guard.TARGET_LOCKED, Guard.TARGET_COOLDOWN})
"""Why a target may not be acted on now, and soon may."""

_MOST_MISSED: Final = 1000
"""So many missed times are counted; an outage of months with a schedule of minutes has more."""


def next_firing(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first time of a schedule after a moment, in UTC; None when it has none any more."""
    return parse_cron(schedule.cron, schedule.timezone).next(after)


def nearest(schedules: Iterable[Schedule], after: datetime) -> datetime | None:
    """Return the first time of any of the schedules after a moment; None when there is none."""
    times = (next_firing(schedule, after) for schedule in schedules)
    return min((at for at in times if at is not None), default=None)


def look(schedule: Schedule, known: Remembered | None, now: datetime) -> Due:
    """Say which time of a schedule is to be kept now; `known` is None when it was never looked at.

    A schedule is kept from when it is first seen. Of the times since the last look the newest is kept if it is not
    too late; all others are missed. One that was written anew meanwhile misses nothing: its times of before were not
    promised.
    """
    as_written = {"cron": schedule.cron, "timezone": schedule.timezone}
    if known is None:
        return Due(Remembered(**as_written, upto=now))
    cron = parse_cron(schedule.cron, schedule.timezone)
    rewritten = (known.cron, known.timezone) != (schedule.cron, schedule.timezone)
    newest = cron.newest(known.upto, now)
    if newest is None:
        upto = max(now, known.upto) if rewritten else known.upto
        return Due(known.model_copy(update={**as_written, "upto": upto}))
    allowed = _PUNCTUAL if rewritten else max(schedule.catch_up, _PUNCTUAL)
    at = newest if now - newest <= allowed else None
    until = newest if at is None else newest - _PUNCTUAL
    last = None if rewritten else cron.newest(known.upto, until)
    missed = None
    if last is not None:
        counted = list(islice(cron.between(known.upto, last), _MOST_MISSED + 1))
        count = min(len(counted), _MOST_MISSED)
        missed = Missed(counted[0], last, count, more=len(counted) > count)
    learnt = {
        **as_written,
        "upto": newest,
        "last": at or known.last,
        "missed": missed.last if missed is not None else known.missed,
    }
    return Due(known.model_copy(update=learnt), at, missed)


def told_due(schedule: Schedule, at: datetime) -> bytes:
    """Return the delivery that says that a time has come: an event for each playbook, in their order."""
    return _delivery([_alert(schedule, playbook, at) for playbook in schedule.run])


def told_over(alerts: Sequence[Alert], now: datetime) -> bytes:
    """Return the delivery that says that these are over."""
    return _delivery(
        [
            {
                "status": "resolved",
                "labels": dict(alert.event.labels),
                "annotations": dict(alert.event.annotations),
                "startsAt": utc_text(alert.starts_at),
                "endsAt": utc_text(now),
                "fingerprint": alert.fingerprint,
            }
            for alert in alerts
        ]
    )


def is_scheduled(alert: Alert | None) -> bool:
    """Whether an alert is a time of a schedule: nothing is wrong then, so there is none to wait for."""
    return alert is not None and alert.source == SOURCE


def same_work(alert: Alert, other: Alert) -> bool:
    """Whether two times are of the same schedule and playbook."""
    return all(
        alert.event.labels.get(name) == other.event.labels.get(name) for name in ("schedule", "playbook")
    )


def may_wait(library: Library, alert: Alert, why: Guard, now: datetime) -> bool:
    """Whether a time of a schedule may be kept a little later, because its target is busy, instead of being refused.

    It may for as long as it would be made up for after an outage; an alert's remedy may not.
    """
    schedule = library.schedules.get(alert.event.labels.get("schedule", ""))
    if schedule is None or not is_scheduled(alert):
        return False
    return why in _BUSY and now - alert.starts_at < schedule.catch_up


def is_over(run: Run, incident: Incident) -> bool:
    """Whether the end of a run is the end of what it was for.

    A run that only observed did what was asked, unless people were told that it should have acted.
    """
    return incident.escalated_at is None if run.mode is Mode.OBSERVE else run.state.good


def rule_name(schedule: str, playbook: str) -> str:
    """Name the rule that takes a schedule's playbook; no written rule can be named so."""
    return f"{SOURCE}/{schedule}/{playbook}"


def implied_rules(library: Library) -> tuple[Rule, ...]:
    """Return the rules that take the times of all schedules, which are tried before those that are written."""
    return tuple(
        _rule(schedule, playbook, library.playbooks.get(playbook))
        for schedule in library.schedules.values()
        for playbook in schedule.run
    )


def with_quiet(library: Library) -> Mapping[str, Priority]:
    """Return the priorities there are, and that of schedules."""
    return {**library.priorities, QUIET: _QUIET_PRIORITY}


def failure_priority(library: Library, incident: Incident) -> str | None:
    """Return the priority an incident of a schedule has for people: its schedule's own, else the last one written.

    None when nothing is left that it could be raised to.
    """
    schedule = library.schedules.get(json.loads(incident.key).get("schedule", ""))
    if schedule is not None and schedule.on_failure is not None:
        return schedule.on_failure.priority
    written = [name for name in library.priorities if name != QUIET]
    return written[-1] if written else None


def _rule(schedule: Schedule, playbook: str, known: Playbook | None) -> Rule:
    """Make the rule of one playbook. The schedule itself says how often, so the rule's own limits do not."""
    declared = known.inputs if known is not None else {}
    written = {
        "name": QUIET,
        "description": schedule.description,
        "match": [f'schedule="{schedule.name}"', f'playbook="{playbook}"'],
        "when": f'event.source == "{SOURCE}"',
        "priority": QUIET,
        "incident": {
            "title": "${event.labels.playbook}, scheduled by ${event.labels.schedule}",
            "key": ["schedule", "playbook"],
        },
        "run": [
            {
                "playbook": playbook,
                "with": {name: value for name, value in schedule.with_.items() if name in declared},
            }
        ],
        "limits": {"cooldown": "0s", "runs": []},
    }
    return Rule.model_validate(written).model_copy(update={"name": rule_name(schedule.name, playbook)})


def _alert(schedule: Schedule, playbook: str, at: datetime) -> dict[str, object]:
    """Say it as Alertmanager does. Each time is an episode of its own: one that is open keeps no later one back."""
    when = utc_text(at)
    return {
        "status": "firing",
        "labels": {"alertname": schedule.name, "schedule": schedule.name, "playbook": playbook},
        "annotations": {
            "summary": f"The schedule {schedule.name} runs {playbook}.",
            "description": schedule.description,
            "scheduled_at": when,
        },
        "startsAt": when,
        "endsAt": ZERO_TIME,
        "fingerprint": f"schedule {schedule.name} {playbook} {when}",
    }


def _delivery(alerts: Sequence[dict[str, object]]) -> bytes:
    return json.dumps({"version": "4", "alerts": alerts}).encode()
