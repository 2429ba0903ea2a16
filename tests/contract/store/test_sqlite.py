"""What the SQLite engine promises besides the contract: its file, its faults, other processes, and sudden death."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.ports import Tx
from runbookd.stages.audit import broken_links
from runbookd.store import sqlite_file
from runbookd.store.sqlite import SqliteStore, open_sqlite
from runbookd.store.sqlite_writer import SqliteWriter
from tests.contract.store.samples import delivery, read, write

Child = Callable[..., Awaitable[Process]]
CHILD = Path(__file__).with_name("child.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "store.db"


async def make(path: Path) -> None:
    """Make a database with one delivery."""
    store = await open_sqlite(path)
    await write(store, "deliveries.add", delivery("d1"))
    await store.close()


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    """A function that starts `child.py`; what still runs when the test is over is ended."""
    started: list[Process] = []

    async def start(*arguments: str | Path, before: tuple[str, ...] = ()) -> Process:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = await create_subprocess_exec(
            *before, sys.executable, CHILD, *arguments, stdout=PIPE, stderr=PIPE, env=environment
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def output(process: Process) -> str:
    """Wait for a child that must succeed, and return what it printed."""
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def edit(path: Path, sql: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(sql)


def put(path: Path, content: bytes) -> None:
    """Make a file."""
    path.write_bytes(content)


def content(path: Path) -> bytes:
    """Every byte of a file."""
    return path.read_bytes()


def protect(path: Path, file: int, folder: int) -> None:
    """Set the rights of the file and of its folder."""
    path.chmod(file)
    path.parent.chmod(folder)


async def test_file_is_the_owners_alone(path: Path) -> None:
    """The database and its log are readable by nobody else, and nothing else is left in the folder."""
    store = await open_sqlite(path)
    await write(store, "deliveries.add", delivery("d1"))
    assert {name.name for name in path.parent.iterdir()} == {"store.db", "store.db-wal", "store.db-shm"}
    assert {stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()} == {0o600}
    await store.close()
    assert [name.name for name in path.parent.iterdir()] == ["store.db"]


async def test_commits_reach_the_disk(path: Path) -> None:
    """Connections write through a log (WAL) and wait for the disk at every commit (FULL)."""
    await make(path)
    with closing(sqlite_file.connect(path, read_only=False)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


async def test_opening_again_keeps_everything(path: Path) -> None:
    """A database that is there is used as it is."""
    await make(path)
    store = await open_sqlite(path)
    assert await read(store, "deliveries.get", "d1") == delivery("d1")
    await store.close()


async def test_memory_is_refused() -> None:
    """A database in memory is no store."""
    with pytest.raises(StoreError, match="name a file"):
        await open_sqlite(Path(":memory:"))


async def test_missing_folder_is_told(tmp_path: Path) -> None:
    """A folder that does not exist is an error that names the path and what to do."""
    with pytest.raises(StoreUnavailable, match=r"nowhere/store\.db.*folder must exist"):
        await open_sqlite(tmp_path / "nowhere" / "store.db")


async def test_other_files_are_refused_and_left_alone(path: Path) -> None:
    """A file that is no database is refused, and not a byte of it changes."""
    before = b"something else entirely, and long enough to be looked at" * 50
    put(path, before)
    with pytest.raises(StoreError, match="not a SQLite database"):
        await open_sqlite(path)
    assert content(path) == before


async def test_other_programs_databases_are_refused_and_left_alone(path: Path) -> None:
    """A SQLite database that is not ours is refused, and not a byte of it changes."""
    edit(path, "CREATE TABLE theirs (x)")
    before = content(path)
    with pytest.raises(StoreError, match="another program"):
        await open_sqlite(path)
    assert content(path) == before


async def test_empty_file_becomes_a_database(path: Path) -> None:
    """An empty file, made by a person or a volume, is taken as a new database."""
    put(path, b"")
    await make(path)


async def test_newer_database_is_refused(path: Path) -> None:
    """A database of a newer version is refused with both versions."""
    await make(path)
    edit(path, "INSERT INTO migrations VALUES (999, '0999_later.sql', 'x', NULL)")
    with pytest.raises(
        StoreError, match=r"newer runbookd, and 0999_later.sql .*\(schema 999; this one knows up to \d+\)"
    ):
        await open_sqlite(path)


async def test_other_schema_is_refused(path: Path) -> None:
    """A database made by a migration with another text is refused by its name."""
    await make(path)
    edit(path, "UPDATE migrations SET checksum = 'x' WHERE version = 1")
    with pytest.raises(StoreError, match=r"another 0001_start\.sql"):
        await open_sqlite(path)


async def test_migration_is_all_or_nothing(path: Path) -> None:
    """A migration that fails half-way leaves nothing of itself behind."""
    edit(path, f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}")
    edit(path, "CREATE TABLE switches (in_its_way)")
    with pytest.raises(StoreError, match="switches already exists"):
        await open_sqlite(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM sqlite_schema").fetchall() == [("switches",)]


async def test_damaged_database_is_told(path: Path) -> None:
    """A file whose pages were overwritten is an error with what to do, not a crash."""
    await make(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 200_000)
    with pytest.raises(StoreError, match="damaged"):
        await open_sqlite(path)


async def by_hand(path: Path, pragma: str) -> SqliteStore:
    """A store whose writer has one setting changed."""
    await asyncio.to_thread(sqlite_file.prepare, path)
    connection = sqlite_file.connect(path, read_only=False)
    connection.execute(pragma)
    writer = SqliteWriter(connection, asyncio.get_running_loop(), chain="main", batch=256)
    return SqliteStore(writer, [sqlite_file.connect(path, read_only=True)], chain="main", queue=99)


async def test_full_file_is_unavailable_not_lost(path: Path) -> None:
    """When the file can grow no more, units fail with StoreUnavailable, and what was kept stays readable."""
    await make(path)
    store = await by_hand(path, "PRAGMA max_page_count = 90")
    big = [write(store, "deliveries.add", delivery(f"b{n}", body=b"x" * 200_000)) for n in range(5)]
    small = write(store, "switches.set", "a", "on")
    results = await asyncio.gather(*big, small, return_exceptions=True)
    failed = [result for result in results if isinstance(result, StoreUnavailable)]
    assert len(failed) >= 4
    assert "the disk is full" in str(failed[0])
    kept = {each.id for each in await read(store, "deliveries.recent", 99)}
    assert kept == {"d1"} | {f"b{n}" for n in range(5) if results[n] is None}
    await write(store, "switches.set", "b", "on")
    await store.close()


async def test_full_disk_in_a_commit_fails_the_whole_batch(path: Path, child: Child) -> None:
    """A commit the disk does not take fails every unit of it with StoreUnavailable; with room again all goes on."""
    lines = (await output(await child("full", path))).splitlines()
    assert len(lines) == 21
    assert {line.split()[0] for line in lines[:20]} <= {"StoreUnavailable", "NoneType"}
    assert (
        sum(line.startswith("StoreUnavailable The database cannot be used for now") for line in lines) >= 15
    )
    kept = [f"d{n}" for n in range(20) if lines[n].startswith("NoneType")]
    assert sorted(json.loads(lines[20])) == sorted(["before", "after", *kept])


async def test_locked_file_is_unavailable(path: Path) -> None:
    """When another process holds the write lock too long, units fail with StoreUnavailable, and go on after."""
    store = await by_hand(path, "PRAGMA busy_timeout = 20")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="write lock"):
            await write(store, "switches.set", "a", "on")
        assert await read(store, "switches.get", "a") is None
        other.execute("ROLLBACK")
    await write(store, "switches.set", "a", "on")
    await store.close()


async def test_waiting_units_are_counted(path: Path) -> None:
    """`waiting` tells how many units wait to be written, for the metric."""
    store = await open_sqlite(path)
    inside, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def slow(tx: Tx) -> None:
        loop.call_soon_threadsafe(inside.set)
        release.wait(10)

    held = asyncio.create_task(store.write(slow))
    await inside.wait()
    waiting = asyncio.gather(*(write(store, "switches.set", "a", "on") for _ in range(3)))
    await loop.run_in_executor(None, lambda: None)
    assert store.waiting == 3
    release.set()
    await waiting
    await held
    assert store.waiting == 0
    await store.close()


async def test_read_only_file_is_unavailable(path: Path, child: Child) -> None:
    """A file without the right to write is StoreUnavailable with what to do."""
    await make(path)
    protect(path, 0o400, 0o500)
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root may write everything until it gives that right up
        tool = shutil.which("setpriv")
        assert tool
        before = (tool, "--inh-caps=-dac_override", "--bounding-set=-dac_override")
    printed = await output(await child("read-only", path, before=before))
    protect(path, 0o600, 0o700)
    assert printed.startswith("StoreUnavailable The database")
    assert "right" in printed


async def test_processes_that_make_the_file_at_once(path: Path, child: Child) -> None:
    """Several processes may find no database at the same moment; all open the one that comes to be.

    Of two connections that close at the same moment SQLite may take neither for the last: the log is left, whole, to
    whoever opens the file next. What was made beside the file is gone.
    """
    moment = str(time.time() + 1)
    for process in [await child("open", path, moment) for _ in range(4)]:
        await output(process)
    assert {name.name for name in path.parent.iterdir()} <= {"store.db", "store.db-wal", "store.db-shm"}
    await make(path)
    assert [name.name for name in path.parent.iterdir()] == ["store.db"]


async def test_two_processes_on_one_file(path: Path, child: Child) -> None:
    """Processes that write at once lose nothing of each other, and make one unbroken ledger."""
    processes = [await child("append", path, name) for name in ("a", "b")]
    for process in processes:
        await output(process)
    store = await open_sqlite(path)
    assert await read(store, "switches.get", "n") == "100"
    entries = await read(store, "ledger.read", 0, 999, {})
    assert len(entries) == 100
    assert list(broken_links(entries)) == []
    await store.close()


@pytest.mark.parametrize("acknowledged", [1, 40, 300])
async def test_kill_loses_nothing_acknowledged(path: Path, child: Child, acknowledged: int) -> None:
    """After kill -9 in the middle of writing, every acknowledged delivery is there, whole."""
    process = await child("write", path, "d")
    assert process.stdout
    printed = [await process.stdout.readline() for _ in range(acknowledged)]
    process.kill()
    printed += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    names = {line.decode().strip() for line in printed if line.endswith(b"\n")}
    assert len(names) >= acknowledged
    store = await open_sqlite(path)
    kept = {each.id: each for each in await read(store, "deliveries.recent", 99_999)}
    assert names <= kept.keys()
    assert all(len(each.body) == 5000 for each in kept.values())
    await store.close()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
