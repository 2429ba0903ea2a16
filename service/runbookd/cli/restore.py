"""`runbookd restore`: a backup in the place of the SQLite database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli.backup import sqlite_of
from runbookd.cli.database import change, database_of, prepare
from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, actor, pass_shared
from runbookd.errors import StoreError

if TYPE_CHECKING:
    from runbookd.ports import Tx


@click.command(epilog=examples("runbookd restore /backups/runbookd-2026-11-23.db --older"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--older", is_flag=True, help="Restore although the database there is newer than the backup.")
@pass_shared
def restore(shared: Shared, file: Path, *, older: bool) -> None:
    """Put the backup FILE in the place of the SQLite database; the service must not run.

    Refuses while the database is served, when FILE is damaged or of a newer runbookd, and, without --older, when the
    database there has gone on since the backup. What was there is kept beside it under another name.
    """
    from runbookd.runtime.limits import only_server_of
    from runbookd.store import sqlite_backup

    target = sqlite_of(database_of(shared), "pg_restore or recovery to a point in time")
    ends = sqlite_backup.check(file)
    now = datetime.now(UTC)
    aside = target.with_name(f"{target.name}.before-{now:%Y%m%dT%H%M%S.%fZ}")
    with only_server_of(target):
        newer = sqlite_backup.goes_beyond(target, ends) if target.exists() else None
        if newer is not None and not older:
            raise StoreError(
                f"the database {target} is newer than the backup: {newer}. With --older it is kept as {aside.name}, "
                "and the backup takes its place"
            )
        kept = sqlite_backup.put_in_place(file, target, aside)
        prepare(target)
        change(shared, lambda tx: _noted(tx, file, now))
    if kept:
        click.echo(f"what was there is {aside}")
    click.echo(f"{target} is restored from {file}")
    click.echo(
        "checkpoints made since that backup no longer fit the ledger: begin a new `ledger.checkpoints_file`"
    )


async def _noted(tx: Tx, file: Path, now: datetime) -> None:
    """Write the restore to the ledger that was restored."""
    from runbookd.model.audit import Entry, Stage

    entry = Entry(at=now, stage=Stage.AUDIT, what="restored", actor=actor(), detail={"file": file.name})
    await tx.ledger.append([entry])
