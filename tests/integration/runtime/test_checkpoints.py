"""Checkpoints at work on a real file: what is signed where, and what never is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.runtime.checkpoint_keepers import FileKeeper, Keeper, LogKeeper, PlaceKeeper
from runbookd.runtime.checkpoints import Checkpoints
from runbookd.stages.checkpoint import new_key, read_statement, signer_of
from runbookd.store.folder import Folder
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import SetClock
from tests.integration.runtime.ledgers import DAY, KEYS, SIGNER, Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty ledger at noon."""
    store = await open_sqlite(tmp_path / "store.db")
    yield Ledger(store, SetClock(), Folder(tmp_path / "archives"))
    await store.close()


async def test_checkpoints_are_signed_where_settings_say(ledger: Ledger, tmp_path: Path) -> None:
    """Each time the chain has grown a line is added; a new process goes on with the file of the one before."""
    file = tmp_path / "checkpoints.jsonl"
    for _ in range(2):
        checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER), LogKeeper())
        for _ in range(2):
            await ledger.note(3)
            await checkpoints.sign()
            await checkpoints.sign()
    lines = file.read_text().splitlines()
    rows = await ledger.rows()
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
async def test_a_changed_chain_is_never_signed(ledger: Ledger, tmp_path: Path, change: str) -> None:
    """A chain that does not follow from its last checkpoint is reported, and gets no new one."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER))
    await ledger.note(3)
    await checkpoints.sign()
    await ledger.note(2)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as database:
        for trigger in ("ledger_never_changes", "ledger_never_forgets"):
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute(change)
    again = ledger.checkpoints(FileKeeper(file, SIGNER))
    for one in (checkpoints, again):
        await one.sign()
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("keeper", ["file", "log", "place"])
async def test_a_chain_that_vanished_is_reported(ledger: Ledger, tmp_path: Path, keeper: str) -> None:
    """A whole chain that was signed and is gone is told each time, by who signed it and by those who come later."""

    def made() -> Checkpoints:
        kept: dict[str, Keeper] = {
            "file": FileKeeper(tmp_path / "checkpoints.jsonl", SIGNER),
            "log": LogKeeper(),
            "place": PlaceKeeper(Folder(tmp_path / "kept"), SIGNER),
        }
        return ledger.checkpoints(kept[keeper])

    other = await open_sqlite(tmp_path / "store.db", chain="web/2-1")
    await Ledger(other, ledger.clock, ledger.place).note(2)
    await other.close()
    await ledger.note(1)
    checkpoints = made()
    await checkpoints.sign()
    assert ledger.metric("checkpoint_failures_total", reason="changed") == 0
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as database:
        database.execute("DROP TRIGGER ledger_never_forgets")
        database.execute("DELETE FROM ledger WHERE chain <> 'main'")
    ledger.clock.at += timedelta(minutes=5)
    await checkpoints.sign()
    assert ledger.metric("checkpoint_failures_total", reason="changed") == 1
    assert checkpoints.age() == 300
    if keeper != "log":
        await made().sign()
        assert ledger.metric("checkpoint_failures_total", reason="changed") == 2


async def test_checkpoints_go_on_past_what_was_pruned(ledger: Ledger, tmp_path: Path) -> None:
    """A chain that was pruned beyond its last checkpoint is followed from its anchor."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER))
    await ledger.note(3)
    await checkpoints.sign()
    await ledger.note(3)
    ledger.clock.at += 40 * DAY
    await ledger.prune(ledger.pruner())
    await checkpoints.sign()
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("sealed_by", ["nobody", "another key", "ours, for other entries"])
async def test_an_anchor_that_nobody_sealed_hides_no_change(
    ledger: Ledger, tmp_path: Path, sealed_by: str
) -> None:
    """Who writes the chain anew can write an anchor past what was signed as well, but not its seal."""
    file = tmp_path / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER))
    await ledger.note(3)
    await checkpoints.sign()
    await ledger.note(1)
    first, *_, last, _ = await ledger.rows()
    seal = {
        "nobody": "{}",
        "another key": signer_of(new_key()).seal(first, last, ledger.clock.at),
        "ours, for other entries": SIGNER.seal(first, first, ledger.clock.at),
    }[sealed_by]
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as database:
        database.execute(
            "INSERT INTO ledger_anchors VALUES (?, ?, ?, ?)", (last.chain, last.seq, last.hash, seal)
        )
    await checkpoints.sign()
    assert ledger.metric("checkpoint_failures_total", reason="changed") == 1
    assert len(file.read_text().splitlines()) == 1


async def test_a_file_that_cannot_be_written_stops_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """What goes wrong is logged, and tried again the next time."""
    await ledger.note(1)
    file = tmp_path / "later" / "checkpoints.jsonl"
    checkpoints = ledger.checkpoints(FileKeeper(file, SIGNER))
    await checkpoints.sign()
    file.parent.mkdir()
    await checkpoints.sign()
    assert len(file.read_text().splitlines()) == 1
    await ledger.store.close()
    await checkpoints.sign()
