"""Pruning at work on a real file: nothing of the ledger goes before it is archived, and all of it verifies."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbookd.errors import DamagedFile, DamagedLedger, LeaseLost, PlaceUnavailable
from runbookd.model.audit import Anchor
from runbookd.model.event import Delivery, DeliveryState
from runbookd.model.retention import Ages, Kept
from runbookd.model.run import Run, RunState
from runbookd.ports import Tx
from runbookd.stages.audit import broken_rows
from runbookd.stages.checkpoint import new_key, signer_of
from runbookd.store.archives import Archive, archives_in, read_archive, way_through, write_archive
from runbookd.store.folder import Folder
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import NOON, SetClock
from tests.contract.store.samples import run
from tests.integration.runtime.ledgers import DAY, KEYS, MONTH, SIGNER, Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty store at noon."""
    store = await open_sqlite(tmp_path / "store.db")
    yield Ledger(store, SetClock(), Folder(tmp_path / "archives"))
    await store.close()


async def test_old_entries_are_archived_then_forgotten(ledger: Ledger) -> None:
    """The archive holds what went, signed and whole; what is left goes on from its end, and the ledger tells."""
    await ledger.note(2500)
    before = await ledger.rows()
    ledger.clock.at += 40 * DAY
    await ledger.note(2)
    assert await ledger.pruner().count() == {kind.value: 0 for kind in Kept} | {"ledger": 2500}
    assert len(await ledger.rows()) == 2502
    assert await ledger.prune() == {"ledger": 2500}
    (archive,) = await archives_in(ledger.place)
    rows, seal = await read_archive(ledger.place, archive, KEYS)
    assert rows == before
    assert (ledger.folder / archive.name).stat().st_mode & 0o777 == 0o600
    left = await ledger.rows()
    assert list(broken_rows(left, previous=seal.hash, seq=2500)) == []
    assert [row.what for row in left] == ["go", "go", "archived", "pruned"]
    assert await ledger.prune() == {}


async def test_archives_follow_each_other(ledger: Ledger) -> None:
    """Each time goes on where the one before ended, and the newest entry of a chain never goes."""
    for _ in range(3):
        await ledger.note(10)
        ledger.clock.at += 31 * DAY
        await ledger.prune()
    found = await archives_in(ledger.place)
    assert [archive.first for archive in found] == [1, *(archive.last + 1 for archive in found[:-1])]
    assert (await ledger.rows())[0].seq == found[-1].last + 1


async def test_without_a_folder_the_ledger_is_kept(ledger: Ledger) -> None:
    """No archive, no pruning of the ledger; nor when its age is for ever."""
    await ledger.note(3)
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    for_ever = Ages(rows=dict.fromkeys(Kept), ledger=None)
    for pruner in (ledger.pruner(archive=False), ledger.pruner(for_ever)):
        assert set((await pruner.count()).values()) == {0}
        assert await ledger.prune(pruner) == {}
    assert len(await ledger.rows()) == 4


async def test_nothing_goes_when_the_archive_cannot_be_written(ledger: Ledger) -> None:
    """A folder that takes nothing, or an archive that is not whole, keeps every entry where it is."""
    await ledger.note(3)
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    ledger.folder.write_text("in its way")
    with pytest.raises(PlaceUnavailable, match="give the service room and the right to write there"):
        await ledger.prune()
    ledger.folder.unlink()
    ledger.folder.mkdir()
    half = ledger.folder / "ledger-main-000000000001-000000000003.jsonl.gz"
    half.write_bytes(gzip.compress(b"half"))
    ledger.clock.at += timedelta(hours=1)
    with pytest.raises(DamagedFile, match="cannot be read"):
        await ledger.prune()
    assert [row.what for row in await ledger.rows()] == ["go"] * 4 + ["archiving_failed"]


async def test_a_broken_chain_is_not_archived(ledger: Ledger, tmp_path: Path) -> None:
    """What was changed stays where it can be looked at."""
    await ledger.note(3)
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("DROP TRIGGER ledger_never_changes")
        file.execute("UPDATE ledger SET what = 'gone' WHERE seq = 2")
    with pytest.raises(DamagedLedger, match="it is broken: chain main, entry 2: its columns differ"):
        await ledger.prune()
    assert [row.what for row in await ledger.rows()] == ["go", "gone", "go", "go", "archiving_failed"]
    assert "chain main, entry 2" in ((await ledger.archiving()) or {})["error"]
    assert ledger.metric("archive_failures_total") == 1


