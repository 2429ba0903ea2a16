"""Records of incidents for the tests of reviews, made by hand: what is not said is an ordinary P0 at noon."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runbookd.model.action import Mode
from runbookd.model.alert import Alert
from runbookd.model.audit import Entry, Stage
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.event import Event, Status
from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.model.run import Run, RunState, StepRecord, StepState
from runbookd.units.record import Record

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ID = "inc-01jgtqv3m0x7b2c4d6f8h0k2n4"


def at(minute: float) -> datetime:
    """So many minutes after the incident opened."""
    return NOON + timedelta(minutes=minute)


def incident(*, over: float | None = 36, **changed: Any) -> Incident:
    """An incident that was over after so many minutes; None for one that is open."""
    state = IncidentState.OPEN if over is None else IncidentState.RESOLVED
    fields: dict[str, Any] = {
        "id": ID,
        "rule": "down",
        "key": "{}",
        "priority": "P0",
        "title": "The shop is down",
        "opened_at": NOON,
        "state": state,
        "resolved_at": None if over is None else at(over),
    }
    return Incident(**{**fields, **changed})


def clock(kind: ClockKind, due: float, *, met: float | None = None, breached: bool = False) -> IncidentClock:
    """A clock that is due so many minutes after the incident opened."""
    return IncidentClock(
        incident_id=ID,
        kind=kind,
        due_at=at(due),
        met_at=None if met is None else at(met),
        breached_at=at(due) if breached else None,
    )


def entry(
    minute: float, what: str, /, actor: str = "runbookd", run: str | None = None, **detail: Any
) -> Entry:
    """An entry of the ledger."""
    return Entry(
        at=at(minute), stage=Stage.ESCALATE, what=what, actor=actor, incident_id=ID, run_id=run, detail=detail
    )


def message(
    contact: str,
    channel: Channel = Channel.EMAIL,
    kind: MessageKind = MessageKind.PAGE,
    state: MessageState = MessageState.SENT,
    **changed: Any,
) -> Message:
    """A message made when the incident opened."""
    fields: dict[str, Any] = {
        "id": f"msg-{contact}-{kind}",
        "key": f"{contact}/{kind}",
        "kind": kind,
        "channel": channel,
        "address": {"to": "l2@example.com"},
        "contact": contact,
        "created_at": NOON,
        "incident_id": ID,
        "state": state,
    }
    return Message(**{**fields, **changed})


def alert(name: str = "Down", *, ended: float | None = 36, **changed: Any) -> Alert:
    """An alert that began to fire a minute before the incident opened."""
    event = Event(
        source="alertmanager",
        name=name,
        status=Status.FIRING,
        fingerprint=name,
        labels={"alertname": name},
        annotations=changed.pop("annotations", {}),
        starts_at=at(-1),
    )
    over = None if ended is None else at(ended)
    fields: dict[str, Any] = {
        "id": f"alt-{name}",
        "source": "alertmanager",
        "fingerprint": name,
        "starts_at": at(-1),
        "first_seen": NOON,
        "last_seen": NOON,
        "event": event,
        "ends_at": over,
        "resolved_at": over,
    }
    return Alert(**{**fields, **changed})


def run(state: RunState = RunState.VERIFIED, *, mode: Mode = Mode.ACT, **changed: Any) -> Run:
    """A run that took from the first minute to the third."""
    fields: dict[str, Any] = {
        "id": "run-1",
        "playbook": "rollback",
        "plan_hash": "",
        "mode": mode,
        "created_at": at(1),
        "deadline_at": at(30),
        "incident_id": ID,
        "target": "deployments/shop",
        "state": state,
        "reason": state.value,
        "ended_at": None if state is RunState.RUNNING else at(3),
    }
    return Run(**{**fields, **changed})


def step(
    state: StepState = StepState.SUCCEEDED, *, change: Mapping[str, object] | None = None, **changed: Any
) -> StepRecord:
    """A call of an action that changes something."""
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "path": "steps/undo",
        "attempt": 1,
        "state": state,
        "started_at": at(1),
        "ended_at": at(2),
        "epoch": 1,
        "action": "kubernetes.rollout_undo",
        "change": change,
        "mutating": True,
    }
    return StepRecord(**{**fields, **changed})


def record(**changed: Any) -> Record:
    """The record of an incident."""
    return Record(**{"incident": incident(), **changed})
