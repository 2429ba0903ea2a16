"""`runbookd audit`: the ledger, shown, verified and exported."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
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

_PAGE = 10_000
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


@audit.command(epilog=examples("runbookd audit verify --head main:1042:9f2c..."))
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Verify an export instead of the database.",
)
@click.option(
    "--head",
    "noted",
    metavar="[CHAIN:]SEQ:HASH",
    multiple=True,
    help="An end noted earlier, which the chain must still hold: finds a tail that was cut off. May be given again.",
)
@output_option
@pass_shared
def verify(shared: Shared, file: Path | None, noted: tuple[str, ...], output: str) -> int:
    """Check every entry against the one before it, in each replica's chain.

    Exits with 1 at the first that was changed, dropped, inserted or moved.

    Prints the chains' ends. Note them elsewhere: with --head a later check finds out whether a tail was cut.
    """
    from runbookd.cli.ledger_file import entries_in

    begun = time.monotonic()
    checked = _check(entries_in(file) if file is not None else _all(shared), [_noted(one) for one in noted])
    seconds = time.monotonic() - begun
    heads = [
        {"chain": chain, "seq": seq, "hash": hash_} for chain, (seq, hash_) in sorted(checked.ends.items())
    ]
    if output == "json":
        only = {"seq": 0, "hash": None} if not heads else heads[0] if len(heads) == 1 else None
        found = {"ok": checked.fault is None, "checked": checked.count, "fault": checked.fault}
        print_json(found | {"head": only, "heads": heads, "seconds": seconds})
    else:
        click.echo(f"broken: {checked.fault}" if checked.fault else "the ledger is whole")
        click.echo(
            f"checked {checked.count} entries in {seconds:.2f} s ({checked.count / max(seconds, 1e-6):,.0f} a second)"
        )
        for head in heads if checked.fault is None else ():
            click.echo(f"head {head['chain']}:{head['seq']}:{head['hash']}")
    return exit_codes.OK if checked.fault is None else exit_codes.BAD


@dataclass
class Checked:
    """What a check came to: how many entries, the end of each chain by its name, and the first fault."""

    count: int = 0
    ends: dict[str, tuple[int, str]] = field(default_factory=dict)
    fault: str | None = None


def _check(entries: Iterator[LedgerEntry], noted: list[tuple[str | None, int, str]]) -> Checked:
    """Follow every chain, however they are mingled, to its end or to the first fault."""
    checked = Checked()
    wanted = {(seq, hash_): chain for chain, seq, hash_ in noted}
    for entry in entries:
        seq, last = checked.ends.get(entry.chain, (0, GENESIS))
        fault = next(broken_links([entry], previous=last, seq=seq), None)
        if fault is not None:
            checked.fault = f"chain {entry.chain}, {fault}"
            return checked
        checked.count += 1
        checked.ends[entry.chain] = entry.seq, entry.hash
        if wanted.get((entry.seq, entry.hash), "") in {None, entry.chain}:
            del wanted[entry.seq, entry.hash]
    for (seq, hash_), chain in wanted.items():
        where = f"chain {chain} does" if chain else "no chain does"
        not_ = " not" if chain else ""
        checked.fault = (
            f"{where}{not_} hold entry {seq}:{hash_}; a tail was cut off, or the chain written anew"
        )
    return checked


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

    look(shared, _heads)  # before a file is made
    count = 0
    with opened_to_write(target) as file:
        for entry in _all(shared):
            file.write(line_of(entry))
            count += 1
    if target != "-":
        click.echo(f"{count} entries in {target}; `runbookd audit verify --file {target}` checks them")


async def _heads(tx: Tx) -> list[LedgerEntry]:
    return await tx.ledger.heads()


def _all(shared: Shared) -> Iterator[LedgerEntry]:
    """Every entry, chain after chain, page by page."""
    for head in look(shared, _heads):
        page = look(shared, _page_after(head.chain, 0))
        while page:
            yield from page
            page = look(shared, _page_after(head.chain, page[-1].seq))


def _page_after(chain: str, seq: int) -> Callable[[Tx], Awaitable[list[LedgerEntry]]]:
    async def unit(tx: Tx) -> list[LedgerEntry]:
        return await tx.ledger.read(seq, _PAGE, {"chain": chain})

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


def _noted(noted: str) -> tuple[str | None, int, str]:
    """Read `CHAIN:SEQ:HASH`; None is any chain."""
    front, _, hash_ = noted.rpartition(":")
    chain, _, seq = front.rpartition(":")
    if not seq.isdecimal() or not hash_:
        raise click.BadParameter(
            "give it as `audit verify` printed it: main:1042:9f2c...", param_hint="--head"
        )
    return chain or None, int(seq), hash_
