"""An incident: one or more alerts of the same trouble, with a priority, clocks and runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class IncidentState(StrEnum):
    """Open until every alert of it has resolved, or a person says so."""

    OPEN = "open"
    RESOLVED = "resolved"


class ClockKind(StrEnum):
    """The response-time promises of a priority, each with an absolute deadline."""

    ACKNOWLEDGE = "acknowledge"
    RESPOND = "respond"
    RESOLVE = "resolve"
    UPDATE = "update"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The trouble. `key` is the rule's key with its values, canonical JSON; at most one open incident per (rule, key).

    `responded_at` is when a person acknowledged or a run in `act` mode took it; `escalated_at` is when it was
    first handed to people, with `escalation_reason`. None means not yet.
    """

    id: str
    rule: str
    key: str
    priority: str
    title: str
    opened_at: datetime
    state: IncidentState = IncidentState.OPEN
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    responded_at: datetime | None = None
    escalated_at: datetime | None = None
    escalation_reason: str | None = None
    escalation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentClock:
    """One deadline of an incident. Met, breached or (both None) still running; a resolved incident stops its clocks."""

    incident_id: str
    kind: ClockKind
    due_at: datetime
    met_at: datetime | None = None
    breached_at: datetime | None = None
