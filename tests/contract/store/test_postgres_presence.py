"""What a replica's standing connection promises: it is replaced, and what it cannot do is told, never hidden."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from runbookd.errors import SettingsError, StoreError, StoreUnavailable
from runbookd.store import postgres
from runbookd.store.postgres import PostgresStore, open_postgres
from tests.contract.store.samples import read, write
from tests.postgres import PostgresServer
from tests.postgres_pooler import pooler
from tests.postgres_proxy import Proxy
from tests.servers import eventually, free_port

RIVAL = "another process has the name a: give each replica one of its own (`name` in the settings)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is asked after twenty times a second."""
    monkeypatch.setattr(postgres, "PING_SECONDS", 0.05)


@pytest.fixture
async def store(wire: Proxy, database: str) -> AsyncIterator[PostgresStore]:
    """A store behind the wire."""
    it = await open_postgres(wire.url(database))
    yield it
    await it.close()


@pytest.fixture
async def rival(postgres: PostgresServer, database: str) -> AsyncIterator[PostgresStore]:
    """Another process on the same database."""
    it = await open_postgres(postgres.url(database))
    yield it
    await it.close()


async def test_a_lost_connection_is_told_and_made_again(store: PostgresStore, wire: Proxy) -> None:
    """While there is none that is told each time it was tried; then that all is well, and whoever waits is woken."""
    told: list[str | None] = []
    woken: list[bool] = []
    assert await store.attend("a", lambda: woken.append(True), told.append)
    assert told == [None]
    wire.open = False
    wire.cut()
    await eventually(lambda: told.count(told[-1]) > 1 and told[-1], within=5)
    assert "does not hear of work that others leave" in str(told[-1])
    assert "hidden" not in str(told[-1])
    wire.open = True
    await eventually(lambda: told[-1] is None and woken, within=5)


async def test_what_nobody_foresaw_is_told_and_ends_nothing(store: PostgresStore, wire: Proxy) -> None:
    """Whatever goes wrong while it is made again, it is told, tried again, and the store closes as ever."""
    told: list[str | None] = []
    failures = iter([LookupError("nobody foresaw this"), None])

    def wake() -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure

    await store.attend("a", wake, told.append)
    wire.cut()
    await eventually(lambda: len(told) > 1 and told[-1] is None, within=5)
    assert "does not hear of work that others leave: LookupError: nobody foresaw this" in told


async def test_a_name_taken_meanwhile_is_told(
    store: PostgresStore, rival: PostgresStore, wire: Proxy
) -> None:
    """Who loses the connection loses the name; taken by another it is told until that one has gone."""
    told: list[str | None] = []
    await store.attend("a", lambda: None, told.append)
    wire.open = False
    wire.cut()

    async def free() -> bool:
        return await rival.attend("a", lambda: None)

    await eventually(free, within=5)
    wire.open = True
    await eventually(lambda: told[-1] == RIVAL, within=5)
    await rival.close()
    await eventually(lambda: told[-1] is None, within=5)


async def test_the_newcomer_of_a_name_is_told(store: PostgresStore, rival: PostgresStore) -> None:
    """The second process of a name hears it at once, and that the name is its own when the first has gone."""
    told: list[str | None] = []
    assert await rival.attend("a", lambda: None)
    assert not await store.attend("a", lambda: None, told.append)
    assert told == [RIVAL]
    await rival.close()
    await eventually(lambda: told[-1] is None, within=5)


async def test_the_one_of_several_hosts_that_answers_is_used(wire: Proxy, database: str) -> None:
    """A URL of several hosts with their ports opens, and stands a lost connection as one of a single host."""
    port = free_port()
    server = await asyncio.start_server(wire.handle, "127.0.0.1", port)
    url = f"postgresql://postgres:hidden@127.0.0.1:{free_port()},127.0.0.1:{port}/{database}"
    told: list[str | None] = []
    store = await open_postgres(url)
    assert await store.attend("a", lambda: None, told.append)
    await write(store, "switches.set", "n", "1")
    wire.open = False
    wire.cut()
    await eventually(lambda: told[-1], within=5)
    assert f"127.0.0.1:{port}/{database} cannot be opened" in str(told[-1])
    assert "hidden" not in str(told[-1])
    wire.open = True
    await eventually(lambda: told[-1] is None, within=5)
    assert await read(store, "switches.get", "n") == "1"
    await store.close()
    server.close()


@pytest.mark.parametrize("query", ["foo=bar", "work_mem=lots"])
async def test_a_parameter_that_nobody_knows_is_a_mistake_in_the_settings(
    postgres: PostgresServer, database: str, query: str
) -> None:
    """Neither the driver nor the server knows it, or its value: that is told by its name."""
    with pytest.raises(SettingsError, match=query.partition("=")[0]):
        await open_postgres(f"{postgres.url(database)}&{query}")


async def test_a_server_that_takes_no_writes_is_told(postgres: PostgresServer) -> None:
    """A database made read-only, as a standby is, is told for what it is."""
    name = await postgres.empty()
    await postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="takes no writes: it is a standby") as refused:
        await open_postgres(postgres.url(name))
    assert "cannot be reached" not in str(refused.value)


async def test_a_pooler_that_gives_sessions_away_is_told_at_the_start(
    postgres: PostgresServer, database: str
) -> None:
    """A service behind one does not begin: it would hear of nothing, and have no name; what to set is told."""
    async with pooler(postgres) as between:
        with pytest.raises(StoreError, match="pool_mode = session"):
            await attended(between.url(database))


async def attended(url: str) -> None:
    """Open a store and be a replica, as a service does."""
    store = await open_postgres(url)
    try:
        await store.attend("a", lambda: None)
    finally:
        await store.close()
