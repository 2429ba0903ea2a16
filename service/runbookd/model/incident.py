"""An incident: one or more alerts of the same trouble, with a priority, clocks and runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    first handed to people, with `escalation_reason`. None means not yet. `acknowledged_until` is when the
    acknowledgement expires, None if it does not. `assignee` is who leads, `channel` the id and name of the Slack
    channel made for it.
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
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None
    assignee: str | None = None
    channel: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentClock:
    """One deadline of an incident. Met, breached, both when it was met too late, or (both None) still running.

    A resolved incident stops its clocks, but for that of the review, which then begins.
    """

    incident_id: str
    kind: ClockKind
    due_at: datetime
    met_at: datetime | None = None
    breached_at: datetime | None = None
