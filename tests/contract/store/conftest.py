"""A store per test, on every engine there is; the tests never say which one they have."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from runbookd.ports import Store
from runbookd.store.postgres import open_postgres
from runbookd.store.sqlite import open_sqlite
from tests.postgres import PostgresServer
from tests.postgres_proxy import Proxy, proxy

T = TypeVar("T")
Opener = Callable[..., Awaitable[Store]]
Raw = Callable[..., Awaitable[None]]
Held = Callable[[], AbstractAsyncContextManager[None]]
Elsewhere = Callable[[Callable[[Store], Awaitable[Any]]], Any]


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine a test runs on."""
    name: str = request.param
    return name


@pytest.fixture
async def place(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The test's one database: a file, or a URL."""
    if engine == "sqlite":
        yield str(tmp_path / "store.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new()
    yield server.url(name)
    await server.drop(name)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The name of a new Postgres database."""
    name = await postgres.new()
    yield name
    await postgres.drop(name)


@pytest.fixture
async def wire(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    """A wire to the Postgres server that can be cut."""
    async with proxy(postgres) as it:
        yield it


async def open_place(place: str, **arguments: Any) -> Store:
    """Open a database with whatever engine is its own."""
    if place.startswith("postgresql:"):
        return await open_postgres(place, **arguments)
    return await open_sqlite(Path(place), **arguments)


@pytest.fixture
async def opened(place: str) -> AsyncIterator[Opener]:
    """A function that opens the test's one database once more, with the engine's arguments; all end with the test."""
    async with AsyncExitStack() as stack:

        async def open_store(**arguments: object) -> Store:
            store = await open_place(place, **arguments)
            stack.push_async_callback(store.close)
            return store

        yield open_store


@pytest.fixture
async def store(opened: Opener) -> Store:
    """A new, empty store."""
    return await opened()


@pytest.fixture
def elsewhere(place: str) -> Elsewhere:
    """A function that gives a store of another thread and loop to `work`, and waits for its answer.

    A unit of work may call it, to have something happen in the middle of its transaction.
    """

    def run(work: Callable[[Store], Awaitable[T]]) -> T:
        answers: list[T] = []

        async def do() -> None:
            store = await open_place(place)
            try:
                answers.append(await work(store))
            finally:
                await store.close()

        thread = threading.Thread(target=lambda: asyncio.run(do()))
        thread.start()
        thread.join(20)
        return answers[0]

    return run


@pytest.fixture
async def raw(place: str) -> AsyncIterator[Raw]:
    """A function that changes the database behind the store's back; `?` in its SQL stands for a value."""
    if not place.startswith("postgresql:"):

        async def on_sqlite(sql: str, *values: object) -> None:
            with closing(sqlite3.connect(place, isolation_level=None)) as file:
                file.execute(sql, values)

        yield on_sqlite
        return
    connection = await asyncpg.connect(place)

    async def on_postgres(sql: str, *values: object) -> None:
        numbers = count(1)
        await connection.execute("".join(f"${next(numbers)}" if c == "?" else c for c in sql), *values)

    yield on_postgres
    await connection.close()


@pytest.fixture
def held(place: str) -> Held:
    """A function whose context is a time in which somebody else keeps the switches from being written."""

    @asynccontextmanager
    async def hold() -> AsyncIterator[None]:
        if not place.startswith("postgresql:"):
            with closing(sqlite3.connect(place, isolation_level=None)) as file:
                file.execute("BEGIN IMMEDIATE")
                yield
            return
        connection = await asyncpg.connect(place)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE switches IN EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()

    return hold
