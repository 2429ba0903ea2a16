"""What the Postgres engine promises besides the contract: broken connections, other replicas, its schema."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from runbookd.errors import SettingsError, StoreError, StoreUnavailable
from runbookd.model.work import WorkKind
from runbookd.ports import Store, Tx
from runbookd.settings import load_settings
from runbookd.store import postgres, postgres_driver, postgres_schema
from runbookd.store.postgres import PostgresStore, open_postgres
from runbookd.store.postgres_driver import Verdict, explain, judge, query_of
from runbookd.store.postgres_url import fault_of, place
from runbookd.store.statements import statements
from tests.contract.store.samples import alert, at, delivery, read, run, write
from tests.postgres import PostgresServer
from tests.postgres_proxy import Proxy
from tests.servers import eventually


@pytest.fixture
async def store(wire: Proxy, database: str) -> AsyncIterator[PostgresStore]:
    """A store behind the wire."""
    it = await open_postgres(wire.url(database))
    yield it
    await it.close()


async def count(tx: Tx) -> int:
    """Add one to a number, and return it."""
    n = int(await tx.switches.get("n") or 0) + 1
    await tx.switches.set("n", str(n))
    return n


@pytest.mark.parametrize("lost", ["cut_before", "cut_after"])
async def test_a_commit_without_an_answer_is_made_once(store: Store, wire: Proxy, lost: str) -> None:
    """The connection breaks before or after the commit arrives: the unit is kept once, and its caller hears so."""
    assert await store.write(count) == 1
    setattr(wire, lost, b"COMMIT")
    assert await store.write(count) == 2
    assert wire.cuts == 1
    assert await read(store, "switches.get", "n") == "2"


@pytest.mark.parametrize(
    "word", [b"BEGIN", b"SELECT value FROM switches", b"INSERT INTO switches", b"current_xact"]
)
async def test_a_connection_lost_in_the_middle_changes_nothing(
    store: Store, wire: Proxy, word: bytes
) -> None:
    """Wherever in a unit the connection breaks, the unit goes again on another, and is kept once."""
    wire.cut_before = word
    assert await asyncio.gather(*(store.write(count) for _ in range(5))) == [1, 2, 3, 4, 5]
    wire.cut_before = b"BEGIN"
    assert await read(store, "switches.get", "n") == "5"
    assert wire.cuts == 2


async def test_all_connections_cut_at_once(store: Store, wire: Proxy) -> None:
    """A failover that closes every connection is survived without an error."""
    await store.write(count)
    await read(store, "switches.get", "n")
    wire.cut()
    assert await store.write(count) == 2
    wire.cut()
    assert await read(store, "switches.get", "n") == "2"


async def test_ended_sessions_are_replaced(store: Store, postgres: PostgresServer, database: str) -> None:
    """Sessions that the server itself ended, as at its restart, are replaced."""
    await store.write(count)
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"  # noqa: S608 - our own name
    await postgres.run(end)
    assert await store.write(count) == 2


async def test_a_server_out_of_reach_is_unavailable(store: Store, wire: Proxy) -> None:
    """Without a server units fail with StoreUnavailable, which names no password; when it is back all goes on."""
    await store.write(count)
    wire.open = False
    wire.cut()
    for attempt in (store.write(count), read(store, "switches.get", "n")):
        with pytest.raises(StoreUnavailable, match="cannot be reached") as told:
            await attempt
        assert "hidden" not in str(told.value)
    wire.open = True
    assert await store.write(count) == 2


async def test_opening_without_a_server_is_unavailable(wire: Proxy, database: str) -> None:
    """Opening says which database cannot be reached, without the password."""
    wire.open = False
    with pytest.raises(StoreUnavailable, match=rf"The database .*/{database} cannot be opened") as told:
        await open_postgres(wire.url(database))
    assert "hidden" not in str(told.value)


async def test_decisions_of_replicas_are_as_if_one_made_them(postgres: PostgresServer, database: str) -> None:
    """However many decide at once upon what they counted, a bound on runs is kept exactly."""
    stores = [await open_postgres(postgres.url(database), chain=f"r{n}") for n in range(3)]

    async def start(store: Store, name: str) -> None:
        async def unit(tx: Tx) -> None:
            if await tx.runs.acted_since(at(-1), 99) < 10:
                await tx.runs.add(run(name))

        await store.write(unit)

    await asyncio.gather(*(start(stores[n % 3], f"r{n}") for n in range(60)))
    assert await read(stores[0], "runs.acted_since", at(-1), 99) == 10
    for store in stores:
        await store.close()


async def test_work_wakes_the_other_replicas(postgres: PostgresServer, database: str) -> None:
    """Who adds work wakes every other replica when it is committed, and not itself."""
    one, other = [await open_postgres(postgres.url(database)) for _ in range(2)]
    woken: list[str] = []
    assert await one.attend("one", lambda: woken.append("one"))
    assert await other.attend("other", lambda: woken.append("other"))
    await write(one, "work.add", WorkKind.ADMIT, "a", at(0))
    await eventually(lambda: woken, within=5)
    await write(other, "switches.set", "a", "on")
    await write(other, "work.add", WorkKind.ADMIT, "b", at(0))
    await eventually(lambda: len(woken) == 2, within=5)
    assert woken == ["other", "one"]
    await one.close()
    await other.close()


async def test_a_name_is_held_by_one(postgres: PostgresServer, database: str) -> None:
    """The second process of one name is told; when the first has gone the name is free."""
    stores = [await open_postgres(postgres.url(database)) for _ in range(3)]
    assert await stores[0].attend("a", lambda: None)
    assert not await stores[1].attend("a", lambda: None)
    assert await stores[2].attend("b", lambda: None)
    await stores[0].close()
    again = await open_postgres(postgres.url(database))

    async def free() -> bool:
        return await again.attend("a", lambda: None)

    await eventually(free, within=5)
    for store in (*stores, again):
        await store.close()


async def test_a_dead_standing_connection_is_replaced(
    store: PostgresStore, wire: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standing connection that broke is found by asking, and whoever waits is woken: a message may be lost."""
    monkeypatch.setattr(postgres, "PING_SECONDS", 0.05)
    woken: list[bool] = []
    await store.attend("a", lambda: woken.append(True))
    wire.cut()
    await eventually(lambda: woken, within=5)
    wire.open = False
    wire.cut()
    await eventually(lambda: wire.open is False, within=5)
    wire.open = True
    await eventually(lambda: len(woken) > 1, within=5)


