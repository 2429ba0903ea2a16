"""`runbookd prune`: what is older than the settings keep, counted or forgotten."""

from __future__ import annotations

import asyncio

import click

from runbookd.cli.database import CHAIN
from runbookd.cli.group import examples
from runbookd.cli.output import output_option, print_json
from runbookd.cli.shared import Shared, actor, pass_shared


@click.command(epilog=examples("runbookd prune --dry-run"))
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@output_option
@pass_shared
def prune(shared: Shared, *, dry_run: bool, output: str) -> None:
    """Forget what is older than the settings keep (`retention`), as the service does by itself once a day.

    What something open refers to stays. The ledger's entries are archived first: signed, safe in their place, read
    back; without a key and a place (`ledger.archives`) they are kept, and while it cannot be used. Does no harm while
    the service runs.
    """
    counts = asyncio.run(_prune(shared, dry_run=dry_run))
    if output == "json":
        print_json({"dry_run": dry_run, **counts})
        return
    verb = "would go" if dry_run else "gone"
    for kind, count in counts.items():
        click.echo(f"{kind}: {count} {verb}")


async def _prune(shared: Shared, *, dry_run: bool) -> dict[str, int]:
    from runbookd.runtime.logs import set_up
    from runbookd.runtime.retention import KEPT
    from runbookd.wiring import wire

    set_up("console", "ERROR")
    async with wire(shared.settings(), migrate=False, chain=CHAIN) as parts:
        if dry_run:
            return await parts.pruner().count()
        pruner = parts.pruner()
        work = await pruner.take(f"{actor()}/{parts.ids.new('prune')}")
        if work is None:
            raise click.UsageError("somebody else is pruning right now; there is nothing left to do")
        try:
            return await pruner.prune(work)
        except KEPT as error:
            message = f"the ledger is not archived, so what is left of it stays (all else is pruned): {error}"
            raise type(error)(message) from error
