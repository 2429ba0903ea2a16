"""Pruning and checkpoints at work on a real file: nothing goes before it is archived, and all of it verifies."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbookd.errors import LeaseLost, StoreError, StoreUnavailable
from runbookd.model.audit import Anchor, Entry, LedgerRow, Stage
from runbookd.model.event import Delivery, DeliveryState
from runbookd.model.retention import Ages, Kept
from runbookd.model.run import Run, RunState
from runbookd.ports import Store, Tx
from runbookd.runtime.checkpoints import Checkpoints
from runbookd.runtime.retention import Archiving, Pruner
from runbookd.stages.audit import broken_rows
from runbookd.stages.checkpoint import new_key, read_statement, signer_of
from runbookd.store.archives import Archive, archives_in, next_archive, read_archive, write_archive
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import NOON, SetClock
from tests.contract.store.samples import run

SIGNER = signer_of(new_key())
KEYS = {SIGNER.id: SIGNER.public}
DAY = timedelta(days=1)
MONTH = Ages(rows=dict.fromkeys(Kept, 30 * DAY), ledger=30 * DAY)


@dataclass
class Place:
    """A store, its clock, and a folder for archives."""

    store: Store
    clock: SetClock
    folder: Path

    def pruner(self, ages: Ages = MONTH, *, archive: bool = True, window: timedelta = timedelta()) -> Pruner:
        """What prunes here."""
        archiving = Archiving(folder=self.folder, signer=SIGNER) if archive else None
        return Pruner(self.store, self.clock, ages, archiving, longest_window=lambda: window)

    async def prune(self, pruner: Pruner) -> dict[str, int]:
        """Prune under a claim, and name what went."""
        work = await pruner.take("test/1")
        assert work is not None
        return {kind: count for kind, count in (await pruner.prune(work)).items() if count}

    async def note(self, count: int) -> None:
        """Append entries, each at its own second, at this time of the clock."""
        now = self.clock.at
        entries = [Entry(at=now + timedelta(seconds=n), stage=Stage.PLAN, what="go") for n in range(count)]
        await self.store.write(lambda tx: tx.ledger.append(entries))

    async def rows(self) -> list[LedgerRow]:
        """What is left of the chain."""
        return await self.store.read(lambda tx: tx.ledger.rows("main", 0, 9999))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """An empty store at noon."""
    store = await open_sqlite(tmp_path / "store.db")
    yield Place(store, SetClock(), tmp_path / "archives")
    await store.close()


async def test_old_entries_are_archived_then_forgotten(place: Place) -> None:
    """The archive holds what went, signed and whole; what is left goes on from its end, and the ledger tells."""
    await place.note(2500)
    before = await place.rows()
    place.clock.at += 40 * DAY
    await place.note(2)
    assert await place.pruner().count() == {kind.value: 0 for kind in Kept} | {"ledger": 2500}
    assert len(await place.rows()) == 2502
    assert await place.prune(place.pruner()) == {"ledger": 2500}
    (archive,) = archives_in(place.folder)
    rows, seal = read_archive(archive, KEYS)
    assert rows == before
    assert archive.path.stat().st_mode & 0o777 == 0o600
    left = await place.rows()
    assert list(broken_rows(left, previous=seal.hash, seq=2500)) == []
    assert [row.what for row in left] == ["go", "go", "archived", "pruned"]
    assert await place.prune(place.pruner()) == {}


async def test_archives_follow_each_other(place: Place) -> None:
    """Each time goes on where the one before ended, and the newest entry of a chain never goes."""
    for _ in range(3):
        await place.note(10)
        place.clock.at += 31 * DAY
        await place.prune(place.pruner())
    archives = archives_in(place.folder)
    assert [archive.first for archive in archives] == [1, *(archive.last + 1 for archive in archives[:-1])]
    assert (await place.rows())[0].seq == archives[-1].last + 1


async def test_without_a_folder_the_ledger_is_kept(place: Place) -> None:
    """No archive, no pruning of the ledger; nor when its age is for ever."""
    await place.note(3)
    place.clock.at += 40 * DAY
    await place.note(1)
    for_ever = Ages(rows=dict.fromkeys(Kept), ledger=None)
    for pruner in (place.pruner(archive=False), place.pruner(for_ever)):
        assert set((await pruner.count()).values()) == {0}
        assert await place.prune(pruner) == {}
    assert len(await place.rows()) == 4


async def test_nothing_goes_when_the_archive_cannot_be_written(place: Place) -> None:
    """A folder that takes nothing, or an archive that is not whole, keeps every entry where it is."""
    await place.note(3)
    place.clock.at += 40 * DAY
    await place.note(1)
    place.folder.write_text("in its way")
    with pytest.raises(StoreUnavailable, match="Nothing was taken from the ledger"):
        await place.prune(place.pruner())
    place.folder.unlink()
    place.folder.mkdir()
    half = Archive(
        path=place.folder / "ledger-main-000000000001-000000000003.jsonl.gz", chain="main", first=1, last=3
    )
    half.path.write_bytes(gzip.compress(b"half"))
    place.clock.at += timedelta(hours=1)
    with pytest.raises(StoreError, match="cannot be read"):
        await place.prune(place.pruner())
    assert len(await place.rows()) == 4


async def test_a_broken_chain_is_not_archived(place: Place, tmp_path: Path) -> None:
    """What was changed stays where it can be looked at."""
    await place.note(3)
    place.clock.at += 40 * DAY
    await place.note(1)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as file:
        file.execute("DROP TRIGGER ledger_never_changes")
        file.execute("UPDATE ledger SET what = 'gone' WHERE seq = 2")
    assert await place.prune(place.pruner()) == {}
    assert len(await place.rows()) == 4


async def test_a_left_over_archive_is_used(place: Place) -> None:
    """A process that died between archive and anchor leaves a file; the next one goes on with it."""
    await place.note(3)
    rows = await place.rows()
    archive, seal = write_archive(place.folder, rows, SIGNER, NOON)
    place.clock.at += 40 * DAY
    await place.note(1)
    assert await place.prune(place.pruner()) == {"ledger": 3}
    (anchor,) = await place.store.read(lambda tx: tx.ledger.anchors())
    assert anchor.seal == seal.line
    assert archives_in(place.folder) == [archive]


async def test_a_half_forgotten_part_is_forgotten_later(place: Place) -> None:
    """A process that died in the middle leaves entries that are archived; they go first."""
    await place.note(5)
    rows = await place.rows()
    _, seal = write_archive(place.folder, rows[:3], SIGNER, NOON)

    async def died(tx: Tx) -> None:
        await tx.ledger.archived(Anchor(chain="main", seq=3, hash=rows[2].hash, seal=seal.line))
        await tx.ledger.forget("main", 1)

    await place.store.write(died)
    assert await place.prune(place.pruner()) == {"ledger": 2}
    assert [row.seq for row in await place.rows()] == [4, 5, 6]


async def test_rows_go_by_age_in_batches(place: Place) -> None:
    """More than one batch goes; what is younger stays; nothing of a kind whose age is for ever."""
    now = place.clock.at

    async def fill(tx: Tx) -> None:
        for n in range(450):
            await tx.deliveries.add(_delivery(f"d{n}", now if n else now + 20 * DAY))
        await tx.runs.add(_run("r1", now))

    await place.store.write(fill)
    place.clock.at += 35 * DAY
    kept = Ages(rows=MONTH.rows | {Kept.RUNS: None}, ledger=None)  # type: ignore[operator]
    assert await place.prune(place.pruner(kept)) == {"deliveries": 449}
    assert await place.prune(place.pruner(window=36 * DAY)) == {}
    assert await place.prune(place.pruner()) == {"runs": 1}


async def test_one_prunes_at_a_time(place: Place) -> None:
    """Whoever has the claim prunes; who lost it changes nothing more."""
    pruner = place.pruner()
    work = await pruner.take("one/1")
    assert work is not None
    assert await pruner.take("two/1") is None
    place.clock.at += timedelta(minutes=5)
    assert await pruner.take("two/1") is not None
    with pytest.raises(LeaseLost):
        await pruner.handle(work)


def test_archives_are_found_by_their_names(tmp_path: Path) -> None:
    """A chain's name may hold anything; of archives that begin alike the longest that is wanted goes on."""
    for name in (
        "x",
        "ledger-a%2Fb-000000000001-000000000004.jsonl.gz",
        "ledger-a%2Fb-000000000001-000000000009.jsonl.gz",
    ):
        (tmp_path / name).touch()
    found = archives_in(tmp_path)
    assert [(one.chain, one.first, one.last) for one in found] == [("a/b", 1, 4), ("a/b", 1, 9)]
    assert next_archive(found, "a/b", 0, 9) == found[1]
    assert next_archive(found, "a/b", 0, 8) == found[0]
    assert next_archive(found, "a/b", 1, 9) is None