async def test_replicas_are_told_one_time(store: Store, wire: Proxy) -> None:
    """The server's clock is everyone's; out of reach it is StoreUnavailable."""
    now = await store.time()
    assert now is not None
    assert now.utcoffset() == timedelta(0)
    wire.open = False
    wire.cut()
    with pytest.raises(StoreUnavailable):
        await store.time()


async def test_text_with_a_zero_byte_is_kept(store: Store) -> None:
    """Postgres keeps no zero byte in text; it is kept, and asked for, as the sign that shows one."""
    await store.write(lambda tx: tx.alerts.save(alert("a1", fingerprint="f\x001")))
    found = await read(store, "alerts.latest", "alertmanager", "f\x001")
    assert found.fingerprint == "f\u24001"
    assert found.event.labels == alert("a1").event.labels


async def test_an_empty_database_is_made_ready_by_whoever_comes(postgres: PostgresServer) -> None:
    """Several processes may find an empty database at once: each migration is applied once; again changes nothing."""
    url = postgres.url(await postgres.empty())
    with pytest.raises(StoreError, match="runbookd migrate"):
        await open_postgres(url, migrate=False)
    applied = await asyncio.gather(*(postgres_schema.prepare(url) for _ in range(3)))
    assert sorted(map(len, applied))[:2] == [0, 0]
    assert max(applied, key=len)[0] == "0001_start.sql"
    store = await open_postgres(url, migrate=False)
    await write(store, "deliveries.add", delivery("d1"))
    await store.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "INSERT INTO migrations VALUES (999, '0999_later.sql', 'x')",
            r"newer runbookd, and 0999_later\.sql",
        ),
        ("UPDATE migrations SET checksum = 'x' WHERE version = 1", r"another 0001_start\.sql"),
    ],
)
async def test_a_schema_of_another_version_is_refused(
    postgres: PostgresServer, database: str, change: str, told: str
) -> None:
    """A newer schema, or one made by another text, is refused by all who open it."""
    await postgres.run(change, database=database)
    for migrate in (True, False):
        with pytest.raises(StoreError, match=told):
            await open_postgres(postgres.url(database), migrate=migrate)


