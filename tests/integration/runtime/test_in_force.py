"""The files in force are kept in the database: whole, as they are now, and by the last replica that took any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbookd.model.library import Library
from runbookd.ports import Store
from runbookd.runtime import in_force
from runbookd.runtime.in_force import MOST, SWITCH, kept
from runbookd.runtime.presence import Presence, Service
from runbookd.store.postgres import open_postgres
from runbookd.store.sqlite import open_sqlite
from tests.postgres import PostgresServer

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class StillClock:
    """A clock that stands."""

    def now(self) -> datetime:
        """The time it stands at."""
        return NOW


@dataclass
class Replica:
    """A replica's sign of life, and the content it has in force."""

    store: Store
    name: str
    library: Library

    def __post_init__(self) -> None:
        service = Service(
            name=self.name, version="1", mode="act", address="", content="", started_at=NOW, last_seen=NOW
        )
        self.presence = Presence(self.store, StillClock(), service, lambda: (self.library, None))


def library(version: str, **texts: str) -> Library:
    """Content of these files."""
    return Library(version=version, texts={f"{name}.yaml": text for name, text in texts.items()})


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A new database of each engine."""
    if request.param == "sqlite":
        opened: Store = await open_sqlite(tmp_path / "runbookd.db")
        yield opened
        await opened.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new()
    opened = await open_postgres(server.url(name), chain="a")
    yield opened
    await opened.close()
    await server.drop(name)


async def test_the_last_replica_that_took_content_is_right(store: Store) -> None:
    """Whoever takes content says so once: two replicas with different files do not take turns."""
    old = Replica(store, "a", library("1", z="# ä\n", a="rules: []\n"))
    new = Replica(store, "b", library("2", z="# 2\n"))
    await old.presence.begin()
    assert await store.read(kept) == [("z.yaml", "# ä\n"), ("a.yaml", "rules: []\n")]
    await new.presence.begin()
    await old.presence.beat()
    assert await store.read(kept) == [("z.yaml", "# 2\n")]
    old.library = library("3", z="# 3\n")
    await old.presence.beat()
    await new.presence.beat()
    assert await store.read(kept) == [("z.yaml", "# 3\n")]


async def test_what_is_too_large_is_not_kept_and_nothing_older_is(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather none than a part, or what was in force before; the log says so."""
    monkeypatch.setattr(in_force, "MOST", MOST // 1024)
    replica = Replica(store, "a", library("1", a="rules: []\n"))
    await replica.presence.begin()
    replica.library = library("2", a="#" * (MOST // 1024))
    await replica.presence.beat()
    assert await store.read(kept) is None
    assert "too large to be kept" in caplog.text


async def test_what_another_version_keeps_is_not_misread(store: Store) -> None:
    """A value of another form counts as none."""
    await store.write(lambda tx: tx.switches.set(SWITCH, '{"files": {}}'))
    assert await store.read(kept) is None


async def test_what_could_not_be_written_is_written_with_the_next_sign_of_life(tmp_path: Path) -> None:
    """A database that was away for a while has the content in force soon after."""
    away = await open_sqlite(tmp_path / "away.db")
    await away.close()
    replica = Replica(away, "a", library("1", a="rules: []\n"))
    await replica.presence.begin()
    back = await open_sqlite(tmp_path / "back.db")
    try:
        replica.presence._store = back  # noqa: SLF001 - the same one, back again
        await replica.presence.beat()
        assert await back.read(kept) == [("a.yaml", "rules: []\n")]
    finally:
        await back.close()
