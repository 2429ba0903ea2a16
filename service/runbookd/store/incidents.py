"""Incidents and their clocks (`ports.Incidents`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.incident import ClockKind, Incident, IncidentClock, IncidentState
from runbookd.store import columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.store.driver import Driver, Row


class Incidents:
    """Incidents in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def open_for(self, rule: str, key: str) -> Incident | None:
        """Return the open incident with this rule and key, or None."""
        row = await self._driver.one("open_incident", rule=rule, key=key)
        return None if row is None else _incident(row)

    async def get(self, incident_id: str) -> Incident | None:
        """Return it, or None."""
        row = await self._driver.one("incident", id=incident_id)
        return None if row is None else _incident(row)

    async def save(self, incident: Incident) -> None:
        """Insert or replace by id; raises StoreError for a second open incident of a (rule, key)."""
        await self._driver.run(
            "save_incident",
            id=incident.id,
            rule=incident.rule,
            key=incident.key,
            priority=incident.priority,
            title=incident.title,
            opened_at=columns.micros(incident.opened_at),
            state=incident.state.value,
            resolved_at=columns.micros_or_none(incident.resolved_at),
            acknowledged_at=columns.micros_or_none(incident.acknowledged_at),
            responded_at=columns.micros_or_none(incident.responded_at),
            escalated_at=columns.micros_or_none(incident.escalated_at),
            escalation_reason=incident.escalation_reason,
            escalation=incident.escalation,
            acknowledged_by=incident.acknowledged_by,
            acknowledged_until=columns.micros_or_none(incident.acknowledged_until),
            assignee=incident.assignee,
            channel=columns.tree_text_or_none(incident.channel),
        )

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Incident]:
        """Newest first; raises StoreError for an unknown filter."""
        rows = await self._driver.all("recent_incidents", where=tuple(filters), limit=limit, **filters)
        return [_incident(row) for row in rows]

    async def save_clock(self, clock: IncidentClock) -> None:
        """Insert or replace by (incident, kind)."""
        await self._driver.run(
            "save_clock",
            incident_id=clock.incident_id,
            kind=clock.kind.value,
            due_at=columns.micros(clock.due_at),
            met_at=columns.micros_or_none(clock.met_at),
            breached_at=columns.micros_or_none(clock.breached_at),
        )

    async def clocks(self, incident_id: str) -> list[IncidentClock]:
        """Every clock of an incident, nearest deadline first."""
        rows = await self._driver.all("clocks", incident_id=incident_id)
        return [
            IncidentClock(
                incident_id=row["incident_id"],
                kind=ClockKind(row["kind"]),
                due_at=columns.moment(row["due_at"]),
                met_at=columns.moment_or_none(row["met_at"]),
                breached_at=columns.moment_or_none(row["breached_at"]),
            )
            for row in rows
        ]


def _incident(row: Row) -> Incident:
    return Incident(
        id=row["id"],
        rule=row["rule"],
        key=row["key"],
        priority=row["priority"],
        title=row["title"],
        opened_at=columns.moment(row["opened_at"]),
        state=IncidentState(row["state"]),
        resolved_at=columns.moment_or_none(row["resolved_at"]),
        acknowledged_at=columns.moment_or_none(row["acknowledged_at"]),
        responded_at=columns.moment_or_none(row["responded_at"]),
        escalated_at=columns.moment_or_none(row["escalated_at"]),
        escalation_reason=row["escalation_reason"],
        escalation=row["escalation"],
        acknowledged_by=row["acknowledged_by"],
        acknowledged_until=columns.moment_or_none(row["acknowledged_until"]),
        assignee=row["assignee"],
        channel=columns.tree_or_none(row["channel"]),
    )
