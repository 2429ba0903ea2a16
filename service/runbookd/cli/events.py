"""`runbookd events`: what senders told, and what became of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import incident_ids, rule_names
from runbookd.cli.database import find_event, find_incident, look
from runbookd.cli.deliveries import (
    find_delivery,
    names_a_delivery,
    newest_dead,
    print_dead_letters,
    print_delivery,
)
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import (
    Column,
    fields,
    heading,
    limit_option,
    listed,
    moment,
    output_option,
    print_json,
    short,
    table,
)
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from runbookd.model.audit import LedgerEntry
    from runbookd.model.event import StoredEvent
    from runbookd.ports import Tx

_ENTRIES = 1000
_COLUMNS = [
    Column("ID"),
    Column("RECEIVED (UTC)"),
    Column("STATUS"),
    Column("OUTCOME"),
    Column("NAME", grow=True),
    Column("RULE", grow=True),
]


@click.group(
    cls=ListGroup,
    epilog=examples(
        "runbookd events --outcome unmatched",
        "runbookd events show 7f3k9x2b",
        "runbookd events --dead-letters",
    ),
)
def events() -> None:
    """List events, newest first; show one with what became of it. Without a command: list."""


@events.command("list")
@click.option("--source", metavar="NAME", help="Only those of this sender, such as alertmanager.")
@click.option(
    "--status", type=click.Choice(["firing", "resolved", "unknown"]), help="Only those that said so."
)
@click.option(
    "--outcome", metavar="WORD", help="Only those that became this, such as new_alert, repeat or unmatched."
)
@click.option("--rule", metavar="NAME", shell_complete=rule_names, help="Only those this rule took.")
@click.option("--name", metavar="NAME", help="Only those of this alert name.")
@click.option("--incident", metavar="ID", shell_complete=incident_ids, help="Only those of this incident.")
@click.option(
    "--dead-letters", is_flag=True, help="Deliveries that could not be understood, instead of events."
)
@limit_option(20)
@output_option
@pass_shared
def list_(shared: Shared, /, *, dead_letters: bool, limit: int, output: str, **wanted: str | None) -> None:
    """List events, newest first; or the dead letters."""
    filters = {name: value for name, value in wanted.items() if value is not None}

    if dead_letters:
        if filters:
            raise click.UsageError(
                f"--dead-letters are of no {', '.join(filters)}: nothing was read from them"
            )
        print_dead_letters(look(shared, lambda tx: newest_dead(tx, limit)), output)
        return

    async def unit(tx: Tx) -> list[StoredEvent]:
        part = filters.pop("incident", None)
        incident = {"incident_id": (await find_incident(tx, part)).id} if part is not None else {}
        return await tx.deliveries.events(limit, {**filters, **incident})

    found = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import noun

        print_json([noun(event) for event in found])
        return
    now = datetime.now(UTC)
    rows = [
        [
            short(stored.id),
            listed(stored.received_at, now),
            stored.event.status.value,
            stored.outcome,
            stored.event.name,
            stored.rule or "-",
        ]
        for stored in found
    ]
    table(_COLUMNS, rows)
    if not found:
        click.echo("no events" if not any(wanted.values()) else "no events like that", err=True)


@events.command()
@click.argument("event_id", metavar="ID")
@click.option("--body", is_flag=True, help="Of a delivery: write its body to standard output, byte by byte.")
@output_option
@pass_shared
def show(shared: Shared, event_id: str, output: str, *, body: bool) -> None:
    """Show one event: its labels, and why each rule took it or not; or one delivery, and what was taken from it.

    ID may be any part of at least 4 letters that an event's id begins or ends with; a delivery's (dlv-...) is whole.
    """
    if names_a_delivery(event_id):
        told = look(shared, lambda tx: find_delivery(tx, event_id))
        if body:
            sys.stdout.buffer.write(told.delivery.body)
        else:
            print_delivery(told, output)
        return
    if body:
        raise click.UsageError(
            "--body is of a delivery; `runbookd events show ID` names the one an event came with"
        )

    async def unit(tx: Tx) -> tuple[StoredEvent, list[LedgerEntry]]:
        stored = await find_event(tx, event_id)
        return stored, await tx.ledger.recent(_ENTRIES, {"event_id": stored.id})

    stored, entries = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import entry_shape, noun

        print_json({**noun(stored), "timeline": [entry_shape(entry) for entry in entries]})
        return
    _print_event(stored)
    _print_reasons(entries)
    if entries:
        from runbookd.cli.timeline import timeline

        heading("Timeline")
        timeline(entries, indent=2)


def _print_event(stored: StoredEvent) -> None:
    event = stored.event
    fields(
        [
            ("event", stored.id),
            ("name", event.name),
            ("status", event.status.value),
            ("outcome", stored.outcome),
            ("source", event.source),
            ("received", f"{moment(stored.received_at)} UTC, delivery {stored.delivery_id}"),
            ("starts", f"{moment(event.starts_at)} UTC" if event.starts_at else ""),
            ("ends", f"{moment(event.ends_at)} UTC" if event.ends_at else ""),
            ("rule", stored.rule or ""),
            ("incident", stored.incident_id or ""),
            ("alert", stored.alert_id or ""),
            ("fingerprint", event.fingerprint),
            ("url", event.url),
        ]
    )
    for title, said in (("Labels", event.labels), ("Annotations", event.annotations)):
        if said:
            heading(title)
            fields(said.items(), indent=2)


def _print_reasons(entries: list[LedgerEntry]) -> None:
    """Print why each rule that was compared took the event or not, as it was recorded then."""
    rows = []
    for sealed in entries:
        rules = sealed.entry.detail.get("rules")
        if isinstance(rules, list):
            rows += [[str(each["verdict"]), str(each["rule"]), str(each["detail"])] for each in rules]
    if rows:
        heading("Rules")
        table([Column("VERDICT"), Column("RULE"), Column("WHY", grow=True)], rows, indent=2)
