"""What `ports.Ledger` promises; tampering is done behind its back, as an intruder with the file would."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, timedelta, timezone

import asyncpg
import pytest

from runbookd.errors import StoreError
from runbookd.model.audit import LedgerEntry, Stage
from runbookd.ports import Store, Tx
from runbookd.stages.audit import GENESIS, broken_links, put_in
from tests.contract.store.conftest import Opener, Raw
from tests.contract.store.samples import T0, at, entry, write


async def append(store: Store, *whats: str) -> None:
    """Append entries in one unit."""
    await store.write(lambda tx: tx.ledger.append([entry(what) for what in whats]))


async def read(store: Store, after: int = 0, limit: int = 999, **filters: str) -> list[LedgerEntry]:
    """Read the chain."""
    return await store.read(lambda tx: tx.ledger.read(after, limit, filters))


@pytest.fixture
async def tamper(engine: str, raw: Raw) -> Raw:
    """A function that changes the ledger with the triggers taken off."""

    async def change(sql: str, *values: str) -> None:
        for trigger in ("ledger_never_changes", "ledger_never_forgets", "ledger_only_grows"):
            on = "" if engine == "sqlite" else " ON ledger"
            await raw(f"DROP TRIGGER IF EXISTS {trigger}{on}")
        await raw(sql, *values)

    return change


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


async def test_another_chain_is_read_by_its_name(opened: Opener) -> None:
    """Any store reads any chain, whole and unbroken, and knows the last entry of each."""
    main, other = await opened(), await opened(chain="other")
    await append(main, "one", "two")
    await append(other, "uno")
    assert [each.entry.what for each in await read(other, chain="main")] == ["one", "two"]
    assert list(broken_links(await read(main, chain="other"))) == []
    assert [each.entry.what for each in await read(main, 1, chain="main", stage="admit")] == ["two"]
    heads = await main.read(lambda tx: tx.ledger.heads())
    assert [(each.chain, each.seq, each.entry.what) for each in heads] == [
        ("main", 2, "two"),
        ("other", 1, "uno"),
    ]


async def test_no_entry_no_head(store: Store) -> None:
    """An empty ledger has no heads and nothing recent."""
    assert await store.read(lambda tx: tx.ledger.heads()) == []
    assert await store.read(lambda tx: tx.ledger.recent(9, {})) == []


async def test_recent_entries_of_all_chains_are_merged(opened: Opener) -> None:
    """The newest entries over all chains come by their time, oldest first, and can be filtered."""
    main, other = await opened(), await opened(chain="other")
    for seconds, store in ((0, main), (2, other), (1, main), (3, main)):
        made = entry(f"w{seconds}", at=at(seconds), run_id="r" if seconds else None)
        await write(store, "ledger.append", [made])

    async def recent(limit: int, **filters: str) -> list[str]:
        found = await main.read(lambda tx: tx.ledger.recent(limit, filters))
        return [each.entry.what for each in found]

    assert await recent(9) == ["w0", "w1", "w2", "w3"]
    assert await recent(2) == ["w1", "w3"]
    assert await recent(9, run_id="r") == ["w1", "w2", "w3"]
    assert await recent(9, chain="other") == ["w2"]


_PUT_IN = (
    "INSERT INTO ledger (chain, seq, text, previous, hash, stage, what)"
    " SELECT chain, %s, replace(text, 'one', 'the board said yes'), previous, hash, stage, what FROM ledger"
    " WHERE seq = 1"
)


@pytest.mark.parametrize("seq", [-7, 0, 4, 99])
async def test_an_entry_comes_only_behind_the_last(store: Store, raw: Raw, seq: int) -> None:
    """The database itself takes no entry before the first, and none that leaves a gap."""
    await append(store, "one", "two")
    with pytest.raises(
        (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError), match="but at its end"
    ):
        await raw(_PUT_IN % seq)
    assert len(await read(store)) == 2


@pytest.mark.parametrize("seq", [-7, 0])
async def test_what_was_put_in_before_the_first_is_found(store: Store, tamper: Raw, seq: int) -> None:
    """A row before entry 1 is read by whoever reads backwards from the beginning, and told."""
    await append(store, "one")
    assert await store.read(lambda tx: tx.ledger.rows_back("main", 0, 9)) == []
    await tamper(_PUT_IN % seq)
    rows = await store.read(lambda tx: tx.ledger.rows_back("main", 0, 9))
    assert put_in(rows, seq=0, hash_=GENESIS) == f"entry {seq}: was put in; a chain begins with entry 1"


async def test_what_an_anchor_covers_is_told_from_what_was_put_in(store: Store, tamper: Raw) -> None:
    """Entries that wait to be deleted are bound to their anchor; one between them, changed or alone, is not."""
    await append(store, "one", "two", "three", "four", "five")
    rows = await store.read(lambda tx: tx.ledger.rows("main", 0, 4))

    async def fault() -> str | None:
        there = await store.read(lambda tx: tx.ledger.rows_back("main", 4, 9))
        return put_in(there, seq=4, hash_=rows[3].hash)

    assert await fault() is None
    await tamper("DELETE FROM ledger WHERE seq = 1")
    assert await fault() is None
    await tamper("DELETE FROM ledger WHERE seq = 3")
    assert await fault() == ("entry 2: was put in or changed; it is none of those that are in the archives")
    await tamper("UPDATE ledger SET what = 'x' WHERE seq = 4")
    assert await fault() == "entry 4: its columns differ from the text that was hashed"


@pytest.mark.parametrize("sql", ["UPDATE ledger SET what = 'x'", "DELETE FROM ledger"])
async def test_database_refuses_changes(store: Store, raw: Raw, sql: str) -> None:
    """The database itself refuses to change or delete an entry."""
    await append(store, "one")
    with pytest.raises(
        (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError), match="the ledger cannot be"
    ):
        await raw(sql)
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
async def test_tampering_is_found(store: Store, tamper: Raw, change: str) -> None:
    """Any change, deletion, insertion or re-ordering of rows shows as a broken link."""
    for n in range(4):
        await write(store, "ledger.append", [entry(f"what{n}", run_id="r1")])
    assert list(broken_links(await read(store))) == []
    await tamper(change)
    assert list(broken_links(await read(store)))


async def test_every_byte_of_an_entry_counts(store: Store, tamper: Raw) -> None:
    """Whichever byte of the hashed text is changed, the link is broken."""
    await append(store, "one", "two", "three")
    text = (await read(store))[1].text
    for n in range(len(text)):
        flipped = text[:n] + ("x" if text[n] != "x" else "y") + text[n + 1 :]
        await tamper("UPDATE ledger SET text = ? WHERE seq = 2", flipped)
        assert list(broken_links(await read(store)))


async def test_cut_tail_needs_a_checkpoint(store: Store, tamper: Raw) -> None:
    """A chain whose end was cut off is whole in itself: only a checkpoint kept elsewhere can tell."""
    await append(store, "one", "two", "three")
    last = (await read(store))[-1]
    await tamper("DELETE FROM ledger WHERE seq = 3")
    entries = await read(store)
    assert list(broken_links(entries)) == []
    assert entries[-1].hash != last.hash
