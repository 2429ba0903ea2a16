"""What a database that another version made is told, on every engine: whether its schema can be shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.errors import StoreError
from runbookd.store import postgres_schema, sqlite_file
from runbookd.store.schema import Applied, migrations_of, missing
from tests.contract.store.conftest import Opener, Raw
from tests.contract.store.samples import entry, read, write

ENGINES = ["sqlite", "postgres"]
NEWEST = migrations_of("sqlite")[-1].version
LATER = "INSERT INTO migrations VALUES ({0}, '{0}_later.sql', 'x', {1})"
SHAREABLE = LATER.format(999, NEWEST)


async def prepare(place: str) -> list[str]:
    """Bring the database up to date."""
    if place.startswith("postgresql:"):
        return await postgres_schema.prepare(place)
    return sqlite_file.prepare(Path(place))


async def test_a_newer_schema_that_can_be_shared_is_used(opened: Opener, raw: Raw, place: str) -> None:
    """Where each newer migration says so, this version opens the database, writes to it, and changes nothing of it."""
    await opened()
    await raw(SHAREABLE)
    again = await opened()
    await write(again, "switches.set", "paused", "{}")
    await write(again, "ledger.append", [entry("paused")])
    assert await read(again, "switches.get", "paused") == "{}"
    assert await prepare(place) == []


@pytest.mark.parametrize("needs", ["NULL", str(NEWEST + 1)])
async def test_one_newer_migration_that_cannot_be_shared_is_enough(
    opened: Opener, raw: Raw, place: str, needs: str
) -> None:
    """It is refused by its name, with what to do, which is never to go back in time."""
    await opened()
    await raw(SHAREABLE)
    await raw(LATER.format(1000, needs))
    with pytest.raises(
        StoreError, match=r"1000_later\.sql cannot be shared.*Start the newer version"
    ) as told:
        await opened()
    assert "backup" not in str(told.value)
    with pytest.raises(StoreError, match="cannot be shared"):
        await prepare(place)


async def test_a_database_of_before_is_brought_up_to_date(opened: Opener, raw: Raw, place: str) -> None:
    """One whose migrations do not say yet who may share them learns it with the next one that is applied."""
    await opened()
    await raw("ALTER TABLE migrations DROP COLUMN needs")
    assert await prepare(place) == []
    await raw("DELETE FROM migrations WHERE version = 8")
    on = " ON ledger" if place.startswith("postgresql:") else ""
    await raw(f"DROP TRIGGER ledger_only_grows{on}")
    if on:
        await raw("DROP FUNCTION ledger_only_grows")
    assert await prepare(place) == ["0008_the_ledger_only_grows.sql"]
    await raw(SHAREABLE)
    await opened()


@pytest.mark.parametrize("engine_name", ENGINES)
def test_migrations_say_who_may_share_them(engine_name: str) -> None:
    """Both engines have the same migrations, and those that say so, say the same."""
    found = migrations_of(engine_name)
    assert [one.version for one in found] == list(range(1, NEWEST + 1))
    assert [(one.name, one.needs) for one in found] == [(o.name, o.needs) for o in migrations_of("sqlite")]
    assert found[7].needs == 1
    assert missing(found, {one.version: Applied(one.name, one.checksum) for one in found[:5]}) == found[5:]
