"""The connections of one process to Postgres: how they are made and replaced, and how a lost commit is asked after.

Session settings: https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from runbookd.errors import SettingsError, StoreError, StoreUnavailable
from runbookd.store.postgres_driver import Verdict, driver_errors, explain, judge
from runbookd.store.postgres_url import place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_SESSION = {
    "synchronous_commit": "on",  # a commit is acknowledged when it is on disk, whatever the database's default
    "statement_timeout": "20s",
    "lock_timeout": "15s",
    # How soon the server notices that a host vanished without a word.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    # What a transaction has read is noted by row and index page; reading a small table whole would note all of it,
    # and two replicas' decisions would always seem to touch.
    "enable_seqscan": "off",
    "jit": "off",
}
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
"""How long the network may keep an answer back: longer than the server may take for it."""
_OF_PARAMETERS = {"42704", "22023"}
"""What the server says of a parameter it does not know, or of a value that is none of its values."""
_STATEMENTS = 300
_ASKED = 8


async def connect(url: str, name: str, **settings: str) -> Any:
    """Open one connection; `settings` outrank those of a session.

    Raises StoreError, StoreUnavailable, and SettingsError for a URL with a parameter that nobody knows.
    """
    driver = _asyncpg()
    with _opening(url):
        return await driver.connect(url, **_arguments(name, settings))


def drop(connection: Any) -> None:
    """Let go of a connection that may be broken; the pool has taken one back already that it knows to be."""
    with suppress(*driver_errors()):
        connection.terminate()


class Connections:
    """A pool of connections; made by `open_connections`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """Lend a connection. After an error of the driver it is rolled back, or replaced when it is of no use."""
        async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
            try:
                yield connection
            except driver_errors() as error:
                if judge(error) is Verdict.LOST:
                    drop(connection)
                elif connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
                raise

    async def was_committed(self, number: str) -> bool:
        """Whether the transaction of this number was kept. Raises StoreUnavailable when nobody can tell any more."""
        for attempt in range(_ASKED):
            await self.pause(0.05 * 2**attempt)
            try:
                async with self.one() as connection:
                    state = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", number)
            except driver_errors() as error:
                if judge(error) is Verdict.LOST:
                    continue
                break
            if state in {"committed", "aborted"}:
                return bool(state == "committed")
        raise StoreUnavailable(
            "The connection to Postgres broke in the middle of a commit, and it cannot be told whether that was kept. "
            "Look before you try again."
        )

    async def pause(self, seconds: float) -> None:
        """Wait before the next attempt; not at all when the store closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close every connection; one that does not answer is dropped."""
        self._closing.set()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def open_connections(url: str, name: str, most: int, stall: float) -> Connections:
    """Make a pool of at most so many connections. Raises StoreError, StoreUnavailable.

    A process that stands still in a transaction for `stall` seconds is made to let go of what it holds.
    """
    driver = _asyncpg()
    settings = {"idle_in_transaction_session_timeout": f"{round(stall * 1000)}ms"}
    with _opening(url):
        pool = await driver.create_pool(
            url, min_size=0, max_size=most, reset=_keep, **_arguments(name, settings)
        )
    return Connections(pool)


@contextmanager
def _opening(url: str) -> Iterator[None]:
    """Say which database could not be opened, and why; of a URL that the driver cannot read, nothing is shown."""
    try:
        yield
    except driver_errors() as error:
        if getattr(error, "sqlstate", None) in _OF_PARAMETERS:
            raise SettingsError(
                f"a parameter of database_url is neither the driver's nor a setting of Postgres ({error})"
            ) from error
        fault = explain(error)
        raise type(fault)(f"The database {place(url)} cannot be opened. {fault}") from error
    except ValueError:
        raise StoreError("The driver of Postgres cannot read database_url; correct it.") from None


def _asyncpg() -> Any:
    try:
        import asyncpg  # an extra: a service on SQLite does without it
    except ModuleNotFoundError as error:
        raise StoreError(
            "database_url names a Postgres database, and the driver for it is not installed: "
            "pip install 'runbookd[postgres]'."
        ) from error
    return asyncpg


def _arguments(name: str, settings: dict[str, str]) -> dict[str, Any]:
    return {
        "timeout": _CONNECT_SECONDS,
        "command_timeout": _ANSWER_SECONDS,
        "statement_cache_size": _STATEMENTS,
        "max_cached_statement_lifetime": 0,
        "target_session_attrs": "primary",  # of several hosts in the URL, the one that can write
        "server_settings": _SESSION | settings | {"application_name": f"runbookd {name}"[:63]},
    }


async def _keep(connection: Any) -> None:
    """Leave a connection as it is between its users: each ends its transaction, and sets nothing else."""
    del connection
