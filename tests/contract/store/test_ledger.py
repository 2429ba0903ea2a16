"""What `ports.Ledger` promises; tampering is done behind its back, as an intruder with the file would."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from runbookd.errors import StoreError
from runbookd.model.audit import LedgerEntry, Stage
from runbookd.ports import Store, Tx
from runbookd.stages.audit import GENESIS, broken_links
from tests.contract.store.conftest import Opener
from tests.contract.store.samples import T0, entry, write

Tamper = Callable[..., None]


async def append(store: Store, *whats: str) -> None:
    """Append entries in one unit."""
    await store.write(lambda tx: tx.ledger.append([entry(what) for what in whats]))


async def read(store: Store, after: int = 0, limit: int = 999, **filters: str) -> list[LedgerEntry]:
    """Read the chain."""
    return await store.read(lambda tx: tx.ledger.read(after, limit, filters))


@pytest.fixture
def tamper(engine: str, tmp_path: Path) -> Tamper:
    """`tamper(sql, *values)` changes the ledger with the triggers taken off."""
    assert engine == "sqlite"

    def change(sql: str, *values: str) -> None:
        with raw(tmp_path) as file:
            file.execute("DROP TRIGGER IF EXISTS ledger_never_changes")
            file.execute("DROP TRIGGER IF EXISTS ledger_never_forgets")
            file.execute(sql, values)

    return change


@contextmanager
def raw(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file itself."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as file:
        yield file


async def test_entries_are_chained_in_order(store: Store) -> None:
    """Entries are numbered from 1 in the order given, each bound to the one before."""
    await append(store, "one", "two")
    await append(store)
    await append(store, "three")
    entries = await read(store)
    assert [(each.seq, each.entry.what) for each in entries] == [(1, "one"), (2, "two"), (3, "three")]
    assert entries[0].previous == GENESIS
    assert list(broken_links(entries)) == []


async def test_entry_comes_back_unchanged(store: Store) -> None:
    """Every field is kept, values in the detail with their types, and the time as the same moment in UTC."""
    there = T0.astimezone(timezone(timedelta(hours=-7)))
    full = entry(
        "w",
        at=there,
        stage=Stage.EXECUTE,
        actor="cli:ana",
        delivery_id="d1",
        event_id="e1",
        incident_id="i1",
        run_id="r1",
        detail={"took": timedelta(seconds=1), "half": "\ud800", "list": [1, 2.5, None], "$map": {}},
    )
    await store.write(lambda tx: tx.ledger.append([full]))
    (kept,) = await read(store)
    assert kept.entry == full
    assert kept.entry.at.tzinfo is UTC
    assert list(broken_links([kept])) == []


async def test_read_goes_on_where_it_stopped(store: Store) -> None:
    """`after` and `limit` page through the chain without loss or repetition."""
    await append(store, *(f"w{n}" for n in range(10)))
    assert [each.seq for each in await read(store, 0, 4)] == [1, 2, 3, 4]
    assert [each.seq for each in await read(store, 4, 4)] == [5, 6, 7, 8]
    assert [each.seq for each in await read(store, 8, 4)] == [9, 10]
    assert await read(store, 10) == []


async def test_read_by_every_filter(store: Store) -> None:
    """Each filter compares by equality; an unknown one is refused."""
    wanted = entry("this", stage=Stage.VERIFY, delivery_id="d", event_id="e", incident_id="i", run_id="r")
    await store.write(lambda tx: tx.ledger.append([entry("other"), wanted, entry("other")]))
    for column in ("incident_id", "run_id", "event_id", "delivery_id", "stage", "what"):
        assert [each.seq for each in await read(store, **{column: getattr(wanted, column)})] == [2]
    with pytest.raises(StoreError, match="not a filter"):
        await read(store, actor="runbookd")


async def test_chain_holds_under_concurrent_writers(opened: Opener) -> None:
    """Two stores that append at once make one unbroken chain."""
    stores = [await opened(), await opened()]
    await asyncio.gather(*(append(stores[n % 2], f"w{n}", f"v{n}") for n in range(80)))
    entries = await read(stores[0])
    assert len(entries) == 160
    assert list(broken_links(entries)) == []


async def test_undone_unit_leaves_no_gap(store: Store) -> None:
    """A unit that fails after appending leaves the chain as it was."""

    async def failing(tx: Tx) -> None:
        await tx.ledger.append([entry("lost")])
        raise LookupError

    await append(store, "one")
    with pytest.raises(LookupError):
        await store.write(failing)
    await append(store, "two")
    entries = await read(store)
    assert [each.entry.what for each in entries] == ["one", "two"]
    assert list(broken_links(entries)) == []


async def test_chains_are_independent(opened: Opener) -> None:
    """A store of another chain appends to and reads its own."""
    main, other = await opened(), await opened(chain="other")
    await append(main, "one")
    await append(other, "uno")
    assert [(each.chain, each.seq, each.entry.what) for each in await read(main)] == [("main", 1, "one")]
    assert [(each.chain, each.seq, each.entry.what) for each in await read(other)] == [("other", 1, "uno")]


@pytest.mark.parametrize("sql", ["UPDATE ledger SET what = 'x'", "DELETE FROM ledger"])
async def test_database_refuses_changes(store: Store, tmp_path: Path, sql: str) -> None:
    """The database itself refuses to change or delete an entry."""
    await append(store, "one")
    with raw(tmp_path) as file, pytest.raises(sqlite3.IntegrityError, match="the ledger cannot be"):
        file.execute(sql)
    assert len(await read(store)) == 1


@pytest.mark.parametrize(
    "change",
    [
        *(
            f"UPDATE ledger SET {column} = replace({column}, substr({column}, {n}, 1), '~') WHERE seq = {seq}"  # noqa: S608 - the tampering
            for column in ("text", "previous", "hash", "stage", "what")
            for n in (1, 3)
            for seq in (1, 2, 4)
        ),
        "UPDATE ledger SET incident_id = 'i9' WHERE seq = 2",
        "UPDATE ledger SET run_id = NULL WHERE seq = 2",
        "UPDATE ledger SET text = '[]' WHERE seq = 3",
        "UPDATE ledger SET chain = 'other' WHERE seq = 2",
        "UPDATE ledger SET seq = seq + 10 WHERE seq = 4",
        "DELETE FROM ledger WHERE seq = 1",
        "DELETE FROM ledger WHERE seq = 3",
        "DELETE FROM ledger WHERE seq IN (2, 3)",
        "INSERT INTO ledger SELECT chain, 5, text, previous, hash, stage, what, '', '', '', 'r1' FROM ledger LIMIT 1",
    ],
)
async def test_tampering_is_found(store: Store, tamper: Tamper, change: str) -> None:
    """Any change, deletion, insertion or re-ordering of rows shows as a broken link."""
    for n in range(4):
        await write(store, "ledger.append", [entry(f"what{n}", run_id="r1")])
    assert list(broken_links(await read(store))) == []
    tamper(change)
    assert list(broken_links(await read(store)))


async def test_every_byte_of_an_entry_counts(store: Store, tamper: Tamper) -> None:
    """Whichever byte of the hashed text is changed, the link is broken."""
    await append(store, "one", "two", "three")
    text = (await read(store))[1].text
    for n in range(len(text)):
        flipped = text[:n] + ("x" if text[n] != "x" else "y") + text[n + 1 :]
        tamper("UPDATE ledger SET text = ? WHERE seq = 2", flipped)
        assert list(broken_links(await read(store)))


async def test_cut_tail_needs_a_checkpoint(store: Store, tamper: Tamper) -> None:
    """A chain whose end was cut off is whole in itself: only a checkpoint kept elsewhere can tell."""
    await append(store, "one", "two", "three")
    last = (await read(store))[-1]
    tamper("DELETE FROM ledger WHERE seq = 3")
    entries = await read(store)
    assert list(broken_links(entries)) == []
    assert entries[-1].hash != last.hash