async def test_a_broken_chain_keeps_no_other_from_being_archived(ledger: Ledger, tmp_path: Path) -> None:
    """One chain is broken, and stays; the others go into their archives, and it is told all the same."""
    await ledger.note(2)
    other = await open_sqlite(tmp_path / "store.db", chain="another")
    await Ledger(other, ledger.clock, ledger.place).note(2)
    await other.close()
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("DROP TRIGGER ledger_never_changes")
        file.execute("UPDATE ledger SET what = 'gone' WHERE seq = 1 AND chain = 'another'")
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    with pytest.raises(DamagedLedger, match="chain another, entry 1"):
        await ledger.prune()
    assert [archive.chain for archive in await archives_in(ledger.place)] == ["main"]
    assert (await ledger.rows())[0].seq == 3


async def test_a_row_put_in_behind_an_anchor_is_never_deleted(ledger: Ledger, tmp_path: Path) -> None:
    """What was pruned is put in again, forged: it is told, and it stays for people to look at."""
    await ledger.old(3)
    await ledger.prune()
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("DROP TRIGGER ledger_only_grows")
        file.execute(
            "INSERT INTO ledger (chain, seq, text, previous, hash, stage, what)"
            " SELECT chain, 2, replace(text, 'go', 'the board said yes'), previous, hash, stage, what"
            " FROM ledger WHERE seq = 4"
        )
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    with pytest.raises(DamagedLedger, match="chain main, entry 2: was put in or changed"):
        await ledger.prune()
    assert [row.seq for row in await ledger.rows()][:3] == [2, 4, 5]


async def test_an_anchor_without_an_archive_lets_nothing_go(ledger: Ledger) -> None:
    """Whoever owns the database may write an anchor; entries go by it only if archives hold them, of whatever key."""
    await ledger.old(5)
    rows = await ledger.rows()
    seal = signer_of(new_key()).seal(rows[0], rows[2], NOON)
    anchor = Anchor(chain="main", seq=3, hash=rows[2].hash, seal=seal)
    await ledger.store.write(lambda tx: tx.ledger.archived(anchor))
    with pytest.raises(DamagedLedger, match="entry 3: was left behind an anchor, and no archive"):
        await ledger.prune()
    assert [row.seq for row in await ledger.rows()][:3] == [1, 2, 3]
    await write_archive(ledger.place, rows[:2], signer_of(new_key()), NOON)
    await write_archive(ledger.place, rows[2:3], SIGNER, NOON)
    ledger.clock.at += timedelta(hours=1)
    assert (await ledger.prune())["ledger"] >= 3


async def test_a_left_over_archive_is_used(ledger: Ledger) -> None:
    """A process that died between archive and anchor leaves a file; the next one goes on with it."""
    await ledger.note(3)
    rows = await ledger.rows()
    archive, seal = await write_archive(ledger.place, rows, SIGNER, NOON)
    ledger.clock.at += 40 * DAY
    await ledger.note(1)
    assert await ledger.prune() == {"ledger": 3}
    (anchor,) = await ledger.store.read(lambda tx: tx.ledger.anchors())
    assert anchor.seal == seal.line
    assert await archives_in(ledger.place) == [archive]


async def test_a_half_forgotten_part_is_forgotten_later(ledger: Ledger) -> None:
    """A process that died in the middle leaves entries that are archived; they go first."""
    await ledger.note(5)
    rows = await ledger.rows()
    _, seal = await write_archive(ledger.place, rows[:3], SIGNER, NOON)

    async def died(tx: Tx) -> None:
        await tx.ledger.archived(Anchor(chain="main", seq=3, hash=rows[2].hash, seal=seal.line))
        await tx.ledger.forget("main", 1, 1)

    await ledger.store.write(died)
    assert await ledger.prune() == {"ledger": 2}
    assert [row.seq for row in await ledger.rows()] == [4, 5, 6]


