"""`runbookd holds`: targets that a playbook keeps as it left them, and how a person releases them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import held_targets
from runbookd.cli.database import change, look
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import Column, length, moment, output_option, print_json, short, table
from runbookd.cli.shared import REASON, Shared, actor, pass_shared
from runbookd.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

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
@click.option("--playbook", metavar="NAME", help="Whose hold, where several hold the target.")
@REASON
@pass_shared
def release(shared: Shared, target: str, playbook: str | None, reason: str) -> None:
    """End a hold. What was changed there stays as it is: undo that first, by hand.

    Where several playbooks hold the target, each is released by itself: one of them is no word for the others.
    """
    from runbookd.units.holding import release_target

    async def unit(tx: Tx) -> list[Hold]:
        hold = _one(await tx.runs.holds(), target, playbook)
        await release_target(tx, hold, reason, actor(), datetime.now(UTC))
        return await tx.runs.holds_of(target)

    left = change(shared, unit)
    if not left:
        click.echo(f"released: runs may act on {target} again")
        return
    names = ", ".join(hold.playbook for hold in left)
    click.echo(f"released; {target} is still held by {names}")


def _one(held: Sequence[Hold], target: str, playbook: str | None) -> Hold:
    """Return the hold that is meant. Raises NotFound and UsageError."""
    of_target = [hold for hold in held if hold.target == target]
    found = [hold for hold in of_target if playbook in {None, hold.playbook}]
    if not found:
        listed = ", ".join(f"{hold.target} (by {hold.playbook})" for hold in held) or "none"
        by = f" for {playbook}" if playbook is not None else ""
        raise NotFound(f"nothing holds target '{target}'{by}; held are: {listed}")
    if len(found) > 1:
        names = ", ".join(hold.playbook for hold in found)
        raise click.UsageError(f"{target} is held by {names}; say which with --playbook")
    return found[0]


def _shape(hold: Hold) -> dict[str, object]:
    from runbookd.cli.shapes import plain

    return {
        "target": hold.target,
        "playbook": hold.playbook,
        "run": hold.run_id,
        "incident": hold.incident_id,
        "held_at": plain(hold.held_at),
    }
