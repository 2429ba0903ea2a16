"""Escalate: when people must be told, and why; and an incident's clocks.

A clock is an absolute deadline, set when the incident opens and stored, never a countdown in memory.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.action import Mode
from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.model.reasons import Escalate, RunReason
from runbookd.model.run import Run, RunState
from runbookd.stages.calendar import next_business_day_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.plan import Finish
    from runbookd.model.rule import Calendar, Priority


def clocks_for(
    incident: Incident, priority: Priority, calendars: Mapping[str, Calendar]
) -> list[IncidentClock]:
    """Return the incident's clocks, counted from when it opened; a time the priority does not give has none."""
    opened = incident.opened_at
    wanted: list[tuple[ClockKind, timedelta | str | None]] = [
        (ClockKind.ACKNOWLEDGE, priority.acknowledge_within),
        (ClockKind.RESPOND, priority.respond_within),
        (ClockKind.RESOLVE, priority.resolve_within),
        (ClockKind.UPDATE, priority.update_every),
    ]
    clocks = []
    for kind, within in wanted:
        if isinstance(within, timedelta):
            clocks.append(IncidentClock(incident_id=incident.id, kind=kind, due_at=opened + within))
        elif within is not None:
            due_at = next_business_day_end(opened, calendars[priority.calendar or ""])
            clocks.append(IncidentClock(incident_id=incident.id, kind=kind, due_at=due_at))
    return clocks


def after_run(run: Run, finish: Finish, *, more_rungs: bool, quiet_next_rung: bool) -> Escalate | None:
    """Say why people must be told of a run's end; None when they need not be.

    Nothing is said for a good end, in observe mode, or when its alert resolved and so cancelled it. A failure
    whose playbook says `next_rung` is left to the next rung, if there is one.
    """
    if finish.state.good or run.mode is Mode.OBSERVE:
        return None
    if finish.state is RunState.CANCELLED:
        return None if finish.message == ALERT_RESOLVED else Escalate.RUN_CANCELLED
    if finish.reason is RunReason.IN_DOUBT:
        return Escalate.RUN_IN_DOUBT
    if more_rungs and quiet_next_rung:
        return None
    return Escalate.RUN_UNVERIFIED if finish.state is RunState.UNVERIFIED else Escalate.RUN_FAILED


ALERT_RESOLVED = "alert_resolved"
"""Why a run is cancelled when its rule says `on_resolve: cancel` and the alert resolved."""


def may_climb(finish: Finish) -> bool:
    """Whether the next rung may run after this end: not when it is unknown what has already been done."""
    return finish.state in {RunState.FAILED, RunState.UNVERIFIED} and finish.reason is not RunReason.IN_DOUBT


def escalated(incident: Incident, reason: Escalate, now: datetime) -> Incident:
    """Mark an incident as handed to people; the first reason stands."""
    if incident.escalated_at is not None:
        return incident
    return replace(incident, escalated_at=now, escalation_reason=reason.value)


def judge_clock(clock: IncidentClock, incident: Incident, now: datetime) -> IncidentClock:
    """Say how a clock stands: met in time or not, breached once its time has passed unmet, and even then met later.

    The promise of news is kept by `stages/updates.py` while the incident is open, and met by its end.
    """
    if clock.met_at is not None:
        return clock
    if clock.breached_at is not None:
        met = _met_at(clock.kind, incident) if clock.kind is not ClockKind.UPDATE else None
        return clock if met is None else replace(clock, met_at=met)
    if clock.kind is ClockKind.UPDATE:
        return clock if incident.resolved_at is None else replace(clock, met_at=incident.resolved_at)
    met = _met_at(clock.kind, incident)
    if met is not None and met <= clock.due_at:
        return replace(clock, met_at=met)
    if now >= clock.due_at or met is not None:
        return replace(clock, met_at=met, breached_at=clock.due_at)
    return clock


def _met_at(kind: ClockKind, incident: Incident) -> datetime | None:
    """When the incident met a clock of this kind: the earliest of all that meets it."""
    meets: dict[ClockKind, tuple[datetime | None, ...]] = {
        ClockKind.ACKNOWLEDGE: (incident.acknowledged_at, incident.resolved_at),
        ClockKind.RESPOND: (incident.responded_at, incident.acknowledged_at, incident.resolved_at),
        ClockKind.RESOLVE: (incident.resolved_at,),
        ClockKind.REVIEW: (),  # a person says that it is done
    }
    return min((at for at in meets[kind] if at is not None), default=None)


def next_clock(clocks: Sequence[IncidentClock], incident: Incident) -> datetime | None:
    """When the nearest running clock is due; None when none runs. Of a closed incident only the review's does.

    The clock of updates is looked at by its own times.
    """
    running = [
        clock.due_at
        for clock in clocks
        if clock.met_at is None
        and clock.breached_at is None
        and clock.kind is not ClockKind.UPDATE
        and (incident.state is not IncidentState.RESOLVED or clock.kind is ClockKind.REVIEW)
    ]
    return min(running, default=None)
