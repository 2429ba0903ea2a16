"""`runbookd audit key`: the key that signs checkpoints and archives."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runbookd.cli.group import examples


@click.command(
    epilog=examples(
        "runbookd audit key /etc/runbookd/ledger.key > ledger.pub",
        "runbookd audit verify --checkpoints checkpoints.jsonl --public-key ledger.pub",
    )
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def key(file: Path) -> None:
    """Make the Ed25519 key that signs checkpoints and archives, unless FILE is there; print its public half.

    FILE is readable by its owner alone (mode 0600); name it in the settings as `ledger.key_file`. Keep the public
    half where whoever checks has it: with that, `runbookd audit verify` needs nothing of this machine.
    """
    from runbookd.stages.checkpoint import new_key, public_pem, signer_of

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        click.echo(f"{file} is there already; this is its public half", err=True)
    else:
        with os.fdopen(descriptor, "wb") as new:
            new.write(new_key())
            new.flush()
            os.fsync(new.fileno())
    signer = signer_of(file.read_bytes())
    click.echo(public_pem(signer.public), nl=False)
    click.echo(f"key {signer.id}", err=True)
