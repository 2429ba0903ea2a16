"""SQLite behind `driver.Driver`: one transaction on one connection; and what SQLite's errors mean for an operator.

Nothing here suspends: a statement runs on the thread that drives the unit of work. Result codes:
https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.statements import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbookd.store.driver import Value

_PASSING = {
    sqlite3.SQLITE_FULL: "the disk is full, or the file has reached its size limit: free some space",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only: give the service the right to write to both",
    sqlite3.SQLITE_BUSY: "another process has held the write lock too long: find who else writes to the file",
    sqlite3.SQLITE_LOCKED: "another connection has locked the file: find who else writes to it",
    sqlite3.SQLITE_IOERR: "the disk reported an I/O error: look at the system log, and at quotas and limits",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: look at the rights of the file and of its folder",
    sqlite3.SQLITE_NOMEM: "there is no memory left: give the service more",
    sqlite3.SQLITE_PROTOCOL: "the locks of the file do not work: do not keep it on a network file system",
}
_LASTING = {
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database: check the configured path",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop the service, keep a copy, and restore the last backup",
    sqlite3.SQLITE_CONSTRAINT: "the row contradicts one that is there",
}


def explain(error: sqlite3.Error) -> StoreError:
    """Turn SQLite's error into ours: StoreUnavailable for what may pass, StoreError for the rest."""
    # The low byte is the primary code, the rest its details.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _PASSING:
        return StoreUnavailable(f"The database cannot be used for now: {_PASSING[code]} ({name}: {error}).")
    meaning = _LASTING.get(code, "it does not take this statement")
    return StoreError(f"The database refused: {meaning} ({name}: {error}).")


def _explain_read(error: sqlite3.Error) -> StoreError:
    """As `explain`, on a connection that refuses to write whatever the rights of the file."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY:
        return StoreError("A unit given to store.read tried to write; give it to store.write.")
    return explain(error)


class SqliteDriver:
    """One transaction on a connection, from its beginning until `end`; `writes` tells whether it may write.

    `fault` is the first error the database reported; it loses the transaction, as it does on engines that undo
    everything at the first error, so that a unit which swallows it behaves the same on all.
    """

    __slots__ = ("_connection", "_writes", "fault")

    def __init__(self, connection: sqlite3.Connection, *, writes: bool) -> None:
        self._connection = connection
        self._writes = writes
        self.fault: StoreError | None = None

    async def one(self, statement: str, /, **params: Value) -> sqlite3.Row | None:
        """Run a statement and return its first row, or None."""
        rows = self._execute(
            text_of(statement, ()), params
        ).fetchall()  # all of it: an unread rest blocks COMMIT
        return rows[0] if rows else None

    async def all(
        self, statement: str, /, *, where: tuple[str, ...] = (), **params: Value
    ) -> list[sqlite3.Row]:
        """Run a statement and return every row."""
        return self._execute(text_of(statement, where), params).fetchall()

    async def run(self, statement: str, /, **params: Value) -> int:
        """Run a statement and return how many rows it changed."""
        return self._execute(text_of(statement, ()), params).rowcount

    async def many(self, statement: str, /, rows: Sequence[Mapping[str, Value]]) -> None:
        """Run a statement once for each of `rows`, in order."""
        self._guarded(lambda: self._connection.executemany(text_of(statement, ()), rows))

    def end(self) -> None:
        """Refuse every later statement: the connection belongs to other units now."""
        self.fault = StoreError("This transaction is over; begin another with store.write or store.read.")

    def _execute(self, text: str, params: dict[str, Value]) -> sqlite3.Cursor:
        return self._guarded(lambda: self._connection.execute(text, params))

    def _guarded(self, execute: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        """Run a statement; the first error loses the transaction, and is what every later statement hears."""
        if self.fault is not None:
            raise type(self.fault)(str(self.fault))
        try:
            return execute()
        except sqlite3.Error as error:
            self.fault = explain(error) if self._writes else _explain_read(error)
        except (OverflowError, UnicodeEncodeError) as error:
            self.fault = StoreError(f"A value cannot be kept: {error}.")
        raise self.fault
