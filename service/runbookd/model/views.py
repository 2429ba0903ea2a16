"""Nouns as expressions see them: plain maps under the names `event`, `alert`, `incident` and `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbookd.model.alert import Alert
    from runbookd.model.event import Event
    from runbookd.model.incident import Incident
    from runbookd.model.run import Run

EVENT_FIELDS = frozenset(
    (
        "source",
        "name",
        "status",
        "fingerprint",
        "severity",
        "labels",
        "annotations",
        "starts_at",
        "ends_at",
        "url",
    )
)
ALERT_FIELDS = frozenset(("id", "status", "fingerprint", "starts_at", "ends_at", "last_seen", "received"))
INCIDENT_FIELDS = frozenset(("id", "rule", "priority", "title", "opened_at", "key"))
RUN_FIELDS = frozenset(("id", "playbook", "rule", "mode", "rung", "target", "created_at"))


def event_view(event: Event) -> dict[str, object]:
    """`event`: what the sender said, in one shape."""
    return {
        "source": event.source,
        "name": event.name,
        "status": event.status.value,
        "fingerprint": event.fingerprint,
        "severity": event.severity,
        "labels": dict(event.labels),
        "annotations": dict(event.annotations),
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
        "url": event.url,
    }


def alert_view(alert: Alert | None) -> dict[str, object]:
    """`alert`: the episode as it is now. Without one, `alert.status` is an empty text."""
    if alert is None:
        return {
            "id": "",
            "status": "",
            "fingerprint": "",
            "starts_at": None,
            "ends_at": None,
            "last_seen": None,
            "received": 0,
        }
    return {
        "id": alert.id,
        "status": "firing" if alert.resolved_at is None else "resolved",
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "last_seen": alert.last_seen,
        "received": alert.received,
    }


def incident_view(incident: Incident) -> dict[str, object]:
    """`incident`: the trouble this run is for."""
    return {
        "id": incident.id,
        "rule": incident.rule,
        "priority": incident.priority,
        "title": incident.title,
        "opened_at": incident.opened_at,
        "key": incident.key,
    }


def run_view(run: Run) -> dict[str, object]:
    """`run`: this very run."""
    return {
        "id": run.id,
        "playbook": run.playbook,
        "rule": run.rule or "",
        "mode": run.mode.value,
        "rung": run.rung,
        "target": run.target or "",
        "created_at": run.created_at,
    }
