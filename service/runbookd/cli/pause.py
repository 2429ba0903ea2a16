"""`runbookd pause` and `runbookd resume`: the switch that stops everything that changes anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.database import change
from runbookd.cli.group import examples
from runbookd.cli.shared import REASON, Shared, actor, pass_shared

if TYPE_CHECKING:
    from runbookd.ports import Tx


@click.command(epilog=examples('runbookd pause --reason "network maintenance until 14:00"'))
@REASON
@pass_shared
def pause(shared: Shared, reason: str) -> None:
    """Stop everything that changes anything, at once, for every service on the database.

    Runs under way stop at their next step border and do their `finally` steps that change nothing. Events are taken
    in as ever, incidents open, clocks run, people are told; new runs only observe.
    """
    from runbookd.units import pausing

    async def unit(tx: Tx) -> int:
        return await pausing.pause(tx, reason, actor(), datetime.now(UTC))

    running = change(shared, unit)
    click.echo("paused: nothing is changed from now on; new runs only observe, people are told as ever")
    if running:
        click.echo(f"{running} run{'s' * (running != 1)} under way will stop at the next step border")
    click.echo("`runbookd resume --reason TEXT` ends the pause")


@click.command(epilog=examples('runbookd resume --reason "maintenance is over"'))
@REASON
@pass_shared
def resume(shared: Shared, reason: str) -> None:
    """Let runs act again. Runs that the pause stopped stay stopped."""
    from runbookd.units import pausing

    async def unit(tx: Tx) -> bool:
        return await pausing.resume(tx, reason, actor(), datetime.now(UTC))

    if change(shared, unit):
        click.echo("resumed: runs act again; what the pause stopped stays stopped")
    else:
        click.echo("nothing was paused")
