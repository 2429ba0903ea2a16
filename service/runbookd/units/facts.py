"""What messages and reviews tell of an incident, read from the database: facts only, each under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbookd.language.calls import call_of
from runbookd.language.names import handle, person
from runbookd.model.action import Mode
from runbookd.model.escalation import Channel, LevelState, MessageKind, MessageState
from runbookd.model.incident import ClockKind, IncidentState
from runbookd.model.run import RunState, StepState
from runbookd.units.causes import of_priority_since, why_escalated, why_not_begun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from runbookd.model.alert import Alert
    from runbookd.model.escalation import Message
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.model.run import Run, StepRecord
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

_MOST_RUNS = 50
_MOST_ALERTS = 10
_DONE = {StepState.SUCCEEDED: "done", StepState.FAILED: "failed", StepState.IN_DOUBT: "in doubt"}
_HELPED = {
    RunState.VERIFIED: "verified",
    RunState.SUCCEEDED: "not verified",
    RunState.RUNNING: "still being checked",  # its own check may be that the alert has resolved
}
_NEXT = {
    True: "automation is at work",
    False: "a person is needed",
}


async def facts_of(tx: Tx, desk: Desk, incident: Incident, now: datetime) -> dict[str, Any]:
    """Return what templates see (`language.messages.FACTS`), as it is now.

    Lengths of time are counted to or from `now`, which for what was sent before is when it was.
    """
    runs = (await tx.runs.recent(_MOST_RUNS, {"incident_id": incident.id}))[::-1]
    steps = {run.id: await tx.runs.steps(run.id) for run in runs}
    clocks = {clock.kind: clock for clock in await tx.incidents.clocks(incident.id)}
    alerts = await tx.alerts.of_incident(incident.id)
    messages = await tx.messages.of(incident.id)
    variables = desk.library.vars
    return {
        "service": str(variables.get("service_name", "")),
        "status_page": str(variables.get("status_page_url", "")) if _is_public(messages) else "",
        "incident": {
            **_incident(desk, incident, now),
            "impact": _impact(incident, alerts, messages),
            "state": _state(incident, runs),
            "why_escalated": why_escalated(
                incident, [*clocks.values()], await of_priority_since(tx, incident)
            ),
        },
        "update": _update(messages, incident, clocks, now),
        "did": [line for run in runs for line in _did(run, steps[run.id])],
        "found": _found(runs),
        "next_step": _next_step(incident, runs),
        "alerts": [_alert(alert) for alert in alerts[:_MOST_ALERTS]],
        "level": await _level(tx, incident),
        "resolution": await _resolution(tx, incident, runs),
        "review_due_at": clocks[ClockKind.REVIEW].due_at if ClockKind.REVIEW in clocks else None,
    }


def _incident(desk: Desk, incident: Incident, now: datetime) -> dict[str, object]:
    priority = desk.library.priorities.get(incident.priority)
    end = incident.resolved_at or now
    return {
        "id": incident.id,
        "short_id": incident.id[-8:],
        "rule": incident.rule,
        "priority": incident.priority,
        "priority_name": priority.name if priority is not None else incident.priority,
        "title": incident.title,
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": person(incident.acknowledged_by),
        "resolved_at": incident.resolved_at,
        "duration": end - incident.opened_at,
        "commander": handle(_lead(incident)),
        "channel": f"#{incident.channel['name']}" if incident.channel else "",
    }


def _is_public(messages: Sequence[Message]) -> bool:
    """Whether the public hears of an incident, on our own page if on no other."""
    return any(one.channel is Channel.STATUSPAGE for one in messages)


def _lead(incident: Incident) -> str:
    """Return who leads: who was assigned, else who took it; empty when nobody does."""
    return incident.assignee or incident.acknowledged_by or ""


def _state(incident: Incident, runs: Sequence[Run]) -> str:
    """Return the word the runbook's templates use for how things stand.

    It is being mitigated while a person has it, or a remedy is under way or has helped. Neither is so any more when
    an acknowledgement has expired, or automation has handed it back.
    """
    if incident.state is IncidentState.RESOLVED:
        return "Resolved"
    acting = [run for run in runs if run.mode is Mode.ACT and run.state is not RunState.REFUSED]
    remedied = bool(acting) and (not acting[-1].state.ended or acting[-1].state.good)
    return "Mitigating" if _lead(incident) or remedied else "Investigating"


def _impact(incident: Incident, alerts: Sequence[Alert], messages: Sequence[Message]) -> str:
    """Return what the first alert's sender says it means for users; empty when it does not.

    Of what is over, that is what people were told first: by now the alert may tell only of its last moment.
    """
    told = (str(one.words["impact"]) for one in messages if one.words.get("impact"))
    first = next(told, "") if incident.state is IncidentState.RESOLVED else ""
    if first:
        return first
    for alert in alerts:
        for name in ("impact", "summary", "description"):
            text = alert.event.annotations.get(name)
            if text:
                return text
    return ""


def _update(
    messages: Sequence[Message], incident: Incident, clocks: Mapping[ClockKind, IncidentClock], now: datetime
) -> dict[str, object]:
    """Return the promise of news from its stored deadline, so that what is said and what is kept cannot differ."""
    sent = [one for one in messages if one.kind is MessageKind.UPDATE]
    told = {one.facts.get("reason") for one in sent if one.state is not MessageState.FAILED}
    clock = clocks.get(ClockKind.UPDATE)
    promised = clock is not None and incident.state is IncidentState.OPEN
    next_at = clock.due_at if clock is not None and promised else None
    return {
        "number": len(told),
        "next_at": next_at,
        "next_in": max(next_at - now, now - now) if next_at else None,
    }


def _did(run: Run, steps: Sequence[StepRecord]) -> list[dict[str, object]]:
    """Return what a run has done so far, and how it ended, in the order it happened."""
    if run.state is RunState.REFUSED:
        return [
            {
                "at": run.created_at,
                "what": f"{run.playbook} was not begun",
                "detail": why_not_begun(run.reason),
            }
        ]
    did: list[dict[str, object]] = [
        {"at": run.created_at, "what": f"{run.playbook} begun", "detail": _mode(run)},
        *(
            {"at": step.ended_at or step.started_at, "what": call_of(step), "detail": _DONE[step.state]}
            for step in steps
            if step.mutating and step.action is not None and step.state in _DONE
        ),
    ]
    if run.ended_at is not None:
        did.append(
            {"at": run.ended_at, "what": f"{run.playbook} {run.state.value}", "detail": _words(run.reason)}
        )
    return did


def _mode(run: Run) -> str:
    return "only observing, nothing is changed" if run.mode.value == "observe" else ""


def _found(runs: Sequence[Run]) -> str:
    """Return how the last run ended, in words; empty while none has."""
    ended = [run for run in runs if run.ended_at is not None and run.state is not RunState.REFUSED]
    return f"{ended[-1].playbook}: {ended[-1].state.value}, {_words(ended[-1].reason)}" if ended else ""


def _next_step(incident: Incident, runs: Sequence[Run]) -> str:
    if incident.state is IncidentState.RESOLVED:
        return ""
    if _lead(incident):
        return f"{person(_lead(incident))} is on it"
    running = [run.playbook for run in runs if not run.state.ended]
    return f"{running[0]} goes on" if running else _NEXT[False]


async def _resolution(tx: Tx, incident: Incident, runs: Sequence[Run]) -> str:
    """Return what mended it as far as it is known: the remedy that helped, and what the person said who ended it."""
    if incident.state is not IncidentState.RESOLVED:
        return ""
    good = [run for run in runs if run.state in _HELPED and run.mutated and run.mode is Mode.ACT]
    remedy = f"{good[-1].playbook} by automation, {_HELPED[good[-1].state]}" if good else ""
    ended = await tx.ledger.recent(1, {"incident_id": incident.id, "what": "person_resolve"})
    reason = str(ended[-1].entry.detail.get("text") or "").strip() if ended else ""
    return f"{remedy}; by hand: {reason}" if remedy and reason else remedy or reason


def _alert(alert: Alert) -> dict[str, object]:
    return {
        "name": alert.event.name,
        "summary": alert.event.annotations.get("summary", ""),
        "since": alert.starts_at,
    }


async def _level(tx: Tx, incident: Incident) -> int | None:
    fired = [level.number for level in await tx.levels.of(incident.id) if level.state is LevelState.FIRED]
    return max(fired) + 1 if fired else None


def _words(reason: str | None) -> str:
    return (reason or "").replace("_", " ")
