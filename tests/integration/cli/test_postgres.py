"""The commands on a Postgres database: the schema, looking, acting, and a ledger of several chains."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator

import asyncpg
import pytest

from runbookd.model.audit import Entry, Stage
from runbookd.store.postgres import open_postgres
from runbookd.store.schema import migrations_of
from tests.contract.store.samples import T0
from tests.integration.cli.conftest import Runbookd
from tests.integration.cli.test_acting import serving
from tests.integration.cli.test_service_seen import ready
from tests.postgres import PostgresServer

_NEWEST = migrations_of("postgres")[-1].version


@pytest.fixture
async def url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database with nothing in it."""
    name = await postgres.empty()
    yield postgres.url(name).replace("postgres@", "postgres:hidden@")
    await postgres.drop(name)


@pytest.fixture
def on_postgres(runbookd: Runbookd, url: str) -> Runbookd:
    """The console script, told of the database by its variable."""
    return runbookd.having({"RUNBOOKD_DATABASE_URL": url})


async def test_the_schema_is_made_and_made_once(on_postgres: Runbookd) -> None:
    """Before `migrate` a command says to run it; after it all is there, and again changes nothing."""
    assert "runbookd migrate" in on_postgres("status", code=4).stderr
    assert "applied 0001_start.sql" in on_postgres("migrate").stdout
    again = on_postgres("migrate").stdout
    assert "applied" not in again
    assert "is up to date" in again
    assert "hidden" not in again
    status = on_postgres("status").stdout
    assert "Postgres " in status
    assert "hidden" not in status


@pytest.mark.parametrize("schema", ["none", "older"])
async def test_only_serve_and_migrate_touch_the_schema(
    on_postgres: Runbookd, postgres: PostgresServer, url: str, schema: str
) -> None:
    """A command that works on the database refuses a schema that is not there, or older, and leaves it as it is."""
    database = url.partition("@/")[2].partition("?")[0]
    if schema == "older":
        on_postgres("migrate")
        newest = "DELETE FROM migrations WHERE version = (SELECT max(version) FROM migrations)"
        await postgres.run(newest, database=database)
    for command in (["run", "note", "-i", "host=db-1"], ["prune"], ["pause", "--reason", "maintenance"]):
        error = on_postgres(*command, code=4).stderr
        assert "runbookd migrate" in error
        assert "hidden" not in error
    connection = await asyncpg.connect(url)
    try:
        if schema == "none":
            assert await connection.fetchval("SELECT to_regclass('migrations')") is None
        else:
            assert await connection.fetchval("SELECT max(version) FROM migrations") == _NEWEST - 1
    finally:
        await connection.close()


async def test_sqlite_has_the_same_command(runbookd: Runbookd) -> None:
    """On SQLite `migrate` makes the file; `--database` outranks the variable."""
    there = runbookd.having({"RUNBOOKD_DATABASE_URL": "postgresql://nowhere.invalid/x"})
    assert "applied 0001_start.sql" in there("migrate", "--database", "new.db").stdout
    assert "applied" not in there("migrate", "--database", "new.db").stdout
    assert "up to date" in there("migrate", "--database", "new.db").stdout
    assert there.json("status", "--database", "new.db")["entries"] == 0


async def test_a_wrong_url_is_told_without_its_password(runbookd: Runbookd) -> None:
    """A URL of something else is refused by its name, never by its value."""
    wrong = runbookd.having({"RUNBOOKD_DATABASE_URL": "mysql://ana:hidden@db/x"})
    error = wrong("status", code=2).stderr
    assert "database_url" in error
    assert "hidden" not in error


async def test_another_programs_database_is_left_alone(
    on_postgres: Runbookd, postgres: PostgresServer, url: str
) -> None:
    """A table `migrations` of somebody else is told for what it is, and nothing is made beside it."""
    database = url.partition("@/")[2].partition("?")[0]
    await postgres.run(
        "CREATE TABLE migrations (id serial, app text, applied timestamptz)", database=database
    )
    for command in ("migrate", "status"):
        assert "another program" in on_postgres(command, code=4).stderr
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT to_regclass('ledger')") is None
    finally:
        await connection.close()


async def test_the_switch_is_turned_beside_a_newer_version(
    on_postgres: Runbookd, postgres: PostgresServer, url: str
) -> None:
    """In the middle of a rolling upgrade the older version's commands work; where they cannot, they say what can."""
    on_postgres("migrate")
    database = url.partition("@/")[2].partition("?")[0]
    later = "INSERT INTO migrations VALUES ({0}, '{0}_later.sql', 'x', {1})"
    await postgres.run(later.format(_NEWEST + 1, _NEWEST), database=database)
    on_postgres("pause", "--reason", "the new version does too much")
    assert on_postgres.json("status")["paused"]["reason"] == "the new version does too much"
    await postgres.run(later.format(_NEWEST + 2, _NEWEST + 1), database=database)
    error = on_postgres("resume", "--reason", "x", code=4).stderr
    assert "Start the newer version" in error
    assert "backup" not in error


