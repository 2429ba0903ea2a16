"""The database as commands use it: looked at in place, and written to only by those that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import NotFound
from runbookd.store.sqlite_reader import check
from runbookd.store.sqlite_reader import look as look_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from runbookd.cli.shared import Shared
    from runbookd.model.event import StoredEvent
    from runbookd.model.incident import Incident
    from runbookd.model.run import Run
    from runbookd.ports import Store, Tx

T = TypeVar("T")

SEARCHED = 20_000
"""How many of the newest rows are searched for a part of an id."""
CHAIN = "cli"
"""The ledger chain of commands on Postgres, where each replica has one."""
SHORTEST = 4
"""Letters a part of an id must have."""


def database_of(shared: Shared) -> Path | str:
    """Return the SQLite file or the Postgres URL, from the settings where no file is given. Raises SettingsError."""
    if shared.database is not None:
        return shared.database
    settings = shared.settings()
    return settings.database if settings.database_url is None else settings.database_url.get_secret_value()


def told(place: Path | str) -> str:
    """Name a database for people, without the password in a URL."""
    if not isinstance(place, str):
        return str(place)
    from runbookd.store.postgres_url import place as named

    return f"Postgres {named(place)}"


def prepare(place: Path | str) -> list[str]:
    """Bring a database's schema up to date; returns the names of the migrations applied. Raises StoreError."""
    if not isinstance(place, str):
        from runbookd.store import sqlite_file

        return sqlite_file.prepare(place)
    import asyncio

    from runbookd.store import postgres_schema

    return asyncio.run(postgres_schema.prepare(place))


def look(shared: Shared, unit: Callable[[Tx], Awaitable[T]]) -> T:
    """Read from the database, which must be there. Raises StoreError."""
    place = database_of(shared)
    if not isinstance(place, str):
        return look_at(place, unit)
    import asyncio

    return asyncio.run(_with(place, lambda store: store.read(unit)))


def change(shared: Shared, unit: Callable[[Tx], Awaitable[T]]) -> T:
    """Write to the database, which must be there and up to date. Raises StoreError."""
    import asyncio

    return asyncio.run(_with(database_of(shared), lambda store: store.write(unit)))


async def _with(place: Path | str, use: Callable[[Store], Awaitable[T]]) -> T:
    """Open a store for one use of it."""
    store = await _open(place)
    try:
        return await use(store)
    finally:
        await store.close()


async def _open(place: Path | str) -> Store:
    if isinstance(place, str):
        from runbookd.store.postgres import open_postgres

        return await open_postgres(place, chain=CHAIN, migrate=False)
    from runbookd.store.sqlite import open_sqlite

    check(place)
    return await open_sqlite(place)


async def find_run(tx: Tx, part: str) -> Run:
    """Return the run whose id this is, or is part of. Raises NotFound and UsageError."""
    return await tx.runs.get(part) or _only("run", part, await tx.runs.recent(SEARCHED, {}))


async def find_incident(tx: Tx, part: str) -> Incident:
    """Return the incident whose id this is, or is part of. Raises NotFound and UsageError."""
    return await tx.incidents.get(part) or _only("incident", part, await tx.incidents.recent(SEARCHED, {}))


async def find_event(tx: Tx, part: str) -> StoredEvent:
    """Return the event whose id this is, or is part of. Raises NotFound and UsageError."""
    return await tx.deliveries.event(part) or _only("event", part, await tx.deliveries.events(SEARCHED, {}))


N = TypeVar("N", "Run", "Incident", "StoredEvent")


def _only(kind: str, part: str, all_: Sequence[N]) -> N:
    """Return the one noun whose id begins or ends so."""
    import click

    wanted = part.lower()
    if len(wanted) < SHORTEST:
        raise click.UsageError(f"{part!r} is too short a part of an id; give at least {SHORTEST} letters")
    found = [one for one in all_ if is_part(wanted, one.id)]
    if not found:
        raise NotFound(
            f"there is no {kind} whose id begins or ends with {part!r}; `runbookd {kind}s` lists them"
        )
    if len(found) > 1:
        listed = "".join(f"\n  {one.id}" for one in found[:20])
        raise click.UsageError(f"{part!r} is part of {len(found)} ids, give more letters:{listed}")
    return found[0]


def is_part(part: str, identity: str) -> bool:
    """Whether an id, with or without the letters before its dash, begins with the part, or ends with it."""
    return identity.startswith(part) or identity.endswith(part) or identity.partition("-")[2].startswith(part)
