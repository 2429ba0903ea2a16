"""A store per test, on every engine there is; the tests never say which one they have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from runbookd.ports import Store
from runbookd.store.sqlite import open_sqlite

Opener = Callable[..., Awaitable[Store]]


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine a test runs on."""
    name: str = request.param
    return name


@pytest.fixture
async def opened(engine: str, tmp_path: Path) -> AsyncIterator[Opener]:
    """A function that opens the test's one database once more, with the engine's arguments; all end with the test."""
    assert engine == "sqlite"
    async with AsyncExitStack() as stack:

        async def open_store(**arguments: object) -> Store:
            store = await open_sqlite(tmp_path / "store.db", **arguments)  # type: ignore[arg-type]  # the engine's own
            stack.push_async_callback(store.close)
            return store

        yield open_store


@pytest.fixture
async def store(opened: Opener) -> Store:
    """A new, empty store."""
    return await opened()
