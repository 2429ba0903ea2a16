"""Opening a SQLite file: its rights, its settings, its schema.

https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.schema import Migration, applied_of, migrations_of, missing
from runbookd.store.sqlite_driver import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_SECONDS = 5.0
"""How long a connection waits for another process that writes."""
APPLICATION_ID = 0x72626B64
"""`rbkd` in the file's header, which tells our files from other SQLite databases."""
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables; RETURNING came in 3.35
_CACHED_STATEMENTS = 256  # more than there are, so that none is ever prepared twice
_CHECKPOINT_PAGES = 4000  # of 4 kB: a page written often is copied from the log to the file once per 16 MB
_LOG_BYTES = 64 * 1024 * 1024  # what the log is cut back to after a burst


def migrations() -> list[Migration]:
    """Return every migration of this engine, in order."""
    return migrations_of("sqlite")


def prepare(path: Path) -> list[str]:
    """Make the file if it is missing (mode 0600), bring its schema up to date, and return what migrations that took.

    Raises StoreError when the file is not ours, is damaged or comes from a newer version, and StoreUnavailable
    when it cannot be written.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; install {oldest} or newer.")
    with _explained(path):
        made = [] if path.exists() else _make(path)
        return made + _bring_up_to_date(path)


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a connection to a prepared file that may be handed from thread to thread, one at a time."""
    with _explained(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        return connection


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which database an error is about, in an operator's words."""
    try:
        yield
    except StoreError as error:
        raise type(error)(f"The database {path} cannot be used: {error}") from error
    except sqlite3.Error as error:
        fault = explain(error)
        raise type(fault)(f"The database {path} cannot be opened. {fault}") from error
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be made: {error.strerror}. Its folder must exist, and the service must have "
            "the right to write to it."
        ) from error


def _make(path: Path) -> list[str]:
    """Make the file beside its place and link it there whole.

    Nobody ever meets a half-made one; and two processes cannot meet in the change to WAL mode, the one step for
    which SQLite does not wait. An existing file is never opened but by SQLite: closing it would drop the locks
    of every connection of this process to it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    os.close(descriptor)
    new = Path(name)
    try:
        applied = _bring_up_to_date(new)
        with suppress(FileExistsError):  # another process was first
            path.hardlink_to(new)
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name must outlive a power cut as the rows do
    finally:
        os.close(folder)
    return applied


def _bring_up_to_date(path: Path) -> list[str]:
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as file:
        _check_ours(file)
        (mode,) = file.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError("its file system has no shared memory, which WAL mode needs; use a local disk.")
        return _migrate(file) if _missing(file) else []


def _check_ours(file: sqlite3.Connection) -> None:
    """Refuse another program's database before anything is written to it."""
    (application, tables) = file.execute(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id"
    ).fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise StoreError("it is the SQLite database of another program; check the configured path.")


def _missing(file: sqlite3.Connection) -> list[Migration]:
    """Return what is yet to be applied; raises StoreError when what was applied is not what this version knows."""
    if not file.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone():
        return migrations()
    return missing(migrations(), applied_of(file.execute("SELECT * FROM migrations")))


def _migrate(file: sqlite3.Connection) -> list[str]:
    """Apply what is missing, all or nothing, under the write lock: another process may be doing the same."""
    file.execute("BEGIN IMMEDIATE")
    try:
        file.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, needs INTEGER) STRICT"
        )
        columns = [name for (name,) in file.execute("SELECT name FROM pragma_table_info('migrations')")]
        if "needs" not in columns:
            file.execute("ALTER TABLE migrations ADD COLUMN needs INTEGER")
        waiting = _missing(file)
        for migration in waiting:
            for statement in _statements(migration.text):
                file.execute(statement)
            file.execute(
                "INSERT INTO migrations (version, name, checksum, needs) VALUES (?, ?, ?, ?)",
                (migration.version, migration.name, migration.checksum, migration.needs),
            )
        file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        file.execute("COMMIT")
    finally:
        if file.in_transaction:
            file.execute("ROLLBACK")
    return [migration.name for migration in waiting]


def _statements(script: str) -> Iterator[str]:
    """Split a script; sqlite3's own `executescript` would commit first, and the script must be all or nothing."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
