"""Levels of escalation (`ports.Levels`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runbookd.model.escalation import IncidentLevel, LevelState
from runbookd.store import columns

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.store.driver import Driver


class Levels:
    """Levels in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def save(self, level: IncidentLevel) -> None:
        """Insert or replace by (incident, number)."""
        await self._driver.run(
            "save_level",
            incident_id=level.incident_id,
            number=level.number,
            due_at=columns.micros_or_none(level.due_at),
            on_breach=level.on_breach,
            unless_state=level.unless,
            page=json.dumps(level.page),
            notify=json.dumps(level.notify),
            state=level.state.value,
            settled_at=columns.micros_or_none(level.settled_at),
            reason=level.reason,
        )

    async def of(self, incident_id: str) -> list[IncidentLevel]:
        """Every level of an incident, in order."""
        return [
            IncidentLevel(
                incident_id=row["incident_id"],
                number=row["number"],
                due_at=columns.moment_or_none(row["due_at"]),
                on_breach=row["on_breach"],
                unless=row["unless_state"],
                page=tuple(json.loads(row["page"])),
                notify=tuple(json.loads(row["notify"])),
                state=LevelState(row["state"]),
                settled_at=columns.moment_or_none(row["settled_at"]),
                reason=row["reason"],
            )
            for row in await self._driver.all("levels", incident_id=incident_id)
        ]

    async def incidents(self, priority: str, since: datetime, limit: int) -> list[str]:
        """Ids of the incidents of a priority, opened after then, that have levels or messages; newest first."""
        rows = await self._driver.all(
            "told_incidents", priority=priority, since=columns.micros(since), limit=limit
        )
        return [row["id"] for row in rows]
