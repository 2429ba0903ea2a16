"""Deliveries for `runbookd events`: the dead letters, and one delivery with what was taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.output import Column, fields, heading, listed, moment, print_json, table
from runbookd.errors import NotFound
from runbookd.model.event import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.audit import LedgerEntry
    from runbookd.model.event import Delivery, StoredEvent
    from runbookd.ports import Tx

_BEGINS = "dlv-"
_EVENTS = 10_000
_ENTRIES = 1000
_COLUMNS = [Column("ID"), Column("RECEIVED (UTC)"), Column("SOURCE"), Column("REASON", grow=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A delivery, the events taken from it, and the ledger's entries about it, oldest first."""

    delivery: Delivery
    events: Sequence[StoredEvent]
    entries: Sequence[LedgerEntry]


def names_a_delivery(identity: str) -> bool:
    """Whether an id is a delivery's, and not an event's."""
    return identity.lower().startswith(_BEGINS)


async def newest_dead(tx: Tx, limit: int) -> list[Delivery]:
    """Return the deliveries that could not be understood, newest first."""
    return await tx.deliveries.recent(limit, DeliveryState.DEAD)


async def find_delivery(tx: Tx, identity: str) -> Told:
    """Return the delivery of this id, which is given whole. Raises NotFound."""
    identity = identity.lower()
    delivery = await tx.deliveries.get(identity)
    if delivery is None:
        raise NotFound(
            f"there is no delivery {identity!r}; `runbookd events --dead-letters` lists those that were not "
            "understood, and `runbookd events show ID` names the delivery of an event"
        )
    taken = await tx.deliveries.events(_EVENTS, {"delivery_id": delivery.id})
    entries = await tx.ledger.recent(_ENTRIES, {"delivery_id": delivery.id})
    return Told(delivery=delivery, events=taken[::-1], entries=entries)


def print_dead_letters(found: Sequence[Delivery], output: str) -> None:
    """Print the list; its ids stand whole, as they are asked for whole."""
    if output == "json":
        print_json([_shape(delivery) for delivery in found])
        return
    now = datetime.now(UTC)
    rows = [
        [delivery.id, listed(delivery.received_at, now), delivery.source, delivery.reason or "-"]
        for delivery in found
    ]
    table(_COLUMNS, rows)
    if not found:
        click.echo("no dead letters", err=True)


def print_delivery(told: Told, output: str) -> None:
    """Print a delivery without its body, and what became of it."""
    from runbookd.cli.shapes import entry_shape, noun

    delivery = told.delivery
    if output == "json":
        events = [noun(event) for event in told.events]
        entries = [entry_shape(entry) for entry in told.entries]
        print_json({**_shape(delivery), "events": events, "timeline": entries})
        return
    fields(
        [
            ("delivery", delivery.id),
            ("state", delivery.state.value),
            ("reason", delivery.reason or ""),
            ("source", delivery.source),
            ("received", f"{moment(delivery.received_at)} UTC"),
            ("from", delivery.remote or ""),
            ("size", f"{len(delivery.body):,} bytes; --body writes them out"),
            ("sha256", delivery.sha256),
        ]
    )
    if delivery.headers:
        heading("Headers")
        fields(delivery.headers.items(), indent=2)
    if told.events:
        heading("Events")
        columns = [Column("ID"), Column("STATUS"), Column("OUTCOME"), Column("NAME", grow=True)]
        rows = [[each.id, each.event.status.value, each.outcome, each.event.name] for each in told.events]
        table(columns, rows, indent=2)
    if told.entries:
        from runbookd.cli.timeline import timeline

        heading("Timeline")
        timeline(told.entries, indent=2)


def _shape(delivery: Delivery) -> dict[str, object]:
    from runbookd.cli.shapes import noun

    return {**noun(delivery, "body"), "bytes": len(delivery.body)}