async def test_rows_go_by_age_in_batches(ledger: Ledger) -> None:
    """More than one batch goes; what is younger stays; nothing of a kind whose age is for ever."""
    now = ledger.clock.at

    async def fill(tx: Tx) -> None:
        for n in range(450):
            await tx.deliveries.add(_delivery(f"d{n}", now if n else now + 20 * DAY))
        await tx.runs.add(_run("r1", now))

    await ledger.store.write(fill)
    ledger.clock.at += 35 * DAY
    kept = Ages(rows=MONTH.rows | {Kept.RUNS: None}, ledger=None)  # type: ignore[operator]
    assert await ledger.prune(ledger.pruner(kept)) == {"deliveries": 449}
    assert await ledger.prune(ledger.pruner(window=36 * DAY)) == {}
    assert await ledger.prune() == {"runs": 1}


async def test_one_prunes_at_a_time(ledger: Ledger) -> None:
    """Whoever has the claim prunes; who lost it changes nothing more."""
    pruner = ledger.pruner()
    work = await pruner.take("one/1")
    assert work is not None
    assert await pruner.take("two/1") is None
    ledger.clock.at += timedelta(minutes=5)
    assert await pruner.take("two/1") is not None
    with pytest.raises(LeaseLost):
        await pruner.handle(work)


async def test_archives_are_found_by_their_names(tmp_path: Path) -> None:
    """A chain's name may hold anything; other files are left alone."""
    for name in ("x", "ledger-a%2Fb-000000000001-000000000004.jsonl.gz", "ledger-x.jsonl.gz"):
        (tmp_path / name).touch()
    assert [(one.chain, one.first, one.last) for one in await archives_in(Folder(tmp_path))] == [
        ("a/b", 1, 4)
    ]


@pytest.mark.parametrize(
    ("there", "after", "last", "way"),
    [
        ([(1, 4), (5, 9)], 0, 9, [(1, 4), (5, 9)]),
        ([(1, 4), (5, 9)], 0, 4, [(1, 4)]),
        ([(1, 4), (5, 9)], 4, 9, [(5, 9)]),
        ([(1, 4), (1, 6), (5, 9)], 0, 9, [(1, 4), (5, 9)]),
        ([(1, 4), (1, 6), (5, 9)], 0, 6, [(1, 6)]),
        ([(1, 4), (6, 9)], 0, 9, [(1, 4)]),
        ([(2, 4)], 0, 4, []),
        ([], 0, 4, []),
    ],
)
def test_a_way_is_found_through_archives(
    there: list[tuple[int, int]], after: int, last: int, way: list[tuple[int, int]]
) -> None:
    """One that a process left behind before it died is passed by; where one is missing the way ends."""
    archives = [
        Archive(name="", chain=chain, first=first, last=last) for first, last in there for chain in ("a", "b")
    ]
    found = way_through(archives, "a", after, last)
    assert [(one.first, one.last) for one in found] == way
    assert {one.chain for one in found} <= {"a"}


async def test_a_changed_archive_is_found(ledger: Ledger) -> None:
    """A flipped byte, a dropped line, another name, or the seal of another key is told."""
    await ledger.note(4)
    rows = await ledger.rows()
    archive, _ = await write_archive(ledger.place, rows, SIGNER, NOON)
    file = ledger.folder / archive.name
    packed = file.read_bytes()
    plain = gzip.decompress(packed)
    lines = plain.splitlines(keepends=True)
    forged = signer_of(new_key()).seal(rows[0], rows[-1], NOON).encode()
    for changed in (
        packed[:-20],
        packed[:40] + b"\xff" + packed[41:],
        gzip.compress(plain.replace(b"go", b"no", 1)),
        gzip.compress(b"".join(lines[1:])),
        gzip.compress(b"".join([*lines[:3], lines[-1]])),
        gzip.compress(b"".join(lines[:-1])),
        gzip.compress(b"".join([*lines[:-1], forged])),
        gzip.compress(lines[-1]),
    ):
        file.write_bytes(changed)
        with pytest.raises(DamagedFile):
            await read_archive(ledger.place, archive, KEYS)
    file.unlink()
    with pytest.raises(DamagedFile, match="is gone"):
        await read_archive(ledger.place, archive, KEYS)


def _delivery(name: str, at: datetime) -> Delivery:
    return Delivery(id=name, source="s", received_at=at, body=b"", sha256="", state=DeliveryState.ADMITTED)


def _run(name: str, at: datetime) -> Run:
    return run(name, state=RunState.FAILED, ended_at=at)
