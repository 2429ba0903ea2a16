"""Looking at a SQLite file: nothing is made, brought up to date or written, whoever else uses the file meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.schema import applied_of, missing
from runbookd.store.sqlite_driver import SqliteDriver, explain
from runbookd.store.sqlite_file import APPLICATION_ID, connect, migrations
from runbookd.store.transaction import Transaction, complete

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from runbookd.ports import Tx

T = TypeVar("T")

ENGINE = f"SQLite {sqlite3.sqlite_version}"
"""The engine and its version."""


def look(path: Path, unit: Callable[[Tx], Awaitable[T]], *, chain: str = "main") -> T:
    """Run a unit that only reads, on one consistent state of the file, and return its answer.

    Raises StoreUnavailable when the file is not there or cannot be opened, and StoreError when it is not ours or
    of another version.
    """
    if not path.is_file():
        raise StoreUnavailable(
            f"there is no database {path}; `runbookd serve` and `runbookd migrate` make it, "
            "or name another with --database"
        )
    with closing(connect(path, read_only=True)) as connection:
        try:
            connection.execute("BEGIN")
            _check(connection, path)
            driver = SqliteDriver(connection, writes=False)
            return complete(unit, Transaction(driver, chain))
        except sqlite3.Error as error:
            fault = explain(error)
            raise type(fault)(f"the database {path} cannot be read. {fault}") from error


def check(path: Path) -> None:
    """Change nothing; raises as `look` does unless the file is there, ours and of this version."""
    look(path, _nothing)


async def _nothing(tx: Tx) -> None:
    """Read nothing: opening the file is the question."""


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError for another program's file, or one whose schema this version does not read."""
    (application,) = connection.execute("SELECT application_id FROM pragma_application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a database of runbookd; check the path given with --database")
    try:
        waiting = missing(migrations(), applied_of(connection.execute("SELECT * FROM migrations")))
    except StoreError as error:
        raise StoreError(f"the database {path} cannot be used: {error}") from None
    if waiting:
        raise StoreError(
            f"the database {path} was left by an older runbookd (it has no {waiting[0].name}); `runbookd migrate` "
            "brings it up to date, and so does `runbookd serve` when it starts"
        )
