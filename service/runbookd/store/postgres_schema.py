"""Bringing the schema of a Postgres database up to date, one process at a time."""

from __future__ import annotations

from typing import Any

from runbookd.errors import StoreError
from runbookd.store.postgres_connections import connect
from runbookd.store.postgres_driver import driver_errors, explain
from runbookd.store.postgres_url import place
from runbookd.store.schema import Migration, applied_of, migrations_of, missing

_LOCK = 0x72626B64
"""`rbkd`: the advisory lock under which a schema is changed."""
_UNHURRIED = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}


async def prepare(url: str) -> list[str]:
    """Apply every migration that is missing, and return their names.

    Raises StoreError when the database comes from a newer version, and StoreUnavailable when it cannot be reached.
    """
    connection = await connect(url, "migrate", **_UNHURRIED)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
        return [await _apply(connection, migration) for migration in await _missing(connection)]
    except StoreError as error:
        raise type(error)(f"The database {place(url)} cannot be used: {error}") from error
    except driver_errors() as error:
        fault = explain(error)
        raise type(fault)(f"The database {place(url)} cannot be brought up to date. {fault}") from error
    finally:
        connection.terminate()  # and with it goes the lock


async def check(url: str) -> None:
    """Change nothing. Raises StoreError for a database whose schema is not this version's, or not there."""
    connection = await connect(url, "check")
    try:
        waiting = await _missing(connection)
    except StoreError as error:
        raise type(error)(f"the database {place(url)} cannot be read: {error}") from error
    except driver_errors() as error:
        fault = explain(error)
        raise type(fault)(f"the database {place(url)} cannot be read. {fault}") from error
    finally:
        await connection.close()
    if waiting:
        raise StoreError(
            f"the schema of the database {place(url)} is older than this runbookd, or not there; `runbookd migrate` "
            "brings it up to date, and so does `runbookd serve` when it starts"
        )


async def _missing(connection: Any) -> list[Migration]:
    known = migrations_of("postgres")
    if await connection.fetchval("SELECT to_regclass('migrations')") is None:
        return known
    rows = await connection.fetch("SELECT * FROM migrations")
    columns = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'migrations'::regclass AND attnum BETWEEN 1 AND 3 "
        "AND NOT attisdropped ORDER BY attnum"
    )
    if [row["attname"] for row in columns] != ["version", "name", "checksum"]:
        raise StoreError(
            "it has a table `migrations` of another program: this is that program's database. Give runbookd one of "
            "its own, and name it in database_url."
        )
    return missing(known, applied_of(rows))


async def _apply(connection: Any, migration: Migration) -> str:
    """Apply one migration, all or nothing."""
    async with connection.transaction():
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)"
        )
        await connection.execute("ALTER TABLE migrations ADD COLUMN IF NOT EXISTS needs BIGINT")
        await connection.execute(migration.text)
        await connection.execute(
            "INSERT INTO migrations (version, name, checksum, needs) VALUES ($1, $2, $3, $4)",
            migration.version,
            migration.name,
            migration.checksum,
            migration.needs,
        )
    return migration.name
