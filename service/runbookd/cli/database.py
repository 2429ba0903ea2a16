"""The database as commands use it: looked at in place, and written to only by those that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import NotFound
from runbookd.store.sqlite_reader import look as look_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from runbookd.cli.shared import Shared
    from runbookd.model.event import StoredEvent
    from runbookd.model.incident import Incident
    from runbookd.model.run import Run
    from runbookd.ports import Tx

T = TypeVar("T")

SEARCHED = 20_000
"""How many of the newest rows are searched for a part of an id."""
SHORTEST = 4
"""Letters a part of an id must have."""


def database_of(shared: Shared) -> Path:
    """Return the file, from the settings only where it is not given. Raises SettingsError."""
    return shared.database or shared.settings().database


def look(shared: Shared, unit: Callable[[Tx], Awaitable[T]]) -> T:
    """Read from the database, which must be there. Raises StoreError."""
    return look_at(database_of(shared), unit)


def change(shared: Shared, unit: Callable[[Tx], Awaitable[T]]) -> T:
    """Write to the database, which must be there and up to date. Raises StoreError."""
    import asyncio

    look(shared, _nothing)
    return asyncio.run(_change(database_of(shared), unit))


async def _change(path: Path, unit: Callable[[Tx], Awaitable[T]]) -> T:
    from runbookd.store.sqlite import open_sqlite

    store = await open_sqlite(path)
    try:
        return await store.write(unit)
    finally:
        await store.close()


async def _nothing(tx: Tx) -> None:
    """Read nothing: opening the file is the question."""


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
