"""Episodes (`ports.Alerts`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import StoreError
from runbookd.model.alert import Alert
from runbookd.store import columns

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.store.driver import Driver, Row

_COUNTS = {"alert": "count_alerts", "incident": "count_incidents"}


class Alerts:
    """Alerts in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def latest(self, source: str, fingerprint: str) -> Alert | None:
        """Return the open episode, else the one that resolved last, else None."""
        row = await self._driver.one("open_alert", source=source, fingerprint=fingerprint)
        if row is None:
            row = await self._driver.one("last_resolved_alert", source=source, fingerprint=fingerprint)
        return None if row is None else _alert(row)

    async def get(self, alert_id: str) -> Alert | None:
        """Return it, or None."""
        row = await self._driver.one("alert", id=alert_id)
        return None if row is None else _alert(row)

    async def save(self, alert: Alert) -> None:
        """Insert or replace by id; raises StoreError for a second open alert of a (source, fingerprint)."""
        await self._driver.run(
            "save_alert",
            id=alert.id,
            source=alert.source,
            fingerprint=alert.fingerprint,
            starts_at=columns.micros(alert.starts_at),
            first_seen=columns.micros(alert.first_seen),
            last_seen=columns.micros(alert.last_seen),
            received=alert.received,
            ends_at=columns.micros_or_none(alert.ends_at),
            resolved_at=columns.micros_or_none(alert.resolved_at),
            incident_id=alert.incident_id,
            rule=alert.rule,
            event=columns.event_text(alert.event),
            concluded=int(alert.concluded),
        )

    async def open_of(self, source: str) -> list[Alert]:
        """Every open episode of a source, oldest first."""
        return [_alert(row) for row in await self._driver.all("open_alerts_of_source", source=source)]

    async def link(self, alert_id: str, incident_id: str) -> None:
        """Make the alert part of the incident; again is no change."""
        await self._driver.run("link_alert", alert_id=alert_id, incident_id=incident_id)

    async def incidents_of(self, alert_id: str) -> list[str]:
        """Ids of the incidents the alert is linked to, in the order they were linked."""
        return [row["incident_id"] for row in await self._driver.all("incidents_of_alert", alert_id=alert_id)]

    async def any_open(self, incident_id: str) -> bool:
        """Whether an episode linked to the incident is open."""
        return await self._driver.one("open_of_incident", incident_id=incident_id) is not None

    async def of_incident(self, incident_id: str) -> list[Alert]:
        """Every episode linked to an incident, oldest first."""
        return [_alert(row) for row in await self._driver.all("alerts_of_incident", incident_id=incident_id)]

    async def count_for(self, rule: str, alert: Alert) -> None:
        """Count the episode for a rule, once."""
        await self._driver.run(
            "count_episode", rule=rule, alert_id=alert.id, first_seen=columns.micros(alert.first_seen)
        )

    async def count_episodes(self, rule: str, since: datetime, distinct: str) -> int:
        """Tell how many alerts were counted for `rule` and first seen since, or the incidents those are linked to.

        Raises StoreError when `distinct` is neither `alert` nor `incident`.
        """
        statement = _COUNTS.get(distinct)
        if statement is None:
            raise StoreError(f"Episodes are counted by 'alert' or 'incident', not by '{distinct}'.")
        row = await self._driver.one(statement, rule=rule, since=columns.micros(since))
        return row["episodes"] if row else 0

    async def open_count(self) -> int:
        """Count open episodes."""
        row = await self._driver.one("count_open_alerts")
        return row["episodes"] if row else 0


def _alert(row: Row) -> Alert:
    return Alert(
        id=row["id"],
        source=row["source"],
        fingerprint=row["fingerprint"],
        starts_at=columns.moment(row["starts_at"]),
        first_seen=columns.moment(row["first_seen"]),
        last_seen=columns.moment(row["last_seen"]),
        received=row["received"],
        ends_at=columns.moment_or_none(row["ends_at"]),
        resolved_at=columns.moment_or_none(row["resolved_at"]),
        incident_id=row["incident_id"],
        rule=row["rule"],
        event=columns.event(row["event"]),
        concluded=bool(row["concluded"]),
    )
