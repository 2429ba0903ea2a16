"""Raw deliveries and the events taken from them (`ports.Deliveries`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import NotFound
from runbookd.model.event import Delivery, DeliveryState, StoredEvent
from runbookd.store import columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.store.driver import Driver, Row


class Deliveries:
    """Deliveries and events in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, delivery: Delivery) -> None:
        """Keep a delivery; raises StoreError when its id is taken."""
        await self._driver.run(
            "add_delivery",
            id=delivery.id,
            source=delivery.source,
            received_at=columns.micros(delivery.received_at),
            sha256=delivery.sha256,
            headers=columns.tree_text(delivery.headers),
            remote=delivery.remote,
            state=delivery.state.value,
            progress=delivery.progress,
            reason=delivery.reason,
        )
        await self._driver.run("add_body", delivery_id=delivery.id, body=delivery.body)

    async def get(self, delivery_id: str) -> Delivery | None:
        """Return it, or None."""
        row = await self._driver.one("delivery", id=delivery_id)
        return None if row is None else _delivery(row)

    async def settle(
        self, delivery_id: str, state: DeliveryState, progress: int, reason: str | None = None
    ) -> None:
        """Record how far it has come; raises NotFound when there is no such delivery."""
        settled = await self._driver.run(
            "settle_delivery", id=delivery_id, state=state.value, progress=progress, reason=reason
        )
        if not settled:
            raise NotFound(f"There is no delivery '{delivery_id}' whose progress could be recorded.")

    async def pending(self) -> tuple[int, datetime | None]:
        """Count the deliveries not yet taken apart, and tell when the oldest came."""
        row = await self._driver.one("pending_deliveries")
        return (row["waiting"], columns.moment_or_none(row["oldest"])) if row else (0, None)

    async def dead(self) -> tuple[int, datetime | None]:
        """Count the dead letters, and tell when the newest came."""
        row = await self._driver.one("dead_deliveries")
        return (row["dead"], columns.moment_or_none(row["newest"])) if row else (0, None)

    async def recent(self, limit: int, state: DeliveryState | None = None) -> list[Delivery]:
        """Newest first."""
        filters = {} if state is None else {"state": state.value}
        rows = await self._driver.all("recent_deliveries", where=tuple(filters), limit=limit, **filters)
        return [_delivery(row) for row in rows]

    async def add_event(self, event: StoredEvent) -> None:
        """Keep an event with its outcome; raises StoreError when its id is taken."""
        await self._driver.run(
            "add_event",
            id=event.id,
            delivery_id=event.delivery_id,
            received_at=columns.micros(event.received_at),
            source=event.event.source,
            name=event.event.name,
            status=event.event.status.value,
            fingerprint=event.event.fingerprint,
            outcome=event.outcome,
            alert_id=event.alert_id,
            incident_id=event.incident_id,
            rule=event.rule,
            event=columns.event_text(event.event),
        )

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return it, or None."""
        row = await self._driver.one("event", id=event_id)
        return None if row is None else _event(row)

    async def events(self, limit: int, filters: Mapping[str, str]) -> list[StoredEvent]:
        """Newest first; raises StoreError for an unknown filter."""
        rows = await self._driver.all("recent_events", where=tuple(filters), limit=limit, **filters)
        return [_event(row) for row in rows]


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=row["id"],
        source=row["source"],
        received_at=columns.moment(row["received_at"]),
        body=row["body"],
        sha256=row["sha256"],
        headers=columns.tree(row["headers"]),
        remote=row["remote"],
        state=DeliveryState(row["state"]),
        progress=row["progress"],
        reason=row["reason"],
    )


def _event(row: Row) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        delivery_id=row["delivery_id"],
        received_at=columns.moment(row["received_at"]),
        event=columns.event(row["event"]),
        outcome=row["outcome"],
        alert_id=row["alert_id"],
        incident_id=row["incident_id"],
        rule=row["rule"],
    )
