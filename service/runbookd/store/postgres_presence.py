"""A replica's standing connection: it hears of work that others left, and holds the replica's name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runbookd.errors import StoreError
from runbookd.store.postgres_connections import connect
from runbookd.store.postgres_driver import driver_errors
from runbookd.store.postgres_lane import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable


class Presence:
    """Listens, and holds the name as a session's advisory lock, over any number of connections.

    `wake` is given the server process that left work; None when a message may have been missed.
    """

    def __init__(self, url: str, name: str, wake: Callable[[int | None], None], ping: float) -> None:
        """`ping` is how many seconds a connection that died without a word may go unnoticed: nothing else would tell.

        https://github.com/MagicStack/asyncpg/issues/519
        """
        self._url, self._name, self._wake, self._ping = url, name, wake, ping
        self._closing = asyncio.Event()
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> bool:
        """Begin to listen; whether no other living process has the name. Raises StoreError, StoreUnavailable."""
        alone = await self._enter()
        self._task = asyncio.create_task(self._stay(), name="postgres-presence")
        return alone

    async def close(self) -> None:
        """Let go of the name."""
        self._closing.set()
        if self._task is not None:
            await self._task
        if self._connection is not None:
            self._connection.terminate()

    async def _enter(self) -> bool:
        self._connection = await connect(self._url, self._name)
        await self._connection.add_listener(CHANNEL, self._heard)
        alone: bool = await self._connection.fetchval(
            "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"runbookd replica {self._name}"
        )
        return alone

    async def _stay(self) -> None:
        """Ask after the connection now and then, and replace it when it does not answer."""
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(self._ping):
                    await self._closing.wait()
            except TimeoutError:
                await self._ask()

    async def _ask(self) -> None:
        try:
            await self._connection.execute("SELECT 1", timeout=self._ping)
        except driver_errors():
            self._connection.terminate()
            await self._enter_again()

    async def _enter_again(self) -> None:
        """Try once; asked again in a moment, and until then whoever waits for work looks by itself."""
        try:
            await self._enter()
        except StoreError:
            return
        except driver_errors():
            return
        self._wake(None)

    def _heard(self, connection: object, process: int, channel: str, payload: object) -> None:
        del connection, channel, payload
        self._wake(process)
