"""`runbookd migrate`: the schema, before the new version serves."""

from __future__ import annotations

import click

from runbookd.cli.database import database_of, prepare, told
from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, pass_shared


@click.command(epilog=examples("RUNBOOKD_DATABASE_URL=postgresql://runbookd@db/runbookd runbookd migrate"))
@pass_shared
def migrate(shared: Shared) -> None:
    """Bring the database's schema up to date, making it where there is none.

    `runbookd serve` does the same when it starts. Ahead of it, as a job of its own, it may run as a user with more
    rights, while the old version still serves. Doing it again changes nothing.
    """
    place = database_of(shared)
    for name in prepare(place):
        click.echo(f"applied {name}")
    click.echo(f"the schema of {told(place)} is up to date")