async def test_commands_append_to_one_chain(on_postgres: Runbookd, url: str) -> None:
    """Whatever a command notes is in the chain `cli`, on whatever host it runs."""
    there = on_postgres.having(
        {**on_postgres.environment, "RUNBOOKD_NAME": "a-host", "RUNBOOKD_RETENTION__ACTS": "0"}
    )
    there("migrate")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO acts (key, done_at) VALUES ('k', 1)")
    finally:
        await connection.close()
    there("prune")
    there("run", "note", "-i", "host=db-1")
    there("pause", "--reason", "maintenance")
    assert {entry["chain"] for entry in there.json("audit", "show")} == {"cli"}
    assert "pruned" in {entry["what"] for entry in there.json("audit", "show")}


def test_two_of_one_name_are_told(on_postgres: Runbookd) -> None:
    """The newcomer is ready, and its `/readyz` warns and a metric counts until the other has gone."""
    on_postgres("migrate")
    first, began = serving(on_postgres, **on_postgres.environment)
    second, came = serving(on_postgres, **on_postgres.environment)
    try:
        assert ready(began["address"])["warnings"] == {}
        told = ready(came["address"])
        assert (told["status"], list(told["warnings"])) == ("ready", ["replica"])
        assert "another process has the name" in told["warnings"]["replica"]
        with urllib.request.urlopen(f"{came['address']}/metrics", timeout=10) as answer:
            assert b"runbookd_attendance_failures_total 0.0" not in answer.read()
    finally:
        for process in (first, second):
            process.terminate()
            assert process.communicate(timeout=40)
    assert [process.returncode for process in (first, second)] == [0, 0]


async def test_what_was_put_in_is_found(on_postgres: Runbookd, postgres: PostgresServer, url: str) -> None:
    """A forged row before the first of a chain is refused by the database, and without its triggers is found."""
    on_postgres("migrate")
    on_postgres("pause", "--reason", "maintenance")
    database = url.partition("@/")[2].partition("?")[0]
    forged = (
        "INSERT INTO ledger (chain, seq, text, previous, hash, stage, what)"
        " SELECT chain, 0, replace(text, 'maintenance', 'the board said yes'), previous, hash, stage, what FROM ledger"
    )
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="but at its end"):
        await postgres.run(forged, database=database)
    on_postgres("audit", "verify")
    await postgres.run("ALTER TABLE ledger DISABLE TRIGGER USER", forged, database=database)
    told = on_postgres("audit", "verify", code=1).stdout
    assert "broken: chain cli, entry 0: was put in; a chain begins with entry 1" in told


async def test_every_chain_is_shown_and_verified(
    on_postgres: Runbookd, url: str, postgres: PostgresServer
) -> None:
    """Entries of all chains are shown by time, verified and exported; a fault names its chain."""
    on_postgres("migrate")
    for chain in ("a", "b"):
        store = await open_postgres(url, chain=chain)
        made = [Entry(at=T0, stage=Stage.ADMIT, what=f"{chain}{n}") for n in range(3)]
        await store.write(lambda tx, made=made: tx.ledger.append(made))  # type: ignore[misc]
        await store.close()
    on_postgres("pause", "--reason", "maintenance")
    assert on_postgres.json("status")["paused"]["reason"] == "maintenance"
    shown = on_postgres.json("audit", "show")
    assert [entry["what"] for entry in shown] == ["a0", "a1", "a2", "b0", "b1", "b2", "paused"]
    verified = on_postgres.json("audit", "verify")
    assert [(head["chain"], head["seq"]) for head in verified["heads"]] == [("a", 3), ("b", 3), ("cli", 1)]
    assert (verified["ok"], verified["checked"], verified["head"]) == (True, 7, None)
    on_postgres("audit", "export", "--to", "ledger.jsonl")
    ends = [f"--head={head['chain']}:{head['seq']}:{head['hash']}" for head in verified["heads"]]
    on_postgres("audit", "verify", "--file", "ledger.jsonl", *ends)
    database = url.partition("@/")[2].partition("?")[0]
    await postgres.run(
        "ALTER TABLE ledger DISABLE TRIGGER USER",
        "DELETE FROM ledger WHERE chain = 'b' AND seq = 3",
        database=database,
    )
    on_postgres("audit", "verify")
    assert "chain b does not hold entry 3:" in on_postgres("audit", "verify", *ends, code=1).stdout
    await postgres.run("UPDATE ledger SET text = '{}' WHERE chain = 'a' AND seq = 2", database=database)
    assert "chain a, entry 2: its text was changed" in on_postgres("audit", "verify", code=1).stdout
