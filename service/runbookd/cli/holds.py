"""`runbookd holds`: targets that a playbook keeps as it left them, and how a person releases them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import held_targets
from runbookd.cli.database import change, look
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import Column, length, moment, output_option, print_json, short, table
from runbookd.cli.shared import Shared, actor, pass_shared
from runbookd.errors import NotFound

if TYPE_CHECKING:
    from runbookd.model.run import Hold
    from runbookd.ports import Tx

_COLUMNS = [
    Column("TARGET", grow=True),
    Column("PLAYBOOK"),
    Column("RUN"),
    Column("SINCE (UTC)"),
    Column("FOR", right=True),
]


@click.group(
    cls=ListGroup,
    epilog=examples(
        "runbookd holds",
        'runbookd holds release deployments/medinovai/medinovai-backend --reason "data restored, writes are on"',
    ),
)
def holds() -> None:
    """List the targets that a playbook keeps as it left them; release one. Without a command: list.

    A playbook with `holds_target: true` shuts or stops something on purpose. Until a person releases its target, no
    other run changes it; people are told instead.
    """


@holds.command("list")
@output_option
@pass_shared
def list_(shared: Shared, output: str) -> None:
    """List the targets that are held, the oldest first."""
    found = look(shared, lambda tx: tx.runs.holds())
    if output == "json":
        print_json([_shape(hold) for hold in found])
        return
    now = datetime.now(UTC)
    rows = [
        [hold.target, hold.playbook, short(hold.run_id), moment(hold.held_at), length(now - hold.held_at)]
        for hold in found
    ]
    table(_COLUMNS, rows)
    if not found:
        click.echo("no target is held", err=True)


@holds.command()
@click.argument("target", shell_complete=held_targets)
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the ledger with your name.")
@pass_shared
def release(shared: Shared, target: str, reason: str) -> None:
    """Let other runs act on a target again. What was changed there stays as it is: undo that first, by hand."""
    from runbookd.units.holding import release_target

    async def unit(tx: Tx) -> bool:
        return await release_target(tx, target, reason, actor(), datetime.now(UTC))

    if not change(shared, unit):
        held = [hold.target for hold in look(shared, lambda tx: tx.runs.holds())]
        raise NotFound(f"nothing holds target '{target}'; held are: {', '.join(held) or 'none'}")
    click.echo(f"released: runs may act on {target} again")


def _shape(hold: Hold) -> dict[str, object]:
    return {
        "target": hold.target,
        "playbook": hold.playbook,
        "run": hold.run_id,
        "incident": hold.incident_id,
        "held_at": hold.held_at,
    }
