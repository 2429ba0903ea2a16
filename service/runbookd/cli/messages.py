"""`runbookd messages`: the outbox: who was told what, by which channel, and whether it got through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import incident_ids
from runbookd.cli.database import find_incident, look
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import (
    Column,
    fields,
    heading,
    length,
    limit_option,
    listed,
    moment,
    output_option,
    print_json,
    short,
    table,
)
from runbookd.cli.shapes import Shape, plain
from runbookd.cli.shared import Shared, pass_shared
from runbookd.errors import NotFound
from runbookd.model.escalation import MessageKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbookd.model.escalation import Message
    from runbookd.model.incident import Incident
    from runbookd.ports import Tx

STATES = ("pending", "sending", "sent", "failed", "dropped")
_IN_SLACK = "slack:"
CHANNELS = ("pagerduty", "slack", "email", "webhook", "statuspage")
COLUMNS = [
    Column("ID"),
    Column("STATE"),
    Column("KIND"),
    Column("CHANNEL"),
    Column("TO", grow=True),
    Column("MADE (UTC)"),
    Column("TOOK", right=True),
    Column("SUBJECT", grow=True),
]


CHANGING: Mapping[str, str] = {
    MessageKind.EDIT: "brings up to date what was posted",
    MessageKind.ACKNOWLEDGE: "quiets the pager: somebody has it",
    MessageKind.CLOSE: "ends the pager's ring",
}
"""What those do that change what was sent before: they have its subject, and tell nobody anew."""


@click.group(
    cls=ListGroup,
    epilog=examples("runbookd messages --state failed", "runbookd messages show 7f3k9x2b"),
)
def messages() -> None:
    """List messages to people, newest first; show one. Without a command: list."""


@messages.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only those by this channel.")
@click.option("--incident", metavar="ID", shell_complete=incident_ids, help="Only those of this incident.")
@limit_option(20)
@output_option
@pass_shared
def list_(shared: Shared, /, *, limit: int, output: str, **wanted: str | None) -> None:
    """List messages, newest first."""
    filters = {name: value for name, value in wanted.items() if value is not None}

    async def unit(tx: Tx) -> tuple[list[Message], dict[str, str]]:
        part = filters.pop("incident", None)
        incident = {"incident_id": (await find_incident(tx, part)).id} if part is not None else {}
        found = await tx.messages.recent(limit, {**filters, **incident})
        posted = {one.incident_id for one in found if one.contact.startswith(_IN_SLACK) and one.incident_id}
        return found, channels_of([await tx.incidents.get(each) for each in posted])

    found, names = look(shared, unit)
    if output == "json":
        print_json([shape(message) for message in found])
        return
    now = datetime.now(UTC)
    table(COLUMNS, [row(message, now, names) for message in found])
    if not found:
        click.echo("no messages" if not any(wanted.values()) else "no messages like that", err=True)


@messages.command()
@click.argument("message_id", metavar="ID")
@output_option
@pass_shared
def show(shared: Shared, message_id: str, output: str) -> None:
    """Show one message: its words, and what became of it."""

    async def unit(tx: Tx) -> Message:
        for message in await tx.messages.recent(20_000, {}):
            if message_id in {message.id, short(message.id)}:
                return message
        raise NotFound(f"there is no message {message_id!r}; `runbookd messages` lists them")

    message = look(shared, unit)
    if output == "json":
        print_json(shape(message))
        return
    fields(
        [
            ("message", message.id),
            ("incident", message.incident_id or ""),
            ("kind", message.kind.value),
            ("to", f"{message.contact}, by {message.channel.value}"),
            ("state", message.state.value + (f" ({message.reason})" if message.reason else "")),
            ("made", f"{moment(message.created_at)} UTC"),
            ("settled", f"{moment(message.settled_at)} UTC" if message.settled_at else ""),
            ("attempts", str(message.attempts)),
            ("error", message.error or ""),
            ("subject", str(message.words.get("subject", ""))),
        ]
    )
    if message.words.get("body"):
        heading("Body")
        click.echo(str(message.words["body"]))


def channels_of(incidents: Iterable[Incident | None]) -> dict[str, str]:
    """Return the names of the Slack channels made for incidents, by what messages to them say."""
    made = (one.channel for one in incidents if one is not None and one.channel is not None)
    return {f"{_IN_SLACK}{channel['id']}": f"#{channel['name']}" for channel in made}


def row(message: Message, now: datetime, names: Mapping[str, str]) -> list[str]:
    """One line of the table; `names` are those of Slack channels that were made for incidents."""
    return [
        short(message.id),
        message.state.value,
        message.kind.value,
        message.channel.value,
        names.get(message.contact, message.contact),
        listed(message.created_at, now),
        length((message.settled_at or now) - message.created_at),
        CHANGING.get(message.kind) or str(message.words.get("subject", "")),
    ]


def shape(message: Message) -> Shape:
    """A message as JSON; addresses stay in the database, for they may be personal."""
    made: Shape = plain(
        {
            "id": message.id,
            "incident": message.incident_id,
            "kind": message.kind.value,
            "channel": message.channel.value,
            "contact": message.contact,
            "state": message.state.value,
            "reason": message.reason,
            "error": message.error,
            "attempts": message.attempts,
            "created_at": message.created_at,
            "settled_at": message.settled_at,
            "words": dict(message.words),
        }
    )
    return made
