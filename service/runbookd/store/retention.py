"""What is old enough to be forgotten (`ports.Retention`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.retention import Kept
from runbookd.store import columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runbookd.store.driver import Driver

_OLD = {
    Kept.DELIVERIES: "old_deliveries",
    Kept.EVENTS: "old_events",
    Kept.RUNS: "old_runs",
    Kept.ALERTS: "old_alerts",
    Kept.INCIDENTS: "old_incidents",
    Kept.ACTS: "old_acts",
    Kept.MESSAGES: "old_messages",
}
_FORGET = {
    Kept.DELIVERIES: ("forget_body", "forget_delivery"),
    Kept.EVENTS: ("forget_event",),
    Kept.RUNS: ("forget_steps", "forget_evidence", "forget_run"),
    Kept.ALERTS: ("forget_links", "forget_counts", "forget_alert"),
    Kept.INCIDENTS: ("forget_clocks", "forget_levels", "forget_messages", "forget_incident"),
    Kept.ACTS: ("forget_act",),
    Kept.MESSAGES: ("forget_message",),
}
"""The statements that delete a row with what is part of it, each by the row's `id`."""


class Retention:
    """The search for old rows, and their end, in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def old(self, kind: Kept, before: datetime, limit: int) -> list[str]:
        """Ids of up to `limit` rows of a kind that ended before a time and that nothing open refers to."""
        rows = await self._driver.all(_OLD[kind], before=columns.micros(before), limit=limit)
        return [row["id"] for row in rows]

    async def forget(self, kind: Kept, ids: Sequence[str]) -> None:
        """Delete these rows, and the rows that are part of them."""
        for statement in _FORGET[kind]:
            await self._driver.many(statement, [{"id": one} for one in ids])
