"""`runbookd audit`: the ledger, shown, verified and exported."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.complete import incident_ids, run_ids
from runbookd.cli.database import find_event, find_incident, find_run, look
from runbookd.cli.group import examples
from runbookd.cli.output import limit_option, output_option, print_json
from runbookd.cli.shared import Shared, pass_shared
from runbookd.stages.audit import GENESIS, broken_links

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from runbookd.model.audit import LedgerEntry
    from runbookd.ports import Tx

_PAGE = 2000
_STAGES = ("receive", "normalize", "admit", "match", "plan", "execute", "verify", "escalate", "audit")


@click.group(
    epilog=examples(
        "runbookd audit show --incident 7f3k9x2b",
        "runbookd audit verify",
        "runbookd audit export --to ledger.jsonl.gz",
    )
)
def audit() -> None:
    """Show, verify and export the ledger: the hash-chained record of everything that happened."""


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
        filters = await _filters(tx, wanted)
        after = max(0, await head(tx) - limit) if not filters else 0
        newest: deque[LedgerEntry] = deque(maxlen=limit)
        while page := await tx.ledger.read(after, _PAGE, filters):
            newest.extend(page)
            after = page[-1].seq
        return list(newest)

    entries = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import entry_shape

        print_json([entry_shape(entry) for entry in entries])
        return
    from runbookd.cli.timeline import timeline

    timeline(entries)
    if not entries:
        click.echo("no entries", err=True)


@audit.command(epilog=examples("runbookd audit verify --head 1042:9f2c..."))
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Verify an export instead of the database.",
)
@click.option(
    "--head",
    "noted",
    metavar="SEQ:HASH",
    help="An end noted earlier, which the chain must still hold: finds a tail that was cut off.",
)
@output_option
@pass_shared
def verify(shared: Shared, file: Path | None, noted: str | None, output: str) -> int:
    """Check every entry against the one before it.

    Exits with 1 at the first that was changed, dropped, inserted or moved.

    Prints the chain's end. Note it elsewhere: with --head a later check finds out whether the tail was cut.
    """
    from runbookd.cli.ledger_file import entries_in

    seq_noted, hash_noted = _noted(noted)
    begun = time.monotonic()
    checked, last, fault, seen = 0, GENESIS, None, noted is None
    for entry in entries_in(file) if file is not None else _all(shared):
        fault = next(broken_links([entry], previous=last, seq=checked), None)
        if fault is not None:
            break
        checked, last = entry.seq, entry.hash
        seen = seen or (entry.seq == seq_noted and entry.hash == hash_noted)
    if fault is None and not seen:
        fault = f"the chain does not hold entry {noted}; it was cut off after entry {checked} or written anew"
    seconds = time.monotonic() - begun
    if output == "json":
        ends = {"seq": checked, "hash": last if checked else None}
        print_json(
            {"ok": fault is None, "checked": checked, "fault": fault, "head": ends, "seconds": seconds}
        )
    else:
        rate = f"{checked} entries in {seconds:.2f} s ({checked / max(seconds, 1e-6):,.0f} a second)"
        click.echo(f"broken: {fault}" if fault else "the ledger is whole")
        click.echo(f"checked {rate}{'' if fault else f', head {checked}:{last}'}")
    return exit_codes.OK if fault is None else exit_codes.BAD


@audit.command()
@click.option(
    "--to", "target", required=True, metavar="FILE", help="A new file, `.gz` to compress it; `-` prints it."
)
@pass_shared
def export(shared: Shared, target: str) -> None:
    """Write the ledger as JSON Lines.

    `runbookd audit verify --file` checks them without the database.
    """
    from runbookd.cli.ledger_file import line_of, opened_to_write

    look(shared, head)  # before a file is made
    count = 0
    with opened_to_write(target) as file:
        for entry in _all(shared):
            file.write(line_of(entry))
            count += 1
    if target != "-":
        click.echo(f"{count} entries in {target}; `runbookd audit verify --file {target}` checks them")


async def head(tx: Tx) -> int:
    """Return the number of the last entry, 0 when there is none: entries are numbered without gaps."""
    low, step = 0, 1
    while await tx.ledger.read(low + step - 1, 1, {}):
        low, step = low + step, step * 2
    while step > 1:
        step //= 2
        if await tx.ledger.read(low + step - 1, 1, {}):
            low += step
    return low


def _all(shared: Shared) -> Iterator[LedgerEntry]:
    """Every entry, page by page."""
    page = look(shared, _page_after(0))
    while page:
        yield from page
        page = look(shared, _page_after(page[-1].seq))


def _page_after(seq: int) -> Callable[[Tx], Awaitable[list[LedgerEntry]]]:
    async def unit(tx: Tx) -> list[LedgerEntry]:
        return await tx.ledger.read(seq, _PAGE, {})

    return unit


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


def _noted(noted: str | None) -> tuple[int, str]:
    """Read `SEQ:HASH`; nothing noted is entry 0."""
    if noted is None:
        return 0, ""
    seq, _, hash_ = noted.partition(":")
    if not seq.isdecimal() or not hash_:
        raise click.BadParameter("give it as `audit verify` printed it: 1042:9f2c...", param_hint="--head")
    return int(seq), hash_