async def test_the_ledger_cannot_be_emptied(store: Store, postgres: PostgresServer, database: str) -> None:
    """Not even a TRUNCATE takes the ledger away."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="cannot be deleted from"):
        await postgres.run("TRUNCATE ledger", database=database)


async def test_every_statement_is_valid(postgres: PostgresServer, database: str) -> None:
    """Postgres accepts every statement, with each of its filters."""
    connection = await asyncpg.connect(postgres.url(database))
    for statement in statements().values():
        for where in [(), *((column,) for column in statement.filters)]:
            await connection.prepare(query_of(statement.name, where).text)
    await connection.close()


async def test_a_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StoreError, match=r"pip install 'runbookd\[postgres\]'"):
        await open_postgres("postgresql://localhost/x")


@pytest.mark.parametrize(
    ("error", "verdict", "told"),
    [
        (asyncpg.SerializationError("x"), Verdict.CONFLICT, "Other transactions were first"),
        (asyncpg.DeadlockDetectedError("x"), Verdict.CONFLICT, "Other transactions were first"),
        (asyncpg.AdminShutdownError("x"), Verdict.LOST, "cannot be reached"),
        (asyncpg.ReadOnlySQLTransactionError("x"), Verdict.LOST, "takes no writes: it is a standby"),
        (
            asyncpg.exceptions.TargetServerAttributeNotMatched("x"),
            Verdict.LOST,
            "takes no writes: it is a standby",
        ),
        (asyncpg.DuplicatePreparedStatementError("x"), Verdict.LASTING, "pool_mode = session"),
        (asyncpg.InvalidSQLStatementNameError("x"), Verdict.LASTING, "pool_mode = session"),
        (asyncpg.InterfaceError("connection is closed"), Verdict.LOST, "cannot be reached"),
        (ConnectionResetError("x"), Verdict.LOST, "cannot be reached"),
        (TimeoutError(), Verdict.LOST, "cannot be reached"),
        (asyncpg.DiskFullError("x"), Verdict.PASSING, "its disk is full"),
        (asyncpg.TooManyConnectionsError("x"), Verdict.PASSING, "no connection left"),
        (asyncpg.LockNotAvailableError("x"), Verdict.PASSING, "held a lock too long"),
        (asyncpg.QueryCanceledError("x"), Verdict.PASSING, "took too long"),
        (asyncpg.InvalidPasswordError("x"), Verdict.LASTING, "does not let us in"),
        (asyncpg.UniqueViolationError("x"), Verdict.LASTING, "contradicts"),
        (asyncpg.UndefinedTableError("x"), Verdict.LASTING, "does not take this statement"),
        (asyncpg.exceptions.ClientConfigurationError("x"), Verdict.LASTING, "driver of Postgres refused"),
    ],
)
def test_errors_are_told_in_an_operators_words(error: Exception, verdict: Verdict, told: str) -> None:
    """What may pass is StoreUnavailable, the rest is StoreError, each with what to do."""
    assert isinstance(error, postgres_driver.driver_errors())
    assert judge(error) is verdict
    assert told in str(explain(error))
    assert isinstance(explain(error), StoreUnavailable) is (verdict is not Verdict.LASTING)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ana:secret@db.example:5433/ops", "db.example:5433/ops"),
        ("postgresql://db/ops?sslmode=require", "db/ops"),
        ("postgresql:///ops?host=/run/postgresql", "/run/postgresql/ops"),
        ("postgresql://ana@/ops", "localhost/ops"),
        ("postgresql://ana:secret@db1:5432,db2:5433/ops", "db1:5432,db2:5433/ops"),
        ("postgresql://[::1]:5432,db2/ops", "[::1]:5432,db2/ops"),
        ("postgresql://ana:secret@/ops?host=/run/a,/run/b&port=1,2", "/run/a,/run/b/ops"),
        ("postgres://ana:se%40cr%2Fet@db/ops", "db/ops"),
        ("postgresql://ana:12/secret@db/ops", "of database_url"),
    ],
)
def test_a_place_is_named_without_its_password(url: str, told: str) -> None:
    """A database is named by server, port and name alone."""
    assert place(url) == told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:12/Secret0word@db/ops",
        "postgresql://ana:Secret@0word@db/ops",
        "postgresql://ana:Secret?0word@db/ops",
        "postgresql://ana:Secret#0word@db/ops",
        "postgresql://ana:Secret#0word",
        "postgresql://ana:Secret[0word@db/ops",
        "postgresql://ana:Secret0word/ops",
        "postgresql://[::1/Secret0word",
        "postgresql://db:5432:Secret0word/ops",
        "postgresql://db1:5432,db2:Secret0word/ops",
        "postgresql://db:70000/Secret0word",
        "postgresql://db:0/Secret0word",
        "postgresql:///Secret0word?port=5432,x",
        "postgresql://db/ops?Secret0word",
        "mysql://ana:Secret0word@db/ops",
    ],
)
async def test_of_a_url_that_cannot_be_read_nothing_is_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told what is wrong with it, by the settings and by whoever opens it all the same; no part of it is told."""
    fault = fault_of(url)
    assert fault is not None
    monkeypatch.setenv("RUNBOOKD_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="database_url") as settings:
        load_settings(None)
    with pytest.raises(StoreError) as opened:
        await open_postgres(url)
    for said in (fault, place(url), str(settings.value), str(opened.value)):
        assert "ecret" not in said
        assert "0word" not in said