async def test_a_changed_archive_is_found(place: Place) -> None:
    """A flipped byte, a dropped line, another name, or the seal of another key is told."""
    await place.note(4)
    rows = await place.rows()
    archive, _ = write_archive(place.folder, rows, SIGNER, NOON)
    packed = archive.path.read_bytes()
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
        archive.path.write_bytes(changed)
        with pytest.raises(StoreError):
            read_archive(archive, KEYS)


async def test_checkpoints_are_signed_where_settings_say(place: Place, tmp_path: Path) -> None:
    """Each time the chain has grown a line is added; a new process goes on with the file of the one before."""
    file = tmp_path / "checkpoints.jsonl"
    for _ in range(2):
        checkpoints = Checkpoints(place.store, place.clock, SIGNER, file=file, to_log=True)
        for _ in range(2):
            await place.note(3)
            await checkpoints.sign()
            await checkpoints.sign()
    lines = file.read_text().splitlines()
    rows = await place.rows()
    assert [read_statement(line, KEYS).seq for line in lines] == [3, 6, 9, 12]
    assert [json.loads(line)["hash"] for line in lines] == [rows[n].hash for n in (2, 5, 8, 11)]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM ledger WHERE seq = 3",
        "DELETE FROM ledger WHERE seq > 1",
        "UPDATE ledger SET hash = 'x' WHERE seq = 3",
        "UPDATE ledger SET text = replace(text, 'go', 'no') WHERE seq = 4",
    ],
)
async def test_a_changed_chain_is_never_signed(place: Place, tmp_path: Path, change: str) -> None:
    """A chain that does not follow from its last checkpoint is reported, and gets no new one."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = Checkpoints(place.store, place.clock, SIGNER, file=file, to_log=False)
    await place.note(3)
    await checkpoints.sign()
    await place.note(2)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as database:
        for trigger in ("ledger_never_changes", "ledger_never_forgets"):
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute(change)
    again = Checkpoints(place.store, place.clock, SIGNER, file=file, to_log=False)
    for one in (checkpoints, again):
        await one.sign()
    assert len(file.read_text().splitlines()) == 1


async def test_checkpoints_go_on_past_what_was_pruned(place: Place, tmp_path: Path) -> None:
    """A chain that was pruned beyond its last checkpoint is followed from its anchor."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = Checkpoints(place.store, place.clock, SIGNER, file=file, to_log=False)
    await place.note(3)
    await checkpoints.sign()
    await place.note(3)
    place.clock.at += 40 * DAY
    await place.prune(place.pruner())
    await checkpoints.sign()
    assert len(file.read_text().splitlines()) == 2


async def test_a_file_that_cannot_be_written_stops_nothing(place: Place, tmp_path: Path) -> None:
    """What goes wrong is logged, and tried again the next time."""
    await place.note(1)
    file = tmp_path / "later" / "checkpoints.jsonl"
    checkpoints = Checkpoints(place.store, place.clock, SIGNER, file=file, to_log=False)
    await checkpoints.sign()
    file.parent.mkdir()
    await checkpoints.sign()
    assert len(file.read_text().splitlines()) == 1
    await place.store.close()
    await checkpoints.sign()


def _delivery(name: str, at: datetime) -> Delivery:
    return Delivery(id=name, source="s", received_at=at, body=b"", sha256="", state=DeliveryState.ADMITTED)


def _run(name: str, at: datetime) -> Run:
    return run(name, state=RunState.FAILED, ended_at=at)
