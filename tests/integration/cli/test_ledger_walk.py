"""How `audit verify` goes along a chain: in order, to the end, and on where what comes first is pruned meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from runbookd.cli.audit_verify import follow_chain
from runbookd.cli.checking import Check
from runbookd.cli.ledger_walk import hand_on
from runbookd.cli.shared import Shared
from runbookd.model.audit import Anchor, Entry, LedgerRow, Stage
from runbookd.ports import Tx
from runbookd.stages.checkpoint import Signer, new_key, signer_of
from runbookd.store.sqlite import open_sqlite
from tests.contract.store.samples import T0
from tests.integration.cli.conftest import Runbookd

COUNT = 1_250
"""Entries of the chain: more than are handed on at a time."""
PRUNED = 700


@pytest.fixture
async def shared(runbookd: Runbookd) -> Shared:
    """The options of a command on a database with a chain of `COUNT` entries."""
    store = await open_sqlite(runbookd.database)
    entries = [Entry(at=T0 + timedelta(seconds=n), stage=Stage.ADMIT, what="told") for n in range(COUNT)]
    await store.write(lambda tx: tx.ledger.append(entries))
    await store.close()
    return Shared(database=runbookd.database)


@pytest.fixture
def signer() -> Signer:
    """Who seals archives."""
    return signer_of(new_key())


async def prune(shared: Shared, signer: Signer) -> None:
    """Forget the first `PRUNED` entries, as one does who has put them into an archive."""
    assert shared.database is not None
    store = await open_sqlite(shared.database)

    async def unit(tx: Tx) -> None:
        rows = await tx.ledger.rows("main", 0, PRUNED)
        seal = signer.seal(rows[0], rows[-1], T0)
        await tx.ledger.archived(Anchor(chain="main", seq=PRUNED, hash=rows[-1].hash, seal=seal))
        assert await tx.ledger.forget("main", 1, COUNT) == PRUNED

    await store.write(unit)
    await store.close()


def test_every_row_is_handed_on_in_order(shared: Shared) -> None:
    """From where it is asked to, to the end; or no further once the taker has had enough."""
    seen: list[int] = []

    def take(rows: list[LedgerRow]) -> bool:
        seen.extend(row.seq for row in rows)
        return len(seen) < 400

    def take_all(rows: list[LedgerRow]) -> bool:
        seen.extend(row.seq for row in rows)
        return True

    assert hand_on(shared, "main", 100, take_all)
    assert seen == list(range(101, COUNT + 1))
    seen.clear()
    assert not hand_on(shared, "main", 0, take)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < COUNT
    assert hand_on(shared, "nobody", 0, take)


async def test_what_is_pruned_meanwhile_is_no_gap(shared: Shared, signer: Signer) -> None:
    """A check that began at the first entry goes on behind the anchor that has replaced it."""
    check = Check({signer.id: signer.public}, None)
    check.begin("main", None)
    await prune(shared, signer)
    follow_chain(shared, check, "main")
    assert check.fault is None
    assert (check.walk("main").seq, check.count) == (COUNT, COUNT - PRUNED)
    assert check.notes == [
        f"chain main begins after entry {PRUNED}, by a signed seal; the rest is in archives"
    ]


@pytest.mark.parametrize("anchored", [False, True])
async def test_a_gap_is_found(shared: Shared, signer: Signer, *, anchored: bool) -> None:
    """Entries that nobody vouches for are missed, whether the chain was pruned before or not."""
    if anchored:
        await prune(shared, signer)
    with closing(sqlite3.connect(str(shared.database), isolation_level=None)) as file:
        file.execute("DROP TRIGGER ledger_never_forgets")
        file.execute("DELETE FROM ledger WHERE seq BETWEEN 900 AND 1000")
    check = Check({signer.id: signer.public}, None)
    check.begin("main", None)
    follow_chain(shared, check, "main")
    assert check.fault == (
        "chain main, entry 1001: expected number 900; entries were dropped, inserted or re-ordered"
    )
