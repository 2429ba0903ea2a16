"""Copies of a SQLite file: one made while others use it, and one put in its place.

https://www.sqlite.org/backup.html: a copy made in one step is of one state of the database, and keeps no writer
waiting in WAL mode.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.schema import applied_of, missing
from runbookd.store.sqlite_driver import explain
from runbookd.store.sqlite_file import APPLICATION_ID, BUSY_SECONDS, migrations

if TYPE_CHECKING:
    from collections.abc import Mapping

Ends = dict[str, tuple[int, str]]
"""The last entry of each ledger chain, number and hash, by the chain's name."""


def back_up(source: Path, target: Path) -> None:
    """Copy a database in use to a new file (mode 0600), and return once it is on disk and was opened and checked.

    Raises StoreError when the target is there already or a database is damaged, and StoreUnavailable when one cannot
    be read or written.
    """
    if not source.is_file():
        raise StoreUnavailable(f"there is no database {source}; name one with --database")
    _copy(source, target)


def check(file: Path) -> Ends:
    """Open a copy that nobody else uses, read every page of it, and return the ends of its ledger.

    Raises StoreError when it is damaged, not ours, or from a newer version.
    """
    if not file.is_file():
        raise StoreUnavailable(f"there is no file {file}")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
            _check_ours(copy, file)
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise StoreError(f"{file} is damaged: {found}")
            return _ends(copy)
    except sqlite3.Error as error:
        fault = explain(error)
        raise type(fault)(f"{file} cannot be used. {fault}") from error


def goes_beyond(file: Path, ends: Mapping[str, tuple[int, str]]) -> str | None:
    """Say in what the ledger of a database in place is newer than these ends; None when it is not, or unreadable."""
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as there:
            for chain, (seq, _) in _ends(there).items():
                kept = ends.get(chain, (0, ""))[0]
                if seq > kept:
                    return f"its ledger ({chain}) ends with entry {seq}, that of the backup with {kept}"
    except sqlite3.Error:
        return None
    return None


def put_in_place(backup: Path, target: Path, aside: Path) -> bool:
    """Copy a checked backup to where the service looks, what was there kept under another name; whether it was.

    Raises StoreError and StoreUnavailable; what was there is then there still, or under the name `aside`.
    """
    fresh = target.with_name(f".{target.name}-restored")
    fresh.unlink(missing_ok=True)
    _copy(backup, fresh)
    try:
        there = target.exists()
        if there:
            _keep(target, aside)
        fresh.rename(target)
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be replaced: {error.strerror}") from error
    _sync_folder(target)
    return there


def _keep(target: Path, aside: Path) -> None:
    """Give a database another name beside its own, which the new one then takes: at no moment is there none.

    Its log goes with it, if there is one still: that of one database beside another would damage it.
    """
    aside.hardlink_to(target)
    for suffix in ("-wal", "-shm"):
        part = target.with_name(target.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))


def _copy(source: Path, target: Path) -> None:
    """Copy through SQLite to a file beside the target, check it, and give it its name."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)  # mode 0600
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be made: {error.strerror}") from error
    os.close(descriptor)
    new = Path(name)
    try:
        with closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as old:
            _check_ours(old, source)
            with closing(sqlite3.connect(new, isolation_level=None)) as copy:
                old.backup(copy)
                copy.execute(
                    "PRAGMA journal_mode = DELETE"
                )  # one file, that opens read-only; WAL comes back in use
        _sync(new)
        check(new)
        target.hardlink_to(new)
    except sqlite3.Error as error:
        fault = explain(error)
        raise type(fault)(f"the database {source} cannot be copied to {target}. {fault}") from error
    except FileExistsError:
        raise StoreError(f"{target} is there already; name a new file") from None
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
    _sync_folder(target)


def _check_ours(file: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError for another program's file, or one whose schema this version does not know."""
    (application,) = file.execute("SELECT application_id FROM pragma_application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a database of runbookd")
    try:
        missing(migrations(), applied_of(file.execute("SELECT * FROM migrations")))
    except StoreError as error:
        raise StoreError(f"{path} cannot be used: {error}") from None


def _ends(file: sqlite3.Connection) -> Ends:
    """SQLite gives the other columns from the row of the maximum: https://www.sqlite.org/lang_select.html#bareagg."""
    rows = file.execute("SELECT chain, max(seq), hash FROM ledger GROUP BY chain")
    return {chain: (seq, hash_) for chain, seq, hash_ in rows}


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(file: Path) -> None:
    _sync(file.parent)
