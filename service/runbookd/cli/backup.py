"""`runbookd backup`: a copy of the SQLite database, made while the service runs."""

from __future__ import annotations

from pathlib import Path

import click

from runbookd.cli.database import database_of
from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, pass_shared


@click.command(epilog=examples("runbookd backup /backups/runbookd-$(date +%F).db"))
@click.argument("file", type=click.Path(path_type=Path))
@pass_shared
def backup(shared: Shared, file: Path) -> None:
    """Copy the SQLite database to FILE, which must be new; the service goes on meanwhile.

    The copy is of one moment, is on disk and was opened and read through when this returns. It holds all that the
    database does: keep it as safe (it has mode 0600). Of Postgres make backups with its own tools.
    """
    from runbookd.store.sqlite_backup import back_up

    back_up(sqlite_of(database_of(shared), "pg_dump or its continuous archiving"), file)
    click.echo(
        f"{file} holds {file.stat().st_size:,} bytes; `runbookd audit verify --database {file}` checks its ledger"
    )


def sqlite_of(place: Path | str, instead: str) -> Path:
    """Return the SQLite file. Raises UsageError for Postgres, which has tools of its own."""
    if isinstance(place, str):
        raise click.UsageError(f"the database is Postgres: use {instead}, see docs/howto/backup.md")
    return place
