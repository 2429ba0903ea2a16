"""`runbookd audit`: the ledger, shown, verified and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runbookd.cli.audit_key import key
from runbookd.cli.audit_verify import verify
from runbookd.cli.complete import incident_ids, run_ids
from runbookd.cli.database import find_event, find_incident, find_run, look
from runbookd.cli.group import examples
from runbookd.cli.output import limit_option, output_option, print_json
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from runbookd.model.audit import LedgerEntry
    from runbookd.ports import Tx

_STAGES = ("receive", "normalize", "admit", "match", "plan", "execute", "verify", "escalate", "audit")


@click.group(
    epilog=examples(
        "runbookd audit show --incident 7f3k9x2b",
        "runbookd audit verify",
        "runbookd audit export --to ledger.jsonl.gz",
        "runbookd audit key /etc/runbookd/ledger.key",
    )
)
def audit() -> None:
    """Show, verify and export the ledger: the hash-chained record of everything that happened."""


audit.add_command(verify)
audit.add_command(key)


@audit.command()
@click.option("--incident", metavar="ID", shell_complete=incident_ids, help="Only about this incident.")
@click.option("--run", metavar="ID", shell_complete=run_ids, help="Only about this run.")
@click.option("--event", metavar="ID", help="Only about this event.")
@click.option("--stage", type=click.Choice(_STAGES), help="Only of this stage.")
@click.option("--what", metavar="WORD", help="Only of this kind, such as paused or run_failed.")
@limit_option(100)
@output_option
@pass_shared
def show(shared: Shared, /, *, limit: int, output: str, **wanted: str | None) -> None:
    """Show the newest entries, in order."""

    async def unit(tx: Tx) -> list[LedgerEntry]:
        return await tx.ledger.recent(limit, await _filters(tx, wanted))

    entries = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import entry_shape

        print_json([entry_shape(entry) for entry in entries])
        return
    from runbookd.cli.timeline import timeline

    timeline(entries)
    if not entries:
        click.echo("no entries", err=True)


@audit.command()
@click.option(
    "--to", "target", required=True, metavar="FILE", help="A new file, `.gz` to compress it; `-` prints it."
)
@pass_shared
def export(shared: Shared, target: str) -> None:
    """Write the ledger as JSON Lines.

    `runbookd audit verify --file` checks them without the database.
    """
    from runbookd.cli.ledger_file import opened_to_write
    from runbookd.cli.ledger_walk import beginnings, pages
    from runbookd.stages.audit import line_of

    anchors = look(shared, beginnings)  # before a file is made
    count = 0
    with opened_to_write(target) as file:
        for chain, anchor in anchors.items():
            if anchor is not None:
                file.write(anchor.seal.encode() + b"\n")
            for rows in pages(shared, chain, anchor.seq if anchor is not None else 0):
                file.writelines(map(line_of, rows))
                count += len(rows)
    if target != "-":
        click.echo(f"{count} entries in {target}; `runbookd audit verify --file {target}` checks them")


async def _filters(tx: Tx, wanted: dict[str, str | None]) -> dict[str, str]:
    """Turn what was asked for into the ledger's filters, parts of ids into ids."""
    filters = {name: value for name in ("stage", "what") if (value := wanted[name]) is not None}
    if (part := wanted["incident"]) is not None:
        filters["incident_id"] = (await find_incident(tx, part)).id
    if (part := wanted["run"]) is not None:
        filters["run_id"] = (await find_run(tx, part)).id
    if (part := wanted["event"]) is not None:
        filters["event_id"] = (await find_event(tx, part)).id
    return filters
