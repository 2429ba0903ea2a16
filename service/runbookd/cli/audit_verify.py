"""`runbookd audit verify`: chains, checkpoints and archives, checked."""

from __future__ import annotations

import gc
import time
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbookd.cli import exit_codes
from runbookd.cli.check import counted
from runbookd.cli.database import look
from runbookd.cli.group import examples
from runbookd.cli.output import output_option, print_json
from runbookd.cli.shared import Shared, pass_shared
from runbookd.cli.shelf import PathOrS3, shelf_at
from runbookd.errors import PlaceUnavailable, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from runbookd.cli.checking import Check
    from runbookd.model.audit import LedgerRow
    from runbookd.ports import Tx

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ROWS_AT_ONCE = 10_000
_TELLING = 10_000
"""Entries from which on a rate tells something: the time of fewer is that of opening the database."""


@click.command(
    epilog=examples(
        "runbookd audit verify --head main:1042:9f2c...",
        "runbookd audit verify --checkpoints checkpoints.jsonl --public-key ledger.pub --archives archives",
        "runbookd audit verify --checkpoints s3://audit/checkpoints --archives s3://audit/archives",
    )
)
@click.option("--file", type=_FILE, metavar="FILE", help="Verify an export instead of the database.")
@click.option(
    "--head",
    "noted",
    metavar="[CHAIN:]SEQ:HASH",
    multiple=True,
    help="An end noted earlier, which the chain must still hold: finds a tail that was cut off. May be given again.",
)
@click.option(
    "--checkpoints",
    type=PathOrS3(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE|s3://BUCKET/PREFIX",
    multiple=True,
    help="Signed checkpoints, which the chains must still hold. May be given again.",
)
@click.option(
    "--public-key",
    "public_keys",
    type=_FILE,
    metavar="FILE",
    multiple=True,
    help="Who may have signed, PEM; without one no signature is checked. May be given again.",
)
@click.option(
    "--archives",
    type=PathOrS3(exists=True, file_okay=False, path_type=Path),
    metavar="DIR|s3://BUCKET/PREFIX",
    help="The archives of what was pruned: the chains are followed from their first entry.",
)
@output_option
@pass_shared
def verify(
    shared: Shared,
    /,
    *,
    file: Path | None,
    output: str,
    archives: Path | str | None,
    **against: tuple[Any, ...],
) -> int:
    """Check every entry against the one before it, in each replica's chain.

    Exits with 1 at the first that was changed, dropped, inserted or moved.

    Prints the chains' ends. Note them elsewhere, or better have them signed (`ledger.key_file` in the settings): with
    --head or --checkpoints a later check finds out whether a tail was cut, or a whole chain written anew.
    """
    if file is None:
        look(shared, _nothing)  # a database that is not there, or not ours, is not a broken ledger
    with ExitStack() as stack:
        check = _held_to(shared, stack, archives, **against)
        begun = time.monotonic()
        gc.disable()  # millions of rows and not one cycle: looking for cycles would take an eighth of the time
        try:
            if file is None:
                _database(shared, check)
            else:
                _export(file, check)
        finally:
            gc.enable()
    check.close()
    seconds = time.monotonic() - begun
    heads = [
        {"chain": walk.chain, "seq": walk.seq, "hash": walk.hash}
        for walk in sorted(check.walks.values(), key=lambda walk: walk.chain)
    ]
    if output == "json":
        only = {"seq": 0, "hash": None} if not heads else heads[0] if len(heads) == 1 else None
        found = {"ok": check.fault is None, "checked": check.count, "fault": check.fault}
        print_json(found | {"notes": check.notes, "head": only, "heads": heads, "seconds": seconds})
    else:
        click.echo(f"broken: {check.fault}" if check.fault else "the ledger is whole")
        click.echo(checked(check.count, seconds))
        for note in check.notes:
            click.echo(note)
        for head in heads if check.fault is None else ():
            click.echo(f"head {head['chain']}:{head['seq']}:{head['hash']}")
    return exit_codes.OK if check.fault is None else exit_codes.BAD


def checked(count: int, seconds: float) -> str:
    """Say how much was checked in what time; and how quickly, where there was enough to tell."""
    rate = f" ({count / max(seconds, 1e-6):,.0f} a second)" if count >= _TELLING else ""
    return f"checked {counted(count, 'entry', 'entries')} in {seconds:.2f} s{rate}"


def _held_to(
    shared: Shared,
    stack: ExitStack,
    archives: Path | str | None,
    *,
    noted: tuple[str, ...],
    checkpoints: tuple[Path | str, ...],
    public_keys: tuple[Path, ...],
) -> Check:
    """Make the check, with all that the chains are to be held to; places stay open until the stack is closed."""
    from runbookd.cli.checking import Check

    shelf = None if archives is None else stack.enter_context(shelf_at(shared, archives))
    check = Check(_keys(public_keys), shelf)
    for text in noted:
        check.want(*_noted(text))
    for source in checkpoints:
        if isinstance(source, Path):
            check.want_signed(source)
        else:
            with shelf_at(shared, source) as kept:
                check.want_kept(kept)
    return check


def _keys(files: tuple[Path, ...]) -> dict[str, Ed25519PublicKey] | None:
    """Read the public keys; None when there are none."""
    from runbookd.stages.checkpoint import key_id, public_key_of

    keys = [public_key_of(file.read_bytes()) for file in files]
    return {key_id(key): key for key in keys} or None


def _database(shared: Shared, check: Check) -> None:
    """Check the chains in the database; a row that cannot even be read is a fault as any other."""
    from runbookd.cli.ledger_walk import beginnings, behind

    try:
        for chain, anchor in look(shared, beginnings).items():
            check.begin(chain, anchor)
            fault = behind(shared, chain, anchor)
            if fault is not None:
                check.fail(f"chain {chain}, {fault}")
            follow_chain(shared, check, chain)
            if check.fault is not None:
                return
    except (StoreUnavailable, PlaceUnavailable):
        raise
    except StoreError as error:
        check.fail(str(error))


def follow_chain(shared: Shared, check: Check, chain: str) -> None:
    """Follow a chain to its end. At a gap it is asked anew where the chain begins: it may have been pruned since."""
    from runbookd.cli.ledger_walk import beginnings, hand_on

    walk, asked_at = check.walk(chain), -1

    def follow(rows: list[LedgerRow]) -> bool:
        if rows[0].seq > walk.seq + 1 and asked_at != walk.seq:
            return False
        check.follow(chain, rows)
        return check.fault is None

    while not hand_on(shared, chain, walk.seq, follow) and check.fault is None:
        asked_at = walk.seq
        check.begin(chain, look(shared, beginnings)[chain])


def _export(file: Path, check: Check) -> None:
    """Check the chains of a file, however they are mingled."""
    from runbookd.cli.ledger_file import rows_in

    for chain, rows in _parts(rows_in(file), check):
        check.follow(chain, rows)
        if check.fault is not None:
            return


def _parts(lines: Iterator[LedgerRow | str], check: Check) -> Iterator[tuple[str, list[LedgerRow]]]:
    """Gather the rows of one chain that stand together; seals are given to the check."""
    for chain, together in groupby(lines, key=lambda line: None if isinstance(line, str) else line.chain):
        part: list[LedgerRow] = []
        for line in together:
            if isinstance(line, str):
                check.sealed(line)
            else:
                part.append(line)
            if len(part) == _ROWS_AT_ONCE:
                yield part[0].chain, part
                part = []
        if chain is not None and part:
            yield chain, part


async def _nothing(tx: Tx) -> None:
    """Read nothing: opening the database is the question."""


def _noted(noted: str) -> tuple[str | None, int, str]:
    """Read `CHAIN:SEQ:HASH`; None is any chain."""
    front, _, hash_ = noted.rpartition(":")
    chain, _, seq = front.rpartition(":")
    if not seq.isdecimal() or not hash_:
        raise click.BadParameter(
            "give it as `audit verify` printed it: main:1042:9f2c...", param_hint="--head"
        )
    return chain or None, int(seq), hash_
